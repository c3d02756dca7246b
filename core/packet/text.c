#include "packet/text.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "packet/packet.h"

struct words {
    const char *const *w;
    size_t n, at;
    struct packet_spec *spec;
    struct error *e;
};

#define GIVE(w, field, value)                                                                      \
    do {                                                                                           \
        (w)->spec->key.field = (value);                                                            \
        memset(&(w)->spec->given.field, 0xff, sizeof(w)->spec->given.field);                       \
    } while (0)

static const char *peek(const struct words *w)
{
    return w->at < w->n ? w->w[w->at] : NULL;
}

static bool take_word(struct words *w, const char *word)
{
    if (!peek(w) || strcmp(peek(w), word))
        return false;
    w->at++;
    return true;
}

static int fail(struct words *w, const char *expected)
{
    const char *at = peek(w);

    if (!at)
        return error_set(w->e, -EINVAL, "packet", NULL, "ends where %s should follow", expected);
    return error_set(w->e, -EINVAL, "packet", NULL, "\"%s\" where %s should stand", at, expected);
}

static int take_number(struct words *w, unsigned long max, const char *expected, unsigned long *out)
{
    char *end;
    const char *s = peek(w);

    if (!s || *s == '-')
        return fail(w, expected);
    errno = 0;
    *out = strtoul(s, &end, 0);
    if (end == s || *end || errno || *out > max)
        return fail(w, expected);
    w->at++;
    return 0;
}

static int take_mac(struct words *w, struct mac *m)
{
    if (!peek(w) || mac_parse(peek(w), m))
        return fail(w, "a MAC address");
    w->at++;
    return 0;
}

static int take_ip(struct words *w, struct ip *ip)
{
    if (!peek(w) || ip_parse(peek(w), ip))
        return fail(w, "an IP address");
    w->at++;
    return 0;
}

/* "10.0.0.1:80", "[fd00::1]:80", or an address alone. */
static int take_endpoint(struct words *w, struct ip *ip, uint16_t *port, bool *has_port)
{
    const char *s = peek(w), *colon;
    char host[IP_STRLEN + 2];
    unsigned long n;

    *has_port = false;
    if (s && !ip_parse(s, ip)) {
        w->at++;
        return 0;
    }
    colon = s ? strrchr(s, ':') : NULL;
    if (!colon || (size_t)(colon - s) >= sizeof host)
        return fail(w, "ADDRESS or ADDRESS:PORT");
    memcpy(host, s, (size_t)(colon - s));
    host[colon - s] = '\0';
    char *bare = host;
    size_t len = strlen(host);
    if (host[0] == '[' && len > 2 && host[len - 1] == ']') {
        host[len - 1] = '\0';
        bare++;
    }
    char *end;
    n = strtoul(colon + 1, &end, 10);
    if (ip_parse(bare, ip) || !colon[1] || *end || n > 65535)
        return fail(w, "ADDRESS or ADDRESS:PORT");
    *port = (uint16_t)n;
    *has_port = true;
    w->at++;
    return 0;
}

static int take_addresses(struct words *w)
{
    struct ip src, dst;
    uint16_t sport = 0, dport = 0;
    bool has_sport, has_dport;
    int rc = take_endpoint(w, &src, &sport, &has_sport);

    if (rc)
        return rc;
    take_word(w, ">"); /* shells take it for themselves, so it may be left out */
    if ((rc = take_endpoint(w, &dst, &dport, &has_dport)))
        return rc;
    if (ip_is4(&src) != ip_is4(&dst))
        return error_set(w->e, -EINVAL, "packet", NULL, "mixes IPv4 and IPv6 addresses");
    GIVE(w, ip_src, src);
    GIVE(w, ip_dst, dst);
    GIVE(w, eth_type, ip_is4(&src) ? ETH_TYPE_IP : ETH_TYPE_IP6);
    if (has_sport)
        GIVE(w, tp_src, sport);
    if (has_dport)
        GIVE(w, tp_dst, dport);
    return 0;
}

static const struct icmp_word {
    const char *word;
    uint8_t type4, type6;
} icmp_words[] = {
    {"echo", 8, 128},
    {"reply", 0, 129},
    {"unreachable", 3, 1},
    {"time-exceeded", 11, 3},
    {"parameter-problem", 12, 4},
    {"too-big", 3, 2},
};

static int parse_icmp(struct words *w)
{
    const struct icmp_word *word = NULL;
    unsigned long type = 8, code = 0;
    bool numeric = false, code_given = false;
    int rc;

    for (size_t i = 0; i < sizeof icmp_words / sizeof *icmp_words && !word; i++)
        if (take_word(w, icmp_words[i].word))
            word = &icmp_words[i];
    if (!word && take_word(w, "type")) {
        numeric = true;
        if ((rc = take_number(w, 255, "an ICMP type", &type)))
            return rc;
    }
    if (take_word(w, "code")) {
        code_given = true;
        if ((rc = take_number(w, 255, "an ICMP code", &code)))
            return rc;
    }
    if ((rc = take_addresses(w)))
        return rc;
    bool v4 = ip_is4(&w->spec->key.ip_src);
    if (!numeric)
        type = word ? (v4 ? word->type4 : word->type6) : (v4 ? 8 : 128);
    if (word && !strcmp(word->word, "too-big") && v4) {
        code = 4;
        code_given = true;
    }
    GIVE(w, ip_proto, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    GIVE(w, tp_src, (uint16_t)type);
    w->spec->key.tp_dst = (uint16_t)code;
    if (code_given)
        GIVE(w, tp_dst, (uint16_t)code);
    return 0;
}

/* who-has TARGET tell SENDER | ADDRESS is-at MAC tell ASKER */
static int parse_neighbour(struct words *w, struct ip *asked, struct ip *other, bool *reply)
{
    int rc;

    *reply = !take_word(w, "who-has");
    if ((rc = take_ip(w, asked)))
        return rc;
    if (*reply) {
        if (!take_word(w, "is-at"))
            return fail(w, "\"is-at\"");
        if ((rc = take_mac(w, &w->spec->sha)))
            return rc;
        w->spec->sha_given = true;
    }
    if (!take_word(w, "tell"))
        return fail(w, "\"tell\"");
    return take_ip(w, other);
}

static int parse_arp(struct words *w)
{
    struct ip asked, other;
    bool reply;
    int rc = parse_neighbour(w, &asked, &other, &reply);

    if (rc)
        return rc;
    if (!ip_is4(&asked) || !ip_is4(&other))
        return error_set(w->e, -EINVAL, "packet", NULL, "ARP is about IPv4 addresses; use nd");
    GIVE(w, eth_type, ETH_TYPE_ARP);
    GIVE(w, ip_proto, reply ? 2 : 1);
    GIVE(w, ip_src, reply ? asked : other);
    GIVE(w, ip_dst, reply ? other : asked);
    return 0;
}

static int parse_nd(struct words *w)
{
    struct ip asked, other;
    bool reply;
    int rc = parse_neighbour(w, &asked, &other, &reply);

    if (rc)
        return rc;
    if (ip_is4(&asked) || ip_is4(&other))
        return error_set(w->e, -EINVAL, "packet", NULL, "ND is about IPv6 addresses; use arp");
    w->spec->nd_target = asked;
    GIVE(w, eth_type, ETH_TYPE_IP6);
    GIVE(w, ip_proto, IPPROTO_ICMPV6);
    GIVE(w, tp_src, reply ? 136 : 135);
    GIVE(w, ip_src, reply ? asked : other);
    w->spec->key.ip_dst = reply ? other : ip_solicited_node(&asked);
    w->spec->key.ip_ttl = 255;
    return 0;
}

static int parse_flags(struct words *w)
{
    static const char letters[] = "FSRPAU";
    uint16_t flags = 0;
    const char *s = peek(w);

    if (!s)
        return fail(w, "TCP flags (letters of FSRPAU)");
    for (; *s; s++) {
        const char *l = strchr(letters, *s);
        if (!l)
            return fail(w, "TCP flags (letters of FSRPAU)");
        flags |= (uint16_t)(1u << (l - letters));
    }
    w->at++;
    GIVE(w, tcp_flags, flags);
    return 0;
}

static int parse_frag(struct words *w)
{
    static const char *const names[] = {"none", "first", "later"};

    for (unsigned i = 0; i < 3; i++) {
        if (take_word(w, names[i])) {
            GIVE(w, ip_frag, (uint8_t)i);
            return 0;
        }
    }
    return fail(w, "none, first or later");
}

static int parse_number_modifier(struct words *w, const char *name)
{
    unsigned long n;
    int rc = take_number(w, 65535, "a number", &n);

    if (rc)
        return rc;
    if (!strcmp(name, "vlan") && n <= FLOW_VLAN_VID)
        GIVE(w, vlan_tci, (uint16_t)(n | FLOW_VLAN_PRESENT));
    else if (!strcmp(name, "inner-vlan") && n <= FLOW_VLAN_VID)
        w->spec->inner_vlan = (uint16_t)(n | FLOW_VLAN_PRESENT);
    else if (!strcmp(name, "ttl") && n <= 255)
        GIVE(w, ip_ttl, (uint8_t)n);
    else if (!strcmp(name, "tos") && n <= 255)
        GIVE(w, ip_tos, (uint8_t)n);
    else if (!strcmp(name, "code") && n <= 255)
        GIVE(w, tp_dst, (uint16_t)n);
    else if (!strcmp(name, "id"))
        GIVE(w, icmp_id, (uint16_t)n);
    else if (!strcmp(name, "size") && n <= 60000) {
        w->spec->payload = (uint16_t)n;
        w->spec->payload_given = true;
    } else
        return error_set(w->e, -EINVAL, "packet", name, "%lu is out of range", n);
    return 0;
}

static int parse_endpoint_modifier(struct words *w, bool source)
{
    struct ip ip;
    uint16_t port;
    bool has_port;
    int rc = take_endpoint(w, &ip, &port, &has_port);

    if (rc)
        return rc;
    if (source)
        GIVE(w, ip_src, ip);
    else
        GIVE(w, ip_dst, ip);
    if (has_port && source)
        GIVE(w, tp_src, port);
    else if (has_port)
        GIVE(w, tp_dst, port);
    return 0;
}

static int parse_modifier(struct words *w)
{
    static const char *const numbers[] = {"vlan", "inner-vlan", "ttl", "tos", "code", "id", "size"};
    struct mac m;

    if (take_word(w, "from")) {
        int rc = take_mac(w, &m);
        if (!rc)
            GIVE(w, eth_src, m);
        return rc;
    }
    if (take_word(w, "to")) {
        int rc = take_mac(w, &m);
        if (!rc)
            GIVE(w, eth_dst, m);
        return rc;
    }
    if (take_word(w, "src") || take_word(w, "dst"))
        return parse_endpoint_modifier(w, !strcmp(w->w[w->at - 1], "src"));
    if (take_word(w, "frag"))
        return parse_frag(w);
    if (take_word(w, "flags"))
        return parse_flags(w);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (take_word(w, numbers[i]))
            return parse_number_modifier(w, numbers[i]);
    return fail(w, "from, to, src, dst, vlan, ttl, tos, frag, flags, id, code or size");
}

static int parse_l4(struct words *w, uint8_t proto)
{
    int rc = take_addresses(w);

    if (!rc)
        GIVE(w, ip_proto, proto);
    return rc;
}

static int parse_kind(struct words *w)
{
    unsigned long n;
    int rc;

    if (take_word(w, "tcp"))
        return parse_l4(w, IPPROTO_TCP);
    if (take_word(w, "udp"))
        return parse_l4(w, IPPROTO_UDP);
    if (take_word(w, "icmp") || take_word(w, "icmp6"))
        return parse_icmp(w);
    if (take_word(w, "arp"))
        return parse_arp(w);
    if (take_word(w, "nd"))
        return parse_nd(w);
    if (take_word(w, "ip"))
        return (rc = take_number(w, 255, "a protocol number", &n)) ? rc : parse_l4(w, (uint8_t)n);
    if (take_word(w, "eth")) {
        if (!(rc = take_number(w, 65535, "an ethertype", &n)))
            GIVE(w, eth_type, (uint16_t)n);
        return rc;
    }
    return fail(w, "tcp, udp, icmp, arp, nd, ip or eth");
}

int packet_spec_parse(const char *const *words, size_t n, struct packet_spec *out, struct error *e)
{
    struct packet_spec spec = {.key.ip_ttl = 64};
    struct words w = {words, n, 0, &spec, e};
    int rc = parse_kind(&w);

    while (!rc && w.at < n)
        rc = parse_modifier(&w);
    if (!rc)
        *out = spec;
    return rc;
}

int packet_spec_modify(const char *const *words, size_t n, struct packet_spec *spec,
                       struct error *e)
{
    struct packet_spec copy = *spec;
    struct words w = {words, n, 0, &copy, e};
    int rc = 0;

    while (!rc && w.at < n)
        rc = parse_modifier(&w);
    if (!rc)
        *spec = copy;
    return rc;
}

void packet_spec_of(const uint8_t *packet, size_t size, struct packet_spec *out)
{
    struct packet_layers l;
    struct flow_key *g = &out->given;

    memset(out, 0, sizeof *out);
    packet_parse(packet, size, &out->key, &l);
    memset(g, 0xff, sizeof *g);
    g->in_port = g->tun_id = 0;
    g->tun_src = ip_none;
}

/* Puts a second tag behind the first twelve (or sixteen) bytes. */
static size_t insert_inner_tag(const struct packet_spec *s, uint8_t *buf, size_t n, size_t size)
{
    size_t at = s->key.vlan_tci ? 16 : 12;

    if (!n || n + 4 > size)
        return 0;
    memmove(buf + at + 4, buf + at, n - at);
    buf[at] = ETH_TYPE_VLAN >> 8;
    buf[at + 1] = ETH_TYPE_VLAN & 0xff;
    buf[at + 2] = (uint8_t)((s->inner_vlan & FLOW_VLAN_VID) >> 8);
    buf[at + 3] = (uint8_t)s->inner_vlan;
    return n + 4;
}

static size_t insert_outer_tag(const struct packet_spec *s, uint8_t *buf, size_t n, size_t size)
{
    if (!n || n + 4 > size)
        return 0;
    memmove(buf + 16, buf + 12, n - 12);
    buf[12] = ETH_TYPE_VLAN >> 8;
    buf[13] = ETH_TYPE_VLAN & 0xff;
    buf[14] = (uint8_t)((s->key.vlan_tci & FLOW_VLAN_VID) >> 8);
    buf[15] = (uint8_t)s->key.vlan_tci;
    return n + 4;
}

static size_t build_neighbour(const struct packet_spec *s, uint8_t *buf, size_t size)
{
    const struct flow_key *k = &s->key;
    const struct mac *sha = s->sha_given ? &s->sha : &k->eth_src;
    bool dst_given = !mac_is_zero(&s->given.eth_dst);

    if (k->eth_type == ETH_TYPE_ARP) {
        struct mac tha = k->ip_proto == 2 ? k->eth_dst : (struct mac){{0}};
        const struct mac *dst = dst_given || k->ip_proto == 2 ? &k->eth_dst : &mac_broadcast;
        return packet_arp(buf, size, k->ip_proto, &k->eth_src, dst, sha, &k->ip_src, &tha,
                          &k->ip_dst);
    }
    if (k->tp_src == 136)
        return packet_nd_advert(buf, size, sha, &k->ip_src, &k->eth_dst, &k->ip_dst, &s->nd_target,
                                false, true);
    return packet_nd_solicit(buf, size, &k->eth_src, &k->ip_src, dst_given ? &k->eth_dst : NULL,
                             NULL, &s->nd_target);
}

size_t packet_spec_build(const struct packet_spec *s, uint8_t *buf, size_t size)
{
    static const uint8_t payload[60000];
    struct flow_key key = s->key;
    bool neighbour = key.eth_type == ETH_TYPE_ARP || !ip_is_none(&s->nd_target);
    size_t n;

    key.vlan_tci = 0; /* tags go in at the end, both kinds alike */
    n = neighbour ? build_neighbour(s, buf, size)
                  : packet_from_key(buf, size, &key, payload, s->payload_given ? s->payload : 18);
    if (s->inner_vlan) {
        struct packet_spec untagged = *s;
        untagged.key.vlan_tci = 0;
        n = insert_inner_tag(&untagged, buf, n, size);
    }
    return s->key.vlan_tci ? insert_outer_tag(s, buf, n, size) : n;
}

static bool differ(char *why, size_t size, const char *field, const char *is, const char *want)
{
    snprintf(why, size, "%s is %s, not %s", field, is, want);
    return false;
}

static bool match_number(char *why, size_t size, const char *field, unsigned is, unsigned want,
                         unsigned given)
{
    char a[12], b[12];

    if (!((is ^ want) & given))
        return true;
    snprintf(a, sizeof a, "%u", is);
    snprintf(b, sizeof b, "%u", want);
    return differ(why, size, field, a, b);
}

static bool match_mac(char *why, size_t size, const char *field, const struct mac *is,
                      const struct mac *want, bool given)
{
    char a[MAC_STRLEN], b[MAC_STRLEN];

    if (!given || mac_equal(is, want))
        return true;
    return differ(why, size, field, mac_format(is, a), mac_format(want, b));
}

static bool match_ip(char *why, size_t size, const char *field, const struct ip *is,
                     const struct ip *want, bool given)
{
    char a[IP_STRLEN], b[IP_STRLEN];

    if (!given || ip_equal(is, want))
        return true;
    return differ(why, size, field, ip_format(is, a), ip_format(want, b));
}

static bool match_neighbour(const struct packet_spec *s, const uint8_t *p, size_t size, char *why,
                            size_t why_size)
{
    struct packet_nd nd;
    struct mac sha, tha;

    if (s->key.eth_type == ETH_TYPE_ARP)
        return !s->sha_given || (!packet_arp_macs(p, size, &sha, &tha) &&
                                 match_mac(why, why_size, "is-at", &sha, &s->sha, true));
    if (ip_is_none(&s->nd_target))
        return true;
    if (packet_nd_parse(p, size, &nd))
        return differ(why, why_size, "packet", "no ND message", "one");
    return match_ip(why, why_size, "nd target", &nd.target, &s->nd_target, true) &&
           match_mac(why, why_size, "is-at", &nd.lladdr, &s->sha, s->sha_given);
}

/* With two tags the words are about what is behind both. */
static bool look_behind_tag(const struct packet_spec *s, const uint8_t *packet, size_t size,
                            struct flow_key *k, char *why, size_t why_size)
{
    struct flow_key inner;
    struct packet_layers l;

    packet_parse_behind(packet, size, 1, &inner, &l);
    if (!match_number(why, why_size, "inner-vlan", inner.vlan_tci, s->inner_vlan,
                      FLOW_VLAN_PRESENT | FLOW_VLAN_VID))
        return false;
    inner.vlan_tci = k->vlan_tci;
    *k = inner;
    return true;
}

bool packet_spec_match(const struct packet_spec *s, const uint8_t *packet, size_t size, char *why,
                       size_t why_size)
{
    struct flow_key k;
    struct packet_layers l;
    const struct flow_key *want = &s->key, *g = &s->given;
    bool ips = !ip_is_none(&g->ip_src);

    why[0] = '\0';
    packet_parse(packet, size, &k, &l);
    if (s->inner_vlan && !look_behind_tag(s, packet, size, &k, why, why_size))
        return false;
#define NUMBER(field, name) match_number(why, why_size, name, k.field, want->field, g->field)
    return NUMBER(vlan_tci, "vlan") && NUMBER(eth_type, "ethertype") &&
           match_mac(why, why_size, "from", &k.eth_src, &want->eth_src,
                     !mac_is_zero(&g->eth_src)) &&
           match_mac(why, why_size, "to", &k.eth_dst, &want->eth_dst, !mac_is_zero(&g->eth_dst)) &&
           NUMBER(ip_proto, "protocol") &&
           match_ip(why, why_size, "source", &k.ip_src, &want->ip_src, ips) &&
           match_ip(why, why_size, "destination", &k.ip_dst, &want->ip_dst,
                    !ip_is_none(&g->ip_dst)) &&
           NUMBER(tp_src, "source port or ICMP type") &&
           NUMBER(tp_dst, "destination port or ICMP code") && NUMBER(ip_ttl, "ttl") &&
           NUMBER(ip_tos, "tos") && NUMBER(ip_frag, "frag") && NUMBER(tcp_flags, "flags") &&
           NUMBER(icmp_id, "id") && match_neighbour(s, packet, size, why, why_size);
#undef NUMBER
}

static const char *icmp_word_of(const struct flow_key *k)
{
    bool v4 = k->ip_proto == IPPROTO_ICMP;

    if (v4 && k->tp_src == 3 && k->tp_dst == 4)
        return "too-big";
    for (size_t i = 0; i < sizeof icmp_words / sizeof *icmp_words; i++)
        if (k->tp_src == (v4 ? icmp_words[i].type4 : icmp_words[i].type6))
            return icmp_words[i].word;
    return NULL;
}

static void describe_neighbour(const struct flow_key *k, const uint8_t *p, size_t size, char *buf,
                               size_t n)
{
    char asked[IP_STRLEN], other[IP_STRLEN], mac[MAC_STRLEN];
    struct mac sha = {{0}}, tha;
    struct packet_nd nd = {0};
    bool arp = k->eth_type == ETH_TYPE_ARP;
    bool reply = arp ? k->ip_proto == 2 : k->tp_src == 136;

    if (arp)
        packet_arp_macs(p, size, &sha, &tha);
    else if (!packet_nd_parse(p, size, &nd))
        sha = nd.lladdr;
    const struct ip *about = !arp ? &nd.target : reply ? &k->ip_src : &k->ip_dst;
    const struct ip *to = reply ? &k->ip_dst : &k->ip_src;
    ip_format(about, asked);
    ip_format(to, other);
    if (reply)
        snprintf(buf, n, "%s %s is-at %s tell %s", arp ? "arp" : "nd", asked, mac_format(&sha, mac),
                 other);
    else
        snprintf(buf, n, "%s who-has %s tell %s", arp ? "arp" : "nd", asked, other);
}

static void describe_ip(const struct flow_key *k, char *buf, size_t n)
{
    char src[IP_STRLEN], dst[IP_STRLEN];
    const char *open = ip_is4(&k->ip_src) ? "" : "[", *close = ip_is4(&k->ip_src) ? "" : "]";

    ip_format(&k->ip_src, src);
    ip_format(&k->ip_dst, dst);
    if (k->ip_proto == IPPROTO_ICMP || k->ip_proto == IPPROTO_ICMPV6) {
        const char *word = icmp_word_of(k);
        if (word)
            snprintf(buf, n, "icmp %s code %u %s > %s", word, k->tp_dst, src, dst);
        else
            snprintf(buf, n, "icmp type %u code %u %s > %s", k->tp_src, k->tp_dst, src, dst);
    } else if (k->ip_proto == IPPROTO_TCP || k->ip_proto == IPPROTO_UDP) {
        snprintf(buf, n, "%s %s%s%s:%u > %s%s%s:%u", k->ip_proto == IPPROTO_TCP ? "tcp" : "udp",
                 open, src, close, k->tp_src, open, dst, close, k->tp_dst);
    } else {
        snprintf(buf, n, "ip %u %s > %s", k->ip_proto, src, dst);
    }
}

char *packet_describe(const uint8_t *packet, size_t size, char *buf, size_t buf_size)
{
    struct flow_key k;
    struct packet_layers l;
    char what[200], from[MAC_STRLEN], to[MAC_STRLEN], vlan[24] = "", ttl[16] = "", frag[16] = "";

    packet_parse(packet, size, &k, &l);
    bool ip = k.eth_type == ETH_TYPE_IP || k.eth_type == ETH_TYPE_IP6;
    bool nd = k.ip_proto == IPPROTO_ICMPV6 && (k.tp_src == 135 || k.tp_src == 136);
    if (k.malformed)
        snprintf(what, sizeof what, "malformed (%s)", packet_bad_name(k.malformed));
    else if (k.eth_type == ETH_TYPE_ARP || (ip && nd))
        describe_neighbour(&k, packet, size, what, sizeof what);
    else if (ip)
        describe_ip(&k, what, sizeof what);
    else
        snprintf(what, sizeof what, "eth 0x%04x", k.eth_type);
    if (k.vlan_tci)
        snprintf(vlan, sizeof vlan, " vlan %u", k.vlan_tci & FLOW_VLAN_VID);
    if (ip)
        snprintf(ttl, sizeof ttl, " ttl %u", k.ip_ttl);
    if (k.ip_frag)
        snprintf(frag, sizeof frag, " frag %s", k.ip_frag == FLOW_FRAG_FIRST ? "first" : "later");
    snprintf(buf, buf_size, "%s from %s to %s%s%s%s", what, mac_format(&k.eth_src, from),
             mac_format(&k.eth_dst, to), vlan, ttl, frag);
    return buf;
}
