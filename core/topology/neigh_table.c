#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "topology/tables.h"

/* An entry is immutable; a change hangs a new one into its place. */
struct entry {
    struct ip ip;
    topo_ref port;
    struct topo_neigh neigh;
    struct rcu_head rcu;
};

struct neigh_array {
    uint32_t mask;
    struct rcu_head rcu;
    struct entry *entries[]; /* null: never used; &gone: removed */
};

struct topo_neigh_table {
    struct neigh_array *array;
    pthread_mutex_t write; /* guards all but readers' access to 'array' */
    uint32_t n_used;       /* places, removed ones included */
    uint32_t n_live;
};

static struct entry gone;

enum { SMALLEST = 8 };

static size_t array_size(uint32_t n)
{
    return sizeof(struct neigh_array) + n * sizeof(struct entry *);
}

static struct neigh_array *array_new(uint32_t n)
{
    struct neigh_array *a = mem_zalloc(array_size(n));

    a->mask = n - 1;
    return a;
}

static void free_array(struct rcu_head *head)
{
    free(caa_container_of(head, struct neigh_array, rcu));
}

static void free_entry(struct rcu_head *head)
{
    free(caa_container_of(head, struct entry, rcu));
}

struct topo_neigh_table *topo_neigh_table_new(void)
{
    struct topo_neigh_table *t = NEW(struct topo_neigh_table);

    t->array = array_new(SMALLEST);
    pthread_mutex_init(&t->write, NULL);
    return t;
}

void topo_neigh_table_free(struct topo_neigh_table *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i <= t->array->mask; i++) {
        if (t->array->entries[i] != &gone)
            free(t->array->entries[i]);
    }
    pthread_mutex_destroy(&t->write);
    free(t->array);
    free(t);
}

static struct neigh_array *array_of(const struct topo_neigh_table *t)
{
    return __atomic_load_n(&t->array, __ATOMIC_ACQUIRE);
}

static uint32_t start(const struct neigh_array *a, topo_ref port, const struct ip *ip)
{
    return (uint32_t)hash_u64(ip->q[1] ^ hash_u64(ip->q[0] ^ port)) & a->mask;
}

/* The place of the entry (*found set), or the never used one where the search ended. */
static uint32_t place(const struct neigh_array *a, topo_ref port, const struct ip *ip,
                      struct entry **found)
{
    for (uint32_t i = start(a, port, ip);; i = (i + 1) & a->mask) {
        struct entry *e = __atomic_load_n(&a->entries[i], __ATOMIC_ACQUIRE);
        *found = e;
        if (!e || (e != &gone && e->port == port && ip_equal(&e->ip, ip)))
            return i;
    }
}

bool topo_neigh_lookup(const struct topo_neigh_table *t, topo_ref port, const struct ip *ip,
                       uint64_t now_ns, struct topo_neigh *out)
{
    struct entry *e;

    if (!t)
        return false;
    place(array_of(t), port, ip, &e);
    if (!e || e->neigh.expire_ns <= now_ns)
        return false;
    *out = e->neigh;
    return true;
}

static void rebuild(struct topo_neigh_table *t)
{
    struct neigh_array *old = t->array;
    struct entry *none;
    uint32_t n = SMALLEST;

    while (n < t->n_live * 2 + 2)
        n *= 2;
    struct neigh_array *a = array_new(n);
    for (uint32_t i = 0; i <= old->mask; i++) {
        struct entry *e = old->entries[i];
        if (e && e != &gone)
            a->entries[place(a, e->port, &e->ip, &none)] = e;
    }
    t->n_used = t->n_live;
    __atomic_store_n(&t->array, a, __ATOMIC_RELEASE);
    call_rcu(&old->rcu, free_array);
}

static bool set_locked(struct topo_neigh_table *t, topo_ref port, const struct ip *ip,
                       const struct topo_neigh *n, uint64_t at_ns)
{
    struct entry *old, *e = NULL;
    uint32_t i = place(t->array, port, ip, &old);

    if (!n && !old)
        return false;
    if (!old && (t->n_used + 1) * 4 > (t->array->mask + 1) * 3) {
        rebuild(t);
        i = place(t->array, port, ip, &old);
    }
    if (n) {
        e = NEW(struct entry);
        *e = (struct entry){.ip = *ip, .port = port, .neigh = *n};
    }
    bool differs =
        !n || !old || old->neigh.expire_ns <= at_ns || !mac_equal(&n->mac, &old->neigh.mac);
    t->n_used += !old;
    __atomic_store_n(&t->n_live, t->n_live + (n != NULL) - (old != NULL), __ATOMIC_RELAXED);
    __atomic_store_n(&t->array->entries[i], n ? e : &gone, __ATOMIC_RELEASE);
    if (old)
        call_rcu(&old->rcu, free_entry);
    return differs;
}

bool topo_neigh_set(struct topo_neigh_table *t, topo_ref port, const struct ip *ip,
                    const struct topo_neigh *n, uint64_t at_ns)
{
    pthread_mutex_lock(&t->write);
    bool differs = set_locked(t, port, ip, n, at_ns);
    pthread_mutex_unlock(&t->write);
    return differs;
}

int topo_neigh_each(const struct topo_neigh_table *t, topo_neigh_fn *fn, void *aux)
{
    const struct neigh_array *a = t ? array_of(t) : NULL;
    int rc = 0;

    for (uint32_t i = 0; a && i <= a->mask && !rc; i++) {
        const struct entry *e = __atomic_load_n(&a->entries[i], __ATOMIC_ACQUIRE);
        if (e && e != &gone)
            rc = fn(e->port, &e->ip, &e->neigh, aux);
    }
    return rc;
}

size_t topo_neigh_size(const struct topo_neigh_table *t)
{
    return t ? __atomic_load_n(&t->n_live, __ATOMIC_RELAXED) : 0;
}

size_t topo_neigh_memory(const struct topo_neigh_table *t)
{
    if (!t)
        return 0;
    return sizeof *t + array_size(array_of(t)->mask + 1) +
           topo_neigh_size(t) * sizeof(struct entry);
}
