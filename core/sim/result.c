/* How journeys end, and what they leave in the result. */
#include "sim/mask.h"

enum { MAX_LEARNS = 256 };

/* Room for one more: the list itself, or a larger copy. */
void *grow_list(struct run *r, void *list, uint32_t n, uint32_t *room, size_t size)
{
    if (n < *room)
        return list;
    uint32_t more = *room ? *room * 2 : 8;
    void *bigger = arena_alloc(r->arena, more * size);
    if (n)
        memcpy(bigger, list, n * size);
    *room = more;
    return bigger;
}

static bool set_add(struct run *r, tag_t tag)
{
    uint32_t mask = r->room_set - 1;

    for (uint32_t i = (uint32_t)(tag >> 8) & mask;; i = (i + 1) & mask) {
        if (r->tag_set[i] == tag)
            return false;
        if (!r->tag_set[i]) {
            r->tag_set[i] = tag;
            return true;
        }
    }
}

static void set_rebuild(struct run *r)
{
    r->room_set = r->room_set ? r->room_set * 4 : SIM_FEW_TAGS / 3 * 16;
    r->tag_set = arena_alloc(r->arena, r->room_set * sizeof *r->tag_set);
    memset(r->tag_set, 0, r->room_set * sizeof *r->tag_set);
    for (uint32_t i = 0; i < r->res->n_tags; i++)
        set_add(r, r->res->tags[i]);
}

static bool tag_known(struct run *r, tag_t tag)
{
    uint32_t n = r->res->n_tags;

    if (n < SIM_FEW_TAGS) {
        for (uint32_t i = 0; i < n; i++)
            if (r->res->tags[i] == tag)
                return true;
        return false;
    }
    if (n * 2 >= r->room_set)
        set_rebuild(r);
    return !set_add(r, tag);
}

void add_tag_slow(struct run *r, tag_t tag)
{
    struct sim_result *res = r->res;

    if (tag_known(r, tag))
        return;
    res->tags = grow_list(r, res->tags, res->n_tags, &r->room_tags, sizeof *res->tags);
    res->tags[res->n_tags++] = tag;
}

void add_dst_tag(struct run *r, topo_ref router, const struct ip *dst, unsigned bits)
{
    struct sim_result *res = r->res;
    struct tag_dst d = {*dst, router, (uint8_t)bits};
    uint32_t before = res->n_tags;

    add_tag(r, tag_of_dst(&d));
    if (res->n_tags == before)
        return;
    res->dsts = grow_list(r, res->dsts, res->n_dsts, &r->room_dsts, sizeof *res->dsts);
    res->dsts[res->n_dsts++] = d;
}

/* One lesson about one subject: a frame that comes round to a bridge again, by another port,
 * doesn't move its source there. */
static bool same_subject(const struct sim_learn *a, const struct sim_learn *b)
{
    if (a->kind != b->kind || a->device != b->device)
        return false;
    if (a->kind == SIM_LEARN_MAC)
        return a->vlan == b->vlan && mac_equal(&a->mac, &b->mac);
    return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

void learn(struct run *r, const struct sim_learn *l)
{
    struct sim_result *res = r->res;

    for (uint32_t i = 0; i < res->n_learns; i++)
        if (same_subject(&res->learns[i], l))
            return;
    if (res->n_learns == MAX_LEARNS)
        return;
    res->learns = grow_list(r, res->learns, res->n_learns, &r->room_learns, sizeof *res->learns);
    res->learns[res->n_learns++] = *l;
}

/* The header as it is now; branches of a flood share one copy for as long as nobody changes it. */
const struct flow_key *snapshot(struct run *r)
{
    if (!r->at.snapshot) {
        struct flow_key *copy = arena_alloc(r->arena, sizeof *copy);
        *copy = r->at.raw;
        r->at.snapshot = copy;
    }
    return r->at.snapshot;
}

/* A MAC address that a device gave the packet, and that it had by chance, looks as if it were left
 * alone: the flow wouldn't change that of others, so it must not fit them. */
static void see_unchanged(struct run *r)
{
    const struct flow_key *was = r->hand.key, *is = &r->at.raw;

    if (r->at.own & FIELD(eth_src) && unlikely(mac_equal(&was->eth_src, &is->eth_src)))
        r->seen |= FIELD(eth_src);
    if (r->at.own & FIELD(eth_dst) && unlikely(mac_equal(&was->eth_dst, &is->eth_dst)))
        r->seen |= FIELD(eth_dst);
}

/* What lies behind a second tag is no difference to the key, which shows nothing of it, unless a
 * device changed it. */
static const struct flow_key *header_out(struct run *r)
{
    const struct flow_key *was = r->hand.key;
    struct flow_key *h;

    if (likely(!r->at.popped || was->n_vlans < 2) || r->at.base)
        return snapshot(r);
    h = arena_alloc(r->arena, sizeof *h);
    *h = r->at.raw;
    if (!(r->at.own & FIELD(ip_src)))
        h->ip_src = was->ip_src;
    if (!(r->at.own & FIELD(ip_dst)))
        h->ip_dst = was->ip_dst;
    if (!(r->at.own & FIELD(ip_tos)))
        h->ip_tos = was->ip_tos;
    if (!(r->at.own & FIELD(tp_src)))
        h->tp_src = was->tp_src;
    if (!(r->at.own & FIELD(tp_dst)))
        h->tp_dst = was->tp_dst;
    return h;
}

void out_port(struct run *r, const struct topo_port *p)
{
    struct hand *h = &r->hand;

    if (unlikely(h->n_outs == SIM_MAX_OUTS)) {
        drop_all(r, SIM_NO_MEMORY, &p->obj);
        return;
    }
    h->outs = grow_list(r, h->outs, h->n_outs, &h->room_outs, sizeof *h->outs);
    struct sim_out *out = &h->outs[h->n_outs++];
    *out = (struct sim_out){.port = p->obj.self, .hdr = header_out(r)};
    if (!h->nested)
        see_unchanged(r);
    if (unlikely(r->at.base)) {
        size_t size;
        out->packet = materialize(r, r->at.base, out->hdr, &size);
        out->size = (uint32_t)size;
    }
    r->n_ends++;
    if (unlikely(r->in->want_trail))
        trail_add(r, TOPO_PORT, &p->obj.id, SIM_DELIVERED, "leaves by %s", name_of(r, p->obj.self));
}

void consumed(struct run *r, const struct topo_obj *by, const char *what)
{
    r->n_ends++;
    userspace_only(r); /* copies may leave besides, but the next one is to be answered too */
    if (!r->hand.nested && !r->consumer)
        r->consumer = by;
    if (unlikely(r->in->want_trail))
        trail_add(r, (enum topo_kind)by->kind, &by->id, SIM_CONSUMED, "%s", what);
}

/* Of several branches that ended badly the first one names the reason. */
void drop_by(struct run *r, enum sim_reason reason, enum topo_kind kind, const struct uuid *id,
             bool brief)
{
    struct sim_result *res = r->res;

    r->n_ends++;
    if (unlikely(r->in->want_trail))
        trail_add(r, kind, id, reason, "dropped by %s: %s", name_by_id(r, kind, id),
                  sim_reason_name(reason));
    if (r->hand.nested)
        return;
    res->brief |= brief;
    if (res->reason != SIM_NONE)
        return;
    res->reason = reason;
    res->reason_kind = (uint8_t)kind;
    res->reason_id = *id;
}

void drop(struct run *r, enum sim_reason reason, const struct topo_obj *by)
{
    drop_by(r, reason, (enum topo_kind)by->kind, &by->id, false);
}

void drop_all(struct run *r, enum sim_reason reason, const struct topo_obj *by)
{
    if (!r->hand.nested)
        r->res->reason = SIM_NONE; /* takes precedence */
    drop_brief(r, reason, by);
    r->hand.given_up = true;
}

void drop_brief(struct run *r, enum sim_reason reason, const struct topo_obj *by)
{
    drop_by(r, reason, (enum topo_kind)by->kind, &by->id, true);
}
