#include "agent/words.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "topology/lpm.h"
#include "topology/tables.h"

/* Slots are numbered from 1 on, without gaps. */
static bool in_use(const struct topo *t, topo_ref ref)
{
    return !uuid_is_zero(topo_id(t, ref));
}

const struct topo_rule *words_find_rule(const struct topo *t, const struct uuid *id,
                                        const struct topo_chain **chain, uint32_t *place)
{
    for (topo_ref ref = 1; in_use(t, ref); ref++) {
        const struct topo_chain *c = topo_kind_of(t, ref) == TOPO_CHAIN ? topo_chain(t, ref) : NULL;
        for (uint32_t i = 0; c && !c->obj.missing && i < c->n_rules; i++) {
            if (!uuid_equal(&c->rules[i].id, id))
                continue;
            *chain = c;
            *place = i + 1;
            return &c->rules[i];
        }
    }
    return NULL;
}

static const struct topo_route *find_route(const struct topo *t, const struct uuid *id,
                                           const struct topo_router **router)
{
    for (topo_ref ref = 1; in_use(t, ref); ref++) {
        *router = topo_kind_of(t, ref) == TOPO_ROUTER ? topo_router(t, ref) : NULL;
        if (!*router || (*router)->obj.missing)
            continue;
        const struct topo_route *routes = topo_lpm_routes((*router)->routes);
        for (size_t i = 0; i < topo_lpm_size((*router)->routes); i++)
            if (uuid_equal(&routes[i].id, id))
                return &routes[i];
    }
    return NULL;
}

/* What lives inside another object has no slot, and often no name: it is told by its place. */
static bool inner_object(const struct topo *t, enum topo_kind kind, const struct uuid *id,
                         char buf[WORDS_SIZE])
{
    const struct topo_router *router;
    const struct topo_chain *chain;
    const struct topo_route *route;
    char name[WORDS_SIZE], cidr[CIDR_STRLEN];
    uint32_t place;

    if (kind == TOPO_RULE && words_find_rule(t, id, &chain, &place)) {
        words_object(t, TOPO_CHAIN, &chain->obj.id, name);
        snprintf(buf, WORDS_SIZE, "rule %u of %.150s", place, name);
        return true;
    }
    if (kind == TOPO_ROUTE && (route = find_route(t, id, &router))) {
        words_object(t, TOPO_ROUTER, &router->obj.id, name);
        snprintf(buf, WORDS_SIZE, "route %s of %.120s", cidr_format(&route->dst, cidr), name);
        return true;
    }
    return false;
}

struct place {
    char *buf;
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void put(struct place *p, const char *fmt, ...)
{
    va_list ap;

    if (p->n >= WORDS_SIZE)
        return;
    va_start(ap, fmt);
    p->n += (size_t)vsnprintf(p->buf + p->n, WORDS_SIZE - p->n, fmt, ap);
    va_end(ap);
}

static void put_range(struct place *p, const uint16_t v[2])
{
    put(p, v[0] == v[1] ? " %u" : " %u-%u", v[0], v[1]);
}

static void put_value(struct place *p, const struct topo *t, const struct topo_cond *c,
                      enum cond_field f)
{
    char text[WORDS_SIZE];

    switch (f) {
    case COND_PROTO:
        put(p, " %s", words_proto(c->proto, text));
        break;
    case COND_ETH_TYPE:
        put(p, " 0x%04x", c->eth_type);
        break;
    case COND_SRC:
        put(p, " %s", cidr_format(&c->src, text));
        break;
    case COND_DST:
        put(p, " %s", cidr_format(&c->dst, text));
        break;
    case COND_TP_SRC:
        put_range(p, c->tp_src);
        break;
    case COND_TP_DST:
        put_range(p, c->tp_dst);
        break;
    case COND_SRC_GROUP:
        put(p, " %s", words_ref(t, c->src_group, text));
        break;
    case COND_DST_GROUP:
        put(p, " %s", words_ref(t, c->dst_group, text));
        break;
    default: /* its name says enough */
        break;
    }
}

char *words_rule(const struct topo *t, const struct topo_rule *r, char buf[WORDS_SIZE])
{
    struct place p = {.buf = buf};

    put(&p, "type %s%s", topo_rule_type_name((enum topo_rule_type)r->type),
        r->cond.inverted ? " unless" : "");
    for (unsigned f = 0; f < COND_N_FIELDS; f++) {
        if (!(r->cond.has & 1u << f))
            continue;
        put(&p, r->cond.inv & 1u << f ? ", not %s" : ", %s", cond_field_name((enum cond_field)f));
        put_value(&p, t, &r->cond, (enum cond_field)f);
    }
    return buf;
}

char *words_object(const struct topo *t, enum topo_kind kind, const struct uuid *id,
                   char buf[WORDS_SIZE])
{
    topo_ref ref = topo_find(t, id);
    const struct topo_obj *o = ref ? topo_get(t, ref) : NULL;
    char text[UUID_STRLEN];

    if (!ref && inner_object(t, kind, id, buf))
        return buf;
    if (kind == TOPO_NONE || kind >= TOPO_N_KINDS)
        *buf = '\0';
    else
        snprintf(buf, WORDS_SIZE, "%s %s", topo_kind_name(kind),
                 o && *o->name ? o->name : uuid_format(id, text));
    return buf;
}

char *words_ref(const struct topo *t, topo_ref ref, char buf[WORDS_SIZE])
{
    return words_object(t, topo_kind_of(t, ref), topo_id(t, ref), buf);
}

char *words_endpoint(const struct ip *ip, uint16_t port, char buf[ENDPOINT_SIZE])
{
    char text[IP_STRLEN];

    snprintf(buf, ENDPOINT_SIZE, ip_is4(ip) ? "%s:%u" : "[%s]:%u", ip_format(ip, text), port);
    return buf;
}

char *words_proto(uint8_t proto, char buf[8])
{
    static const struct {
        uint8_t proto;
        const char *name;
    } names[] = {{IPPROTO_TCP, "tcp"},
                 {IPPROTO_UDP, "udp"},
                 {IPPROTO_ICMP, "icmp"},
                 {IPPROTO_ICMPV6, "icmpv6"},
                 {IPPROTO_SCTP, "sctp"}};

    snprintf(buf, 8, "%u", proto);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].proto == proto)
            snprintf(buf, 8, "%s", names[i].name);
    return buf;
}

char *words_record(const struct topo *t, const struct state_rec *r, char buf[WORDS_SIZE])
{
    char src[ENDPOINT_SIZE], dst[ENDPOINT_SIZE], to[ENDPOINT_SIZE], proto[8], name[WORDS_SIZE];
    size_t n = (size_t)snprintf(
        buf, WORDS_SIZE, "%s %s %s > %s", state_kind_name((enum state_kind)r->kind),
        words_proto(r->fwd.proto, proto), words_endpoint(&r->fwd.src, r->fwd.sport, src),
        words_endpoint(&r->fwd.dst, r->fwd.dport, dst));

    if (r->kind != STATE_CONN && n < WORDS_SIZE)
        n += (size_t)snprintf(buf + n, WORDS_SIZE - n, " as %s",
                              words_endpoint(&r->to, r->to_port, to));
    if (n < WORDS_SIZE)
        snprintf(buf + n, WORDS_SIZE - n, " at %s", words_ref(t, r->device, name));
    return buf;
}

/* What a tag was made of. */
struct known {
    tag_t tag;
    topo_ref ref; /* object, bridge, router port, host */
    uint16_t vlan;
    struct mac mac;
    struct ip ip;
    const struct state_rec *rec; /* in tag_words.recs */
    UT_hash_handle hh;
};

struct tag_words {
    const struct topo *topo;
    struct known *tags;
    topo_ref adding; /* the bridge whose table is being read */
    struct state_info *recs;
};

static void add(struct tag_words *w, const struct known *k)
{
    struct known *have;

    HASH_FIND(hh, w->tags, &k->tag, sizeof k->tag, have);
    if (have)
        return;
    have = NEW(struct known);
    *have = *k;
    HASH_ADD(hh, w->tags, tag, sizeof have->tag, have);
}

static int add_mac(uint16_t vlan, const struct mac *mac, topo_ref port, void *aux)
{
    struct tag_words *w = aux;

    (void)port;
    add(w, &(struct known){.tag = tag_bridge_mac(w->adding, vlan, mac),
                           .ref = w->adding,
                           .vlan = vlan,
                           .mac = *mac});
    return 0;
}

static int add_neigh(topo_ref port, const struct ip *ip, const struct topo_neigh *n, void *aux)
{
    (void)n;
    add(aux, &(struct known){.tag = tag_neigh(port, ip), .ref = port, .ip = *ip});
    return 0;
}

static void add_records(struct tag_words *w, const struct state *state)
{
    uint32_t max = MIN(state_size(state) + 64, (uint32_t)WORDS_RECORDS), n = 0;
    uint64_t at = 0;

    w->recs = NEW_ARRAY(max, struct state_info);
    do
        n += state_dump(state, &at, w->recs + n, max - n);
    while (at && n < max);
    for (uint32_t i = 0; i < n; i++) {
        tag_t tags[2];
        unsigned n_tags = state_tags(&w->recs[i].rec, tags);
        for (unsigned k = 0; k < n_tags; k++)
            add(w, &(struct known){.tag = tags[k], .rec = &w->recs[i].rec});
    }
}

struct tag_words *tag_words_new(const struct topo *t, const struct state *state)
{
    struct tag_words *w = NEW(struct tag_words);

    w->topo = t;
    for (topo_ref ref = 1; in_use(t, ref); ref++) {
        enum topo_kind kind = topo_kind_of(t, ref);
        const struct topo_obj *o = topo_get(t, ref);
        add(w, &(struct known){.tag = tag_object(ref), .ref = ref});
        if (kind == TOPO_HOST)
            add(w, &(struct known){.tag = tag_tunnel(ref), .ref = ref});
        if (kind == TOPO_BRIDGE)
            add(w, &(struct known){.tag = tag_flood(ref), .ref = ref});
        w->adding = ref;
        if (o && !o->missing && kind == TOPO_BRIDGE)
            topo_mac_each(((const struct topo_bridge *)o)->macs, add_mac, w);
        if (o && !o->missing && kind == TOPO_ROUTER)
            topo_neigh_each(((const struct topo_router *)o)->neighs, add_neigh, w);
    }
    if (state)
        add_records(w, state);
    return w;
}

void tag_words_free(struct tag_words *w)
{
    struct known *k, *next;

    if (!w)
        return;
    HASH_ITER (hh, w->tags, k, next) {
        HASH_DEL(w->tags, k);
        free(k);
    }
    free(w->recs);
    free(w);
}

static char *known_words(const struct tag_words *w, const struct known *k, char buf[WORDS_SIZE])
{
    char name[WORDS_SIZE], text[IP_STRLEN];

    if (k->rec)
        return words_record(w->topo, k->rec, buf);
    words_ref(w->topo, k->ref, name);
    switch ((enum tag_kind)(k->tag >> 56)) {
    case TAG_BRIDGE_FLOOD:
        snprintf(buf, WORDS_SIZE, "ports flooded by %.80s", name);
        break;
    case TAG_TUNNEL:
        snprintf(buf, WORDS_SIZE, "tunnel to %.80s", name);
        break;
    case TAG_NEIGH:
        snprintf(buf, WORDS_SIZE, "neighbour %s on %.60s", ip_format(&k->ip, text), name);
        break;
    case TAG_BRIDGE_MAC:
        snprintf(buf, WORDS_SIZE, "address %s", mac_format(&k->mac, text));
        snprintf(buf + strlen(buf), WORDS_SIZE - strlen(buf), k->vlan ? " vlan %u on " : " on ",
                 k->vlan);
        snprintf(buf + strlen(buf), WORDS_SIZE - strlen(buf), "%s", name);
        break;
    default:
        snprintf(buf, WORDS_SIZE, "%s", name);
    }
    return buf;
}

/* Addresses of the flow itself, on any bridge, in its VLAN or none. */
static bool guess_mac(const struct tag_words *w, tag_t tag, const struct flow_key *key,
                      struct known *k)
{
    const struct mac *macs[] = {&key->eth_dst, &key->eth_src};
    uint16_t vlans[] = {0, key->vlan_tci & FLOW_VLAN_VID};

    for (topo_ref ref = 1; in_use(w->topo, ref); ref++) {
        for (unsigned i = 0; i < 4 && topo_kind_of(w->topo, ref) == TOPO_BRIDGE; i++) {
            *k = (struct known){.tag = tag, .ref = ref, .vlan = vlans[i / 2], .mac = *macs[i % 2]};
            if (tag_bridge_mac(ref, k->vlan, &k->mac) == tag)
                return true;
        }
    }
    return false;
}

static bool guess_dst(const struct tag_words *w, tag_t tag, const struct flow_key *key,
                      char buf[WORDS_SIZE])
{
    char name[WORDS_SIZE], text[CIDR_STRLEN];

    for (topo_ref ref = 1; in_use(w->topo, ref); ref++) {
        unsigned skip = ip_is4(&key->ip_dst) ? 96 : 0;
        for (unsigned bits = skip; topo_kind_of(w->topo, ref) == TOPO_ROUTER && bits <= 128;
             bits++) {
            struct cidr c = {key->ip_dst, (uint8_t)(bits - skip)};
            if (tag_route_dst(ref, &key->ip_dst, bits) != tag)
                continue;
            c.addr = cidr_network(&c);
            snprintf(buf, WORDS_SIZE, "routes to %s of %.60s", cidr_format(&c, text),
                     words_ref(w->topo, ref, name));
            return true;
        }
    }
    return false;
}

char *tag_words(const struct tag_words *w, tag_t tag, const struct flow_key *key,
                char buf[WORDS_SIZE])
{
    static const char *const kinds[] = {
        [TAG_OBJECT] = "object",           [TAG_BRIDGE_MAC] = "address on a bridge",
        [TAG_BRIDGE_FLOOD] = "flood",      [TAG_ROUTE_DST] = "routes",
        [TAG_NEIGH] = "neighbour",         [TAG_TUNNEL] = "tunnel",
        [TAG_STATE_KEY] = "no connection", [TAG_GROUP_IP] = "member of a group"};
    unsigned kind = (unsigned)(tag >> 56);
    struct known *have, guess;

    HASH_FIND(hh, w->tags, &tag, sizeof tag, have);
    if (have)
        return known_words(w, have, buf);
    if (kind == TAG_BRIDGE_MAC && guess_mac(w, tag, key, &guess))
        return known_words(w, &guess, buf);
    if (kind == TAG_ROUTE_DST && guess_dst(w, tag, key, buf))
        return buf;
    snprintf(buf, WORDS_SIZE, "%s %014llx",
             kind < ARRAY_SIZE(kinds) && kinds[kind] ? kinds[kind] : "tag",
             (unsigned long long)(tag & 0x00ffffffffffffffull));
    return buf;
}
