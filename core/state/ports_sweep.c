#include "base/log.h"
#include "base/mem.h"
#include "state/ports_impl.h"

enum { LOOK = 4096 }; /* at records, by one call */

static void see(struct ports *p, const struct state_rec *r)
{
    if (r->kind != STATE_SNAT)
        return;
    struct address *a = ports_address(p, r->device, &r->to, false);
    struct lease *l = a ? address_lease(a, r->to_port / STATE_BLOCK) : NULL;
    if (l)
        l->seen = true;
}

/* A block unused for long is first shut to new connections; whoever was about to take a port of it
 * has done so long before the next round, which finds it used again or lets it go. */
static void judge(struct ports *p, struct address *a, struct lease *l, uint64_t now,
                  uint64_t wall_ms)
{
    unsigned block = l->block;

    if (l->seen) {
        l->ref_ns = now;
        if (l->draining && !p->cut)
            state_ports_grant(p->state, a->key.device, &a->key.ip, block);
        l->draining = false;
    } else if (l->draining) {
        int rc = p->connected ? ports_release(p, a, block, wall_ms) : -ENOTCONN;
        if (rc && rc != -ENOENT)
            return; /* in the next round */
        p->status.returned++;
        address_drop(p, a, block);
    } else if (now - l->ref_ns >= p->opt.unused_ns) {
        l->draining = true;
        state_ports_revoke(p->state, a->key.device, &a->key.ip, block);
    }
}

static void judge_all(struct ports *p, uint64_t now, uint64_t wall_ms)
{
    struct address *a, *next;

    HASH_ITER (hh, p->addresses, a, next) {
        for (unsigned i = a->n; i-- > 0;)
            judge(p, a, &a->leases[i], now, wall_ms);
        if (a->n || a->unsure)
            continue;
        HASH_DEL(p->addresses, a);
        free(a->leases);
        free(a);
        p->status.n_addresses--;
    }
}

bool ports_scan(struct ports *p, uint64_t now, uint64_t wall_ms)
{
    struct state_info info[256];
    struct address *a, *next;

    if (!p->scanning && now < p->sweep_due)
        return false;
    if (!p->scanning) {
        p->scanning = true;
        p->scan_at = 0;
        HASH_ITER (hh, p->addresses, a, next) {
            for (unsigned i = 0; i < a->n; i++)
                a->leases[i].seen = false;
        }
    }
    for (unsigned looked = 0; looked < LOOK; looked += ARRAY_SIZE(info)) {
        uint32_t n = state_dump(p->state, &p->scan_at, info, ARRAY_SIZE(info));
        for (uint32_t i = 0; i < n; i++)
            see(p, &info[i].rec);
        if (!p->scan_at) {
            judge_all(p, now, wall_ms);
            p->scanning = false;
            p->sweep_due = now + p->opt.sweep_ns;
            return false;
        }
    }
    return true;
}

/* Another host has it now: a connection that both translate to one tuple would get the other's
 * packets, so ours ends. */
void ports_lose(struct ports *p, struct address *a, unsigned block)
{
    struct state_info info[256];
    unsigned n_lost = 0;
    uint64_t at = 0;

    address_drop(p, a, block);
    p->status.lost++;
    do {
        uint32_t n = state_dump(p->state, &at, info, ARRAY_SIZE(info));
        for (uint32_t i = 0; i < n; i++) {
            const struct state_rec *r = &info[i].rec;
            if (r->kind != STATE_SNAT || r->device != a->key.device ||
                !ip_equal(&r->to, &a->key.ip) || r->to_port / STATE_BLOCK != block ||
                info[i].origin == STATE_RECEIVED)
                continue;
            state_remove(p->state, r);
            n_lost++;
            if (p->cb.lost)
                p->cb.lost(p->cb.aux, r);
        }
    } while (at);
    log_warn("ports", "another host has block %u now: %u connections ended", block, n_lost);
}
