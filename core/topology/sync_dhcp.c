#include <stdlib.h>

#include "base/log.h"
#include "packet/dhcp6.h"
#include "topology/dhcp.h"
#include "topology/sync_impl.h"

struct entry {
    struct uuid id; /* key of the hash */
    struct topo_dhcp_host *host;
    bool seen; /* by the load under way */
    UT_hash_handle hh;
};

typedef VEC(struct topo_dhcp_subnet) subnets; /* their lists are malloc'd */

struct dhcp_state {
    subnets subnets; /* sorted by prefix, IPv4 first */
    struct entry *entries;
    struct topo_dhcp_hosts *hosts; /* the published object's, once there is one */
};

bool sync_is_dhcp(enum schema_type_id type)
{
    return type == ST_DHCP || type == ST_DHCPV6 || type == ST_DHCP_HOST || type == ST_DHCPV6_HOST;
}

static struct dhcp_state *state_of(struct device_item *d)
{
    if (!d->dhcp) {
        d->dhcp = NEW(struct dhcp_state);
        d->dhcp->hosts = topo_dhcp_hosts_new();
    }
    return d->dhcp;
}

/* Hosts. */

static void ignored(struct sync *s, const struct uuid *id, const char *name, const char *what)
{
    char text[UUID_STRLEN];

    s->st.ignored++;
    log_limited(LOG_LVL_WARN, "topology", "DHCP host %s: option %s is ignored: %s",
                uuid_format(id, text), name, what);
}

/* One option of the list, or null with what is wrong with it. */
static const char *parse_option(const json_t *o, struct arena *arena, struct dhcp_opt *out)
{
    enum { ROOM = 1024 };
    int code = dhcp_option_code(sync_body_string(o, "optName"));

    if (code < 0)
        return "there is no option of this name";
    if (!dhcp_option_settable((uint8_t)code))
        return "it is the protocol's own";
    uint8_t *value = arena_alloc(arena, ROOM);
    int n = dhcp_option_encode((uint8_t)code, sync_body_string(o, "optValue"), value, ROOM);
    if (n < 0)
        return "the value isn't one for it";
    *out = (struct dhcp_opt){(uint8_t)code, (uint16_t)n, value};
    return NULL;
}

/* Of several for one code the last counts. */
static void add_option(struct dhcp_opt *opts, unsigned *n, const struct dhcp_opt *o)
{
    for (unsigned i = 0; i < *n; i++) {
        if (opts[i].code == o->code) {
            opts[i] = *o;
            return;
        }
    }
    opts[(*n)++] = *o;
}

static void parse_options(struct sync *s, const json_t *body, struct arena *arena,
                          struct topo_dhcp_host *h)
{
    const json_t *list = json_object_get(body, "extraDhcpOpts"), *o;
    struct dhcp_opt *opts = arena_alloc(arena, (json_array_size(list) + 1) * sizeof *opts), opt;
    size_t i;

    h->opts = opts;
    json_array_foreach (list, i, o) {
        const char *name = sync_body_string(o, "optName"), *value = sync_body_string(o, "optValue");
        struct ip ip;
        bool address = !ip_parse(value, &ip) && ip_is4(&ip);
        if (!strcmp(name, "server-ip-address")) { /* dnsmasq's word for a header field */
            if (address)
                h->next_server = ip;
            else
                ignored(s, &h->id, name, "the value isn't an IPv4 address");
            continue;
        }
        const char *wrong = parse_option(o, arena, &opt);
        if (wrong) {
            ignored(s, &h->id, name, wrong);
            continue;
        }
        add_option(opts, &h->n_opts, &opt);
        if (opt.code == DHCP_OPT_TFTP_NAME && address && ip_is_none(&h->next_server))
            h->next_server = ip; /* boot loaders look there first */
    }
}

static struct topo_dhcp_host *parse_host(struct sync *s, const struct uuid *id, bool ip6,
                                         const json_t *body)
{
    struct topo_dhcp_host h = {.id = *id, .ip6 = ip6, .name = sync_body_string(body, "name")};
    uint8_t duid[DHCP6_MAX_DUID];
    struct topo_dhcp_host *copy;
    struct arena arena;
    struct mac mac;

    if (!sync_body_uuid(body, ip6 ? "dhcpV6Id" : "dhcpId", &h.subnet) ||
        !sync_body_ip(body, ip6 ? "fixedAddress" : "ipAddr", &h.ip))
        return NULL;
    int n = ip6 ? dhcp6_duid_parse(sync_body_string(body, "clientId"), duid)
            : sync_body_mac(body, "macAddr", &mac) ? (int)sizeof mac
                                                   : -1;
    if (n < 0)
        return NULL;
    h.key = ip6 ? duid : mac.b;
    h.key_size = (uint8_t)n;
    arena_init(&arena, 4096);
    parse_options(s, body, &arena, &h);
    copy = topo_dhcp_host_new(&h);
    arena_free(&arena);
    return copy;
}

/* The station an entry is for, as far as it names one: its traffic may depend on the entry (port
 * security). */
static void announce(struct sync *s, const struct device_item *d, const struct topo_dhcp_host *h)
{
    struct mac mac;

    if (h->key_size == sizeof mac)
        memcpy(&mac, h->key, sizeof mac);
    else if (!dhcp6_duid_mac(h->key, h->key_size, &mac))
        return;
    sync_changed(s, tag_bridge_mac(d->item.ref, 0, &mac));
}

static void drop_entry(struct sync *s, struct device_item *d, struct entry *e)
{
    announce(s, d, e->host);
    topo_dhcp_remove(d->dhcp->hosts, e->host);
    HASH_DEL(d->dhcp->entries, e);
    free(e);
}

/* The host is now what 'body' says, null: gone. */
static void set_host(struct sync *s, struct device_item *d, const struct uuid *id, bool ip6,
                     const json_t *body)
{
    struct dhcp_state *st = state_of(d);
    struct topo_dhcp_host *h = body ? parse_host(s, id, ip6, body) : NULL;
    struct entry *e;

    HASH_FIND(hh, st->entries, id, sizeof *id, e);
    if (!h) {
        if (e)
            drop_entry(s, d, e);
        return;
    }
    if (e && topo_dhcp_host_equal(e->host, h)) {
        e->seen = true;
        topo_dhcp_host_free(h);
        return;
    }
    topo_dhcp_add(st->hosts, h);
    announce(s, d, h);
    if (!e) {
        e = NEW(struct entry);
        e->id = *id;
        HASH_ADD(hh, st->entries, id, sizeof e->id, e);
    } else {
        announce(s, d, e->host);
        topo_dhcp_remove(st->hosts, e->host);
    }
    e->host = h;
    e->seen = true;
}

static int read_hosts(struct sync *s, struct device_item *d, enum schema_type_id type,
                      const struct uuid *ids, size_t n)
{
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = sync_bodies(s, type, ids, n, bodies);

    for (size_t i = 0; i < n; i++) {
        if (!rc)
            set_host(s, d, &ids[i], type == ST_DHCPV6_HOST, bodies[i]);
        json_decref(bodies[i]);
    }
    free(bodies);
    return rc;
}

/* Subnets. */

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

static void insert_subnet(subnets *all, const struct topo_dhcp_subnet *n)
{
    size_t at = all->n;

    vec_add(all, *n);
    for (; at && compare(&all->v[at - 1], n) > 0; at--)
        all->v[at] = all->v[at - 1];
    all->v[at] = *n;
}

/* True when it was there. */
static bool remove_subnet(subnets *all, const struct uuid *id)
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
    struct entry *e, *next;

    HASH_ITER (hh, d->dhcp->entries, e, next)
        if (uuid_equal(&e->host->subnet, subnet))
            drop_entry(s, d, e);
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
    rc = read_hosts(s, d, type, ids, n);
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
            bool was = remove_subnet(&state_of(d)->subnets, &ids[i]);
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
            rc = read_hosts(s, d, types[t], ids.v, ids.n);
        }
        free(ids.v);
    }
    return rc;
}

int sync_dhcp_load(struct sync *s, struct device_item *d)
{
    static const enum schema_type_id types[] = {ST_DHCP, ST_DHCPV6};
    struct entry *e, *next;
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
            drop_entry(s, d, e);
    return 0;
}

void sync_dhcp_free(struct sync *s, struct device_item *d)
{
    const struct topo_obj *o = topo_get(s->topo, d->item.ref);
    struct dhcp_state *st = d->dhcp;
    struct entry *e, *next;

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

/* Publishing. */

size_t sync_dhcp_room(const struct device_item *d)
{
    size_t n = d->dhcp ? d->dhcp->subnets.n : 0, size = n * (sizeof(struct topo_dhcp_subnet) + 48);

    for (size_t i = 0; i < n; i++)
        size += d->dhcp->subnets.v[i].n_dns * sizeof(struct ip) +
                d->dhcp->subnets.v[i].n_routes * sizeof(struct topo_dhcp_route);
    return size + 16;
}

static void *copy_list(struct topo_bridge *b, const void *list, size_t size)
{
    void *copy = topo_extra(b, size);

    if (size)
        memcpy(copy, list, size);
    return copy;
}

/* Who has the server's address: a seeded station, a linked router; else the bridge itself will say
 * it has, but never for the gateway's, which may be a machine. */
static struct mac station_of(const struct topo_bridge *b, const struct topo_dhcp_subnet *n)
{
    static const struct mac unknown;

    for (uint32_t i = 0; i < b->n_seeds; i++)
        if (ip_equal(&b->seeds[i].ip, &n->server))
            return b->seeds[i].mac;
    for (uint32_t i = 0; i < b->n_links; i++)
        for (unsigned k = 0; k < b->links[i].n_addrs; k++)
            if (ip_equal(&b->links[i].addrs[k].addr, &n->server))
                return b->links[i].mac;
    return ip_equal(&n->server, &n->gateway) || !ip_to4(&n->server) ? unknown : topo_dhcp_mac;
}

void sync_dhcp_fill(const struct device_item *d, struct topo_bridge *b)
{
    const struct dhcp_state *st = d->dhcp;

    if (!st)
        return;
    b->dhcp_hosts = st->hosts;
    b->n_subnets = (uint32_t)st->subnets.n;
    b->subnets = copy_list(b, st->subnets.v, st->subnets.n * sizeof *b->subnets);
    for (uint32_t i = 0; i < b->n_subnets; i++) {
        struct topo_dhcp_subnet *n = &b->subnets[i];
        n->dns = copy_list(b, n->dns, n->n_dns * sizeof *n->dns);
        n->routes = copy_list(b, n->routes, n->n_routes * sizeof *n->routes);
        if (ip_is4(&n->net.addr))
            n->server_mac = station_of(b, n);
    }
}

/* Whether the same packets are taken for DHCP. */
static bool same_service(const struct topo_dhcp_subnet *a, const struct topo_dhcp_subnet *b)
{
    return uuid_equal(&a->id, &b->id) && a->enabled == b->enabled &&
           ip_equal(&a->server, &b->server) && mac_equal(&a->server_mac, &b->server_mac);
}

static bool same_routes(const struct topo_dhcp_subnet *a, const struct topo_dhcp_subnet *b)
{
    if (a->n_routes != b->n_routes)
        return false;
    for (unsigned i = 0; i < a->n_routes; i++)
        if (!sync_same_cidrs(&a->routes[i].dst, &b->routes[i].dst, 1) ||
            !ip_equal(&a->routes[i].gateway, &b->routes[i].gateway))
            return false;
    return true;
}

static bool same_subnet(const struct topo_dhcp_subnet *a, const struct topo_dhcp_subnet *b)
{
    return same_service(a, b) && a->ra_mode == b->ra_mode && a->mtu == b->mtu &&
           ip_equal(&a->gateway, &b->gateway) && a->n_dns == b->n_dns &&
           (!a->n_dns || !memcmp(a->dns, b->dns, a->n_dns * sizeof *a->dns)) && same_routes(a, b);
}

bool sync_dhcp_differs(struct sync *s, const struct topo_bridge *a, const struct topo_bridge *b)
{
    bool service = a->n_subnets == b->n_subnets, all = a->dhcp_hosts == b->dhcp_hosts;

    for (uint32_t i = 0; i < b->n_subnets && service; i++) {
        service = same_service(&a->subnets[i], &b->subnets[i]);
        all &= same_subnet(&a->subnets[i], &b->subnets[i]);
    }
    if (!service)
        sync_changed(s, tag_object(b->obj.self));
    return !service || !all;
}
