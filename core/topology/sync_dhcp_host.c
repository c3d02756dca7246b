/* Hosts of DHCP subnets: who gets which address and options.
 *
 * Options are encoded here, once: what can't be is logged and left out, and the rest of the host
 * stands.  A host of the table goes by its own object, so its subnet need not be there yet. */
#include <stdlib.h>

#include "base/log.h"
#include "packet/dhcp6.h"
#include "topology/sync_dhcp.h"

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

void sync_dhcp_drop_host(struct sync *s, struct device_item *d, struct dhcp_entry *e)
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
    struct dhcp_state *st = sync_dhcp_state(d);
    struct topo_dhcp_host *h = body ? parse_host(s, id, ip6, body) : NULL;
    struct dhcp_entry *e;

    HASH_FIND(hh, st->entries, id, sizeof *id, e);
    if (!h) {
        if (e)
            sync_dhcp_drop_host(s, d, e);
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
        e = NEW(struct dhcp_entry);
        e->id = *id;
        HASH_ADD(hh, st->entries, id, sizeof e->id, e);
    } else {
        announce(s, d, e->host);
        topo_dhcp_remove(st->hosts, e->host);
    }
    e->host = h;
    e->seen = true;
}

int sync_dhcp_read_hosts(struct sync *s, struct device_item *d, enum schema_type_id type,
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
