#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_impl.h"
#include "agent/report.h"
#include "agent/words.h"
#include "base/clock.h"

#define PAGE     256
#define TAGS_MAX 512

/* A flow as the datapath had it. */
struct entry {
    uint64_t cookie, packets, bytes, used_ns;
    uint32_t in_port;
    uint16_t n_outs;
    size_t outs; /* first of them in listing.outs */
};

struct flow_listing {
    struct listing pub; /* first */
    struct agent *agent;
    struct tag_words *words; /* null: tags aren't asked for */
    struct entry *entries;
    struct flow_out *outs;
    size_t n, room, n_outs, room_outs, at;
};

static int keep(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    struct flow_listing *l = aux;

    if (l->n == l->room) {
        l->room = MAX((size_t)64, 2 * l->room);
        l->entries = mem_resize(l->entries, l->room * sizeof *l->entries);
    }
    while (l->n_outs + f->n_outs > l->room_outs) {
        l->room_outs = MAX((size_t)64, 2 * l->room_outs);
        l->outs = mem_resize(l->outs, l->room_outs * sizeof *l->outs);
    }
    l->entries[l->n++] = (struct entry){.cookie = f->cookie,
                                        .packets = s->packets,
                                        .bytes = s->bytes,
                                        .used_ns = s->used_ns,
                                        .in_port = f->key.in_port,
                                        .n_outs = f->n_outs,
                                        .outs = l->n_outs};
    if (f->n_outs)
        memcpy(l->outs + l->n_outs, f->outs, f->n_outs * sizeof *f->outs);
    l->n_outs += f->n_outs;
    return 0;
}

static int by_port(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->in_port != y->in_port)
        return x->in_port < y->in_port ? -1 : 1;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* What the worker knows of a page's flows. */
struct page {
    struct flow_listing *l;
    unsigned worker;
    uint64_t now;
    size_t n;
    struct known {
        bool found;
        struct ft_info info;
        struct drop_cause cause;
        tag_t *tags;
        size_t n_tags;
    } known[PAGE];
};

static void copy_tags(const struct worker *w, struct known *k)
{
    struct tagindex *ti = ft_tagindex(worker_flows(w));

    k->tags = NEW_ARRAY(TAGS_MAX, tag_t);
    k->n_tags = MIN((size_t)TAGS_MAX, ti_tags(ti, k->info.set, k->tags, TAGS_MAX));
}

static void look_up(void *worker, void *aux)
{
    const struct worker *w = worker;
    struct page *p = aux;

    for (size_t i = 0; i < p->n; i++) {
        const struct entry *e = &p->l->entries[p->l->at + i];
        struct known *k = &p->known[i];
        uint32_t id = ft_by_cookie(worker_flows(w), e->cookie);
        if (e->in_port % p->l->agent->n_workers != p->worker || !id)
            continue;
        k->found = true;
        ft_info(worker_flows(w), id, p->now, &k->info);
        if (k->info.drop)
            k->cause = drops_at(worker_drops(w), k->info.drop)->cause;
        if (p->l->words && k->info.set)
            copy_tags(w, k);
    }
}

static json_t *actions(const struct flow_listing *l, const struct entry *e)
{
    json_t *list = json_array();
    char buf[256];

    for (uint16_t i = 0; i < e->n_outs; i++)
        json_array_append_new(list,
                              json_string(flow_out_format(&l->outs[e->outs + i], buf, sizeof buf)));
    return list;
}

static void add_drop(json_t *row, const struct topo *t, const struct drop_cause *c)
{
    char buf[WORDS_SIZE];

    json_object_set_new(row, "reason", json_string(sim_reason_name((enum sim_reason)c->reason)));
    json_object_set_new(row, "object", json_string(words_object(t, c->kind, &c->object, buf)));
}

static json_t *flow_row(struct flow_listing *l, const struct entry *e, const struct known *k,
                        uint64_t now)
{
    json_t *row = json_object();
    char buf[512];
    uint64_t used = e->used_ns + l->agent->ahead_ns;

    json_object_set_new(row, "match",
                        json_string(flow_key_format(&k->info.key, &k->info.mask, buf, sizeof buf)));
    json_object_set_new(row, "actions", actions(l, e));
    json_object_set_new(row, "class", json_string(ft_class_name(k->info.class)));
    if (k->info.drop)
        add_drop(row, l->agent->topo, &k->cause);
    json_object_set_new(row, "packets", json_integer((json_int_t)e->packets));
    json_object_set_new(row, "bytes", json_integer((json_int_t)e->bytes));
    json_object_set_new(row, "age", json_integer((json_int_t)(k->info.age_ns / NSEC_PER_SEC)));
    json_object_set_new(
        row, "used",
        e->used_ns ? json_integer((json_int_t)((now > used ? now - used : 0) / NSEC_PER_SEC))
                   : json_null());
    if (l->words) {
        json_t *why = json_array();
        for (size_t i = 0; i < k->n_tags; i++)
            json_array_append_new(why,
                                  json_string(tag_words(l->words, k->tags[i], &k->info.key, buf)));
        json_object_set_new(row, "why", why);
    }
    return row;
}

static json_t *flow_page(struct listing *base, uint64_t now)
{
    struct flow_listing *l = (struct flow_listing *)base;
    struct page *p = NEW(struct page);
    json_t *rows = json_array();

    p->l = l;
    p->now = now;
    p->n = MIN((size_t)PAGE, l->n - l->at);
    for (p->worker = 0; p->worker < l->agent->n_workers; p->worker++)
        agent_ask_worker(l->agent, p->worker, look_up, p);
    for (size_t i = 0; i < p->n; i++) {
        if (p->known[i].found)
            json_array_append_new(rows, flow_row(l, &l->entries[l->at + i], &p->known[i], now));
        free(p->known[i].tags);
    }
    l->at += p->n;
    free(p);
    return json_pack("{s:o,s:b}", "flows", rows, "more", (int)(l->at < l->n));
}

static void free_flows(struct listing *base)
{
    struct flow_listing *l = (struct flow_listing *)base;

    tag_words_free(l->words);
    free(l->entries);
    free(l->outs);
    free(l);
}

struct listing *report_flows(struct agent *a, bool why)
{
    struct flow_listing *l = NEW(struct flow_listing);

    l->pub = (struct listing){flow_page, free_flows};
    l->agent = a;
    l->words = why ? tag_words_new(a->topo, a->state) : NULL;
    dp_flow_each(a->opts.dp, keep, l);
    if (l->n)
        qsort(l->entries, l->n, sizeof *l->entries, by_port);
    return &l->pub;
}
