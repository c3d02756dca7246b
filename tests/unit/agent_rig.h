/* A worker on a memory datapath, in a topology built by hand (sim_fixture.h).
 *
 *     struct rig *r = rig_new(&w, &(struct worker_options){0});
 *     rig_plug(r, port);             an interface of the port's name, bound
 *     rig_send(r, "a", &key);        a frame from the machine behind it; runs the worker
 *     rig_expect(r, "b", &key);      ... has arrived there
 */
#ifndef MN_TESTS_AGENT_RIG_H
#define MN_TESTS_AGENT_RIG_H

#include "agent/worker.h"
#include "base/clock.h"
#include "datapath/memory.h"
#include "sim_fixture.h"

#define SEC NSEC_PER_SEC

struct rig {
    struct world *w;
    struct dp *dp;
    struct worker *worker;
    struct worker_host host;
    struct portmap *map;
    struct portmap_entry entries[32];
    unsigned n_ports;
    topo_ref needed[32];
    unsigned n_needed;
    uint64_t now;
};

static inline uint64_t rig_now(void *aux)
{
    return ((struct rig *)aux)->now;
}

static inline void rig_need(struct worker_host *h, topo_ref object)
{
    struct rig *r = caa_container_of(h, struct rig, host);

    r->needed[r->n_needed++ % 32] = object;
}

static inline void rig_announce(struct rig *r, tag_t tag)
{
    worker_announce(r->worker, &(struct tag_change){.tag = tag}, 1);
}

static inline void rig_learn(struct worker_host *h, unsigned queue, const struct sim_learn *l,
                             uint64_t now)
{
    struct rig *r = caa_container_of(h, struct rig, host);

    (void)queue;
    if (l->kind == SIM_LEARN_MAC) {
        const struct topo_bridge *b = topo_bridge(r->w->topo, l->device);
        if (topo_mac_set(b->macs, l->vlan, &l->mac, l->port) != l->port)
            rig_announce(r, tag_bridge_mac(l->device, l->vlan, &l->mac));
    } else if (l->kind == SIM_LEARN_NEIGH) {
        const struct topo_router *rt = topo_router(r->w->topo, l->device);
        struct topo_neigh n = {l->mac, now + 60 * SEC, now + 90 * SEC};
        if (topo_neigh_set(rt->neighs, l->port, &l->ip, &n, now))
            rig_announce(r, tag_neigh(l->port, &l->ip));
    }
}

static inline void rig_run(struct rig *r)
{
    unsigned turns = 0;

    while (worker_run(r->worker, r->now))
        assert_true(++turns < 10000);
}

static inline struct rig *rig_new_on(struct world *w, struct worker_options *opts, struct dp *dp)
{
    struct rig *r = NEW(struct rig);
    struct error e = {0};

    r->w = w;
    r->now = w->now;
    r->dp = dp;
    r->map = portmap_new(NULL, 0);
    if (!dp && dp_open("memory", &(struct dp_options){.name = "rig"}, &r->dp, &e))
        fail_msg("%s", e.message);
    if (!dp)
        memory_dp_set_clock(r->dp, rig_now, r);
    r->host = (struct worker_host){.topo = w->topo,
                                   .dp = r->dp,
                                   .local_host = w->local,
                                   .ports = &r->map,
                                   .need = rig_need,
                                   .learn = rig_learn};
    assert_int_equal(worker_new(&r->host, opts, &r->worker), 0);
    return r;
}

static inline struct rig *rig_new(struct world *w)
{
    return rig_new_on(w, &(struct worker_options){0}, NULL);
}

static inline void rig_free(struct rig *r)
{
    worker_free(r->worker);
    dp_close(r->dp, false);
    portmap_free(r->map);
    free(r);
}

static inline void rig_remap(struct rig *r)
{
    portmap_free(r->map);
    r->map = portmap_new(r->entries, r->n_ports);
}

static inline uint32_t rig_plug(struct rig *r, const struct prt *p)
{
    struct portmap_entry *e = &r->entries[r->n_ports++];

    e->port = p->ref;
    assert_int_equal(memory_if_add(r->dp, p->name), 0);
    assert_int_equal(dp_port_add(r->dp, p->name, &e->port_no, NULL), 0);
    rig_remap(r);
    return e->port_no;
}

/* The frame goes in; the worker doesn't run. */
static inline void rig_inject(struct rig *r, const char *port, const struct flow_key *key)
{
    struct frame f = frame_of(key);

    assert_int_equal(memory_inject(r->dp, port, f.b, f.size), 0);
}

static inline void rig_send(struct rig *r, const char *port, const struct flow_key *key)
{
    rig_inject(r, port, key);
    rig_run(r);
}

/* The headers of the next frame out of the port; fails when there is none. */
static inline struct flow_key rig_take(struct rig *r, const char *port)
{
    uint8_t buf[2048];
    int size = memory_take(r->dp, port, buf, sizeof buf);

    if (size <= 0)
        fail_msg("nothing came out of %s", port);
    assert_true(packet_checksums_right(buf, (size_t)size));
    return parse_exact(buf, (size_t)size, NULL);
}

static inline void rig_expect(struct rig *r, const char *port, const struct flow_key *key)
{
    struct flow_key got = rig_take(r, port);

    assert_true(mac_equal(&got.eth_src, &key->eth_src));
    assert_true(mac_equal(&got.eth_dst, &key->eth_dst));
    assert_true(ip_equal(&got.ip_src, &key->ip_src));
    assert_true(ip_equal(&got.ip_dst, &key->ip_dst));
    assert_int_equal(got.tp_src, key->tp_src);
    assert_int_equal(got.tp_dst, key->tp_dst);
    assert_int_equal(got.ip_ttl, key->ip_ttl);
}

static inline void rig_nothing(struct rig *r, const char *port)
{
    uint8_t buf[2048];

    assert_int_equal(memory_take(r->dp, port, buf, sizeof buf), 0);
}

static inline uint64_t rig_upcalls(const struct rig *r)
{
    return worker_counters(r->worker)->upcalls;
}

static inline uint32_t rig_flows(const struct rig *r)
{
    return ft_n_flows(worker_flows(r->worker));
}

static inline int rig_count_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    (void)f;
    (void)s;
    ++*(uint32_t *)aux;
    return 0;
}

/* In the datapath; equal to the worker's own record, or something is wrong. */
static inline uint32_t rig_dp_flows(const struct rig *r)
{
    uint32_t n = 0;

    dp_flow_each(r->dp, rig_count_flow, &n);
    return n;
}

static inline int rig_note(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    struct rig *r = aux;
    struct worker_stat st = {f->cookie, s->packets, s->used_ns};

    worker_note_stats(r->worker, &st, 1, r->now);
    return 0;
}

static inline void rig_removed(struct worker *w, struct worker_removal *r)
{
    (void)w;
    r->port_no = 0;
}

/* Removes the port's flows, all of them. */
static inline void rig_remove_port(struct rig *r, topo_ref port, uint32_t port_no)
{
    struct worker_removal removal = {.port = port, .port_no = port_no, .done = rig_removed};

    worker_remove_port(r->worker, &removal);
    rig_run(r);
    assert_int_equal(removal.port_no, 0);
}

/* What the control thread does every few seconds. */
static inline void rig_stats(struct rig *r)
{
    dp_flow_each(r->dp, rig_note, r);
}

static inline uint64_t rig_dropped(const struct rig *r, enum sim_reason reason)
{
    return drops_total(worker_drops(r->worker), reason);
}

#endif
