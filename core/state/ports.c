#include "state/ports.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/ports_impl.h"

static const struct ports_options defaults = {
    .unused_ns = 300 * NSEC_PER_SEC,
    .sweep_ns = 60 * NSEC_PER_SEC,
    .retry_ns = 5 * NSEC_PER_SEC,
    .cut_ns = 720 * NSEC_PER_SEC,
    .quarantine_ns = 900 * NSEC_PER_SEC,
    .recycle_ns = 5 * 3600 * NSEC_PER_SEC,
};

#define VERIFY_NS (5 * NSEC_PER_SEC) /* leases are looked at within, after a reconnect */

enum { NEEDS_AT_ONCE = 16, MOST_NEEDS = 65536 };

static void needs_add(struct needs *n, const struct need *need)
{
    for (size_t i = 0; i < n->n; i++) {
        if (!memcmp(&n->v[i], need, sizeof *need))
            return;
    }
    if (n->n == MOST_NEEDS)
        return;
    if (n->n == n->room) {
        n->room = MAX((size_t)16, n->room * 2);
        n->v = mem_resize(n->v, n->room * sizeof *n->v);
    }
    n->v[n->n++] = *need;
}

static void low(void *aux, topo_ref device, const struct ip *ip, uint16_t port, uint16_t port_to)
{
    ports_need(aux, device, ip, port, port_to);
}

struct ports *ports_open(struct store *store, struct state *s, const struct topo *t,
                         const struct ports_options *opts, const struct ports_callbacks *cb)
{
    struct ports *p = NEW(struct ports);
    struct uuid life;

    *p = (struct ports){.store = store, .state = s, .topo = t, .opt = *opts, .connected = true};
    p->cb = cb ? *cb : (struct ports_callbacks){0};
    uuid_random(&life);
    memcpy(&p->inc, life.b, sizeof p->inc);
    memcpy(&p->dice, life.b + 8, sizeof p->dice);
#define DEFAULT(what) p->opt.what = opts->what ? opts->what : defaults.what
    DEFAULT(unused_ns);
    DEFAULT(sweep_ns);
    DEFAULT(retry_ns);
    DEFAULT(cut_ns);
    DEFAULT(quarantine_ns);
    DEFAULT(recycle_ns);
#undef DEFAULT
    pthread_mutex_init(&p->lock, NULL);
    state_ports_on_low(s, low, p);
    return p;
}

void ports_close(struct ports *p)
{
    struct address *a, *next;

    if (!p)
        return;
    state_ports_on_low(p->state, NULL, NULL);
    HASH_ITER (hh, p->addresses, a, next) {
        HASH_DEL(p->addresses, a);
        free(a->leases);
        free(a);
    }
    pthread_mutex_destroy(&p->lock);
    free(p->asked.v);
    free(p->needs.v);
    free(p->exhausted);
    free(p);
}

void ports_need(struct ports *p, topo_ref device, const struct ip *ip, uint16_t port,
                uint16_t port_to)
{
    const struct need need = {device, port, MAX(port, port_to), *ip};

    pthread_mutex_lock(&p->lock);
    bool first = !p->asked.n;
    needs_add(&p->asked, &need);
    pthread_mutex_unlock(&p->lock);
    if (first && p->cb.wake)
        p->cb.wake(p->cb.aux);
}

/* Addresses and leases */

struct address *ports_address(struct ports *p, topo_ref device, const struct ip *ip, bool make)
{
    const struct address_key key = {*ip, device, 0};
    struct address *a;

    HASH_FIND(hh, p->addresses, &key, sizeof key, a);
    if (a || !make)
        return a;
    a = NEW(struct address);
    a->key = key;
    a->device_id = *topo_id(p->topo, device);
    HASH_ADD(hh, p->addresses, key, sizeof a->key, a);
    p->status.n_addresses++;
    return a;
}

struct lease *address_lease(struct address *a, unsigned block)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (a->leases[i].block == block)
            return &a->leases[i];
    }
    return NULL;
}

void address_add(struct ports *p, struct address *a, unsigned block, uint64_t now)
{
    if (address_lease(a, block))
        return;
    if (a->n == a->room) {
        a->room = MAX(4u, a->room * 2);
        a->leases = mem_resize(a->leases, a->room * sizeof *a->leases);
    }
    a->leases[a->n++] = (struct lease){.block = (uint16_t)block, .ref_ns = now};
    p->status.n_leases++;
    p->status.leased++;
    if (!p->cut)
        state_ports_grant(p->state, a->key.device, &a->key.ip, block);
}

void address_drop(struct ports *p, struct address *a, unsigned block)
{
    struct lease *l = address_lease(a, block);

    state_ports_revoke(p->state, a->key.device, &a->key.ip, block);
    if (!l)
        return;
    *l = a->leases[--a->n];
    p->status.n_leases--;
}

/* Needs */

static void exhaust(struct ports *p, const struct need *n, uint64_t now)
{
    if (p->n_exhausted == p->room_exhausted) {
        p->room_exhausted = MAX((size_t)16, p->room_exhausted * 2);
        p->exhausted = mem_resize(p->exhausted, p->room_exhausted * sizeof *p->exhausted);
    }
    p->exhausted[p->n_exhausted++] = (struct exhaustion){*n, now + p->opt.retry_ns};
    state_ports_exhausted(p->state, n->device, &n->ip, n->port / STATE_BLOCK,
                          n->port_to / STATE_BLOCK, true);
    p->status.exhausted++;
    if (p->cb.exhausted)
        p->cb.exhausted(p->cb.aux, n->device, &n->ip, n->port, n->port_to);
}

static void forget_exhaustion(struct ports *p, uint64_t now)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->n_exhausted; i++) {
        const struct need *n = &p->exhausted[i].need;
        if (p->exhausted[i].until_ns > now)
            p->exhausted[kept++] = p->exhausted[i];
        else
            state_ports_exhausted(p->state, n->device, &n->ip, n->port / STATE_BLOCK,
                                  n->port_to / STATE_BLOCK, false);
    }
    p->n_exhausted = kept;
}

/* What the store failed at is tried again later. */
static bool store_failed(struct ports *p, int rc, uint64_t now)
{
    if (!rc || rc == -EEXIST || rc == -ENOSPC || rc == -ENOENT || rc == -ESTALE)
        return false;
    p->retry_at = now + NSEC_PER_SEC;
    log_limited(LOG_LVL_WARN, "ports", "blocks of ports can't be leased: error %d", -rc);
    return true;
}

/* A need that drains blocks of its own gets these back before the store is asked. */
static bool undrain(struct ports *p, const struct need *n)
{
    struct address *a = ports_address(p, n->device, &n->ip, false);
    bool any = false;

    for (unsigned i = 0; a && i < a->n; i++) {
        struct lease *l = &a->leases[i];
        if (!l->draining || l->block < n->port / STATE_BLOCK || l->block > n->port_to / STATE_BLOCK)
            continue;
        l->draining = false;
        any = true;
        state_ports_grant(p->state, n->device, &n->ip, l->block);
    }
    return any;
}

static bool meet(struct ports *p, const struct need *n, uint64_t now, uint64_t wall_ms)
{
    unsigned got = 0;
    int rc = undrain(p, n) ? 0 : ports_lease(p, n, now, wall_ms, &got);

    if (rc == -EEXIST || store_failed(p, rc, now))
        return false;
    if (rc)
        exhaust(p, n, now);
    else if (p->cb.granted)
        p->cb.granted(p->cb.aux, n->device, &n->ip, n->port, n->port_to);
    return true;
}

static void meet_needs(struct ports *p, uint64_t now, uint64_t wall_ms)
{
    size_t i = 0;

    pthread_mutex_lock(&p->lock);
    for (size_t k = 0; k < p->asked.n; k++)
        needs_add(&p->needs, &p->asked.v[k]);
    p->asked.n = 0;
    pthread_mutex_unlock(&p->lock);
    while (i < p->needs.n && i < NEEDS_AT_ONCE && meet(p, &p->needs.v[i], now, wall_ms))
        i++;
    if (!i)
        return;
    p->needs.n -= i;
    memmove(p->needs.v, p->needs.v + i, p->needs.n * sizeof *p->needs.v);
}

/* Without the store */

/* All agents come back at one moment, and looking at its leases costs each some reads: not all at
 * once, but soon where connections wait for it. */
void ports_connection(struct ports *p, uint64_t now_ns, bool connected)
{
    if (!connected && p->connected)
        p->cut_since = now_ns;
    if (connected && !p->connected) {
        p->verify = true;
        p->verify_at = now_ns + hash_u64(now_ns ^ p->inc) % (p->cut ? NSEC_PER_SEC : VERIFY_NS);
    }
    p->connected = connected;
    p->retry_at = 0;
}

static void set_grants(struct ports *p, bool yes)
{
    struct address *a, *next;

    HASH_ITER (hh, p->addresses, a, next) {
        for (unsigned i = 0; i < a->n; i++) {
            if (!yes)
                state_ports_revoke(p->state, a->key.device, &a->key.ip, a->leases[i].block);
            else if (!a->leases[i].draining)
                state_ports_grant(p->state, a->key.device, &a->key.ip, a->leases[i].block);
        }
    }
}

static void cut(struct ports *p, bool yes)
{
    if (p->cut == yes)
        return;
    p->cut = yes;
    set_grants(p, !yes);
    log_line(yes ? LOG_LVL_WARN : LOG_LVL_INFO, "ports",
             yes ? "without the store for too long: no new translated connections"
                 : "the store is back: leased ports are used again");
}

/* Back: what of ours is still ours? */
static int verify_all(struct ports *p, uint64_t wall_ms)
{
    struct address *a, *next;
    struct blocks lost;

    HASH_ITER (hh, p->addresses, a, next) {
        int rc = ports_verify(p, a, wall_ms, &lost);
        if (rc)
            return rc;
        for (unsigned b = 0; b < STATE_BLOCKS; b++) {
            if (blocks_has(&lost, b))
                ports_lose(p, a, b);
        }
    }
    p->verify = false;
    cut(p, false);
    return 0;
}

/* Blocks where this host has connections of an earlier life. */
static int adopt(struct ports *p, uint64_t now, uint64_t wall_ms)
{
    struct state_info info[256];
    uint64_t at = 0;
    int rc = 0;

    do {
        uint32_t n = state_dump(p->state, &at, info, ARRAY_SIZE(info));
        for (uint32_t i = 0; i < n && !rc; i++) {
            const struct state_rec *r = &info[i].rec;
            if (r->kind != STATE_SNAT || info[i].origin == STATE_RECEIVED)
                continue;
            unsigned block = r->to_port / STATE_BLOCK;
            struct address *a = ports_address(p, r->device, &r->to, true);
            if (address_lease(a, block))
                continue;
            rc = ports_retake(p, a, block, wall_ms);
            if (!rc)
                address_add(p, a, block, now);
            if (rc == -ENOENT || rc == -EEXIST || rc == -ESTALE)
                rc = 0;
        }
    } while (at && !rc);
    p->adopting = rc != 0;
    return rc;
}

void ports_adopt(struct ports *p, uint64_t now_ns, uint64_t wall_ms)
{
    int rc = adopt(p, now_ns, wall_ms);

    if (rc)
        log_warn("ports", "earlier blocks of ports can't be taken back yet: error %d", -rc);
}

uint64_t ports_run(struct ports *p, uint64_t now, uint64_t wall_ms)
{
    int rc = 0;

    if (!p->sweep_due) {
        p->sweep_due = now + p->opt.sweep_ns;
        p->recycle_due =
            now + p->opt.recycle_ns / 5 + p->dice % (p->opt.recycle_ns - p->opt.recycle_ns / 5);
    }
    forget_exhaustion(p, now);
    if (!p->connected) {
        if (now - p->cut_since >= p->opt.cut_ns)
            cut(p, true);
    } else if (now >= p->retry_at) {
        if (p->adopting)
            rc = adopt(p, now, wall_ms);
        if (!rc && p->verify && now >= p->verify_at)
            rc = verify_all(p, wall_ms);
        if (!store_failed(p, rc, now) && !p->cut)
            meet_needs(p, now, wall_ms);
    }
    bool more = ports_scan(p, now, wall_ms);
    if (p->connected && now >= p->recycle_due &&
        !store_failed(p, ports_recycle(p, p->recycle_shard, wall_ms), now)) {
        p->recycle_shard = (p->recycle_shard + 1) % 256;
        if (!p->recycle_shard)
            p->recycle_due = now + p->opt.recycle_ns;
        more = true;
    }
    uint64_t next = p->sweep_due;
    if (!p->connected && !p->cut)
        next = MIN(next, p->cut_since + p->opt.cut_ns);
    for (size_t i = 0; i < p->n_exhausted; i++)
        next = MIN(next, p->exhausted[i].until_ns);
    if (p->connected && p->needs.n && !p->cut)
        next = MIN(next, MAX(now, p->retry_at));
    if (p->connected && p->adopting)
        next = MIN(next, MAX(now, p->retry_at));
    if (p->connected && p->verify)
        next = MIN(next, MAX(p->verify_at, p->retry_at));
    return more ? now : next;
}

void ports_status(const struct ports *p, struct ports_status *out)
{
    *out = p->status;
    out->n_needs = (uint32_t)p->needs.n;
    out->cut = p->cut;
}
