#include "agent/portmap.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

struct portmap {
    struct rcu_head rcu;
    size_t n, n_unheard;
    uint32_t mask;                /* of both halves of slots[] */
    struct portmap_entry slots[]; /* open addressing: first half by port, second by number */
};

static struct portmap_entry *slot(const struct portmap *m, bool by_no, uint32_t key)
{
    struct portmap_entry *half = (struct portmap_entry *)m->slots + (by_no ? m->mask + 1 : 0);
    uint32_t i = (uint32_t)hash_u64(key) & m->mask;

    while (half[i].port && (by_no ? half[i].port_no : half[i].port) != key)
        i = (i + 1) & m->mask;
    return &half[i];
}

struct portmap *portmap_new(const struct portmap_entry *entries, size_t n)
{
    uint32_t room = 8;

    while (room < 2 * n)
        room *= 2;
    struct portmap *m = mem_zalloc(sizeof *m + 2 * (size_t)room * sizeof *m->slots);
    m->n = n;
    m->mask = room - 1;
    for (size_t i = 0; i < n; i++) {
        *slot(m, false, entries[i].port) = entries[i];
        *slot(m, true, entries[i].port_no) = entries[i];
        m->n_unheard += entries[i].unheard != 0;
    }
    return m;
}

void portmap_free(struct portmap *m)
{
    free(m);
}

static void free_rcu(struct rcu_head *head)
{
    free(caa_container_of(head, struct portmap, rcu));
}

void portmap_free_later(struct portmap *m)
{
    if (m)
        call_rcu(&m->rcu, free_rcu);
}

void portmap_each(const struct portmap *m, void (*fn)(topo_ref port, void *aux), void *aux)
{
    for (uint32_t i = 0; m && i <= m->mask; i++)
        if (m->slots[i].port)
            fn(m->slots[i].port, aux);
}

topo_ref portmap_port(const struct portmap *m, uint32_t port_no)
{
    return m ? slot(m, true, port_no)->port : 0;
}

uint32_t portmap_no(const struct portmap *m, topo_ref port)
{
    return m ? slot(m, false, port)->port_no : 0;
}

bool portmap_heard(struct portmap *m, uint32_t port_no)
{
    struct portmap_entry *e = m && m->n_unheard ? slot(m, true, port_no) : NULL;

    return e && __atomic_load_n(&e->unheard, __ATOMIC_RELAXED) &&
           __atomic_exchange_n(&e->unheard, 0, __ATOMIC_RELAXED);
}

size_t portmap_size(const struct portmap *m)
{
    return m ? m->n : 0;
}
