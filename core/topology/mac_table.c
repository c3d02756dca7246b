#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "topology/tables.h"

/* A key is written once into its place and stays there for the life of the array; only the port
 * beside it changes, 0 meaning gone.  So a reader that found the key needs no second look. */
struct mac_array {
    uint32_t mask;
    topo_ref *ports;
    struct rcu_head rcu;
    uint64_t keys[]; /* 0: never used */
};

struct topo_mac_table {
    struct mac_array *array;
    pthread_mutex_t write; /* guards all but readers' access to 'array' */
    uint32_t n_keys;       /* places used, gone ones included */
    uint32_t n_live;
};

enum { SMALLEST = 16 };

static uint64_t key_of(uint16_t vlan, const struct mac *mac)
{
    return mac_u64(mac) << 16 | 0x8000u | (vlan & 0xfffu);
}

static size_t array_size(uint32_t n)
{
    return sizeof(struct mac_array) + n * (sizeof(uint64_t) + sizeof(topo_ref));
}

static struct mac_array *array_new(uint32_t n)
{
    struct mac_array *a = mem_zalloc(array_size(n));

    a->mask = n - 1;
    a->ports = (topo_ref *)(void *)&a->keys[n];
    return a;
}

static void free_array(struct rcu_head *head)
{
    free(caa_container_of(head, struct mac_array, rcu));
}

struct topo_mac_table *topo_mac_table_new(void)
{
    struct topo_mac_table *t = NEW(struct topo_mac_table);

    t->array = array_new(SMALLEST);
    pthread_mutex_init(&t->write, NULL);
    return t;
}

void topo_mac_table_free(struct topo_mac_table *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->write);
    free(t->array);
    free(t);
}

static struct mac_array *array_of(const struct topo_mac_table *t)
{
    return __atomic_load_n(&t->array, __ATOMIC_ACQUIRE);
}

/* The place of 'key', or the unused one where it would go. */
static uint32_t place(const struct mac_array *a, uint64_t key, uint64_t *found)
{
    for (uint32_t i = (uint32_t)hash_u64(key) & a->mask;; i = (i + 1) & a->mask) {
        *found = __atomic_load_n(&a->keys[i], __ATOMIC_ACQUIRE);
        if (*found == key || !*found)
            return i;
    }
}

topo_ref topo_mac_lookup(const struct topo_mac_table *t, uint16_t vlan, const struct mac *mac)
{
    uint64_t found;

    if (!t)
        return 0;
    const struct mac_array *a = array_of(t);
    uint32_t i = place(a, key_of(vlan, mac), &found);
    return found ? __atomic_load_n(&a->ports[i], __ATOMIC_RELAXED) : 0;
}

/* A copy with room for the live entries, without the gone ones. */
static void rebuild(struct topo_mac_table *t)
{
    struct mac_array *old = t->array;
    uint32_t n = SMALLEST;
    uint64_t found;

    while (n < t->n_live * 2 + 2)
        n *= 2;
    struct mac_array *a = array_new(n);
    for (uint32_t i = 0; i <= old->mask; i++) {
        if (!old->ports[i])
            continue;
        uint32_t to = place(a, old->keys[i], &found);
        a->keys[to] = old->keys[i];
        a->ports[to] = old->ports[i];
    }
    t->n_keys = t->n_live;
    __atomic_store_n(&t->array, a, __ATOMIC_RELEASE);
    call_rcu(&old->rcu, free_array);
}

static topo_ref set_locked(struct topo_mac_table *t, uint64_t key, topo_ref port)
{
    uint64_t found;
    uint32_t i = place(t->array, key, &found);
    topo_ref old = found ? t->array->ports[i] : 0;

    if (old == port)
        return old;
    if (!found && (t->n_keys + 1) * 4 > (t->array->mask + 1) * 3) {
        rebuild(t);
        i = place(t->array, key, &found);
    }
    __atomic_store_n(&t->array->ports[i], port, __ATOMIC_RELAXED);
    if (!found) {
        __atomic_store_n(&t->array->keys[i], key, __ATOMIC_RELEASE);
        t->n_keys++;
    }
    __atomic_store_n(&t->n_live, t->n_live + (port != 0) - (old != 0), __ATOMIC_RELAXED);
    return old;
}

topo_ref topo_mac_set(struct topo_mac_table *t, uint16_t vlan, const struct mac *mac, topo_ref port)
{
    pthread_mutex_lock(&t->write);
    topo_ref old = set_locked(t, key_of(vlan, mac), port);
    pthread_mutex_unlock(&t->write);
    return old;
}

int topo_mac_each(const struct topo_mac_table *t, topo_mac_fn *fn, void *aux)
{
    const struct mac_array *a = t ? array_of(t) : NULL;
    int rc = 0;

    for (uint32_t i = 0; a && i <= a->mask && !rc; i++) {
        uint64_t key = __atomic_load_n(&a->keys[i], __ATOMIC_ACQUIRE);
        topo_ref port = __atomic_load_n(&a->ports[i], __ATOMIC_RELAXED);
        if (!key || !port)
            continue;
        struct mac mac;
        for (unsigned b = 0; b < 6; b++)
            mac.b[b] = (uint8_t)(key >> (56 - 8 * b));
        rc = fn(key & 0xfff, &mac, port, aux);
    }
    return rc;
}

size_t topo_mac_size(const struct topo_mac_table *t)
{
    return t ? __atomic_load_n(&t->n_live, __ATOMIC_RELAXED) : 0;
}

size_t topo_mac_memory(const struct topo_mac_table *t)
{
    return t ? sizeof *t + array_size(array_of(t)->mask + 1) : 0;
}
