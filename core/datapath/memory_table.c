#include "datapath/memory_table.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/mem.h"
#include "datapath/fillings.h"

static struct memory_mask *find_mask(struct memory_table *t, const struct flow_key *mask)
{
    struct memory_mask *m;

    DL_FOREACH (t->masks, m) {
        if (!memcmp(&m->mask, mask, sizeof *mask))
            return m;
    }
    return NULL;
}

static struct memory_flow *find_flow(struct memory_mask *m, const struct flow_key *masked)
{
    struct memory_flow *f;

    HASH_FIND(hh, m->flows, masked, sizeof *masked, f);
    return f;
}

struct memory_flow *memory_table_match(struct memory_table *t, const struct flow_key *key)
{
    struct memory_mask *m;

    DL_FOREACH (t->masks, m) {
        struct flow_key masked;

        flow_key_and(&masked, key, &m->mask);
        struct memory_flow *f = find_flow(m, &masked);

        if (f)
            return f;
    }
    return NULL;
}

static struct memory_mask *need_mask(struct memory_table *t, const struct flow_key *mask)
{
    struct memory_mask *m = find_mask(t, mask);

    if (!m) {
        m = NEW(struct memory_mask);
        m->mask = *mask;
        DL_APPEND(t->masks, m);
    }
    return m;
}

int memory_table_put(struct memory_table *t, const struct dp_flow *f)
{
    struct flow_key key, mask;

    dp_flow_name(f, &key, &mask);

    struct memory_mask *m = find_mask(t, &mask);
    struct memory_flow *flow = m ? find_flow(m, &key) : NULL;

    if (!flow) {
        if (t->n_flows >= t->max_flows)
            return -ENOSPC;
        m = need_mask(t, &mask);
        flow = NEW(struct memory_flow);
        flow->key = key;
        flow->mask = &m->mask;
        HASH_ADD(hh, m->flows, key, sizeof flow->key, flow);
        t->n_flows++;
    }
    free(flow->outs);
    t->out_bytes += (f->n_outs - (uint64_t)flow->n_outs) * sizeof *f->outs;
    flow->cookie = f->cookie;
    flow->n_outs = f->n_outs;
    flow->ttl_needed = (uint8_t)dp_ttl_needed(f->outs, f->n_outs);
    flow->outs = NEW_ARRAY(f->n_outs, struct flow_out);
    if (f->n_outs)
        memcpy(flow->outs, f->outs, f->n_outs * sizeof *f->outs);
    flow->stats = (struct dp_flow_stats){0};
    return 0;
}

static void remove_flow(struct memory_table *t, struct memory_mask *m, struct memory_flow *flow)
{
    HASH_DEL(m->flows, flow);
    t->out_bytes -= flow->n_outs * sizeof *flow->outs;
    free(flow->outs);
    free(flow);
    t->n_flows--;
    if (m->flows)
        return;
    DL_DELETE(t->masks, m);
    free(m);
}

int memory_table_del(struct memory_table *t, const struct dp_flow *f, struct dp_flow_stats *stats)
{
    struct flow_key key, mask;

    dp_flow_name(f, &key, &mask);

    struct memory_mask *m = find_mask(t, &mask);
    struct memory_flow *flow = m ? find_flow(m, &key) : NULL;

    if (stats)
        *stats = flow ? flow->stats : (struct dp_flow_stats){0};
    if (!flow)
        return -ENOENT;
    remove_flow(t, m, flow);
    return 0;
}

int memory_table_each(struct memory_table *t, dp_flow_fn *fn, void *aux)
{
    struct memory_mask *m;

    DL_FOREACH (t->masks, m) {
        for (struct memory_flow *f = m->flows; f; f = f->hh.next) {
            struct dp_flow out = {.key = f->key,
                                  .mask = m->mask,
                                  .cookie = f->cookie,
                                  .outs = f->outs,
                                  .n_outs = f->n_outs};
            int rc = fn(&out, &f->stats, aux);

            if (rc)
                return rc;
        }
    }
    return 0;
}

void memory_table_free(struct memory_table *t)
{
    struct memory_mask *m, *next_m;

    DL_FOREACH_SAFE(t->masks, m, next_m)
    {
        struct memory_flow *f, *next;

        HASH_ITER (hh, m->flows, f, next) {
            HASH_DEL(m->flows, f);
            free(f->outs);
            free(f);
        }
        DL_DELETE(t->masks, m);
        free(m);
    }
    t->n_flows = 0;
    t->out_bytes = 0;
}

uint64_t memory_table_bytes(const struct memory_table *t)
{
    return t->n_flows * (sizeof(struct memory_flow) + 16) + t->out_bytes;
}
