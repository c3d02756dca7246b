/* After the store's connection has come back: finding out what was missed.
 *
 * The store says what has changed of what is watched, but an event that never came would leave
 * something untrue for good.  So the revision of all that is loaded is compared with the store's;
 * and because all agents come back at the same moment, each spreads that evenly over opt.jitter_ns.
 * The same is done over and over while the store has no more watches to give.
 *
 * Hosts come back like us: one that isn't alive yet is given until doubt_until. */
#include "base/clock.h"
#include "topology/sync_impl.h"
#include "topology/sync_table.h"

void sync_connection(struct sync *s, bool connected)
{
    if (s->connected == connected)
        return;
    s->connected = connected;
    if (s->cb.connection)
        s->cb.connection(s->cb.aux, connected);
}

/* Items by slot, behind them the groups of hosts. */
static bool is_compared(const struct sync *s, size_t i)
{
    const struct item *it = i < s->n_items ? s->items[i] : NULL;

    if (i >= s->n_items)
        return s->alive[i - s->n_items].listed;
    return it && it->loaded && (it->kind != TOPO_PORT || it->watched) &&
           (it->kind != TOPO_HOST || it->ref == s->host);
}

/* All that is compared, in steps of even length; the first begins anywhere within one. */
static void start_comparing(struct sync *s)
{
    s->compare_n = 0;
    for (size_t i = 0; i < s->n_items + ALIVE_GROUPS; i++)
        s->compare_n += is_compared(s, i);
    s->compare_from = s->now + sync_by_chance(s, 0, s->opt.jitter_ns / (s->compare_n + 1));
    s->compare_at = s->compared = 0;
}

/* All agents hear of it at the same moment.  Comparing is spread over opt.jitter_ns, and what was
 * learned meanwhile is written at any moment of it. */
void sync_reconnected(struct sync *s)
{
    sync_connection(s, true);
    s->failures = 0;
    s->retry_at = 0;
    start_comparing(s);
    s->doubt_until = s->now + s->opt.doubt_ns;
    sync_share_spread(s, s->opt.jitter_ns);
}

static void compare_one(struct sync *s, size_t i)
{
    struct item *it = i < s->n_items ? s->items[i] : NULL;
    unsigned due = DUE_CHANGE;

    if (!it) {
        sync_alive_due(s, (unsigned)(i - s->n_items));
        return;
    }
    if (it->kind == TOPO_BRIDGE || it->kind == TOPO_ROUTER || it->ref == s->host)
        due = DUE_CHANGE | (it->ref == s->host ? DUE_ALIVE : DUE_TABLE);
    sync_due(s, it, it->kind == TOPO_PORT ? DUE_LOAD : due);
}

/* After a reconnect: all that is watched becomes due, evenly over opt.jitter_ns.  Again and again,
 * when not all of it can be watched. */
void sync_compare(struct sync *s)
{
    if (!s->compare_from && s->polling && s->now >= s->poll_at) {
        start_comparing(s);
        s->poll_at = s->now + POLL_NS;
    }
    if (s->polling)
        sync_wants_run(s, s->poll_at);
    if (!s->compare_from)
        return;
    uint64_t passed = s->now - MIN(s->compare_from, s->now);
    size_t all = s->n_items + ALIVE_GROUPS;
    bool last = passed >= s->opt.jitter_ns;
    size_t until = (size_t)((double)passed / (double)s->opt.jitter_ns * (double)s->compare_n) +
                   (s->now >= s->compare_from);
    for (; s->compare_at < all && (last || s->compared < until); s->compare_at++) {
        if (!is_compared(s, s->compare_at))
            continue;
        compare_one(s, s->compare_at);
        s->compared++;
    }
    if (s->compare_at < all)
        sync_wants_run(s, s->now + MAX(s->opt.jitter_ns / 100, NSEC_PER_MSEC));
    else
        s->compare_from = 0;
}

/* Whoever wasn't alive when we came back, and isn't by now, is dead. */
void sync_resolve_doubts(struct sync *s)
{
    if (!s->doubts || s->now < s->doubt_until)
        return;
    s->doubts = false;
    for (size_t i = 0; i < s->n_items; i++) {
        struct item *it = s->items[i];
        if (it && it->loaded && it->kind == TOPO_HOST)
            sync_due(s, it, DUE_ALIVE);
    }
}
