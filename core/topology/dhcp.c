#include "topology/dhcp.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

const struct mac topo_dhcp_mac = {{0x02, 0xa8, 0x9c, 0xde, 0x39, 0x27}};

/* Host entries. */

static size_t aligned(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

struct topo_dhcp_host *topo_dhcp_host_new(const struct topo_dhcp_host *like)
{
    size_t name_size = strlen(like->name) + 1, opts_size = like->n_opts * sizeof *like->opts;
    size_t size = aligned(sizeof *like) + opts_size + like->key_size + name_size;

    for (unsigned i = 0; i < like->n_opts; i++)
        size += like->opts[i].size;
    struct topo_dhcp_host *h = mem_alloc(size);
    struct dhcp_opt *opts = (struct dhcp_opt *)(void *)((char *)h + aligned(sizeof *h));
    uint8_t *p = (uint8_t *)opts + opts_size;
    *h = *like;
    h->opts = opts;
    h->key = p;
    memcpy(p, like->key, like->key_size);
    p += like->key_size;
    h->name = (char *)p;
    memcpy(p, like->name, name_size);
    p += name_size;
    for (unsigned i = 0; i < like->n_opts; i++) {
        opts[i] = (struct dhcp_opt){like->opts[i].code, like->opts[i].size, p};
        if (opts[i].size)
            memcpy(p, like->opts[i].data, opts[i].size);
        p += opts[i].size;
    }
    return h;
}

bool topo_dhcp_host_equal(const struct topo_dhcp_host *a, const struct topo_dhcp_host *b)
{
    bool same = uuid_equal(&a->id, &b->id) && uuid_equal(&a->subnet, &b->subnet) &&
                ip_equal(&a->ip, &b->ip) && ip_equal(&a->next_server, &b->next_server) &&
                !strcmp(a->name, b->name) && a->ip6 == b->ip6 && a->key_size == b->key_size &&
                !memcmp(a->key, b->key, a->key_size) && a->n_opts == b->n_opts;

    for (unsigned i = 0; same && i < a->n_opts; i++)
        same = a->opts[i].code == b->opts[i].code && a->opts[i].size == b->opts[i].size &&
               (!a->opts[i].size || !memcmp(a->opts[i].data, b->opts[i].data, a->opts[i].size));
    return same;
}

void topo_dhcp_host_free(struct topo_dhcp_host *h)
{
    free(h);
}

/* The table: places once used stay so until the array is made anew; 'gone' marks those free again
 * for writers, so that readers go on past them. */

struct topo_dhcp_array {
    uint32_t mask;
    struct rcu_head rcu;
    struct topo_dhcp_host *places[];
};

struct topo_dhcp_hosts {
    struct topo_dhcp_array *array;
    uint32_t n_used; /* places, gone ones included */
    uint32_t n_live;
};

enum { SMALLEST = 16 };
static struct topo_dhcp_host gone;

static struct topo_dhcp_array *array_new(uint32_t n)
{
    struct topo_dhcp_array *a = mem_zalloc(sizeof *a + n * sizeof(struct topo_dhcp_host *));

    a->mask = n - 1;
    return a;
}

static void free_array(struct rcu_head *head)
{
    free(caa_container_of(head, struct topo_dhcp_array, rcu));
}

static void free_host(struct rcu_head *head)
{
    free(caa_container_of(head, struct topo_dhcp_host, rcu));
}

struct topo_dhcp_hosts *topo_dhcp_hosts_new(void)
{
    struct topo_dhcp_hosts *t = NEW(struct topo_dhcp_hosts);

    t->array = array_new(SMALLEST);
    return t;
}

void topo_dhcp_hosts_free(struct topo_dhcp_hosts *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i <= t->array->mask; i++)
        if (t->array->places[i] != &gone)
            free(t->array->places[i]);
    free(t->array);
    free(t);
}

static uint32_t start_of(const struct topo_dhcp_array *a, bool ip6, const uint8_t *key, size_t size)
{
    return (uint32_t)hash_bytes(key, size, ip6) & a->mask;
}

static void put(struct topo_dhcp_hosts *t, struct topo_dhcp_array *a, struct topo_dhcp_host *h)
{
    uint32_t i = start_of(a, h->ip6, h->key, h->key_size);

    while (a->places[i] && a->places[i] != &gone)
        i = (i + 1) & a->mask;
    t->n_used += !a->places[i];
    __atomic_store_n(&a->places[i], h, __ATOMIC_RELEASE);
}

static void rebuild(struct topo_dhcp_hosts *t)
{
    struct topo_dhcp_array *old = t->array;
    uint32_t n = SMALLEST;

    while (n < t->n_live * 2 + 2)
        n *= 2;
    struct topo_dhcp_array *a = array_new(n);
    t->n_used = 0;
    for (uint32_t i = 0; i <= old->mask; i++)
        if (old->places[i] && old->places[i] != &gone)
            put(t, a, old->places[i]);
    __atomic_store_n(&t->array, a, __ATOMIC_RELEASE);
    call_rcu(&old->rcu, free_array);
}

void topo_dhcp_add(struct topo_dhcp_hosts *t, struct topo_dhcp_host *h)
{
    if ((t->n_used + 1) * 4 > (t->array->mask + 1) * 3)
        rebuild(t);
    put(t, t->array, h);
    __atomic_store_n(&t->n_live, t->n_live + 1, __ATOMIC_RELAXED);
}

void topo_dhcp_remove(struct topo_dhcp_hosts *t, struct topo_dhcp_host *h)
{
    struct topo_dhcp_array *a = t->array;
    uint32_t i = start_of(a, h->ip6, h->key, h->key_size);

    while (a->places[i] != h)
        i = (i + 1) & a->mask;
    __atomic_store_n(&a->places[i], &gone, __ATOMIC_RELEASE);
    __atomic_store_n(&t->n_live, t->n_live - 1, __ATOMIC_RELAXED);
    call_rcu(&h->rcu, free_host);
}

const struct topo_dhcp_host *topo_dhcp_next(struct topo_dhcp_iter *it)
{
    for (;; it->at = (it->at + 1) & it->array->mask) {
        const struct topo_dhcp_host *h =
            __atomic_load_n(&it->array->places[it->at], __ATOMIC_ACQUIRE);
        if (!h)
            return NULL;
        if (h == &gone || h->ip6 != it->ip6 || h->key_size != it->key_size ||
            memcmp(h->key, it->key, it->key_size))
            continue;
        it->at = (it->at + 1) & it->array->mask;
        return h;
    }
}

const struct topo_dhcp_host *topo_dhcp_first(const struct topo_dhcp_hosts *t,
                                             struct topo_dhcp_iter *it, bool ip6,
                                             const uint8_t *key, size_t key_size)
{
    if (!t)
        return NULL;
    *it = (struct topo_dhcp_iter){.array = __atomic_load_n(&t->array, __ATOMIC_ACQUIRE),
                                  .ip6 = ip6,
                                  .key = key,
                                  .key_size = key_size};
    it->at = start_of(it->array, ip6, key, key_size);
    return topo_dhcp_next(it);
}

size_t topo_dhcp_size(const struct topo_dhcp_hosts *t)
{
    return t ? __atomic_load_n(&t->n_live, __ATOMIC_RELAXED) : 0;
}

size_t topo_dhcp_memory(const struct topo_dhcp_hosts *t)
{
    if (!t)
        return 0;
    const struct topo_dhcp_array *a = __atomic_load_n(&t->array, __ATOMIC_ACQUIRE);
    return sizeof *t + (a->mask + 1) * sizeof(struct topo_dhcp_host *) +
           topo_dhcp_size(t) * (sizeof(struct topo_dhcp_host) + 32);
}

const struct topo_dhcp_subnet *topo_dhcp_subnet(const struct topo_bridge *b, const struct uuid *id)
{
    for (uint32_t i = 0; i < b->n_subnets; i++)
        if (uuid_equal(&b->subnets[i].id, id))
            return &b->subnets[i];
    return NULL;
}
