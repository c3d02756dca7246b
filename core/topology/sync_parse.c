#include <ctype.h>
#include <stdlib.h>

#include "topology/sync_impl.h"

const char *sync_body_string(const json_t *body, const char *key)
{
    const char *text = json_string_value(json_object_get(body, key));

    return text ? text : "";
}

bool sync_body_uuid(const json_t *body, const char *key, struct uuid *id)
{
    return !uuid_parse(sync_body_string(body, key), id);
}

bool sync_body_bool(const json_t *body, const char *key, bool def)
{
    const json_t *v = json_object_get(body, key);

    return json_is_boolean(v) ? json_is_true(v) : def;
}

int64_t sync_body_int(const json_t *body, const char *key, int64_t def, int64_t min, int64_t max)
{
    const json_t *v = json_object_get(body, key);
    int64_t n = json_integer_value(v);

    return json_is_integer(v) && n >= min && n <= max ? n : def;
}

bool sync_body_mac(const json_t *body, const char *key, struct mac *mac)
{
    return !mac_parse(sync_body_string(body, key), mac);
}

bool sync_body_ip(const json_t *body, const char *key, struct ip *ip)
{
    return !ip_parse(sync_body_string(body, key), ip);
}

topo_ref sync_body_ref(struct sync *s, const json_t *body, const char *key, enum topo_kind kind)
{
    struct uuid id;

    return sync_body_uuid(body, key, &id) ? topo_intern(s->topo, kind, &id) : 0;
}

uint64_t sync_parse_hex(const char *text)
{
    char *end;

    if (!isxdigit((unsigned char)text[0]) || strlen(text) > 16)
        return 0;
    uint64_t n = strtoull(text, &end, 16);
    return *end ? 0 : n;
}

size_t sync_body_count(const json_t *body, const char *key)
{
    return MIN(json_array_size(json_object_get(body, key)), (size_t)UINT16_MAX);
}

struct topo_refs sync_body_list(struct sync *s, const json_t *body, const char *key,
                                enum topo_kind kind, void *obj)
{
    const json_t *list = json_object_get(body, key);
    size_t n = sync_body_count(body, key);
    struct topo_refs out = {.v = topo_extra(obj, n * sizeof(topo_ref))};
    struct uuid id;

    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text && !uuid_parse(text, &id))
            out.v[out.n++] = topo_intern(s->topo, kind, &id);
    }
    return out;
}

void sync_copy_list(void *obj, struct topo_refs *to, const struct topo_refs *from)
{
    to->n = from->n;
    to->v = topo_extra(obj, from->n * sizeof *from->v);
    if (from->n)
        memcpy(to->v, from->v, from->n * sizeof *from->v);
}

bool sync_same_lists(const struct topo_refs *a, const struct topo_refs *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i].n != b[i].n || (a[i].n && memcmp(a[i].v, b[i].v, a[i].n * sizeof *a[i].v)))
            return false;
    }
    return true;
}

static const char *const mirror_lists[TOPO_PORT_HOOKS] = {
    [TOPO_HOOK_IN] = "inboundMirrorIds",
    [TOPO_HOOK_OUT] = "outboundMirrorIds",
    [TOPO_HOOK_POST_IN_FILTER] = "postInFilterMirrorIds",
    [TOPO_HOOK_PRE_OUT_FILTER] = "preOutFilterMirrorIds",
};

size_t sync_mirrors_size(const json_t *body, unsigned n_hooks)
{
    size_t size = 0;

    for (unsigned i = 0; i < n_hooks; i++)
        size += sync_body_count(body, mirror_lists[i]) * sizeof(topo_ref) + 16;
    return size;
}

void sync_parse_mirrors(struct sync *s, const json_t *body, void *obj, struct topo_refs *mirrors,
                        unsigned n_hooks)
{
    for (unsigned i = 0; i < n_hooks; i++)
        mirrors[i] = sync_body_list(s, body, mirror_lists[i], TOPO_MIRROR, obj);
}

static int compare_refs(const void *pa, const void *pb)
{
    const topo_ref *a = pa, *b = pb;

    return (*a > *b) - (*a < *b);
}

static void parse_policy(struct sync *s, struct topo_port *p, const json_t *body)
{
    p->groups = sync_body_list(s, body, "portGroupIds", TOPO_PORT_GROUP, p);
    if (p->groups.n)
        qsort(p->groups.v, p->groups.n, sizeof *p->groups.v, compare_refs);
    sync_parse_mirrors(s, body, p, p->mirrors, TOPO_PORT_HOOKS);
}

static void parse_binding(struct sync *s, struct topo_port *p, const json_t *body)
{
    const char *ifname = sync_body_string(body, "interfaceName");

    if (!*ifname || strlen(ifname) >= sizeof p->ifname)
        return;
    p->host = sync_body_ref(s, body, "hostId", TOPO_HOST);
    memcpy(p->ifname, ifname, strlen(ifname));
}

static void parse_allowed(struct topo_port *p, const json_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        struct topo_allowed *a = &p->allowed[p->n_allowed];
        bool mac = sync_body_mac(v, "mac", &a->mac);
        bool net = !cidr_parse(sync_body_string(v, "address"), &a->net);
        p->n_allowed += mac || net;
    }
}

struct topo_port *sync_parse_port(struct sync *s, const struct uuid *id, const json_t *body)
{
    const json_t *addrs = json_object_get(body, "portSubnet");
    size_t n = MIN(json_array_size(addrs), (size_t)UINT16_MAX);
    const json_t *allowed = json_object_get(body, "allowedAddresses");
    size_t n_allowed = MIN(json_array_size(allowed), (size_t)UINT16_MAX);
    size_t extra = n * sizeof(struct cidr) + n_allowed * sizeof(struct topo_allowed) +
                   sync_mirrors_size(body, TOPO_PORT_HOOKS) +
                   sync_body_count(body, "portGroupIds") * sizeof(topo_ref) + 48;
    struct topo_port *p =
        topo_object(TOPO_PORT, sizeof *p, extra, id, sync_body_string(body, "name"));

    p->device_kind = TOPO_BRIDGE;
    p->device = sync_body_ref(s, body, "bridgeId", TOPO_BRIDGE);
    if (!p->device) {
        p->device_kind = TOPO_ROUTER;
        p->device = sync_body_ref(s, body, "routerId", TOPO_ROUTER);
    }
    p->admin_up = sync_body_bool(body, "adminStateUp", true);
    p->infilter = sync_body_ref(s, body, "inboundFilterId", TOPO_CHAIN);
    p->outfilter = sync_body_ref(s, body, "outboundFilterId", TOPO_CHAIN);
    p->vlan = (uint16_t)sync_body_int(body, "vlanId", 0, 0, 4094);
    parse_binding(s, p, body);
    if (!p->host)
        p->peer = sync_body_ref(s, body, "peerId", TOPO_PORT);
    p->secure = sync_body_bool(body, "portSecurity", false);
    p->allowed = topo_extra(p, n_allowed * sizeof *p->allowed);
    parse_allowed(p, allowed, n_allowed);
    sync_body_mac(body, "portMac", &p->mac);
    p->link_local = ip_link_local_of_mac(&p->mac);
    p->addrs = topo_extra(p, n * sizeof(struct cidr));
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(addrs, i));
        if (text && !cidr_parse(text, &p->addrs[p->n_addrs]))
            p->n_addrs++;
    }
    parse_policy(s, p, body);
    return p;
}

bool sync_parse_route(struct sync *s, const struct uuid *id, const json_t *body,
                      struct topo_route *out)
{
    static const struct {
        const char *word;
        enum topo_next_hop hop;
    } hops[] = {{"Normal", TOPO_HOP_PORT},
                {"Local", TOPO_HOP_LOCAL},
                {"BlackHole", TOPO_HOP_BLACKHOLE},
                {"Reject", TOPO_HOP_REJECT}};
    const char *type = sync_body_string(body, "type");
    bool known = false;

    *out = (struct topo_route){.id = *id};
    for (size_t i = 0; i < ARRAY_SIZE(hops); i++) {
        if (!strcmp(type, hops[i].word)) {
            out->hop = (uint8_t)hops[i].hop;
            known = true;
        }
    }
    if (!known || cidr_parse(sync_body_string(body, "dstNetworkAddr"), &out->dst))
        return false;
    if (cidr_parse(sync_body_string(body, "srcNetworkAddr"), &out->src))
        out->src = (struct cidr){ip_is4(&out->dst.addr) ? ip_from4(0) : ip_none, 0};
    out->weight = (uint32_t)sync_body_int(body, "weight", 0, 0, INT32_MAX);
    out->port = sync_body_ref(s, body, "nextHopPort", TOPO_PORT);
    sync_body_ip(body, "nextHopGateway", &out->gateway);
    if (ip_is4(&out->gateway) && !ip_to4(&out->gateway))
        out->gateway = ip_none;
    return out->port || out->hop == TOPO_HOP_BLACKHOLE || out->hop == TOPO_HOP_REJECT;
}

static struct port_server parse_server(struct sync *s, const json_t *value)
{
    return (struct port_server){.host = sync_body_ref(s, value, "host", TOPO_HOST),
                                .key = (uint32_t)sync_body_int(value, "key", 0, 0, 0xffffff),
                                .inc = sync_parse_hex(sync_body_string(value, "inc"))};
}

struct port_state sync_parse_port_state(struct sync *s, const json_t *value)
{
    return (struct port_state){.now = parse_server(s, value),
                               .former = parse_server(s, json_object_get(value, "former"))};
}

bool sync_same_cidrs(const struct cidr *a, const struct cidr *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i].len != b[i].len || !ip_equal(&a[i].addr, &b[i].addr))
            return false;
    }
    return true;
}
