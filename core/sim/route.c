/* Route lookup (behaviour: longest prefix, source, weight) and the choice among equals. */
#include "base/hash.h"
#include "sim/mask.h"

static void __attribute__((cold))
tell_unusable(struct run *r, const struct topo_route *route, const struct topo_port *p)
{
    char dst[CIDR_STRLEN];

    TRAIL(r, TOPO_ROUTE, &route->id, "route %s passed over: %s %s", cidr_format(&route->dst, dst),
          name_of(r, route->port),
          !p                      ? "isn't there"
          : !p->admin_up          ? "is down"
          : topo_port_exterior(p) ? "isn't served by its host"
                                  : "has no peer");
}

struct search {
    struct run *r;
    bool last_resort;
    bool silent; /* a route was passed over whose port is */
};

/* A route counts while its port can carry packets.  Where none does, one counts whose host nobody
 * has heard of: it may only be cut off from the store, and if it is dead nothing is lost. */
static bool usable(const struct topo_route *route, void *aux)
{
    struct search *s = aux;
    struct run *r = s->r;
    const struct topo_port *p;

    if (route->hop == TOPO_HOP_BLACKHOLE || route->hop == TOPO_HOP_REJECT)
        return true;
    add_tag(r, tag_object(route->port));
    p = peek_port(r, route->port);
    bool takes = p && (p->active || (s->last_resort && p->silent));
    bool carries = p && p->admin_up && (topo_port_exterior(p) ? takes : p->peer != 0);
    s->silent |= p && p->admin_up && p->silent;
    if (unlikely(!carries && r->in->want_trail))
        tell_unusable(r, route, p);
    return carries;
}

/* Rendezvous hashing: every host that has the same routes picks the same one, both directions of a
 * connection agree, and a route that comes or goes moves only the connections that are its own. */
static const struct topo_route *choose(struct run *r, const struct topo_lpm_result *found)
{
    const struct topo_route *best = found->best[0];
    uint64_t connection, best_score = 0;

    if (found->n == 1)
        return best;
    connection = connection_hash(r);
    for (unsigned i = 0; i < found->n; i++) {
        const struct topo_route *route = found->best[i];
        uint64_t score = hash_stable(&route->id, sizeof route->id, connection);
        if (!i || score > best_score) {
            best = route;
            best_score = score;
        }
    }
    return best;
}

static const char *hop_name(const struct topo_route *route)
{
    static const char *const names[] = {"", "local", "blackhole", "reject"};

    return route->hop < ARRAY_SIZE(names) ? names[route->hop] : "";
}

static void __attribute__((cold)) tell(struct run *r, const struct topo_route *route, unsigned n)
{
    char dst[CIDR_STRLEN], gw[IP_STRLEN];

    cidr_format(&route->dst, dst);
    if (route->hop != TOPO_HOP_PORT) {
        TRAIL(r, TOPO_ROUTE, &route->id, "route %s %s", dst, hop_name(route));
        return;
    }
    ip_format(&route->gateway, gw);
    TRAIL(r, TOPO_ROUTE, &route->id, "route %s %s%s%sthrough %s, weight %u%s", dst,
          ip_is_none(&route->gateway) ? "" : "via ", ip_is_none(&route->gateway) ? "" : gw,
          ip_is_none(&route->gateway) ? "" : " ", name_of(r, route->port), route->weight,
          n > 1 ? ", chosen among equals by connection" : "");
}

const struct topo_route *route_lookup(struct run *r, const struct topo_router *rt)
{
    struct topo_lpm_result found;
    struct search s = {.r = r};

    topo_lpm_lookup(rt->routes, PEEK(r, ip_dst), PEEK(r, ip_src), usable, &s, &found);
    if (unlikely(!found.n && s.silent)) {
        s.last_resort = true;
        topo_lpm_lookup(rt->routes, PEEK(r, ip_dst), PEEK(r, ip_src), usable, &s, &found);
    }
    SEE_PREFIX(r, ip_dst, found.dst_bits, dst_bits);
    SEE_PREFIX(r, ip_src, found.src_bits, src_bits);
    add_dst_tag(r, rt->obj.self, PEEK(r, ip_dst), found.dst_bits);
    if (!found.n)
        return NULL;
    const struct topo_route *route = choose(r, &found);
    if (unlikely(r->in->want_trail))
        tell(r, route, found.n);
    return route;
}
