#include "agent/ifaces.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/mem.h"

#define GATHER_NS (100 * NSEC_PER_MSEC)
#define MANY      2000 /* interfaces: beyond, only what is needed of each, to stay one node */

struct entry {
    struct net_iface iface;
    UT_hash_handle hh;
};

struct ifaces {
    struct entry *entries; /* by name */
    bool changed;
    uint64_t changed_ns; /* 0: not asked since */
};

struct ifaces *ifaces_new(void)
{
    struct ifaces *f = NEW(struct ifaces);

    f->changed = true;
    return f;
}

void ifaces_free(struct ifaces *f)
{
    struct entry *e, *next;

    if (!f)
        return;
    HASH_ITER (hh, f->entries, e, next) {
        HASH_DEL(f->entries, e);
        free(e);
    }
    free(f);
}

static struct entry *find(const struct ifaces *f, const char *name)
{
    struct entry *e;

    HASH_FIND_STR(f->entries, name, e);
    return e;
}

void ifaces_set(struct ifaces *f, const struct net_iface *iface, bool gone)
{
    struct entry *e = find(f, iface->name);

    if (gone && !e)
        return;
    f->changed = true;
    f->changed_ns = 0;
    if (gone) {
        HASH_DEL(f->entries, e);
        free(e);
        return;
    }
    if (!e) {
        e = NEW(struct entry);
        e->iface = *iface;
        HASH_ADD_STR(f->entries, iface.name, e);
    }
    e->iface = *iface;
}

const struct net_iface *ifaces_find(const struct ifaces *f, const char *name)
{
    const struct entry *e = find(f, name);

    return e ? &e->iface : NULL;
}

const struct net_iface *ifaces_with_address(const struct ifaces *f, const struct ip *ip)
{
    const struct entry *e;

    for (e = f->entries; e; e = e->hh.next)
        for (unsigned i = 0; i < e->iface.n_addrs; i++)
            if (ip_equal(&e->iface.addrs[i].addr, ip))
                return &e->iface;
    return NULL;
}

static int by_name(struct entry *a, struct entry *b)
{
    return strcmp(a->iface.name, b->iface.name);
}

/* Physical, Virtual, Tunnel: what the schema's words are. */
static const char *type_of(const struct net_iface *i)
{
    static const char *const tunnels[] = {"vxlan", "gre", "gretap",   "geneve",
                                          "ipip",  "sit", "wireguard"};

    if (i->loopback)
        return "Virtual";
    for (size_t k = 0; k < ARRAY_SIZE(tunnels); k++)
        if (!strcmp(i->kind, tunnels[k]))
            return "Tunnel";
    return *i->kind ? "Virtual" : "Physical";
}

static const char *endpoint_of(const struct net_iface *i)
{
    if (i->loopback)
        return "LOCALHOST";
    if (!strcmp(i->kind, "tun"))
        return "TUNTAP";
    return *i->kind ? "UNKNOWN" : "PHYSICAL";
}

static json_t *addresses_of(const struct net_iface *i)
{
    json_t *list = json_array();
    char text[IP_STRLEN];

    for (unsigned k = 0; k < i->n_addrs; k++)
        json_array_append_new(list, json_string(ip_format(&i->addrs[k].addr, text)));
    return list;
}

static json_t *row(const struct net_iface *i, bool brief)
{
    json_t *o = json_pack("{s:s,s:i,s:i}", "name", i->name, "status",
                          (i->up ? 1 : 0) | (i->carrier ? 2 : 0), "mtu", (int)i->mtu);
    char mac[MAC_STRLEN];

    if (!mac_is_zero(&i->mac))
        json_object_set_new(o, "mac", json_string(mac_format(&i->mac, mac)));
    if (i->n_addrs)
        json_object_set_new(o, "addresses", addresses_of(i));
    if (brief)
        return o;
    json_object_set_new(o, "ifindex", json_integer(i->index));
    json_object_set_new(o, "up", json_boolean(i->up));
    json_object_set_new(o, "link", json_boolean(i->carrier));
    json_object_set_new(o, "type", json_string(type_of(i)));
    json_object_set_new(o, "endpoint", json_string(endpoint_of(i)));
    return o;
}

json_t *ifaces_report(struct ifaces *f, uint64_t now, uint64_t *next)
{
    struct entry *e;

    *next = UINT64_MAX;
    if (!f->changed)
        return NULL;
    if (!f->changed_ns)
        f->changed_ns = now;
    *next = f->changed_ns + GATHER_NS;
    if (now < *next)
        return NULL;
    *next = UINT64_MAX;
    f->changed = false;
    HASH_SORT(f->entries, by_name);
    json_t *list = json_array();
    bool brief = HASH_COUNT(f->entries) > MANY;
    for (e = f->entries; e; e = e->hh.next)
        json_array_append_new(list, row(&e->iface, brief));
    return list;
}
