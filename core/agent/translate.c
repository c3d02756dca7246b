#include "agent/translate.h"

enum { PLACES = 3 /* of a port that moves: its host, the former one, and here still */ };
static const struct mac mac_zero;

/* This host's address, the other's and the encapsulation in their first common zone. */
static bool find_tunnel(const struct topo_host *local, const struct topo_host *remote,
                        struct flow_out *out)
{
    for (unsigned i = 0; local && remote && i < local->n_zones; i++) {
        const struct topo_zone_addr *a = &local->zones[i];
        for (unsigned j = 0; j < remote->n_zones; j++) {
            const struct topo_zone_addr *b = &remote->zones[j];
            if (!uuid_equal(&a->zone, &b->zone) || ip_is4(&a->ip) != ip_is4(&b->ip))
                continue;
            out->tun_local = a->ip;
            out->tun_remote = b->ip;
            out->tun_type = a->type;
            return true;
        }
    }
    return false;
}

bool translate_way(const struct topo *topo, topo_ref local_host, topo_ref host,
                   struct flow_out *out)
{
    return find_tunnel(topo_host(topo, local_host), topo_host(topo, host), out);
}

static void lose(struct translation *t, enum sim_reason reason, enum topo_kind kind,
                 const struct uuid *object)
{
    t->n_lost++;
    t->lost = (struct drop_cause){.reason = (uint16_t)reason, .kind = (uint8_t)kind};
    if (object)
        t->lost.object = *object;
}

static void add_tag(struct translation *t, tag_t tag)
{
    for (uint32_t i = 0; i < t->n_tags; i++)
        if (t->tags[i] == tag)
            return;
    t->tags[t->n_tags++] = tag;
}

/* A place where a port is served, as seen from this host. */
static bool aim_at(const struct topo *topo, topo_ref local_host, topo_ref host, uint32_t key,
                   struct flow_out *out, struct translation *t)
{
    add_tag(t, tag_tunnel(host));
    add_tag(t, tag_tunnel(local_host));
    out->kind = FLOW_OUT_TUNNEL;
    out->tun_id = key;
    if (find_tunnel(topo_host(topo, local_host), topo_host(topo, host), out))
        return true;
    t->brief |= !topo_host(topo, host) || !topo_host(topo, local_host);
    return false;
}

/* Where the copy for virtual port 'ref' goes: how many places.  While its machine moves between two
 * hosts that is both of them, for nobody here knows on which it runs. */
static unsigned aim(const struct topo *topo, const struct portmap *map, topo_ref local_host,
                    topo_ref ref, struct flow_out outs[PLACES], struct translation *t)
{
    const struct topo_port *port = topo_port(topo, ref);
    uint32_t no = portmap_no(map, ref);
    topo_ref unreached = 0;
    unsigned n = 0;

    if (no) {
        outs[n].kind = FLOW_OUT_PORT;
        outs[n++].port = no;
    }
    if (port && port->tunnel_key && port->host != local_host) {
        if (aim_at(topo, local_host, port->host, port->tunnel_key, &outs[n], t))
            n++;
        else
            unreached = port->host;
    }
    if (port && port->former && port->former != local_host) {
        if (aim_at(topo, local_host, port->former, port->former_key, &outs[n], t))
            n++;
        else if (!unreached)
            unreached = port->former;
    }
    if (!n && unreached) {
        lose(t, SIM_NO_TUNNEL, TOPO_HOST, topo_id(topo, unreached));
    } else if (!n) {
        lose(t, SIM_PORT_INACTIVE, TOPO_PORT, topo_id(topo, ref));
        t->brief = true; /* being bound, or the table behind the port's state */
    }
    return n;
}

static void note_whole(struct translation *t, const struct sim_out *out, uint32_t room,
                       struct arena *arena)
{
    if (!t->whole) {
        t->whole = arena_alloc(arena, room * sizeof(const struct sim_out *));
        memset(t->whole, 0, room * sizeof(const struct sim_out *));
    }
    t->whole[t->n_outs] = out;
}

void translate(const struct topo *topo, const struct portmap *map, topo_ref local_host,
               const struct flow_key *from, const struct sim_out *outs, uint32_t n_outs,
               struct arena *arena, struct translation *t)
{
    *t = (struct translation){0};
    n_outs = MIN(n_outs, (uint32_t)UINT16_MAX / PLACES);
    t->outs = arena_alloc(arena, PLACES * n_outs * sizeof *t->outs);
    t->tags = arena_alloc(arena, (PLACES + 1) * n_outs * sizeof *t->tags);
    for (uint32_t i = 0; i < n_outs; i++) {
        struct flow_out diff = {0}, places[PLACES];
        if (!outs[i].packet)
            flow_out_diff(&diff, from, outs[i].hdr);
        for (unsigned k = 0; k < PLACES; k++)
            places[k] = diff;
        unsigned n = aim(topo, map, local_host, outs[i].port, places, t);
        for (unsigned k = 0; k < n; k++) {
            struct flow_out *out = &t->outs[t->n_outs];
            *out = places[k];
            translate_clean(out);
            t->ttl_dec = MAX(t->ttl_dec, out->set & FLOW_DEC_TTL ? out->ttl_dec : 0);
            if (outs[i].packet)
                note_whole(t, &outs[i], PLACES * n_outs, arena);
            t->n_outs++;
        }
    }
}

void translate_clean(struct flow_out *out)
{
    struct flow_out clean = {.set = out->set,
                             .kind = out->kind,
                             .eth_src = out->set & FLOW_SET_ETH_SRC ? out->eth_src : mac_zero,
                             .eth_dst = out->set & FLOW_SET_ETH_DST ? out->eth_dst : mac_zero,
                             .ip_src = out->set & FLOW_SET_IP_SRC ? out->ip_src : ip_none,
                             .ip_dst = out->set & FLOW_SET_IP_DST ? out->ip_dst : ip_none,
                             .ip_tos = out->set & FLOW_SET_TOS ? out->ip_tos : 0,
                             .tp_src = out->set & FLOW_SET_TP_SRC ? out->tp_src : 0,
                             .tp_dst = out->set & FLOW_SET_TP_DST ? out->tp_dst : 0,
                             .ttl_dec = out->set & FLOW_DEC_TTL ? out->ttl_dec : 0,
                             .vlan_tci = out->set & FLOW_PUSH_VLAN ? out->vlan_tci : 0};

    if (out->kind == FLOW_OUT_PORT) {
        clean.port = out->port;
    } else {
        clean.tun_type = out->tun_type;
        clean.tun_id = out->tun_id;
        clean.tun_local = out->tun_local;
        clean.tun_remote = out->tun_remote;
        clean.tun_tos = out->tun_tos;
    }
    *out = clean;
}

uint32_t translate_hash(const struct flow_out *outs, uint16_t n)
{
    uint64_t hash = n;

    /* one by one, added up: a datapath may give them back in another order */
    for (uint16_t i = 0; i < n; i++)
        hash += hash_u64(hash_stable(&outs[i], sizeof outs[i], 0));
    return (uint32_t)(hash ^ hash >> 32);
}
