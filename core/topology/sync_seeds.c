#include <stdlib.h>

#include "topology/sync_impl.h"
#include "topology/sync_table.h"

static size_t place(const struct device_item *d, const struct uuid *id)
{
    return search_place(id, d->seeds.v, d->seeds.n, sizeof *d->seeds.v, sync_by_id);
}

static void forget(struct device_item *d, const struct uuid *id)
{
    size_t at = place(d, id);

    if (at == d->seeds.n || !uuid_equal(&d->seeds.v[at].id, id))
        return;
    d->seeds.n--;
    memmove(d->seeds.v + at, d->seeds.v + at + 1, (d->seeds.n - at) * sizeof *d->seeds.v);
}

static void add(struct sync *s, struct device_item *d, enum schema_type_id type,
                const struct uuid *id, const json_t *body)
{
    struct seed seed = {.id = *id};

    if (!body || !sync_body_mac(body, type == ST_MAC_PORT ? "macAddr" : "mac", &seed.mac))
        return;
    if (type == ST_MAC_PORT) {
        seed.vlan = (uint16_t)sync_body_int(body, "vlanId", 0, 0, 4094);
        seed.port = sync_body_ref(s, body, "portId", TOPO_PORT);
    } else if (!sync_body_ip(body, "ip", &seed.ip)) {
        return;
    }
    size_t at = place(d, id);
    vec_add(&d->seeds, seed);
    memmove(d->seeds.v + at + 1, d->seeds.v + at, (d->seeds.n - 1 - at) * sizeof seed);
    d->seeds.v[at] = seed;
}

int sync_seeds_change(struct sync *s, struct device_item *d, enum schema_type_id type,
                      const struct uuid *ids, size_t n)
{
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = sync_bodies(s, type, ids, n, bodies);

    for (size_t i = 0; i < n && !rc; i++) {
        forget(d, &ids[i]);
        add(s, d, type, &ids[i], bodies[i]);
        json_decref(bodies[i]);
    }
    free(bodies);
    if (!rc)
        sync_seeds_apply(s, d);
    return rc;
}

int sync_seeds_load(struct sync *s, struct device_item *d)
{
    static const enum schema_type_id types[] = {ST_MAC_PORT, ST_IP_MAC};
    struct uuid *ids;
    size_t n;
    int rc = 0;

    d->seeds.n = 0;
    d->seeds_changed = true;
    for (unsigned i = 0; i < 2 && !rc; i++) {
        rc = sync_referrers(s, types[i], "bridgeId", &d->item, &ids, &n);
        if (!rc)
            rc = sync_seeds_change(s, d, types[i], ids, n);
        free(ids);
    }
    return rc;
}

static int compare_keys(const void *pa, const void *pb)
{
    const struct table_seed *a = pa, *b = pb;

    return memcmp(&a->key, &b->key, sizeof a->key);
}

void sync_seeds_apply(struct sync *s, struct device_item *d)
{
    struct table *t = sync_table(s, d);
    struct table_seed *old = t->seeds.v;
    size_t n_old = t->seeds.n;

    d->seeds_changed = true;
    memset(&t->seeds, 0, sizeof t->seeds);
    for (size_t i = 0; i < d->seeds.n; i++) {
        const struct seed *seed = &d->seeds.v[i];
        if (seed->port)
            vec_add(&t->seeds,
                    (struct table_seed){sync_mac_key(seed->vlan, &seed->mac), seed->port});
    }
    if (t->seeds.n)
        qsort(t->seeds.v, t->seeds.n, sizeof *t->seeds.v, compare_keys);
    for (size_t i = 0; i < n_old; i++) {
        if (!sync_claim_find(t, &old[i].key))
            sync_table_set(s, t, &old[i].key, NULL);
    }
    for (size_t i = 0; i < t->seeds.n; i++) {
        if (!sync_claim_find(t, &t->seeds.v[i].key))
            sync_table_set(s, t, &t->seeds.v[i].key, NULL);
    }
    free(old);
}

static int compare_seeds(const void *pa, const void *pb)
{
    const struct topo_seed *a = pa, *b = pb;
    int c = memcmp(&a->ip, &b->ip, sizeof a->ip);

    return c ? c : memcmp(&a->mac, &b->mac, sizeof a->mac);
}

void sync_seeds_fill(const struct device_item *d, struct topo_seed *out)
{
    size_t n_macs = 0;

    for (size_t i = 0; i < d->seeds.n; i++)
        out[i] = (struct topo_seed){d->seeds.v[i].ip, d->seeds.v[i].mac, d->seeds.v[i].port};
    qsort(out, d->seeds.n, sizeof *out, compare_seeds);
    while (n_macs < d->seeds.n && ip_is_none(&out[n_macs].ip))
        n_macs++;
    for (size_t i = n_macs; i < d->seeds.n; i++) {
        struct topo_seed key = {.mac = out[i].mac};
        const struct topo_seed *found = bsearch(&key, out, n_macs, sizeof key, compare_seeds);
        out[i].port = found ? found->port : 0;
    }
}
