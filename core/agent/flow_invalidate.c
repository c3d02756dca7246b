/* Flows that stand on what has changed become due to be simulated.  A bridge or a chain may have a
 * million of them: the first are made due at once, the others in turns of the owner, between
 * packets.  Flows made or simulated in between have seen the change already, so it does no harm
 * that walks pass them by, or come upon them. */
#include "agent/flowtable_impl.h"

enum { AT_ONCE = 1024 /* flows */ };

void ft_make_due(struct flowtable *ft, uint32_t id, uint32_t now)
{
    struct rec *r = rec_at(ft, id);

    if (!r->state)
        r->looked = now; /* since when it is due */
    if (r->state != DUE)
        ft_move(ft, id, DUE);
}

void ft_walks_leave(struct flowtable *ft, uint32_t id)
{
    for (unsigned i = 0; ft->n_walks && i < TI_WALKS; i++)
        if (ft->walks[i].flow == id)
            ft->walks[i].flow = rec_at(ft, id)->peer_next;
}

/* Goes on with a walk; returns how many flows it met. */
static size_t walk_on(struct flowtable *ft, unsigned i, size_t budget, uint32_t now)
{
    struct walk *w = &ft->walks[i];
    size_t n = 0;

    while (n < budget) {
        if (!w->flow) {
            uint32_t set = ti_walk_next(ft->tags, i);
            if (!set) {
                w->on = false;
                ft->n_walks--;
                break;
            }
            w->flow = *ti_results(ft->tags, set);
        }
        for (; w->flow && n < budget; n++) {
            uint32_t id = w->flow;
            w->flow = rec_at(ft, id)->peer_next;
            ft_make_due(ft, id, now);
        }
    }
    return n;
}

/* A walk for the tag: the one it has, which begins anew, or a free one; TI_WALKS: none is. */
static unsigned walk_for(const struct flowtable *ft, tag_t tag)
{
    unsigned found = TI_WALKS;

    for (unsigned i = 0; i < TI_WALKS; i++) {
        if (ft->walks[i].on && ft->walks[i].tag == tag)
            return i;
        if (!ft->walks[i].on)
            found = i;
    }
    return found;
}

size_t ft_invalidate(struct flowtable *ft, tag_t tag, uint64_t now)
{
    if (!ti_has(ft->tags, tag))
        return 0;
    unsigned i = walk_for(ft, tag);
    if (i == TI_WALKS) { /* so much at once: everything */
        ft_invalidate_all(ft, now);
        return 0;
    }
    ft->n_walks += !ft->walks[i].on;
    ft->walks[i] = (struct walk){.on = true, .tag = tag};
    ti_walk(ft->tags, i, tag);
    return walk_on(ft, i, AT_ONCE, steps(now));
}

static size_t all_on(struct flowtable *ft, size_t budget, uint32_t now)
{
    for (size_t n = 0; n < budget; n++) {
        ft->all_at = ft_next(ft, ft->all_at);
        if (!ft->all_at) {
            ft->all = false;
            return n;
        }
        ft_make_due(ft, ft->all_at, now);
        rec_at(ft, ft->all_at)->looked = now;
    }
    return budget;
}

void ft_invalidate_all(struct flowtable *ft, uint64_t now)
{
    ft->all = true;
    ft->all_at = 0;
    ft_invalidate_more(ft, AT_ONCE, now);
}

size_t ft_invalidate_more(struct flowtable *ft, size_t budget, uint64_t now)
{
    size_t n = ft->all ? all_on(ft, budget, steps(now)) : 0;

    for (unsigned i = 0; ft->n_walks && i < TI_WALKS && n < budget; i++)
        if (ft->walks[i].on)
            n += walk_on(ft, i, budget - n, steps(now));
    return n;
}

bool ft_invalidating(const struct flowtable *ft)
{
    return ft->all || ft->n_walks;
}

uint32_t ft_tagged(const struct flowtable *ft, tag_t tag)
{
    uint32_t set = ti_any_set(ft->tags, tag);

    return set ? *ti_results(ft->tags, set) : 0;
}

bool ft_has_tag(const struct flowtable *ft, tag_t tag)
{
    return ti_has(ft->tags, tag);
}
