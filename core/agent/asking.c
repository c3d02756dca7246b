#include "agent/asking.h"

#include <stdlib.h>

#include "agent/slab.h"
#include "base/clock.h"
#include "base/hash.h"

#define BUCKETS 256

struct asked {
    uint32_t next; /* in the bucket */
    topo_ref port;
    struct ip ip;
    uint64_t next_ns, give_up_ns;
    uint32_t tries;
};

struct asking {
    struct asking_limits limits;
    struct slab slab;
    uint32_t buckets[BUCKETS];
    uint64_t next_ns; /* no later than the earliest next_ns of all */
    uint64_t random;
};

struct asking *asking_new(const struct asking_limits *limits)
{
    struct asking *a = NEW(struct asking);

    if (limits)
        a->limits = *limits;
    if (!a->limits.retry_ns)
        a->limits.retry_ns = 10 * NSEC_PER_SEC;
    if (!a->limits.timeout_ns)
        a->limits.timeout_ns = 60 * NSEC_PER_SEC;
    slab_init(&a->slab, sizeof(struct asked), ASKING_MAX);
    a->next_ns = UINT64_MAX;
    a->random = (uint64_t)(uintptr_t)a; /* hosts and workers shall differ */
    return a;
}

void asking_free(struct asking *a)
{
    if (!a)
        return;
    slab_free(&a->slab);
    free(a);
}

static struct asked *at(const struct asking *a, uint32_t i)
{
    return slab_at(&a->slab, i);
}

/* The link that points to the entry, or the end of its bucket. */
static uint32_t *find(struct asking *a, topo_ref port, const struct ip *ip)
{
    uint32_t *link = &a->buckets[hash_bytes(ip, sizeof *ip, port) % BUCKETS];

    while (*link && (at(a, *link)->port != port || !ip_equal(&at(a, *link)->ip, ip)))
        link = &at(a, *link)->next;
    return link;
}

static void forget(struct asking *a, uint32_t *link)
{
    uint32_t i = *link;

    *link = at(a, i)->next;
    slab_give(&a->slab, i);
}

/* The time of the try after this one.  The first requests may be what gets lost while a machine
 * moves, and traffic waits for them. */
static void schedule(struct asking *a, struct asked *e, uint64_t now)
{
    enum { QUICK = 3 };
    a->random = hash_u64(a->random + now + 1);
    uint64_t jitter = a->random % 501; /* thousandths above 750 */
    uint64_t wait = a->limits.retry_ns;
    if (e->tries < QUICK)
        wait >>= QUICK + 1 - e->tries;
    e->next_ns = now + wait / 1000 * (750 + jitter + 100 * e->tries);
    e->tries++;
    a->next_ns = MIN(a->next_ns, e->next_ns);
}

bool asking_start(struct asking *a, topo_ref port, const struct ip *ip, uint64_t now)
{
    uint32_t *link = find(a, port, ip), i;

    if (*link || !(i = slab_take(&a->slab)))
        return false;
    struct asked *e = at(a, i);
    *e = (struct asked){.port = port, .ip = *ip, .give_up_ns = now + a->limits.timeout_ns};
    schedule(a, e, now);
    *link = i;
    return true;
}

void asking_stop(struct asking *a, topo_ref port, const struct ip *ip)
{
    uint32_t *link = find(a, port, ip);

    if (*link)
        forget(a, link);
}

void asking_run(struct asking *a, uint64_t now, asking_fn *again, void *aux)
{
    if (now < a->next_ns)
        return;
    a->next_ns = UINT64_MAX;
    for (unsigned b = 0; b < BUCKETS; b++) {
        for (uint32_t *link = &a->buckets[b]; *link;) {
            struct asked *e = at(a, *link);
            if (now >= e->give_up_ns) {
                forget(a, link);
                continue;
            }
            if (now >= e->next_ns) {
                if (!again(e->port, &e->ip, aux)) {
                    forget(a, link);
                    continue;
                }
                schedule(a, e, now);
            }
            a->next_ns = MIN(a->next_ns, MIN(e->next_ns, e->give_up_ns));
            link = &e->next;
        }
    }
}

uint64_t asking_next_ns(const struct asking *a)
{
    return a->next_ns;
}

uint32_t asking_size(const struct asking *a)
{
    return a->slab.n_used;
}

size_t asking_memory(const struct asking *a)
{
    return sizeof *a + slab_memory(&a->slab);
}
