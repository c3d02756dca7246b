/* Worlds with a table of connections: results are committed, replies and errors made from what was
 * delivered. */
#ifndef MN_TESTS_SIM_CONNS_H
#define MN_TESTS_SIM_CONNS_H

#include "sim_routed.h"
#include "state/state.h"

static inline struct state *with_state(struct world *w)
{
    struct state *s;

    assert_int_equal(state_new(&(struct state_limits){.max_records = 1000}, &s), 0);
    state_ports_all(s, true);
    w->in.state = s;
    return s;
}

/* What the caller of sim_run() does before it sends anything. */
static inline void commit(struct world *w, struct state *s)
{
    assert_int_equal(w->res.verdict, SIM_FORWARD);
    assert_int_equal(state_commit(s, w->res.states, w->res.n_states, w->now, STATE_LOCAL, NULL), 0);
}

static inline const struct state_rec *record(const struct world *w, enum state_kind kind,
                                             const struct dev *d)
{
    for (uint32_t i = 0; i < w->res.n_states; i++)
        if (w->res.states[i].kind == kind && w->res.states[i].device == d->ref)
            return &w->res.states[i];
    return NULL;
}

/* The frame as it left by 'port', which is the only one it left by. */
static inline struct frame delivered(const struct world *w, const char *port)
{
    struct frame f;

    expect_outs(w, port);
    f = frame_by(&w->res.outs[0], &w->key, w->in.packet, w->in.size);
    assert_true(packet_checksums_right(f.b, f.size));
    /* What is told of the headers is so. */
    struct flow_key k = parse(&f), told = *w->res.outs[0].hdr;
    k.in_port = told.in_port;
    assert_memory_equal(&k, &told, sizeof k);
    return f;
}

/* Sent, delivered, committed. */
static inline struct frame through(struct world *w, struct state *s, const char *from,
                                   const struct flow_key *k, const char *to)
{
    struct frame f = frame_of(k), got;

    send_frame(w, from, &f);
    got = delivered(w, to);
    commit(w, s);
    return got;
}

/* Who got 'f' answers. */
static inline struct flow_key reply_to(const struct frame *f)
{
    struct flow_key k = parse(f), r = k;

    r.eth_src = k.eth_dst;
    r.eth_dst = k.eth_src;
    r.ip_src = k.ip_dst;
    r.ip_dst = k.ip_src;
    r.ip_ttl = 64;
    if (packet_is_echo(&k)) {
        r.tp_src = k.eth_type == ETH_TYPE_IP6 ? 129 : 0;
    } else {
        r.tp_src = k.tp_dst;
        r.tp_dst = k.tp_src;
    }
    return r;
}

/* An error about 'f' by the node with address 'src', sent back to whose MAC it came from. */
static inline struct frame error_about(const struct frame *f, const char *src, uint8_t type,
                                       uint8_t code)
{
    struct flow_key k = parse(f);
    struct frame e = {.size = 0};
    struct ip ip = IP(src);

    e.size = packet_icmp_error(e.b, sizeof e.b, &k.eth_dst, &ip, &k.eth_src, type, code, 1400, f->b,
                               f->size);
    assert_true(e.size > 0);
    return e;
}

static inline struct packet_quote quote_of(const struct frame *f)
{
    struct packet_quote q;

    assert_true(packet_quote(f->b, f->size, &q));
    return q;
}

static inline struct flow_key echo_of(const char *src, const char *dst, uint16_t id)
{
    struct flow_key k = key_of(1, src, dst, 8, 0);

    if (k.eth_type == ETH_TYPE_IP6) {
        k.ip_proto = 58;
        k.tp_src = 128;
    }
    k.icmp_id = id;
    return k;
}

#endif
