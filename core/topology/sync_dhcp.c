/* DHCP subnets of a bridge: loaded with it, followed by its change log.
 *
 * A subnet that appears brings its hosts, found by who refers to it; one that goes takes them
 * along.  After that each host is named by the log itself. */
#include <stdlib.h>

#include "topology/sync_dhcp.h"

bool sync_is_dhcp(enum schema_type_id type)
{
    return type == ST_DHCP || type == ST_DHCPV6 || type == ST_DHCP_HOST || type == ST_DHCPV6_HOST;
}

struct dhcp_state *sync_dhcp_state(struct device_item *d)
{
    if (!d->dhcp) {
        d->dhcp = NEW(struct dhcp_state);
        d->dhcp->hosts = topo_dhcp_hosts_new();
    }
    return d->dhcp;
}

static void free_subnet(struct topo_dhcp_subnet *n)
{
    free(n->dns);
    free(n->routes);
}

static void parse_dns(const json_t *list, struct topo_dhcp_subnet *n)
{
    size_t size = MIN(json_array_size(list), (size_t)UINT16_MAX);

    n->dns = NEW_ARRAY(size, struct ip);
    for (size_t i = 0; i < size; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        n->n_dns += text && !ip_parse(text, &n->dns[n->n_dns]);
    }
}

static void parse_routes(const json_t *list, struct topo_dhcp_subnet *n)
{
    size_t size = MIN(json_array_size(list), (size_t)UINT16_MAX);

    n->routes = NEW_ARRAY(size, struct topo_dhcp_route);
    for (size_t i = 0; i < size; i++) {
        const json_t *o = json_array_get(list, i);
        struct topo_dhcp_route *r = &n->routes[n->n_routes];
        n->n_routes += !cidr_parse(sync_body_string(o, "destinationPrefix"), &r->dst) &&
                       sync_body_ip(o, "gatewayAddr", &r->gateway);
    }
}

static uint8_t parse_ra_mode(const json_t *body)
{
    static const char *const modes[] = {[TOPO_RA_STATELESS] = "dhcpv6-stateless",
                                        [TOPO_RA_SLAAC] = "slaac",
                                        [TOPO_RA_NONE] = "none"};
    const char *mode = sync_body_string(body, "raMode");

    for (uint8_t i = TOPO_RA_STATELESS; i < ARRAY_SIZE(modes); i++)
        if (!strcmp(mode, modes[i]))
            return i;
    return TOPO_RA_STATEFUL;
}

static bool parse_subnet(const struct uuid *id, bool ip6, const json_t *body,
                         struct topo_dhcp_subnet *n)
{
    *n = (struct topo_dhcp_subnet){.id = *id, .server = ip6 ? ip_none : ip_from4(0)};
    if (cidr_parse(sync_body_string(body, ip6 ? "prefix" : "subnetPrefix"), &n->net))
        return false;
    n->enabled = sync_body_bool(body, "enabled", true);
    n->mtu = (uint16_t)MIN(sync_body_int(body, "interfaceMTU", 0, 0, 65536), 65535);
    n->ra_mode = parse_ra_mode(body);
    if (sync_body_ip(body, "defaultGateway", &n->gateway))
        n->server = n->gateway;
    sync_body_ip(body, "serverAddr", &n->server);
    parse_dns(json_object_get(body, "dnsServerAddrs"), n);
    parse_routes(json_object_get(body, "opt121Routes"), n);
    return true;
}

static int compare(const struct topo_dhcp_subnet *a, const struct topo_dhcp_subnet *b)
{
    int c = (int)ip_is4(&b->net.addr) - (int)ip_is4(&a->net.addr);

    c = c ? c : memcmp(&a->net.addr, &b->net.addr, sizeof a->net.addr);
    return c ? c : (int)a->net.len - (int)b->net.len;
}

static void insert_subnet(dhcp_subnets *all, const struct topo_dhcp_subnet *n)
{
    size_t at = all->n;

    vec_add(all, *n);
    for (; at && compare(&all->v[at - 1], n) > 0; at--)
        all->v[at] = all->v[at - 1];
    all->v[at] = *n;
}

/* True when it was there. */
static bool remove_subnet(dhcp_subnets *all, const struct uuid *id)
{
    for (size_t i = 0; i < all->n; i++) {
        if (!uuid_equal(&all->v[i].id, id))
            continue;
        free_subnet(&all->v[i]);
        all->n--;
        memmove(all->v + i, all->v + i + 1, (all->n - i) * sizeof *all->v);
        return true;
    }
    return false;
}

static void drop_hosts_of(struct sync *s, struct device_item *d, const struct uuid *subnet)
{
    struct dhcp_entry *e, *next;

    HASH_ITER (hh, d->dhcp->entries, e, next)
        if (uuid_equal(&e->host->subnet, subnet))
            sync_dhcp_drop_host(s, d, e);
}

static int load_hosts_of(struct sync *s, struct device_item *d, const struct uuid *subnet, bool ip6)
{
    enum schema_type_id type = ip6 ? ST_DHCPV6_HOST : ST_DHCP_HOST;
    struct uuid *ids;
    struct error e;
    size_t n;
    int rc = objects_referrers(s->db, type, ip6 ? "dhcpV6Id" : "dhcpId", subnet, &ids, &n, &e);

    if (rc)
        return rc == -ENOENT ? 0 : rc;
    rc = sync_dhcp_read_hosts(s, d, type, ids, n);
    free(ids);
    return rc;
}

static int read_subnets(struct sync *s, struct device_item *d, enum schema_type_id type,
                        const struct uuid *ids, size_t n, bool reload)
{
    bool ip6 = type == ST_DHCPV6;
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = sync_bodies(s, type, ids, n, bodies);
    struct topo_dhcp_subnet subnet;

    for (size_t i = 0; i < n; i++) {
        if (!rc && (bodies[i] || d->dhcp)) {
            bool was = remove_subnet(&sync_dhcp_state(d)->subnets, &ids[i]);
            bool is = bodies[i] && parse_subnet(&ids[i], ip6, bodies[i], &subnet);
            if (is)
                insert_subnet(&d->dhcp->subnets, &subnet);
            else
                drop_hosts_of(s, d, &ids[i]);
            if (is && (reload || !was))
                rc = load_hosts_of(s, d, &ids[i], ip6);
            if (rc) /* unknown again, so that the next try loads its hosts */
                remove_subnet(&d->dhcp->subnets, &ids[i]);
        }
        json_decref(bodies[i]);
    }
    free(bodies);
    return rc;
}

int sync_dhcp_change(struct sync *s, struct device_item *d, const struct objects_change *changes,
                     size_t n, bool *subnet_changed)
{
    static const enum schema_type_id types[] = {ST_DHCP, ST_DHCPV6, ST_DHCP_HOST, ST_DHCPV6_HOST};
    int rc = 0;

    for (size_t t = 0; t < ARRAY_SIZE(types) && !rc; t++) {
        bool subnet = types[t] == ST_DHCP || types[t] == ST_DHCPV6;
        uuids ids = {0};
        for (size_t i = 0; i < n; i++)
            if (changes[i].type == types[t])
                vec_add(&ids, changes[i].id);
        if (ids.n && subnet) {
            rc = read_subnets(s, d, types[t], ids.v, ids.n, false);
            *subnet_changed = true;
        } else if (ids.n) {
            rc = sync_dhcp_read_hosts(s, d, types[t], ids.v, ids.n);
        }
        free(ids.v);
    }
    return rc;
}

int sync_dhcp_load(struct sync *s, struct device_item *d)
{
    static const enum schema_type_id types[] = {ST_DHCP, ST_DHCPV6};
    struct dhcp_entry *e, *next;
    struct uuid *ids;
    size_t n;
    int rc = 0;

    for (e = d->dhcp ? d->dhcp->entries : NULL; e; e = e->hh.next)
        e->seen = false;
    while (d->dhcp && d->dhcp->subnets.n)
        free_subnet(&d->dhcp->subnets.v[--d->dhcp->subnets.n]);
    for (unsigned i = 0; i < ARRAY_SIZE(types) && !rc; i++) {
        rc = sync_referrers(s, types[i], "bridgeId", &d->item, &ids, &n);
        if (!rc && n)
            rc = read_subnets(s, d, types[i], ids, n, true);
        free(ids);
    }
    if (rc || !d->dhcp)
        return rc;
    HASH_ITER (hh, d->dhcp->entries, e, next)
        if (!e->seen)
            sync_dhcp_drop_host(s, d, e);
    return 0;
}

void sync_dhcp_free(struct sync *s, struct device_item *d)
{
    const struct topo_obj *o = topo_get(s->topo, d->item.ref);
    struct dhcp_state *st = d->dhcp;
    struct dhcp_entry *e, *next;

    if (!st)
        return;
    HASH_ITER (hh, st->entries, e, next) {
        HASH_DEL(st->entries, e);
        free(e);
    }
    while (st->subnets.n)
        free_subnet(&st->subnets.v[--st->subnets.n]);
    free(st->subnets.v);
    if (!o || o->missing || ((const struct topo_bridge *)o)->dhcp_hosts != st->hosts)
        topo_dhcp_hosts_free(st->hosts);
    free(st);
    d->dhcp = NULL;
}
