#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "topology/sync_policy.h"
#include "topology/sync_table.h"

/* What a worker has said lately, by hash: so that every packet of a busy station costs a look here,
 * and a word to the topology thread only now and then. */
enum { SAID_CACHE = 4096 };

struct sync_learner {
    struct sync *s;
    struct {
        uint64_t hash, until;
    } lately[SAID_CACHE];
};

void sync_inbox_init(struct sync *s)
{
    pthread_mutex_init(&s->inbox.lock, NULL);
}

void sync_inbox_free(struct sync *s)
{
    pthread_mutex_destroy(&s->inbox.lock);
    free(s->inbox.needs.v);
    free(s->inbox.said.v);
}

static void poke(struct sync *s)
{
    uint64_t one = 1;

    if (write(s->wake, &one, sizeof one) < 0) {
        /* it is full: the thread is being woken anyway */
    }
}

void sync_need(struct sync *s, topo_ref ref)
{
    struct inbox *in = &s->inbox;

    pthread_mutex_lock(&in->lock);
    bool first = !in->needs.n && !in->said.n;
    bool again = in->needs.n && in->needs.v[in->needs.n - 1] == ref;
    if (!again && in->needs.n < SAID_MAX)
        vec_add(&in->needs, ref);
    pthread_mutex_unlock(&in->lock);
    if (first)
        poke(s);
}

/* With the lock held; false when there is no room (then nothing must have been changed). */
static bool room(struct inbox *in, bool in_table)
{
    if (in_table && in->said.n < SAID_MAX)
        return true;
    in->dropped++;
    return false;
}

/* A table with 'size' entries takes one more, or the one that is there. */
static bool fits(const struct sync *s, bool there, size_t size)
{
    if (there || size < s->opt.learned_max)
        return true;
    log_limited(LOG_LVL_WARN, "topology", "a learned table is full: %zu entries", size);
    return false;
}

static void say(struct sync *s, const struct said *w)
{
    struct inbox *in = &s->inbox;

    pthread_mutex_lock(&in->lock);
    bool first = !in->needs.n && !in->said.n;
    if (room(in, true))
        vec_add(&in->said, *w);
    pthread_mutex_unlock(&in->lock);
    if (first)
        poke(s);
}

struct sync_learner *sync_learner_new(struct sync *s)
{
    struct sync_learner *l = NEW(struct sync_learner);

    l->s = s;
    return l;
}

void sync_learner_free(struct sync_learner *l)
{
    free(l);
}

static bool lately(struct sync_learner *l, uint64_t hash, uint64_t now)
{
    return l->lately[hash % SAID_CACHE].hash == hash && now < l->lately[hash % SAID_CACHE].until;
}

static void remember(struct sync_learner *l, uint64_t hash, uint64_t until)
{
    l->lately[hash % SAID_CACHE].hash = hash;
    l->lately[hash % SAID_CACHE].until = until;
}

void sync_learn_mac(struct sync_learner *l, uint64_t now_ns, topo_ref bridge, uint16_t vlan,
                    const struct mac *mac, topo_ref port)
{
    const struct topo_bridge *b = topo_bridge(l->s->topo, bridge);
    uint64_t hash = hash_u64(mac_u64(mac) << 16 ^ vlan ^ hash_u64((uint64_t)bridge << 32 | port));
    struct inbox *in = &l->s->inbox;

    if (!b || b->obj.missing)
        return;
    topo_ref known = topo_mac_lookup(b->macs, vlan, mac);
    if (known == port && lately(l, hash, now_ns))
        return;
    bool in_table = fits(l->s, known, topo_mac_size(b->macs));
    struct said w = {
        .kind = SAID_MAC, .vlan = vlan, .mac = *mac, .device = bridge, .port = port, .at = now_ns};
    pthread_mutex_lock(&in->lock);
    bool first = !in->needs.n && !in->said.n;
    if (room(in, in_table)) {
        w.news = topo_mac_set(b->macs, vlan, mac, port) != port;
        vec_add(&in->said, w);
        remember(l, hash, now_ns + l->s->opt.mac_idle_ns / 8);
    }
    pthread_mutex_unlock(&in->lock);
    if (first)
        poke(l->s);
}

void sync_learn_neigh(struct sync_learner *l, uint64_t now_ns, topo_ref router, topo_ref port,
                      const struct ip *ip, const struct mac *mac)
{
    const struct topo_router *r = topo_router(l->s->topo, router);
    struct inbox *in = &l->s->inbox;
    struct topo_neigh n;

    if (!r || r->obj.missing)
        return;
    bool known = topo_neigh_lookup(r->neighs, port, ip, now_ns, &n);
    if (known && mac_equal(&n.mac, mac) && now_ns < n.stale_ns)
        return;
    bool in_table = fits(l->s, known, topo_neigh_size(r->neighs));
    n = (struct topo_neigh){*mac, now_ns + l->s->opt.neigh_stale_ns,
                            now_ns + l->s->opt.neigh_expire_ns};
    struct said w = {
        .kind = SAID_NEIGH, .mac = *mac, .device = router, .port = port, .ip = *ip, .at = now_ns};
    pthread_mutex_lock(&in->lock);
    bool first = !in->needs.n && !in->said.n;
    if (room(in, in_table)) {
        w.news = topo_neigh_set(r->neighs, port, ip, &n, now_ns);
        vec_add(&in->said, w);
    }
    pthread_mutex_unlock(&in->lock);
    if (first)
        poke(l->s);
}

void sync_learn_addr(struct sync_learner *l, uint64_t now_ns, topo_ref bridge, const struct ip *ip,
                     const struct mac *mac)
{
    struct said w = {.kind = SAID_ADDR, .device = bridge, .ip = *ip, .mac = *mac, .at = now_ns};
    uint64_t hash = hash_u64(mac_u64(mac) ^ hash_u64(ip->q[1] ^ hash_u64(ip->q[0] ^ bridge)));

    if (lately(l, hash, now_ns))
        return;
    remember(l, hash, now_ns + 10 * NSEC_PER_SEC);
    say(l->s, &w);
}

void sync_forget_mac(struct sync *s, topo_ref bridge, uint16_t vlan, const struct mac *mac)
{
    struct said w = {.kind = SAID_FORGET_MAC, .device = bridge, .vlan = vlan, .mac = *mac};

    say(s, &w);
}

void sync_forget_neigh(struct sync *s, topo_ref router, topo_ref port, const struct ip *ip)
{
    struct said w = {.kind = SAID_FORGET_NEIGH, .device = router, .port = port, .ip = *ip};

    say(s, &w);
}

/* The topology thread's side */

static size_t item_size(enum topo_kind kind)
{
    switch (kind) {
    case TOPO_PORT:
        return sizeof(struct port_item);
    case TOPO_BRIDGE:
    case TOPO_ROUTER:
        return sizeof(struct device_item);
    case TOPO_HOST:
        return sizeof(struct host_item);
    case TOPO_CHAIN:
        return sizeof(struct chain_item);
    case TOPO_IP_GROUP:
        return sizeof(struct group_item);
    case TOPO_PORT_GROUP:
        return sizeof(struct port_group_item);
    default:
        return sizeof(struct item);
    }
}

void sync_prefetch(struct sync *s, topo_ref ref)
{
    enum topo_kind kind = topo_kind_of(s->topo, ref);

    if (!ref || sync_item(s, ref) || topo_get(s->topo, ref))
        return;
    sync_due(s, sync_item_new(s, ref, (uint8_t)kind, item_size(kind)), DUE_LOAD);
}

static void take_need(struct sync *s, topo_ref ref)
{
    enum topo_kind kind = topo_kind_of(s->topo, ref);

    if (topo_get(s->topo, ref)) { /* came in the meantime */
        vec_add(&s->loaded, ref);
        return;
    }
    if (kind == TOPO_NONE || kind == TOPO_ROUTE || kind == TOPO_RULE)
        return;
    struct item *it = sync_item_new(s, ref, (uint8_t)kind, item_size(kind));
    if (it && !it->needed) {
        it->needed = true;
        s->st.n_needs++;
    }
    if (it)
        sync_due(s, it, DUE_LOAD);
}

/* Somebody claims a seeded address with another MAC: the seed follows, for all agents, and not more
 * often than a misbehaving machine may make the store write. */
static void take_addr(struct sync *s, const struct said *w)
{
    struct device_item *d = sync_device(s, w->device);
    char text[MAC_STRLEN];
    struct error e;

    for (size_t i = 0; d && i < d->seeds.n; i++) {
        const struct seed *seed = &d->seeds.v[i];
        if (!ip_equal(&seed->ip, &w->ip) || mac_equal(&seed->mac, &w->mac))
            continue;
        if (s->now < s->addr_at)
            return;
        s->addr_at = s->now + 100 * NSEC_PER_MSEC;
        json_t *attrs = json_pack("{s:s}", "mac", mac_format(&w->mac, text));
        if (objects_update1(s->db, ST_IP_MAC, &seed->id, attrs, STORE_ANY, &e))
            log_limited(LOG_LVL_WARN, "topology", "a claimed address is not stored: %s", e.message);
        json_decref(attrs);
        return;
    }
}

static void take_forget(struct sync *s, const struct said *w)
{
    struct device_item *d = sync_device(s, w->device);
    bool mac = w->kind == SAID_FORGET_MAC;

    if (!d || !d->table || (d->item.kind == TOPO_BRIDGE) != mac)
        return;
    struct claim_key key = mac ? sync_mac_key(w->vlan, &w->mac) : sync_neigh_key(w->port, &w->ip);
    struct claim *c = sync_claim_find(d->table, &key);
    if (c && c->chunk->own)
        sync_share_forget(s, d->table, c);
}

static void take_said(struct sync *s, const struct said *w)
{
    switch (w->kind) {
    case SAID_MAC:
        sync_share_mac(s, w);
        break;
    case SAID_NEIGH:
        sync_share_neigh(s, w);
        break;
    case SAID_ADDR:
        take_addr(s, w);
        break;
    case SAID_FORGET_MAC:
    case SAID_FORGET_NEIGH:
        take_forget(s, w);
        break;
    }
}

void sync_take_inbox(struct sync *s)
{
    struct inbox *in = &s->inbox, taken;
    uint64_t n;

    if (read(s->wake, &n, sizeof n) < 0) {
        /* nobody poked */
    }
    pthread_mutex_lock(&in->lock);
    taken = *in;
    memset(&in->needs, 0, sizeof in->needs);
    memset(&in->said, 0, sizeof in->said);
    s->st.learns_dropped = in->dropped;
    pthread_mutex_unlock(&in->lock);
    for (size_t i = 0; i < taken.needs.n; i++)
        take_need(s, taken.needs.v[i]);
    for (size_t i = 0; i < taken.said.n; i++)
        take_said(s, &taken.said.v[i]);
    free(taken.needs.v);
    free(taken.said.v);
}
