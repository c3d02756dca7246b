/* What the two files of the rule log share: rulelog.c fills and empties rings, rulelog_file.c makes
 * lines and files of records. */
#ifndef MN_AGENT_RULELOG_IMPL_H
#define MN_AGENT_RULELOG_IMPL_H

#include "agent/rulelog.h"
#include "base/mem.h"

#define RULELOG_RING    4096 /* records that wait; power of two */
#define RULELOG_LOGGERS 1024

struct rulelog_record {
    uint64_t wall_ms;
    struct uuid chain, rule, logger;
    struct ip src, dst;
    uint32_t suppressed; /* of the same logger, before this one */
    topo_ref in_port, out_port;
    uint16_t eth_type, sport, dport;
    uint8_t proto;
    bool dropped;
};

struct rulelog_bucket {
    struct uuid id;
    uint64_t paid_ns;
    uint32_t suppressed;
};

/* One producer, one consumer; made with the first record. */
struct rulelog_ring {
    struct rulelog_record *records;
    struct rulelog_bucket *loggers; /* the producer's */
    uint32_t head, tail;            /* atomics: written by the producer; by the consumer */
};

struct rulelog_file;

struct rulelog {
    struct rulelog_options opts;
    const struct topo *topo;
    unsigned n_rings;
    struct rulelog_ring *rings;
    struct rulelog_file *files; /* the writer's */
    struct rulelog_counters counters;
};

/* rulelog_file.c: the writer's. */
void rulelog_write(struct rulelog *l, const struct rulelog_record *r); /* buffered */
void rulelog_flush_files(struct rulelog *l);
void rulelog_close_files(struct rulelog *l);

#endif
