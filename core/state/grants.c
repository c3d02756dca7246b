#include <stdlib.h>

#include "base/mem.h"
#include "state/table.h"

/* Rows are copied when an address comes or goes, seldom; the bits of a row change in place. */

static struct grant_rows *rows_new(uint32_t n)
{
    struct grant_rows *rows = mem_zalloc(sizeof *rows + n * sizeof rows->rows[0]);

    rows->n = n;
    return rows;
}

struct grants *grants_new(void)
{
    struct grants *g = NEW(struct grants);

    g->rows = rows_new(0);
    return g;
}

void grants_free(struct grants *g)
{
    for (uint32_t i = 0; i < g->rows->n; i++)
        free(g->rows->rows[i].grant);
    free(g->rows);
    free(g);
}

size_t grants_memory(const struct grants *g)
{
    uint32_t n = grants_rows(g)->n;

    return sizeof *g + sizeof(struct grant_rows) +
           n * (sizeof(struct grant_row) + sizeof(struct grant));
}

static int compare(const struct grant_row *row, topo_ref device, const struct ip *ip)
{
    if (row->device != device)
        return row->device < device ? -1 : 1;
    return memcmp(&row->ip, ip, sizeof *ip);
}

uint32_t grants_seek(const struct grant_rows *rows, topo_ref device, const struct ip *ip)
{
    uint32_t lo = 0, hi = rows->n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (compare(&rows->rows[mid], device, ip) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct grant *grants_find(const struct grants *g, topo_ref device, const struct ip *ip)
{
    const struct grant_rows *rows = grants_rows(g);
    uint32_t i = grants_seek(rows, device, ip);

    return i < rows->n && !compare(&rows->rows[i], device, ip) ? rows->rows[i].grant : NULL;
}

static void free_rows(struct rcu_head *head)
{
    free(caa_container_of(head, struct grant_rows, rcu));
}

static void free_grant(struct rcu_head *head)
{
    free(caa_container_of(head, struct grant, rcu));
}

static void publish(struct grants *g, struct grant_rows *rows)
{
    struct grant_rows *old = g->rows;

    __atomic_store_n(&g->rows, rows, __ATOMIC_RELEASE);
    call_rcu(&old->rcu, free_rows);
}

static struct grant *obtain(struct grants *g, topo_ref device, const struct ip *ip)
{
    const struct grant_rows *old = g->rows;
    struct grant *grant = grants_find(g, device, ip);
    uint32_t at = grants_seek(old, device, ip);

    if (grant)
        return grant;
    grant = NEW(struct grant);
    grant->device = device;
    grant->ip = *ip;
    struct grant_rows *rows = rows_new(old->n + 1);
    memcpy(rows->rows, old->rows, at * sizeof old->rows[0]);
    rows->rows[at] = (struct grant_row){device, *ip, grant};
    memcpy(&rows->rows[at + 1], &old->rows[at], (old->n - at) * sizeof old->rows[0]);
    publish(g, rows);
    return grant;
}

static void drop_if_empty(struct grants *g, struct grant *grant)
{
    const struct grant_rows *old = g->rows;
    uint64_t any = 0;

    for (unsigned i = 0; i < STATE_BLOCKS / 64; i++)
        any |= grant->granted[i] | grant->exhausted[i];
    if (any)
        return;
    uint32_t at = grants_seek(old, grant->device, &grant->ip);
    struct grant_rows *rows = rows_new(old->n - 1);
    memcpy(rows->rows, old->rows, at * sizeof old->rows[0]);
    memcpy(&rows->rows[at], &old->rows[at + 1], (rows->n - at) * sizeof old->rows[0]);
    publish(g, rows);
    call_rcu(&grant->rcu, free_grant);
}

static void set_bit(uint64_t *bits, unsigned block, bool yes)
{
    uint64_t bit = 1ull << block % 64;

    if (yes)
        __atomic_fetch_or(&bits[block / 64], bit, __ATOMIC_RELEASE);
    else
        __atomic_fetch_and(&bits[block / 64], ~bit, __ATOMIC_RELEASE);
}

void state_ports_all(struct state *s, bool all)
{
    __atomic_store_n(&s->grants->all, all, __ATOMIC_RELAXED);
}

void state_ports_grant(struct state *s, topo_ref device, const struct ip *ip, unsigned block)
{
    struct grant *grant = obtain(s->grants, device, ip);

    set_bit(grant->exhausted, block, false);
    set_bit(grant->granted, block, true);
    __atomic_store_n(&grant->low, 0, __ATOMIC_RELAXED);
}

void state_ports_revoke(struct state *s, topo_ref device, const struct ip *ip, unsigned block)
{
    struct grant *grant = grants_find(s->grants, device, ip);

    if (!grant)
        return;
    set_bit(grant->granted, block, false);
    drop_if_empty(s->grants, grant);
}

bool state_ports_granted(const struct state *s, topo_ref device, const struct ip *ip,
                         unsigned block)
{
    const struct grant *grant = grants_find(s->grants, device, ip);

    return __atomic_load_n(&s->grants->all, __ATOMIC_RELAXED) ||
           (grant && block_bit(grant->granted, block));
}

void state_ports_exhausted(struct state *s, topo_ref device, const struct ip *ip, unsigned first,
                           unsigned last, bool yes)
{
    struct grant *grant = yes ? obtain(s->grants, device, ip) : grants_find(s->grants, device, ip);

    if (!grant)
        return;
    for (unsigned b = first; b <= last && b < STATE_BLOCKS; b++)
        set_bit(grant->exhausted, b, yes);
    if (!yes) {
        __atomic_store_n(&grant->low, 0, __ATOMIC_RELAXED);
        drop_if_empty(s->grants, grant);
    }
}

void state_ports_on_low(struct state *s, state_ports_low_fn *fn, void *aux)
{
    s->grants->low = fn;
    s->grants->aux = aux;
}
