#include <stdlib.h>

#include "topology/sync_impl.h"
#include "topology/sync_table.h"

void sync_table_path(const struct sync *s, const struct device_item *d, const char *chunk,
                     char path[STORE_PATH_MAX])
{
    objects_state_path(sync_type(&d->item), topo_id(s->topo, d->item.ref),
                       d->item.kind == TOPO_BRIDGE ? "mac" : "arp", path);
    if (chunk) {
        size_t size = strlen(path);
        snprintf(path + size, STORE_PATH_MAX - size, "/%s", chunk);
    }
}

struct table *sync_table(struct sync *s, struct device_item *d)
{
    if (d->table)
        return d->table;
    struct table *t = d->table = NEW(struct table);
    t->device = d;
    t->log.version = -1;
    if (d->item.kind == TOPO_BRIDGE)
        t->macs = topo_mac_table_new();
    else
        t->neighs = topo_neigh_table_new();
    vec_add(&s->tables, d->item.ref);
    return t;
}

/* Claims */

struct claim_key sync_mac_key(uint16_t vlan, const struct mac *mac)
{
    return (struct claim_key){.a = mac_u64(mac) << 16 | vlan};
}

struct claim_key sync_neigh_key(topo_ref port, const struct ip *ip)
{
    return (struct claim_key){ip->q[0], ip->q[1], port};
}

struct claim *sync_claim_find(struct table *t, const struct claim_key *key)
{
    struct claim *c;

    HASH_FIND(hh, t->claims, key, sizeof *key, c);
    return c;
}

static void leave_chunk(struct table *t, struct claim *c)
{
    DL_DELETE(c->chunk->claims, c);
    c->chunk->n--;
    t->n_own -= c->chunk->own;
    t->n_unwritten -= c->chunk->own && c->seq < 0;
}

struct claim *sync_claim_take(struct table *t, const struct claim_key *key, struct chunk *chunk)
{
    struct claim *c = sync_claim_find(t, key);

    if (c && c->chunk == chunk)
        return c;
    if (c) {
        leave_chunk(t, c);
    } else {
        c = NEW(struct claim);
        c->key = *key;
        HASH_ADD(hh, t->claims, key, sizeof c->key, c);
    }
    c->chunk = chunk;
    DL_APPEND(chunk->claims, c);
    chunk->n++;
    t->n_own += chunk->own;
    return c;
}

void sync_claim_drop(struct sync *s, struct table *t, struct claim *c)
{
    struct claim_key key = c->key;

    leave_chunk(t, c);
    HASH_DEL(t->claims, c);
    free(c);
    sync_table_set(s, t, &key, NULL);
}

static int compare_keys(const void *pa, const void *pb)
{
    const struct table_seed *a = pa, *b = pb;

    return memcmp(&a->key, &b->key, sizeof a->key);
}

static void set_mac(struct sync *s, struct table *t, const struct claim_key *key,
                    const struct claim *c)
{
    struct table_seed seed = {*key, 0}, *found = NULL;
    uint16_t vlan = (uint16_t)key->a;
    struct mac mac;

    for (unsigned i = 0; i < 6; i++)
        mac.b[i] = (uint8_t)(key->a >> (56 - 8 * i));
    if (!c && t->seeds.n)
        found = bsearch(&seed, t->seeds.v, t->seeds.n, sizeof seed, compare_keys);
    topo_ref port = c ? c->port : found ? found->port : 0;
    if (topo_mac_set(t->macs, vlan, &mac, port) != port)
        sync_changed(s, tag_bridge_mac(t->device->item.ref, vlan, &mac));
}

void sync_table_set(struct sync *s, struct table *t, const struct claim_key *key,
                    const struct claim *c)
{
    if (t->macs) {
        set_mac(s, t, key, c);
        return;
    }
    struct ip ip = {.q = {key->a, key->b}};
    struct topo_neigh n = {0};
    if (c)
        n = (struct topo_neigh){c->mac, c->at + s->opt.neigh_stale_ns,
                                c->at + s->opt.neigh_expire_ns};
    if (topo_neigh_set(t->neighs, (topo_ref)key->port, &ip, c ? &n : NULL, c ? c->at : 0))
        sync_changed(s, tag_neigh((topo_ref)key->port, &ip));
}

void sync_table_free(struct sync *s, struct device_item *d)
{
    struct table *t = d->table;
    struct chunk *c, *next;
    struct claim *claim, *next_claim;
    char path[STORE_PATH_MAX];
    const struct topo_obj *o = topo_get(s->topo, d->item.ref);

    if (!t)
        return;
    if (t->watched) {
        sync_table_path(s, d, NULL, path);
        sync_unwatch(s, path);
    }
    HASH_ITER (hh, t->claims, claim, next_claim) {
        HASH_DEL(t->claims, claim);
        free(claim);
    }
    HASH_ITER (hh, t->chunks, c, next) {
        HASH_DEL(t->chunks, c);
        free(c);
    }
    bool published = o && !o->missing;
    if (!published) {
        topo_mac_table_free(t->macs);
        topo_neigh_table_free(t->neighs);
    }
    for (size_t i = 0; i < s->tables.n; i++) {
        if (s->tables.v[i] == d->item.ref)
            s->tables.v[i--] = s->tables.v[--s->tables.n];
    }
    free(t->seeds.v);
    free(t->came.v);
    free(t);
    d->table = NULL;
}

size_t sync_table_memory(const struct table *t)
{
    if (!t)
        return 0;
    return sizeof *t + HASH_COUNT(t->claims) * sizeof(struct claim) + HASH_OVERHEAD(hh, t->claims) +
           HASH_COUNT(t->chunks) * sizeof(struct chunk) + t->seeds.room * sizeof *t->seeds.v;
}
