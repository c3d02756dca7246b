#include <stdlib.h>

#include "topology/sync_policy.h"
#include "topology/sync_table.h"

static int compare_links(const void *pa, const void *pb)
{
    const struct topo_link *a = pa, *b = pb;
    int c = memcmp(&a->mac, &b->mac, sizeof a->mac);

    return c ? c : (a->port > b->port) - (a->port < b->port);
}

/* The port at the other end of 'p', when both ends are known and say so. */
static const struct topo_port *peer_of(struct sync *s, const struct topo_port *p)
{
    const struct topo_port *peer = p->peer ? topo_port(s->topo, p->peer) : NULL;

    return peer && !peer->obj.missing && peer->device ? peer : NULL;
}

static int compare_refs(const void *pa, const void *pb)
{
    topo_ref a = *(const topo_ref *)pa, b = *(const topo_ref *)pb;

    return (a > b) - (a < b);
}

static bool has(const topo_ref *sorted, size_t n, topo_ref ref)
{
    return n && bsearch(&ref, sorted, n, sizeof ref, compare_refs);
}

/* The port, if it is one of the device's. */
static const struct topo_port *port_of(struct sync *s, const struct device_item *d, topo_ref ref)
{
    const struct topo_port *p = topo_port(s->topo, ref);

    return p && !p->obj.missing && has(d->ports, d->n_ports, ref) ? p : NULL;
}

static void add_link(struct topo_bridge *b, struct topo_link l, struct cidr **room)
{
    const struct cidr *addrs = l.addrs;

    l.addrs = l.n_addrs ? *room : NULL;
    if (l.n_addrs)
        memcpy(l.addrs, addrs, l.n_addrs * sizeof *addrs);
    *room += l.n_addrs;
    b->links[b->n_links++] = l;
    b->has_vlan_ports |= l.vlan != 0;
}

static struct topo_link link_to(const struct topo_port *p, const struct topo_port *peer)
{
    struct topo_link l = {.port = p->obj.self,
                          .peer = peer->obj.self,
                          .peer_device = peer->device,
                          .peer_kind = peer->device_kind,
                          .vlan = p->vlan};

    if (peer->device_kind == TOPO_ROUTER) {
        l.mac = peer->mac;
        l.n_addrs = peer->n_addrs;
        l.addrs = peer->addrs;
    }
    return l;
}

/* Room for what 'old' lists and for 'n' ports more.  Returns where the links' addresses go. */
static struct cidr *new_lists(struct sync *s, const struct device_item *d, struct topo_bridge *b,
                              const struct topo_bridge *old, const topo_ref *touched, size_t n)
{
    size_t links = 0, addrs = 0;

    for (size_t i = 0; i < n; i++) {
        const struct topo_port *p = port_of(s, d, touched[i]), *peer = p ? peer_of(s, p) : NULL;
        links += peer != NULL;
        addrs += peer ? peer->n_addrs : 0;
    }
    for (uint32_t i = 0; i < old->n_links; i++)
        addrs += old->links[i].n_addrs;
    links += old->n_links;
    b->port_lists = topo_shared_new(links * sizeof *b->links + addrs * sizeof(struct cidr) +
                                    (old->n_exterior + n) * sizeof *b->exterior);
    b->links = (struct topo_link *)(void *)b->port_lists->data;
    struct cidr *room = (struct cidr *)(void *)(b->links + links);
    b->exterior = (topo_ref *)(void *)(room + addrs);
    return room;
}

/* What 'old' lists, with the ports of 'touched' (sorted) as they are now. */
static void list_ports(struct sync *s, const struct device_item *d, struct topo_bridge *b,
                       const struct topo_bridge *old, const topo_ref *touched, size_t n)
{
    struct cidr *room = new_lists(s, d, b, old, touched, n);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < old->n_links; i++) {
        if (!has(touched, n, old->links[i].port))
            add_link(b, old->links[i], &room);
    }
    for (size_t i = 0; i <= n; i++) { /* the old ones up to the touched one, then this */
        topo_ref ref = i < n ? touched[i] : UINT32_MAX;
        for (; kept < old->n_exterior && old->exterior[kept] <= ref; kept++) {
            if (old->exterior[kept] != ref)
                b->exterior[b->n_exterior++] = old->exterior[kept];
        }
        const struct topo_port *p = i < n ? port_of(s, d, ref) : NULL;
        const struct topo_port *peer = p ? peer_of(s, p) : NULL;
        if (p && topo_port_exterior(p))
            b->exterior[b->n_exterior++] = ref;
        if (peer)
            add_link(b, link_to(p, peer), &room);
    }
    if (b->n_links)
        qsort(b->links, b->n_links, sizeof *b->links, compare_links);
}

/* Whether 'old' lists these ports as they are now. */
static bool lists_hold(struct sync *s, const struct device_item *d, const struct topo_bridge *old,
                       const topo_ref *touched, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct topo_port *p = port_of(s, d, touched[i]);
        if ((p && peer_of(s, p)) ||
            (p && topo_port_exterior(p)) != has(old->exterior, old->n_exterior, touched[i]))
            return false;
    }
    for (uint32_t i = 0; n && i < old->n_links; i++) {
        if (has(touched, n, old->links[i].port))
            return false;
    }
    return true;
}

/* Which of its ports go where; 'old' null: nothing is known yet.  Most changes touch one port of
 * thousands, or none, and most of those that touch one don't change where it goes. */
static void fill_ports(struct sync *s, struct device_item *d, struct topo_bridge *b,
                       const struct topo_bridge *old)
{
    static const struct topo_bridge none;
    refs *t = &d->touched;
    size_t n = 0;

    if (!old || d->touched_all) {
        list_ports(s, d, b, &none, d->ports, d->n_ports);
    } else {
        if (t->n)
            qsort(t->v, t->n, sizeof *t->v, compare_refs);
        for (size_t i = 0; i < t->n; i++) {
            if (!n || t->v[n - 1] != t->v[i])
                t->v[n++] = t->v[i];
        }
        if (lists_hold(s, d, old, t->v, n)) {
            b->port_lists = topo_shared_ref(old->port_lists);
            b->n_exterior = old->n_exterior;
            b->exterior = old->exterior;
            b->n_links = old->n_links;
            b->links = old->links;
            b->has_vlan_ports = old->has_vlan_ports;
        } else {
            list_ports(s, d, b, old, t->v, n);
        }
    }
    t->n = 0;
    d->touched_all = false;
}

static void fill_seeds(struct device_item *d, struct topo_bridge *b, const struct topo_bridge *old)
{
    b->n_seeds = (uint32_t)d->seeds.n;
    if (old && !d->seeds_changed) {
        b->seed_list = topo_shared_ref(old->seed_list);
    } else {
        b->seed_list = topo_shared_new(d->seeds.n * sizeof *b->seeds);
        if (b->n_seeds)
            sync_seeds_fill(d, (struct topo_seed *)(void *)b->seed_list->data);
    }
    b->seeds = (struct topo_seed *)(void *)b->seed_list->data;
    d->seeds_changed = false;
}

static bool same_link(const struct topo_link *a, const struct topo_link *b)
{
    return a->port == b->port && a->peer == b->peer && a->peer_device == b->peer_device &&
           a->vlan == b->vlan && mac_equal(&a->mac, &b->mac) && a->n_addrs == b->n_addrs &&
           sync_same_cidrs(a->addrs, b->addrs, a->n_addrs);
}

/* Where 'ip' is has changed for the routers linked to the bridge: they take its word (sim/neigh.c).
 */
static void address_changed(struct sync *s, const struct topo_bridge *b, const struct ip *ip)
{
    for (uint32_t i = 0; i < b->n_links; i++) {
        if (b->links[i].peer_kind == TOPO_ROUTER)
            sync_changed(s, tag_neigh(b->links[i].peer, ip));
    }
}

static bool links_differ(struct sync *s, const struct topo_bridge *a, const struct topo_bridge *b)
{
    uint32_t i = 0, j = 0;
    bool differ = false;

    while (i < a->n_links || j < b->n_links) {
        const struct topo_link *l = i < a->n_links ? &a->links[i] : NULL;
        const struct topo_link *m = j < b->n_links ? &b->links[j] : NULL;
        int c = !l ? 1 : !m ? -1 : compare_links(l, m);
        i += c <= 0;
        j += c >= 0;
        if (!c && same_link(l, m))
            continue;
        differ = true;
        sync_changed(s, tag_bridge_mac(b->obj.self, 0, c <= 0 ? &l->mac : &m->mac));
        for (unsigned n = 0; c >= 0 && n < m->n_addrs; n++)
            address_changed(s, b, &m->addrs[n].addr);
    }
    return differ;
}

static int compare_seeds(const struct topo_seed *a, const struct topo_seed *b)
{
    int c = memcmp(&a->ip, &b->ip, sizeof a->ip);

    c = c ? c : memcmp(&a->mac, &b->mac, sizeof a->mac);
    return c ? c : (a->port > b->port) - (a->port < b->port);
}

static bool seeds_differ(struct sync *s, const struct topo_bridge *a, const struct topo_bridge *b)
{
    uint32_t i = 0, j = 0;
    bool differ = false;

    while (i < a->n_seeds || j < b->n_seeds) {
        const struct topo_seed *l = i < a->n_seeds ? &a->seeds[i] : NULL;
        const struct topo_seed *m = j < b->n_seeds ? &b->seeds[j] : NULL;
        int c = !l ? 1 : !m ? -1 : compare_seeds(l, m);
        i += c <= 0;
        j += c >= 0;
        if (!c)
            continue;
        differ = true;
        sync_changed(s, tag_bridge_mac(b->obj.self, 0, c <= 0 ? &l->mac : &m->mac));
        if (c > 0 && !ip_is_none(&m->ip))
            address_changed(s, b, &m->ip);
    }
    return differ;
}

static bool same_refs(const topo_ref *a, uint32_t n_a, const topo_ref *b, uint32_t n_b)
{
    return n_a == n_b && (!n_a || !memcmp(a, b, n_a * sizeof *a));
}

/* Announces what 'b' makes untrue; false when it says the same as 'a'. */
static bool bridge_differs(struct sync *s, const struct topo_bridge *a, const struct topo_bridge *b,
                           bool flood)
{
    bool self = a->admin_up != b->admin_up || a->has_vlan_ports != b->has_vlan_ports ||
                a->infilter != b->infilter || a->outfilter != b->outfilter ||
                a->trace != b->trace || !sync_same_lists(a->mirrors, b->mirrors, TOPO_DEVICE_HOOKS);
    bool lists = a->port_lists != b->port_lists;
    bool ports = lists && !same_refs(a->exterior, a->n_exterior, b->exterior, b->n_exterior);
    bool links = lists && links_differ(s, a, b);
    bool seeds = a->seed_list != b->seed_list && seeds_differ(s, a, b);
    bool dhcp = sync_dhcp_differs(s, a, b);

    /* A VLAN-aware bridge looks MACs up by VLAN: which of them asked for a link's isn't known. */
    if (self || (links && b->has_vlan_ports))
        sync_changed(s, tag_object(b->obj.self));
    if (flood || ports || links || seeds)
        sync_changed(s, tag_flood(b->obj.self));
    return self || ports || links || seeds || dhcp || strcmp(a->obj.name, b->obj.name);
}

/* Takes a new version's place: true when it is to be compared with 'old', false when it is the
 * first (or the first after a placeholder). */
static bool follows(struct sync *s, const struct topo_obj *old)
{
    if (old && old->missing) {
        s->st.n_missing--;
        sync_changed(s, tag_object(old->self));
    }
    return old && !old->missing;
}

static size_t mirrors_size(const json_t *body, const struct topo_refs *old)
{
    size_t n = 0;

    if (body)
        return sync_mirrors_size(body, TOPO_DEVICE_HOOKS);
    for (unsigned i = 0; i < TOPO_DEVICE_HOOKS; i++)
        n += old[i].n * sizeof(topo_ref) + 16;
    return n;
}

static void fill_mirrors(struct sync *s, void *device, struct topo_refs *out, const json_t *body,
                         const struct topo_refs *old)
{
    if (body) {
        sync_parse_mirrors(s, body, device, out, TOPO_DEVICE_HOOKS);
        return;
    }
    for (unsigned i = 0; i < TOPO_DEVICE_HOOKS; i++)
        sync_copy_list(device, &out[i], &old[i]);
}

void sync_build_bridge(struct sync *s, struct device_item *d, const json_t *body)
{
    const struct topo_bridge *old = topo_bridge(s->topo, d->item.ref);
    size_t extra = sync_dhcp_room(d) + mirrors_size(body, old ? old->mirrors : NULL) + 64;
    const struct topo_bridge *known = old && !old->obj.missing ? old : NULL;
    struct topo_bridge *b =
        topo_object(TOPO_BRIDGE, sizeof *b, extra, topo_id(s->topo, d->item.ref),
                    body ? sync_body_string(body, "name") : old->obj.name);

    b->obj.self = d->item.ref;
    b->admin_up = body ? sync_body_bool(body, "adminStateUp", true) : old->admin_up;
    b->infilter = body ? sync_body_ref(s, body, "inboundFilterId", TOPO_CHAIN) : old->infilter;
    b->outfilter = body ? sync_body_ref(s, body, "outboundFilterId", TOPO_CHAIN) : old->outfilter;
    b->trace = d->trace;
    fill_mirrors(s, b, b->mirrors, body, old ? old->mirrors : NULL);
    fill_ports(s, d, b, known);
    fill_seeds(d, b, known);
    sync_dhcp_fill(d, b);
    b->macs = sync_table(s, d)->macs;
    bool flood = d->flood;
    d->flood = false;
    d->item.due &= (uint8_t)~DUE_BUILD;
    if (follows(s, topo_get(s->topo, d->item.ref)) && !bridge_differs(s, old, b, flood)) {
        b->macs = NULL;
        b->dhcp_hosts = NULL;
        topo_discard(&b->obj);
        return;
    }
    topo_publish(s->topo, &b->obj);
}

static int compare_ids(const void *pa, const void *pb)
{
    const struct topo_route *a = *(const struct topo_route *const *)pa,
                            *b = *(const struct topo_route *const *)pb;

    return memcmp(&a->id, &b->id, sizeof a->id);
}

static const struct topo_route **by_id(const struct topo_lpm *l)
{
    size_t n = topo_lpm_size(l);
    const struct topo_route **out = NEW_ARRAY(n, const struct topo_route *);

    for (size_t i = 0; i < n; i++)
        out[i] = &topo_lpm_routes(l)[i];
    if (n)
        qsort(out, n, sizeof *out, compare_ids);
    return out;
}

static bool same_cidr(const struct cidr *a, const struct cidr *b)
{
    return a->len == b->len && ip_equal(&a->addr, &b->addr);
}

static bool same_route(const struct topo_route *a, const struct topo_route *b)
{
    return same_cidr(&a->dst, &b->dst) && same_cidr(&a->src, &b->src) && a->hop == b->hop &&
           a->learned == b->learned && a->weight == b->weight && a->port == b->port &&
           ip_equal(&a->gateway, &b->gateway);
}

/* Announces the destinations whose routes differ. */
static bool routes_differ(struct sync *s, topo_ref router, const struct topo_lpm *a,
                          const struct topo_lpm *b)
{
    const struct topo_route **olds = by_id(a), **news = by_id(b);
    size_t n_old = topo_lpm_size(a), n_new = topo_lpm_size(b), i = 0, j = 0;
    bool differ = false;

    while (i < n_old || j < n_new) {
        int c = i == n_old ? 1 : j == n_new ? -1 : compare_ids(&olds[i], &news[j]);
        const struct topo_route *was = c <= 0 ? olds[i++] : NULL, *is = c >= 0 ? news[j++] : NULL;
        if (was && is && same_route(was, is))
            continue;
        differ = true;
        if (was)
            sync_changed_route(s, router, &was->dst);
        if (is && !(was && same_cidr(&was->dst, &is->dst)))
            sync_changed_route(s, router, &is->dst);
    }
    free(olds);
    free(news);
    return differ;
}

static void fill_router(struct sync *s, struct topo_router *r, const json_t *body,
                        const struct topo_router *old)
{
    if (!body) {
        r->admin_up = old->admin_up;
        r->infilter = old->infilter;
        r->outfilter = old->outfilter;
        r->local_redirect = old->local_redirect;
        r->forward = old->forward;
        r->load_balancer = old->load_balancer;
        r->as_number = old->as_number;
        return;
    }
    r->admin_up = sync_body_bool(body, "adminStateUp", true);
    r->infilter = sync_body_ref(s, body, "inboundFilterId", TOPO_CHAIN);
    r->outfilter = sync_body_ref(s, body, "outboundFilterId", TOPO_CHAIN);
    r->local_redirect = sync_body_ref(s, body, "localRedirectChainId", TOPO_CHAIN);
    r->forward = sync_body_ref(s, body, "forwardChainId", TOPO_CHAIN);
    r->load_balancer = sync_body_ref(s, body, "loadBalancerId", TOPO_LOAD_BALANCER);
    r->as_number = sync_body_int(body, "asNumber", -1, -1, UINT32_MAX);
}

static bool router_differs(struct sync *s, const struct topo_router *a, const struct topo_router *b)
{
    bool self = a->admin_up != b->admin_up || a->infilter != b->infilter ||
                a->outfilter != b->outfilter || a->local_redirect != b->local_redirect ||
                a->forward != b->forward || a->load_balancer != b->load_balancer ||
                a->trace != b->trace || !sync_same_lists(a->mirrors, b->mirrors, TOPO_DEVICE_HOOKS);
    bool routes = a->routes != b->routes && routes_differ(s, b->obj.self, a->routes, b->routes);

    if (self)
        sync_changed(s, tag_object(b->obj.self));
    return self || routes || a->as_number != b->as_number ||
           !same_refs(a->ports, a->n_ports, b->ports, b->n_ports) ||
           strcmp(a->obj.name, b->obj.name);
}

void sync_build_router(struct sync *s, struct device_item *d, const json_t *body,
                       struct topo_lpm *routes)
{
    const struct topo_router *old = topo_router(s->topo, d->item.ref);
    size_t extra =
        d->n_ports * sizeof(topo_ref) + 16 + mirrors_size(body, old ? old->mirrors : NULL);
    struct topo_router *r =
        topo_object(TOPO_ROUTER, sizeof *r, extra, topo_id(s->topo, d->item.ref),
                    body ? sync_body_string(body, "name") : old->obj.name);

    r->obj.self = d->item.ref;
    fill_router(s, r, body, old);
    fill_mirrors(s, r, r->mirrors, body, old ? old->mirrors : NULL);
    r->trace = d->trace;
    r->n_ports = d->n_ports;
    r->ports = topo_extra(r, d->n_ports * sizeof *r->ports);
    if (d->n_ports)
        memcpy(r->ports, d->ports, d->n_ports * sizeof *r->ports);
    r->routes = routes ? routes : old->routes;
    r->neighs = sync_table(s, d)->neighs;
    d->flood = false;
    d->item.due &= (uint8_t)~DUE_BUILD;
    if (follows(s, topo_get(s->topo, d->item.ref)) && !router_differs(s, old, r)) {
        r->neighs = NULL;
        r->routes = routes;
        topo_discard(&r->obj);
        return;
    }
    topo_publish(s->topo, &r->obj);
}
