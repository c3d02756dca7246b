/* Records for tests of connection state. */
#ifndef MN_TEST_STATE_UTIL_H
#define MN_TEST_STATE_UTIL_H

#include <endian.h>
#include <errno.h>

#include "base/mem.h"
#include "state/state.h"
#include "topo_util.h"
#include "values.h"

struct gone {
    unsigned n;
    struct state_rec last;
};

static inline struct state_tuple tuple(const char *src, unsigned sport, const char *dst,
                                       unsigned dport)
{
    return (struct state_tuple){.src = IP(src),
                                .dst = IP(dst),
                                .sport = (uint16_t)sport,
                                .dport = (uint16_t)dport,
                                .proto = 6};
}

static inline struct state_rec state_record(enum state_kind kind, topo_ref device,
                                            struct state_tuple fwd, const char *to,
                                            unsigned to_port)
{
    return (struct state_rec){.fwd = fwd,
                              .to = to ? IP(to) : ip_none,
                              .to_port = (uint16_t)to_port,
                              .kind = (uint8_t)kind,
                              .device = device};
}

static inline int state_setup(void **arg)
{
    return state_new(NULL, (struct state **)arg);
}

static inline int state_teardown(void **arg)
{
    state_free(*arg);
    return 0;
}

#endif
