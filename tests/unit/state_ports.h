/* Hosts that lease ports of one address from one store: for tests of ports.h on any store.
 *
 *      host 1   host 2   ...   host N         each with a store handle, a table and leases of its
 * own
 *         `--------+------+------'
 *              the store
 */
#ifndef MN_TEST_STATE_PORTS_H
#define MN_TEST_STATE_PORTS_H

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "state/ports.h"
#include "state_util.h"
#include "topology/policy.h"

#define ROUTER_ID "aaaaaaaa-0000-4000-8000-000000000001"

struct host {
    struct store *store;
    struct topo *topo;
    struct state *state;
    struct ports *ports;
    struct uuid id;
    topo_ref router;
    unsigned n_granted, n_exhausted, n_lost;
};

static inline void host_granted(void *aux, topo_ref device, const struct ip *ip, uint16_t port,
                                uint16_t port_to)
{
    struct host *h = aux;

    (void)ip;
    assert_int_equal(device, h->router);
    assert_true(port <= port_to);
    h->n_granted++;
}

static inline void host_exhausted(void *aux, topo_ref device, const struct ip *ip, uint16_t port,
                                  uint16_t port_to)
{
    (void)device;
    (void)ip;
    (void)port;
    (void)port_to;
    ((struct host *)aux)->n_exhausted++;
}

static inline void host_lost(void *aux, const struct state_rec *r)
{
    (void)r;
    ((struct host *)aux)->n_lost++;
}

/* A life of a host: what 'state' it begins with (null: none) was loaded before. */
static inline void host_begin(struct host *h, const char *url, const struct uuid *id,
                              const struct ports_options *opts)
{
    const struct ports_callbacks cb = {h, host_granted, host_exhausted, host_lost, NULL};
    struct ports_options o = *opts;
    struct uuid router;

    *h = (struct host){.id = *id};
    assert_int_equal(store_open(url, NULL, &h->store, NULL), 0);
    h->topo = topo_new();
    uuid_parse(ROUTER_ID, &router);
    h->router = topo_intern(h->topo, TOPO_ROUTER, &router);
    state_new(NULL, &h->state);
    o.host = *id;
    h->ports = ports_open(h->store, h->state, h->topo, &o, &cb);
}

/* Dies: the store sees its session end. */
static inline void host_end(struct host *h)
{
    ports_close(h->ports);
    store_close(h->store);
    state_free(h->state);
    topo_free(h->topo);
}

static inline struct topo_nat_target target(const char *from, const char *to, unsigned port_from,
                                            unsigned port_to)
{
    return (struct topo_nat_target){IP(from), IP(to), (uint16_t)port_from, (uint16_t)port_to};
}

/* One connection through the router: as a worker would, leasing included.  False: no port to be
 * had. */
static inline bool host_connect(struct host *h, const struct topo_nat_target *t, unsigned client,
                                unsigned dport, uint64_t now, uint64_t wall_ms,
                                struct state_rec *out)
{
    *out = (struct state_rec){.kind = STATE_SNAT, .device = h->router};
    out->fwd = tuple("10.0.0.1", client % 60000 + 1, "8.8.8.8", dport);
    out->fwd.src.w[3] = htobe32(0x0a000000u + client);
    for (unsigned i = 0; i < 4; i++) {
        uint16_t port_to;
        int rc = state_pick_source(h->state, h->router, &out->fwd, t, 1, &out->to, &out->to_port,
                                   &port_to);
        if (rc == -EAGAIN) {
            ports_need(h->ports, h->router, &out->to, out->to_port, port_to);
            ports_run(h->ports, now, wall_ms);
            continue;
        }
        if (rc)
            return false;
        return state_commit(h->state, out, 1, now, STATE_LOCAL, NULL) == 0;
    }
    return false;
}

/* Who translates to which port of the address, towards which of a few destinations; over the heads
 * of all hosts. */
enum { N_DSTS = 4 };
struct life {
    uint64_t died_ms; /* 0: alive */
};
struct referee {
    pthread_mutex_t lock;
    pthread_rwlock_t time;         /* held while somebody acts: none acts by a clock that was */
    uint32_t owner[65536][N_DSTS]; /* life, plus 1 */
    struct life lives[4096];
    uint32_t n_lives;
    uint64_t quarantine_ms;
    uint64_t wall_ms;
    unsigned n_connections, n_inherited, n_duplicates;
};

static inline uint32_t referee_birth(struct referee *r)
{
    pthread_mutex_lock(&r->lock);
    uint32_t life = r->n_lives++;
    pthread_mutex_unlock(&r->lock);
    assert_true(life < ARRAY_SIZE(r->lives));
    return life;
}

static inline void referee_death(struct referee *r, uint32_t life)
{
    pthread_mutex_lock(&r->lock);
    r->lives[life].died_ms = r->wall_ms;
    pthread_mutex_unlock(&r->lock);
}

/* The dead one's kernel goes on translating for as long as the quarantine: nobody else may. */
static inline void referee_sees(struct referee *r, uint32_t life, const struct state_rec *rec)
{
    uint32_t *owner = &r->owner[rec->to_port][rec->fwd.dport % N_DSTS];

    pthread_mutex_lock(&r->lock);
    if (*owner && *owner != life + 1) {
        const struct life *other = &r->lives[*owner - 1];
        if (!other->died_ms || other->died_ms + r->quarantine_ms > r->wall_ms)
            r->n_duplicates++;
        else
            r->n_inherited++;
    }
    *owner = life + 1;
    r->n_connections++;
    pthread_mutex_unlock(&r->lock);
}

struct hammer {
    struct referee *referee;
    const char *url;
    struct ports_options opts;
    struct topo_nat_target target;
    unsigned number, n_lives, n_each;
};

static inline void *hammer_run(void *arg)
{
    struct hammer *m = arg;
    unsigned seed = m->number;
    uint64_t now = 1;
    struct uuid id;

    rcu_register_thread();
    for (unsigned l = 0; l < m->n_lives; l++) {
        uint32_t life = referee_birth(m->referee);
        struct state_rec r;
        struct host h;
        uuid_random(&id);
        host_begin(&h, m->url, &id, &m->opts);
        for (unsigned i = 0, tries = 0; i < m->n_each && tries < 100000; tries++) {
            now += NSEC_PER_MSEC;
            rcu_thread_offline();
            pthread_rwlock_wrlock(&m->referee->time);
            m->referee->wall_ms++;
            pthread_rwlock_unlock(&m->referee->time);
            pthread_rwlock_rdlock(&m->referee->time);
            rcu_thread_online();
            uint64_t wall = m->referee->wall_ms;
            ports_run(h.ports, now, wall);
            if (host_connect(&h, &m->target, m->number << 16 | tries,
                             1000 + (unsigned)rand_r(&seed) % N_DSTS, now, wall, &r)) {
                referee_sees(m->referee, life, &r);
                i++;
            }
            pthread_rwlock_unlock(&m->referee->time);
        }
        rcu_thread_offline();
        pthread_rwlock_rdlock(&m->referee->time);
        referee_death(m->referee, life);
        pthread_rwlock_unlock(&m->referee->time);
        rcu_thread_online();
        host_end(&h);
    }
    rcu_unregister_thread();
    return NULL;
}

/* N hosts at once, dying in between, after one address. */
static inline void hammer(const char *url, unsigned n, unsigned n_lives, unsigned n_each,
                          unsigned n_blocks, struct referee *r)
{
    pthread_t threads[64];
    struct hammer m[64];
    struct store *store; /* held open: a store in memory ends with its last user */

    assert_int_equal(store_open(url, NULL, &store, NULL), 0);
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    pthread_rwlock_init(&r->time, NULL);
    r->quarantine_ms = 200;
    r->wall_ms = 1000000;
    rcu_thread_offline();
    for (unsigned i = 0; i < n; i++) {
        m[i] = (struct hammer){
            .referee = r,
            .url = url,
            .opts = {.quarantine_ns = r->quarantine_ms * NSEC_PER_MSEC,
                     .retry_ns = 20 * NSEC_PER_MSEC,
                     .recycle_ns = NSEC_PER_SEC,
                     .sweep_ns = 500 * NSEC_PER_MSEC},
            .target = target("1.1.1.1", "1.1.1.1", 1024, 1023 + 64 * n_blocks),
            .number = i + 1,
            .n_lives = n_lives,
            .n_each = n_each,
        };
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_run, &m[i]), 0);
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    rcu_thread_online();
    store_close(store);
    pthread_mutex_destroy(&r->lock);
    pthread_rwlock_destroy(&r->time);
}

#endif
