#include "packet/text_app.h"

static const struct packet_item *find(const struct packet_app *app, enum what what)
{
    for (unsigned i = 0; i < app->n_items; i++)
        if (app->items[i].what == what)
            return &app->items[i];
    return NULL;
}

static uint32_t number_of(const struct packet_app *app, enum what what, uint32_t otherwise)
{
    const struct packet_item *it = find(app, what);

    return it ? it->number : otherwise;
}

static struct ip ip_of(const struct packet_app *app, enum what what)
{
    const struct packet_item *it = find(app, what);

    return it ? it->ip : ip_from4(0);
}

static bool given(const struct packet_spec *s, size_t at)
{
    return ((const uint8_t *)&s->given)[at] != 0;
}
#define GIVEN(s, field) given(s, offsetof(struct flow_key, field))

/* What the words leave open, as clients and servers fill it in. */
static struct flow_key frame_key(const struct packet_spec *s)
{
    static const struct ip all_servers = {.b = {0xff, 2, [13] = 1, [15] = 2}},
                           all_routers = {.b = {0xff, 2, [15] = 2}},
                           all_nodes = {.b = {0xff, 2, [15] = 1}};
    struct flow_key k = s->key;
    uint8_t kind = s->app.kind;

    if (!GIVEN(s, ip_src))
        k.ip_src = kind == KIND_DHCP ? ip_from4(0) : ip_link_local_of_mac(&k.eth_src);
    if (!GIVEN(s, ip_dst))
        k.ip_dst = kind == KIND_DHCP    ? ip_from4(~0u)
                   : kind == KIND_DHCP6 ? all_servers
                   : kind == KIND_RS    ? all_routers
                                        : all_nodes;
    if (!GIVEN(s, eth_dst))
        k.eth_dst = kind == KIND_DHCP ? mac_broadcast : mac_of_multicast_ip(&k.ip_dst);
    k.vlan_tci = 0;
    return k;
}

static size_t build_dhcp(const struct packet_spec *s, const struct flow_key *key, uint8_t *buf,
                         size_t size)
{
    const struct packet_app *app = &s->app;
    const struct packet_item *mac = find(app, W_CHADDR);
    struct dhcp d = {.op = app_client_type(app) ? 1 : 2,
                     .type = app->type,
                     .xid = number_of(app, W_XID, 1),
                     .ciaddr = ip_of(app, W_CIADDR),
                     .yiaddr = ip_of(app, W_YIADDR),
                     .siaddr = ip_of(app, W_SIADDR),
                     .giaddr = ip_of(app, W_GIADDR),
                     .chaddr = app_client_type(app) ? key->eth_src : key->eth_dst};
    struct dhcp_opt opts[ARRAY_SIZE(app->items)];
    unsigned n = 0;

    if (mac)
        memcpy(d.chaddr.b, app->bytes + mac->at, 6);
    for (unsigned i = 0; i < app->n_items; i++) {
        const struct packet_item *it = &app->items[i];
        if (it->what == W_OPTION)
            opts[n++] = (struct dhcp_opt){(uint8_t)it->number, it->size, app->bytes + it->at};
    }
    return dhcp_build(buf, size, key, &d, opts, n, DHCP_MAX_SIZE, NULL);
}

/* An address option with what follows it. */
static void put_address(struct dhcp6_writer *w, const struct packet_app *app, unsigned i)
{
    uint32_t valid = 0;
    uint8_t v[24];

    if (i + 1 < app->n_items && app->items[i + 1].what == W_VALID)
        valid = app->items[i + 1].number;
    memcpy(v, app->items[i].ip.b, 16);
    put32(v + 16, valid);
    put32(v + 20, valid);
    dhcp6_put(w, DHCP6_OPT_IAADDR, v, sizeof v);
}

static size_t build_dhcp6(const struct packet_spec *s, const struct flow_key *key, uint8_t *buf,
                          size_t size)
{
    const struct packet_app *app = &s->app;
    uint8_t opts[DHCP6_MAX_SIZE - 4], duid[DHCP6_DUID_LL_SIZE], *ia = NULL;
    struct dhcp6_writer w = {opts, opts + sizeof opts, false};

    if (!find(app, W_DUID) && app_client_type(app) && app->type != DHCP6_INFORMATION_REQUEST) {
        dhcp6_duid_of_mac(&key->eth_src, duid);
        dhcp6_put(&w, DHCP6_OPT_CLIENT_ID, duid, sizeof duid);
    }
    for (unsigned i = 0; i < app->n_items; i++) {
        const struct packet_item *it = &app->items[i];
        bool within = it->what == W_ADDRESS || it->what == W_VALID || it->what == W_STATUS;
        if (ia && !within) {
            dhcp6_close(&w, ia);
            ia = NULL;
        }
        uint8_t fixed[12] = {0};
        put32(fixed, it->number);
        if (it->what == W_IA || it->what == W_TA || it->what == W_PD)
            ia = dhcp6_open(&w, app_ia_code(it->what), fixed, it->what == W_TA ? 4 : 12);
        else if (it->what == W_ADDRESS)
            put_address(&w, app, i);
        else if (it->what == W_STATUS)
            dhcp6_put_status(&w, (enum dhcp6_status)(it->number & 0xff), "");
        else if (it->what == W_RAPID)
            dhcp6_put(&w, DHCP6_OPT_RAPID_COMMIT, NULL, 0);
        else if (it->what == W_DUID || it->what == W_SERVER || it->what == W_DNS)
            dhcp6_put(&w,
                      it->what == W_DUID     ? DHCP6_OPT_CLIENT_ID
                      : it->what == W_SERVER ? DHCP6_OPT_SERVER_ID
                                             : DHCP6_OPT_DNS,
                      app->bytes + it->at, it->size);
    }
    if (ia)
        dhcp6_close(&w, ia);
    return w.full ? 0
                  : dhcp6_build(buf, size, key, app->type, number_of(app, W_XID, 1), opts,
                                (size_t)(w.p - opts));
}

static void add_prefix(struct packet_ra *ra, const struct packet_item *it)
{
    if (ra->n_prefixes < RA_PREFIXES)
        ra->prefixes[ra->n_prefixes++] = (struct ra_prefix){.net = {it->ip, it->len},
                                                            .on_link = true,
                                                            .autonomous = it->what == W_SLAAC,
                                                            .valid = 2592000,
                                                            .preferred = 604800};
}

static size_t build_ra(const struct packet_spec *s, const struct flow_key *k, uint8_t *buf,
                       size_t size)
{
    const struct packet_app *app = &s->app;
    uint32_t flags = number_of(app, W_FLAGS, 0);
    struct packet_ra ra = {.hop_limit = 64,
                           .managed = flags & 1,
                           .other = flags & 2,
                           .lifetime = (uint16_t)number_of(app, W_LIFETIME, 1800),
                           .mtu = number_of(app, W_MTU, 0),
                           .dns_lifetime = 1800,
                           .lladdr = k->eth_src};

    for (unsigned i = 0; i < app->n_items; i++) {
        const struct packet_item *it = &app->items[i];
        if (it->what == W_PREFIX || it->what == W_SLAAC || it->what == W_NO_SLAAC)
            add_prefix(&ra, it);
        for (unsigned at = 0; it->what == W_DNS && at < it->size && ra.n_dns < RA_DNS; at += 16)
            memcpy(ra.dns[ra.n_dns++].b, app->bytes + it->at + at, 16);
    }
    return packet_ra_build(buf, size, &k->eth_src, &k->ip_src, &k->eth_dst, &k->ip_dst, &ra);
}

size_t packet_app_build(const struct packet_spec *s, uint8_t *buf, size_t size)
{
    struct flow_key key = frame_key(s);

    switch (s->app.kind) {
    case KIND_DHCP:
        return build_dhcp(s, &key, buf, size);
    case KIND_DHCP6:
        return build_dhcp6(s, &key, buf, size);
    case KIND_RS:
        return packet_rs_build(buf, size, &key.eth_src, &key.ip_src);
    default:
        return build_ra(s, &key, buf, size);
    }
}
