#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "topology/policy.h"

/* As in mac_table.c: an address is written once into its place and stays there for the life of the
 * array; only the byte that says whether it counts changes. */
enum { FREE, GONE, MEMBER };

struct ip_array {
    uint32_t mask;
    uint8_t *states; /* FREE ends a search */
    struct rcu_head rcu;
    struct ip ips[];
};

struct topo_ip_set {
    struct ip_array *array;
    pthread_mutex_t write; /* guards all but readers' access to 'array' */
    uint32_t n_used;       /* places, gone ones included */
    uint32_t n_members;
};

enum { SMALLEST = 16 };

static size_t array_size(uint32_t n)
{
    return sizeof(struct ip_array) + n * (sizeof(struct ip) + 1);
}

static struct ip_array *array_new(uint32_t n)
{
    struct ip_array *a = mem_zalloc(array_size(n));

    a->mask = n - 1;
    a->states = (uint8_t *)&a->ips[n];
    return a;
}

static void free_array(struct rcu_head *head)
{
    free(caa_container_of(head, struct ip_array, rcu));
}

struct topo_ip_set *topo_ip_set_new(void)
{
    struct topo_ip_set *s = NEW(struct topo_ip_set);

    s->array = array_new(SMALLEST);
    pthread_mutex_init(&s->write, NULL);
    return s;
}

void topo_ip_set_free(struct topo_ip_set *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->write);
    free(s->array);
    free(s);
}

static struct ip_array *array_of(const struct topo_ip_set *s)
{
    return __atomic_load_n(&s->array, __ATOMIC_ACQUIRE);
}

/* The place of 'ip', or the free one where it would go. */
static uint32_t place(const struct ip_array *a, const struct ip *ip, uint8_t *state)
{
    uint32_t i = (uint32_t)hash_u64(ip->q[1] ^ hash_u64(ip->q[0])) & a->mask;

    for (;; i = (i + 1) & a->mask) {
        *state = __atomic_load_n(&a->states[i], __ATOMIC_ACQUIRE);
        if (*state == FREE || ip_equal(&a->ips[i], ip))
            return i;
    }
}

bool topo_ip_set_has(const struct topo_ip_set *s, const struct ip *ip)
{
    uint8_t state;

    if (!s)
        return false;
    place(array_of(s), ip, &state);
    return state == MEMBER;
}

/* A copy with room for one member more, without the gone ones. */
static void rebuild(struct topo_ip_set *s)
{
    struct ip_array *old = s->array;
    uint32_t n = SMALLEST;
    uint8_t state;

    while (n < s->n_members * 2 + 2)
        n *= 2;
    struct ip_array *a = array_new(n);
    for (uint32_t i = 0; i <= old->mask; i++) {
        if (old->states[i] != MEMBER)
            continue;
        uint32_t to = place(a, &old->ips[i], &state);
        a->ips[to] = old->ips[i];
        a->states[to] = MEMBER;
    }
    s->n_used = s->n_members;
    __atomic_store_n(&s->array, a, __ATOMIC_RELEASE);
    call_rcu(&old->rcu, free_array);
}

/* False when it was so already. */
static bool set_locked(struct topo_ip_set *s, const struct ip *ip, bool member)
{
    uint8_t was;
    uint32_t i = place(s->array, ip, &was);

    if ((was == MEMBER) == member)
        return false;
    if (was == FREE && (s->n_used + 1) * 4 > (s->array->mask + 1) * 3) {
        rebuild(s);
        i = place(s->array, ip, &was);
    }
    if (was == FREE) {
        s->array->ips[i] = *ip;
        s->n_used++;
    }
    __atomic_store_n(&s->array->states[i], member ? MEMBER : GONE, __ATOMIC_RELEASE);
    __atomic_store_n(&s->n_members, member ? s->n_members + 1 : s->n_members - 1, __ATOMIC_RELAXED);
    return true;
}

static bool set(struct topo_ip_set *s, const struct ip *ip, bool member)
{
    pthread_mutex_lock(&s->write);
    bool changed = set_locked(s, ip, member);
    pthread_mutex_unlock(&s->write);
    return changed;
}

bool topo_ip_set_add(struct topo_ip_set *s, const struct ip *ip)
{
    return set(s, ip, true);
}

bool topo_ip_set_del(struct topo_ip_set *s, const struct ip *ip)
{
    return set(s, ip, false);
}

size_t topo_ip_set_size(const struct topo_ip_set *s)
{
    return s ? __atomic_load_n(&s->n_members, __ATOMIC_RELAXED) : 0;
}

size_t topo_ip_set_memory(const struct topo_ip_set *s)
{
    return s ? sizeof *s + array_size(array_of(s)->mask + 1) : 0;
}
