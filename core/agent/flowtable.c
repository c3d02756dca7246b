#include "agent/flowtable_impl.h"

#include <errno.h>

#include "base/clock.h"

#define FRESH_NS NSEC_PER_SEC /* misses of packets already on their way when it was installed */

/* Keys of so many words go to the slab of that size: bridged IPv4 (5), with ports (9), IPv6. */
static const uint8_t slab_words[] = {6, 9, 16, FLOW_WORDS};
_Static_assert(ARRAY_SIZE(slab_words) == N_SLABS, "a slab for each size");

const char *ft_class_name(enum ft_class c)
{
    static const char *const names[] = {"short-drop", "drop", "forward", "stateful"};

    return names[c];
}

struct flowtable *ft_new(const struct ft_limits *limits)
{
    struct ft_limits l = limits ? *limits : (struct ft_limits){0};
    struct flowtable *ft = NEW(struct flowtable);
    uint32_t n = 64;

    ft->max_flows = l.max_flows ? MIN(l.max_flows, 1u << 24) : 200000;
    ft->short_life = steps(l.short_ns ? l.short_ns : 5 * NSEC_PER_SEC);
    ft->idle_life = steps(l.idle_ns ? l.idle_ns : 60 * NSEC_PER_SEC);
    for (unsigned c = 0; c < FT_N_CLASSES; c++)
        ft->resimulate[c] = steps(l.resimulate_ns ? l.resimulate_ns : 45 * NSEC_PER_SEC);
    ft->resimulate[FT_STATEFUL] = steps(l.stateful_ns ? l.stateful_ns : 20 * NSEC_PER_SEC);
    ft->patience = steps(l.patience_ns ? l.patience_ns : 5 * NSEC_PER_SEC);
    ft->look_interval = MAX(1u, ft->idle_life / 4);
    while (n < ft->max_flows)
        n *= 2;
    ft->bucket_mask = n - 1;
    ft->buckets = NEW_ARRAY(n, uint32_t);
    for (unsigned i = 0; i < N_SLABS; i++)
        slab_init(&ft->slabs[i], sizeof(struct rec) + 4u * slab_words[i], ft->max_flows);
    ft->tags = ti_new(ft->max_flows);
    return ft;
}

void ft_free(struct flowtable *ft)
{
    if (!ft)
        return;
    for (unsigned i = 0; i < N_SLABS; i++)
        slab_free(&ft->slabs[i]);
    flow_masks_free(&ft->masks);
    ti_free(ft->tags);
    free(ft->buckets);
    free(ft);
}

static void list_remove(struct flowtable *ft, uint32_t id)
{
    struct rec *r = rec_at(ft, id);
    struct list *l = &ft->lists[r->state ? r->state : r->class];

    *(r->list_prev ? &rec_at(ft, r->list_prev)->list_next : &l->first) = r->list_next;
    *(r->list_next ? &rec_at(ft, r->list_next)->list_prev : &l->last) = r->list_prev;
    l->n--;
}

static void list_append(struct flowtable *ft, uint32_t id)
{
    struct rec *r = rec_at(ft, id);
    struct list *l = &ft->lists[r->state ? r->state : r->class];

    r->list_prev = l->last;
    r->list_next = 0;
    *(l->last ? &rec_at(ft, l->last)->list_next : &l->first) = id;
    l->last = id;
    l->n++;
}

void ft_move(struct flowtable *ft, uint32_t id, uint8_t state)
{
    list_remove(ft, id);
    rec_at(ft, id)->state = state;
    list_append(ft, id);
}

static void peers_add(struct flowtable *ft, uint32_t id, uint32_t set)
{
    struct rec *r = rec_at(ft, id);
    uint32_t *head = ti_results(ft->tags, set);

    r->set = set;
    r->peer_prev = 0;
    r->peer_next = *head;
    if (*head)
        rec_at(ft, *head)->peer_prev = id;
    *head = id;
}

static void peers_remove(struct flowtable *ft, uint32_t id)
{
    struct rec *r = rec_at(ft, id);

    if (!r->set)
        return;
    ft_walks_leave(ft, id);
    *(r->peer_prev ? &rec_at(ft, r->peer_prev)->peer_next : ti_results(ft->tags, r->set)) =
        r->peer_next;
    if (r->peer_next)
        rec_at(ft, r->peer_next)->peer_prev = r->peer_prev;
    ti_release(ft->tags, r->set);
    r->set = 0;
}

/* A name made ready for the table. */
struct name {
    struct flow_key key, mask;
    uint64_t cookie;
};

static void name_init(struct name *n, const struct flow_key *key, const struct flow_key *mask)
{
    n->key = *key;
    n->mask = *mask;
    flow_name_clean(&n->key, &n->mask);
    n->cookie = flow_name_hash(&n->key, flow_mask_hash(&n->mask));
}

uint64_t ft_cookie(const struct flow_key *key, const struct flow_key *mask)
{
    struct name n;

    name_init(&n, key, mask);
    return n.cookie;
}

static uint32_t find_cookie(const struct flowtable *ft, uint64_t cookie)
{
    uint32_t id = ft->buckets[cookie & ft->bucket_mask];

    for (; id; id = rec_at(ft, id)->next) {
        const struct rec *r = rec_at(ft, id);
        if (r->cookie_low == (uint32_t)cookie && r->cookie_high == (uint32_t)(cookie >> 32))
            return id;
    }
    return 0;
}

/* 64 bits of hash decide in all but theory; the comparison keeps theory from forwarding wrongly. */
static uint32_t find_name(const struct flowtable *ft, const struct name *n)
{
    uint32_t id = find_cookie(ft, n->cookie);
    struct flow_key key, mask;

    if (!id)
        return 0;
    ft_key(ft, id, &key, &mask);
    return memcmp(&key, &n->key, sizeof key) || memcmp(&mask, &n->mask, sizeof mask) ? 0 : id;
}

uint32_t ft_by_cookie(const struct flowtable *ft, uint64_t cookie)
{
    return find_cookie(ft, cookie);
}

uint32_t ft_find(const struct flowtable *ft, const struct flow_key *key,
                 const struct flow_key *mask)
{
    struct name n;

    name_init(&n, key, mask);
    return find_name(ft, &n);
}

/* A new record in its bucket and in no list. */
static uint32_t add_name(struct flowtable *ft, const struct name *n)
{
    unsigned slab = 0;

    if (ft->n_flows >= ft->max_flows || find_cookie(ft, n->cookie))
        return 0;
    uint32_t mask = flow_masks_find(&ft->masks, &n->key, &n->mask, true);
    if (!mask)
        return 0;
    struct flow_mask *m = &ft->masks.masks[mask];
    while (slab_words[slab] < m->n_words)
        slab++;
    uint32_t number = slab_take(&ft->slabs[slab]);
    if (!number)
        return 0;
    uint32_t id = slab << ID_BITS | number, *bucket = &ft->buckets[n->cookie & ft->bucket_mask];
    struct rec *r = rec_at(ft, id);
    *r = (struct rec){.next = *bucket,
                      .cookie_low = (uint32_t)n->cookie,
                      .cookie_high = (uint32_t)(n->cookie >> 32),
                      .mask = (uint16_t)mask};
    flow_name_fold(m, &n->key, r->words);
    *bucket = id;
    m->n_flows++;
    ft->n_flows++;
    return id;
}

static void remove_name(struct flowtable *ft, uint32_t id)
{
    struct rec *r = rec_at(ft, id);
    uint32_t *link = &ft->buckets[r->cookie_low & ft->bucket_mask];

    while (*link != id)
        link = &rec_at(ft, *link)->next;
    *link = r->next;
    ft->masks.masks[r->mask].n_flows--;
    r->mask = 0; /* for ft_next() */
    slab_give(&ft->slabs[id >> ID_BITS], id & ID_MASK);
    ft->n_flows--;
}

int ft_put(struct flowtable *ft, const struct ft_flow *f, uint64_t now, struct ft_done *done)
{
    enum ft_put_result result = FT_NEW;
    struct name n;

    name_init(&n, f->key, f->mask);
    uint32_t id = find_name(ft, &n), set = ti_take(ft->tags, f->tags, f->n_tags);
    if (!set)
        return -ENOSPC;
    *done = (struct ft_done){.cookie = n.cookie};
    if (id) {
        const struct rec *r = rec_at(ft, id);
        done->old_drop = r->drop;
        bool lost = f->missed && passed(steps(now), r->made, steps(FRESH_NS));
        result = r->outs_hash == f->outs_hash && !lost ? FT_SAME : FT_CHANGED;
        list_remove(ft, id);
        peers_remove(ft, id);
        ft->n_class[r->class]--;
    } else if (!(id = add_name(ft, &n))) {
        ti_release(ft->tags, set);
        return -ENOSPC;
    }
    struct rec *r = rec_at(ft, id);
    r->class = f->class & 15;
    r->state = 0;
    r->drop = f->drop;
    r->outs_hash = f->outs_hash;
    r->looked = r->simulated = steps(now);
    r->used_since = false;
    if (result != FT_SAME)
        r->made = steps(now);
    ft->n_class[r->class]++;
    peers_add(ft, id, set);
    list_append(ft, id);
    done->id = id;
    return result;
}

int ft_adopt(struct flowtable *ft, const struct flow_key *key, const struct flow_key *mask,
             uint32_t outs_hash, uint64_t now)
{
    struct name n;

    name_init(&n, key, mask);
    if (find_name(ft, &n))
        return 0;
    uint32_t id = add_name(ft, &n);
    if (!id)
        return -ENOSPC;
    struct rec *r = rec_at(ft, id);
    r->class = FT_FORWARD;
    r->state = DUE;
    r->outs_hash = outs_hash;
    r->made = r->looked = r->simulated = steps(now);
    ft->n_class[FT_FORWARD]++;
    list_append(ft, id);
    return 0;
}

void ft_remove(struct flowtable *ft, uint32_t id)
{
    list_remove(ft, id);
    peers_remove(ft, id);
    ft->n_class[rec_at(ft, id)->class]--;
    remove_name(ft, id);
}

static uint32_t last_use(const struct rec *r)
{
    return r->used && (int32_t)(r->used - r->made) > 0 ? r->used : r->made;
}

uint32_t ft_victim(const struct flowtable *ft)
{
    for (unsigned c = 0; c < N_LISTS; c++) {
        uint32_t best = ft->lists[c].first, id = best;
        for (unsigned i = 0; id && i < 8; i++, id = rec_at(ft, id)->list_next)
            if ((int32_t)(last_use(rec_at(ft, id)) - last_use(rec_at(ft, best))) < 0)
                best = id;
        if (best)
            return best;
    }
    return 0;
}

uint32_t ft_due(const struct flowtable *ft)
{
    return ft->lists[DUE].first;
}

size_t ft_n_due(const struct flowtable *ft)
{
    return ft->lists[DUE].n;
}

bool ft_defer(struct flowtable *ft, uint32_t id, const tag_t *tags, size_t n_tags, uint64_t now)
{
    uint32_t set = passed(steps(now), rec_at(ft, id)->looked, ft->patience)
                       ? 0
                       : ti_take(ft->tags, tags, n_tags);

    if (!set)
        return false;
    peers_remove(ft, id);
    peers_add(ft, id, set);
    ft_move(ft, id, DEFERRED);
    return true;
}

/* What the turn of flow 'id' comes to: true when it shall go. */
static bool look_at(struct flowtable *ft, uint32_t id, uint32_t now)
{
    struct rec *r = rec_at(ft, id);

    if (r->class == FT_SHORT || r->state == DEFERRED || passed(now, last_use(r), ft->idle_life))
        return true;
    bool stale = passed(now, r->simulated, ft->resimulate[r->class]) && r->used_since;
    r->looked = now;
    ft_move(ft, id, stale ? DUE : 0);
    return false;
}

size_t ft_look(struct flowtable *ft, uint64_t now_ns, unsigned *budget, uint32_t *ids, size_t max)
{
    uint32_t now = steps(now_ns);
    size_t n = 0;

    for (unsigned c = 0; c < N_LISTS; c++) {
        uint32_t interval = c == FT_SHORT   ? ft->short_life
                            : c == DEFERRED ? ft->patience
                                            : ft->look_interval;
        if (c == DUE)
            continue;
        uint32_t id = ft->lists[c].first;
        for (; id && *budget && n < max && passed(now, rec_at(ft, id)->looked, interval);
             --*budget) {
            uint32_t next = rec_at(ft, id)->list_next;
            if (look_at(ft, id, now))
                ids[n++] = id;
            id = next;
        }
    }
    return n;
}

uint32_t ft_note(struct flowtable *ft, uint64_t cookie, uint64_t packets, uint64_t used,
                 uint32_t *n_new)
{
    uint32_t id = find_cookie(ft, cookie);

    if (!id)
        return 0;
    struct rec *r = rec_at(ft, id);
    /* a datapath counts anew when a flow is replaced */
    *n_new = (int32_t)((uint32_t)packets - r->packets) >= 0 ? (uint32_t)packets - r->packets
                                                            : (uint32_t)packets;
    r->packets = (uint32_t)packets;
    if (used && *n_new) {
        uint32_t then = MAX(1u, steps(used));
        /* the records of one used seldom are old: now, not when its turn comes */
        if (r->class == FT_STATEFUL && passed(then, last_use(r), ft->resimulate[FT_STATEFUL]))
            ft_make_due(ft, id, then);
        r->used = then;
        r->used_since = true;
    }
    return id;
}

void ft_key(const struct flowtable *ft, uint32_t id, struct flow_key *key, struct flow_key *mask)
{
    const struct rec *r = rec_at(ft, id);
    const struct flow_mask *m = &ft->masks.masks[r->mask];

    flow_name_unfold(m, r->words, key);
    *mask = m->mask;
}

uint32_t ft_drop(const struct flowtable *ft, uint32_t id)
{
    return rec_at(ft, id)->drop;
}

void ft_info(const struct flowtable *ft, uint32_t id, uint64_t now, struct ft_info *out)
{
    const struct rec *r = rec_at(ft, id);
    uint32_t t = steps(now);

    ft_key(ft, id, &out->key, &out->mask);
    out->class = r->class;
    out->due = r->state == DUE;
    out->deferred = r->state == DEFERRED;
    out->used_since = r->used_since;
    out->drop = r->drop;
    out->outs_hash = r->outs_hash;
    out->set = r->set;
    out->age_ns = (uint64_t)(t - r->made) << 24;
    out->used_ns = (uint64_t)(t - last_use(r)) << 24;
    out->packets = r->packets;
}

uint32_t ft_next(const struct flowtable *ft, uint32_t id)
{
    for (unsigned slab = id >> ID_BITS; slab < N_SLABS; slab++) {
        for (uint32_t i = (id & ID_MASK) + 1; i <= ft->slabs[slab].n_ever; i++) {
            const struct rec *r = slab_at(&ft->slabs[slab], i);
            if (r->mask)
                return slab << ID_BITS | i;
        }
        id = 0;
    }
    return 0;
}

struct tagindex *ft_tagindex(const struct flowtable *ft)
{
    return ft->tags;
}

uint32_t ft_n_flows(const struct flowtable *ft)
{
    return ft->n_flows;
}

uint32_t ft_n_class(const struct flowtable *ft, enum ft_class c)
{
    return ft->n_class[c];
}

uint32_t ft_n_masks(const struct flowtable *ft)
{
    uint32_t n = 0;

    for (uint32_t i = 1; i < ft->masks.n; i++)
        n += ft->masks.masks[i].n_flows != 0;
    return n;
}

size_t ft_memory(const struct flowtable *ft)
{
    size_t size = sizeof *ft + (ft->bucket_mask + 1) * sizeof *ft->buckets + ti_memory(ft->tags) +
                  ft->masks.room * sizeof *ft->masks.masks;

    for (unsigned i = 0; i < N_SLABS; i++)
        size += slab_memory(&ft->slabs[i]);
    return size;
}
