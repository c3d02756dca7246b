#include "agent/agent_impl.h"

#include <stdlib.h>

/* Between datapath and workers: a page of statistics, owned by who has it. */
#define PAGE 256

struct page {
    struct inbox_call call;
    struct agent *agent;
    struct page *next; /* of those that are read */
    uint64_t now;
    size_t n;
    struct worker_stat stats[PAGE];
};

struct reading {
    struct agent *agent;
    uint64_t now;
    struct page **pages; /* one a worker, null when empty */
};

static void note(void *worker, void *aux)
{
    struct page *p = aux;

    worker_note_stats(worker, p->stats, p->n, p->now);
    p->next = __atomic_load_n(&p->agent->pages, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&p->agent->pages, &p->next, p, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
        ;
}

/* Giving memory by the megabyte back to the system takes milliseconds: not a worker's. */
void agent_free_pages(struct agent *a)
{
    struct page *p = __atomic_exchange_n(&a->pages, NULL, __ATOMIC_ACQUIRE), *next;

    for (; p; p = next) {
        next = p->next;
        free(p);
    }
}

static void hand_over(struct reading *r, unsigned worker)
{
    if (r->pages[worker])
        inbox_call(worker_inbox(r->agent->workers[worker]), &r->pages[worker]->call);
    r->pages[worker] = NULL;
}

/* A flow is kept by the worker that reads the queue of its port (datapath.h). */
static unsigned worker_of(const struct agent *a, const struct dp_flow *f)
{
    return f->key.in_port % a->n_workers;
}

static int read_flow(const struct dp_flow *f, const struct dp_flow_stats *stats, void *aux)
{
    struct reading *r = aux;
    unsigned w = worker_of(r->agent, f);
    struct page *p = r->pages[w];

    if (!p) {
        p = r->pages[w] = mem_alloc(sizeof *p);
        p->call = (struct inbox_call){.fn = note, .aux = p};
        p->agent = r->agent;
        p->now = r->now;
        p->n = 0;
    }
    uint64_t used = stats->used_ns ? stats->used_ns + r->agent->ahead_ns : 0;
    p->stats[p->n++] =
        (struct worker_stat){.cookie = f->cookie, .packets = stats->packets, .used = used};
    if (p->n == PAGE)
        hand_over(r, w);
    return 0;
}

void agent_read_stats(struct agent *a, uint64_t now)
{
    struct reading r = {.agent = a, .now = now};

    agent_free_pages(a);
    r.pages = NEW_ARRAY(a->n_workers, struct page *);
    dp_flow_each(a->opts.dp, read_flow, &r);
    for (unsigned i = 0; i < a->n_workers; i++)
        hand_over(&r, i);
    free(r.pages);
}

struct adoption {
    struct agent *agent;
    uint64_t now;
    struct dp_flow *extra; /* more than the tables take */
    size_t n_extra;
};

static int adopt(const struct dp_flow *f, const struct dp_flow_stats *stats, void *aux)
{
    struct adoption *ad = aux;

    (void)stats;
    if (!worker_adopt(ad->agent->workers[worker_of(ad->agent, f)], f, ad->now))
        return 0;
    ad->extra = mem_resize(ad->extra, (ad->n_extra + 1) * sizeof *ad->extra);
    ad->extra[ad->n_extra] = *f;
    ad->extra[ad->n_extra++].n_outs = 0;
    return 0;
}

int agent_adopt_flows(struct agent *a, uint64_t now)
{
    struct adoption ad = {.agent = a, .now = now};
    int rc = dp_flow_each(a->opts.dp, adopt, &ad);

    for (size_t i = 0; i < ad.n_extra; i++)
        dp_flow_del(a->opts.dp, worker_of(a, &ad.extra[i]), &ad.extra[i], 1, NULL);
    free(ad.extra);
    return rc;
}
