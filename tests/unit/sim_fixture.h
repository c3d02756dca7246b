/* Worlds (sim_world.h) under cmocka: what must be true of every result, and expectations.
 *
 *     send_frame(w, "a", &frame);      checks tags, and the mask by altering what it leaves out
 *     expect_out(w, "z"); */
#ifndef MN_TESTS_SIM_FIXTURE_H
#define MN_TESTS_SIM_FIXTURE_H

#include <stdio.h>

#include "packet_fixture.h"
#include "rcu_reader.h"
#include "sim_world.h"

/* Running. */

static inline void check_tags(const struct world *w)
{
    for (uint32_t i = 0; i < w->res.n_tags; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_true(w->res.tags[i] != w->res.tags[j]);
}

static inline void send_bytes(struct world *w, const char *port_name, const uint8_t *p, size_t size)
{
    world_run(w, port_name, p, size);
    if (w->trail)
        for (uint32_t i = 0; i < w->res.n_steps; i++)
            fprintf(stderr, "%*s%s\n", 2 * w->res.steps[i].depth, "", w->res.steps[i].text);
    check_tags(w);
    assert_true(w->skip_mask_check || mask_holds(w, 32));
}

/* The last packet again, with the trail written. */
static inline void trace(struct world *w)
{
    w->in.want_trail = true;
    sim_run(&w->in, &w->arena, &w->res);
}

static inline void send_frame(struct world *w, const char *port_name, const struct frame *f)
{
    send_bytes(w, port_name, f->b, f->size);
}

static inline void send_key(struct world *w, const char *port_name, const struct flow_key *k)
{
    static struct frame f; /* stays, for trace() */

    f = frame_of(k);
    send_frame(w, port_name, &f);
}

/* Expectations. */

static inline void expect_verdict(const struct world *w, enum sim_verdict v)
{
    if (w->res.verdict != v)
        fail_msg("verdict %d, not %d: %s", w->res.verdict, v, sim_reason_name(w->res.reason));
}

static inline const struct sim_out *find_sim_out(const struct sim_out *outs, uint32_t n,
                                                 topo_ref port)
{
    for (uint32_t i = 0; i < n; i++)
        if (outs[i].port == port)
            return &outs[i];
    return NULL;
}

static inline const struct flow_key *find_out(const struct sim_out *outs, uint32_t n, topo_ref port)
{
    const struct sim_out *o = find_sim_out(outs, n, port);

    return o ? o->hdr : NULL;
}

/* Exactly these ports, null-terminated. */
static inline void expect_outs_(const struct world *w, const char *const *names)
{
    uint32_t n = 0;

    expect_verdict(w, SIM_FORWARD);
    for (; names[n]; n++)
        if (!find_out(w->res.outs, w->res.n_outs, ref_of(w, names[n])))
            fail_msg("no copy to %s", names[n]);
    assert_int_equal(w->res.n_outs, n);
}
#define expect_outs(w, ...) expect_outs_(w, (const char *const[]){__VA_ARGS__, NULL})

static inline const struct flow_key *expect_out(const struct world *w, const char *name)
{
    expect_outs(w, name);
    return w->res.outs[0].hdr;
}

static inline void expect_drop(const struct world *w, enum sim_reason reason, const char *object)
{
    struct uuid id = uuid_of(object);

    expect_verdict(w, SIM_DROP);
    if (w->res.reason != reason)
        fail_msg("dropped: %s, not %s", sim_reason_name(w->res.reason), sim_reason_name(reason));
    if (!uuid_equal(&w->res.reason_id, &id))
        fail_msg("dropped by %.16s, not %s", (const char *)w->res.reason_id.b, object);
}

static inline bool has_tag(const struct world *w, tag_t tag)
{
    for (uint32_t i = 0; i < w->res.n_tags; i++)
        if (w->res.tags[i] == tag)
            return true;
    return false;
}

/* A packet as it leaves by the output: what a datapath would send. */
static inline struct frame frame_by(const struct sim_out *o, const struct flow_key *key,
                                    const uint8_t *packet, size_t size)
{
    struct frame f = {.size = o->packet ? o->size : size};
    struct flow_out out = {0};

    assert_true(f.size <= sizeof f.b);
    memcpy(f.b, o->packet ? o->packet : packet, f.size);
    if (!o->packet)
        flow_out_diff(&out, key, o->hdr);
    uint8_t *p = packet_rewrite(f.b, &f.size, &out);
    memmove(f.b, p, f.size);
    return f;
}

/* The only emit, as it leaves by 'port'. */
static inline struct frame emitted(const struct world *w, const char *port_name)
{
    assert_int_equal(w->res.n_emits, 1);
    const struct sim_emit *e = &w->res.emits[0];
    const struct sim_out *o = find_sim_out(e->outs, e->n_outs, ref_of(w, port_name));
    if (!o)
        fail_msg("the message doesn't leave by %s", port_name);
    struct frame f = frame_by(o, &e->key, e->packet, e->size);
    assert_true(packet_checksums_right(f.b, f.size));
    return f;
}

static inline const struct sim_learn *learned(const struct world *w, enum sim_learn_kind kind,
                                              topo_ref device)
{
    for (uint32_t i = 0; i < w->res.n_learns; i++)
        if (w->res.learns[i].kind == kind && w->res.learns[i].device == device)
            return &w->res.learns[i];
    return NULL;
}

/* cmocka fixtures: one world a test, this thread an RCU reader. */
static inline int world_setup(void **state)
{
    struct world *w = NEW(struct world);

    world_init(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    world_free(*state);
    free(*state);
    return 0;
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

#endif
