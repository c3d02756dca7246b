#include <endian.h>
#include <errno.h>

#include "base/mem.h"
#include "state/table.h"
#include "topology/policy.h"

/* What a search for a source has in hand. */
struct pick {
    const struct state *s;
    topo_ref device;
    const struct state_tuple *fwd;
    const struct topo_nat_target *targets;
    uint32_t n;
    uint64_t start; /* follows from 'fwd' alone, on any host, in any life */
    unsigned n_full;
};

/* Ports of a target that this connection could have. */
struct ports {
    uint32_t from, to;
};

/* Addresses as numbers */

typedef unsigned __int128 u128;

static u128 number_of(const struct ip *ip)
{
    return (u128)be64toh(ip->q[0]) << 64 | be64toh(ip->q[1]);
}

static struct ip ip_of(u128 n)
{
    return (struct ip){.q = {htobe64((uint64_t)(n >> 64)), htobe64((uint64_t)n)}};
}

/* How many addresses a target has, as far as it matters: nobody uses 2^32 of them. */
static uint64_t n_addresses(const struct topo_nat_target *t)
{
    u128 from = number_of(&t->from), to = number_of(&t->to);

    if (to < from)
        return 0;
    return to - from >= UINT32_MAX ? UINT32_MAX : (uint64_t)(to - from) + 1;
}

static struct ip address(const struct topo_nat_target *t, uint64_t i)
{
    return ip_of(number_of(&t->from) + i);
}

static bool keeps_port(const struct topo_nat_target *t)
{
    return !t->port_from && !t->port_to;
}

/* Port 0 is none, unless it is kept (an ICMP id may well be 0). */
static struct ports ports_of(const struct topo_nat_target *t, const struct state_tuple *fwd)
{
    if (keeps_port(t))
        return (struct ports){fwd->sport, fwd->sport};
    return (struct ports){MAX(t->port_from, 1), t->port_to};
}

/* Bits of the ports that lie in a block. */
static uint64_t within(struct ports p, unsigned block)
{
    uint32_t first = block * STATE_BLOCK, last = first + STATE_BLOCK - 1;

    if (p.from > last || p.to < first || p.from > p.to)
        return 0;
    uint32_t lo = MAX(p.from, first) - first, hi = MIN(p.to, last) - first;
    return ~0ull >> (63 - (hi - lo)) << lo;
}

static int first_from(uint64_t bits, unsigned start)
{
    uint64_t turned = start ? bits >> start | bits << (64 - start) : bits;

    return bits ? (int)(((unsigned)__builtin_ctzll(turned) + start) % 64) : -1;
}

/* A port of the block that is free towards the destination, or -1. */
static int free_in_block(struct pick *p, const struct ip *ip, unsigned block, struct ports ports)
{
    const struct state_tuple back = {
        p->fwd->dst, *ip, p->fwd->dport, (uint16_t)(block * STATE_BLOCK), p->fwd->proto, {0}};
    uint64_t may = within(ports, block);
    struct key k;

    if (!may)
        return -1;
    key_make(p->s, STATE_SNAT, STATE_BACK, p->device, &back, &k);
    uint64_t unused = may & ~index_block(p->s, &k);
    /* Nearly full counts as full: time to get another one. */
    p->n_full += (unsigned)__builtin_popcountll(unused) * 4 <= (unsigned)__builtin_popcountll(may);
    int bit = first_from(unused, (unsigned)(p->start >> 58));
    return bit < 0 ? -1 : (int)(block * STATE_BLOCK) + bit;
}

/* Among the blocks of one address that bits (null: all) allow, beginning anywhere. */
static int free_of_address(struct pick *p, const struct ip *ip, struct ports ports,
                           const uint64_t *bits)
{
    unsigned first = ports.from / STATE_BLOCK, last = ports.to / STATE_BLOCK;
    unsigned n = ports.from <= ports.to ? last - first + 1 : 0;
    unsigned start = n ? (unsigned)(p->start >> 40 & 0xffff) % n : 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned block = first + (start + i) % n;
        if (bits && !__atomic_load_n(&bits[block / 64], __ATOMIC_ACQUIRE))
            i += MIN(63 - block % 64, last - block); /* none of 64 */
        if (bits && !block_bit(bits, block))
            continue;
        int port = free_in_block(p, ip, block, ports);
        if (port >= 0)
            return port;
    }
    return -1;
}

/* Whether one of these ports could still be leased. */
static bool leasable(const struct grant *g, struct ports ports)
{
    for (uint32_t b = ports.from / STATE_BLOCK;
         ports.from <= ports.to && b <= ports.to / STATE_BLOCK; b++) {
        if (!g || (!block_bit(g->granted, b) && !block_bit(g->exhausted, b)))
            return true;
    }
    return false;
}

/* Every block is ours. */
static int pick_any(struct pick *p, struct ip *ip, uint16_t *port)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct topo_nat_target *t = &p->targets[(p->start % p->n + i) % p->n];
        uint64_t n = n_addresses(t);
        for (uint64_t a = 0; a < n; a++) {
            *ip = address(t, (p->start % n + a) % n);
            int found = free_of_address(p, ip, ports_of(t, p->fwd), NULL);
            if (found >= 0) {
                *port = (uint16_t)found;
                return 0;
            }
            if (ports_of(t, p->fwd).from > ports_of(t, p->fwd).to)
                break;
        }
    }
    return -ENOSPC;
}

/* The rows of a target's addresses: *first to the end returned. */
static uint32_t rows_of(const struct pick *p, const struct grant_rows *rows,
                        const struct topo_nat_target *t, uint32_t *first)
{
    uint32_t end;

    *first = grants_seek(rows, p->device, &t->from);
    end = grants_seek(rows, p->device, &t->to);
    if (end < rows->n && rows->rows[end].device == p->device &&
        ip_equal(&rows->rows[end].ip, &t->to))
        end++;
    return MAX(end, *first);
}

/* Somebody who leases hears of it once. */
static void tell_low(const struct pick *p, const struct grant *g, struct ports ports)
{
    const struct grants *all = p->s->grants;
    uint8_t *low = (uint8_t *)(uintptr_t)&g->low; /* a note to the lessor, not state */

    if (!p->n_full || !all->low || __atomic_load_n(low, __ATOMIC_RELAXED) || !leasable(g, ports))
        return;
    if (!__atomic_exchange_n(low, 1, __ATOMIC_RELAXED))
        all->low(all->aux, p->device, &g->ip, (uint16_t)ports.from, (uint16_t)ports.to);
}

static int pick_granted(struct pick *p, const struct grant_rows *rows, struct ip *ip,
                        uint16_t *port)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct topo_nat_target *t = &p->targets[(p->start % p->n + i) % p->n];
        struct ports ports = ports_of(t, p->fwd);
        uint32_t first, end = rows_of(p, rows, t, &first), n = end - first;
        for (uint32_t a = 0; a < n; a++) {
            const struct grant *g = rows->rows[first + (p->start % n + a) % n].grant;
            int found = free_of_address(p, &g->ip, ports, g->granted);
            if (found < 0)
                continue;
            tell_low(p, g, ports);
            *ip = g->ip;
            *port = (uint16_t)found;
            return 0;
        }
    }
    return -ENOSPC;
}

/* An address of which more could be leased.  What has no row was never asked for, so that no more
 * addresses than rows are looked at in vain. */
static int pick_lease(const struct pick *p, struct ip *ip, uint16_t *port, uint16_t *port_to)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct topo_nat_target *t = &p->targets[(p->start % p->n + i) % p->n];
        struct ports ports = ports_of(t, p->fwd);
        uint64_t n = ports.from <= ports.to ? n_addresses(t) : 0;
        for (uint64_t a = 0; a < n; a++) {
            *ip = address(t, (p->start % n + a) % n);
            if (!leasable(grants_find(p->s->grants, p->device, ip), ports))
                continue;
            *port = (uint16_t)ports.from;
            *port_to = (uint16_t)ports.to;
            return -EAGAIN;
        }
    }
    return -ENOSPC;
}

/* No table: the first that comes. */
static int pick_unseen(const struct pick *p, struct ip *ip, uint16_t *port)
{
    const struct topo_nat_target *t = &p->targets[p->start % p->n];
    struct ports ports = ports_of(t, p->fwd);
    uint64_t n = n_addresses(t);

    if (!n || ports.from > ports.to)
        return -ENOSPC;
    *ip = address(t, p->start % n);
    *port = (uint16_t)(ports.from + (p->start >> 40) % (ports.to - ports.from + 1));
    return 0;
}

int state_pick_source(const struct state *s, topo_ref device, const struct state_tuple *fwd,
                      const struct topo_nat_target *targets, uint32_t n, struct ip *ip,
                      uint16_t *port, uint16_t *port_to)
{
    struct pick p = {.s = s, .device = device, .fwd = fwd, .targets = targets, .n = n};

    *port_to = 0;
    if (!n)
        return -ENOSPC;
    p.start = hash_stable(fwd, sizeof *fwd, 0);
    if (!s)
        return pick_unseen(&p, ip, port);
    if (__atomic_load_n(&s->grants->all, __ATOMIC_RELAXED))
        return pick_any(&p, ip, port);
    int rc = pick_granted(&p, grants_rows(s->grants), ip, port);
    return rc == -ENOSPC ? pick_lease(&p, ip, port, port_to) : rc;
}
