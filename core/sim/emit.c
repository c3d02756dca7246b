/* Packets that devices make on the way: they leave their maker like any other packet does, in the
 * same run, but their outputs are their own, and neither mask nor tags nor the fate of the packet
 * that caused them are touched. */
#include "sim/mask.h"

uint8_t *materialize(struct run *r, const struct base *base, const struct flow_key *hdr,
                     size_t *size)
{
    enum { HEADROOM = 8 };
    struct base hand = {r->hand.packet, r->hand.size, r->hand.key};
    struct flow_out diff;

    base = base ? base : &hand;
    uint8_t *copy = arena_alloc(r->arena, HEADROOM + base->size);
    memcpy(copy + HEADROOM, base->packet, base->size);
    *size = base->size;
    flow_out_diff(&diff, base->key, hdr);
    return packet_rewrite(copy + HEADROOM, size, &diff);
}

uint8_t *rebase(struct run *r, size_t *size)
{
    uint8_t *packet = materialize(r, r->at.base, &r->at.raw, size);
    struct base *base = arena_alloc(r->arena, sizeof *base);

    *base = (struct base){packet, (uint32_t)*size, snapshot(r)};
    r->at.base = base;
    userspace_only(r);
    return packet;
}

bool emit_begin(struct run *r, struct aside *a, enum sim_emit_kind kind, topo_ref port,
                const struct ip *ip, const uint8_t *packet, size_t size)
{
    struct flow_key *key;
    struct packet_layers l;

    if (!size || r->hand.nested == SIM_MAX_NESTED)
        return false;
    *a = (struct aside){.at = r->at,
                        .hand = r->hand,
                        .kind = (uint8_t)kind,
                        .port = port,
                        .ip = ip ? *ip : ip_none};
    key = arena_alloc(r->arena, sizeof *key);
    *key = (struct flow_key){0};
    packet_parse(packet, size, key, &l);
    r->hand = (struct hand){.packet = packet,
                            .size = (uint32_t)size,
                            .key = key,
                            .nested = (uint8_t)(a->hand.nested + 1)};
    r->at = (struct at){.raw = *key,
                        .own = FIELDS_ALL,
                        .device = a->at.device,
                        .n_devices = a->at.n_devices,
                        .depth = (uint8_t)(a->at.depth + 1)};
    return true;
}

void emit_end(struct run *r, struct aside *a)
{
    struct sim_result *res = r->res;
    struct hand made = r->hand;

    r->hand = a->hand;
    r->at = a->at;
    if (!made.n_outs || made.given_up)
        return;
    res->emits = grow_list(r, res->emits, res->n_emits, &r->room_emits, sizeof *res->emits);
    res->emits[res->n_emits++] = (struct sim_emit){
        .kind = a->kind,
        .packet = made.packet,
        .size = made.size,
        .n_outs = made.n_outs,
        .outs = made.outs,
        .key = *made.key,
        .port = a->port,
        .ip = a->ip,
    };
}
