#include "packet/text.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "packet/packet.h"
#include "packet/text_words.h"

const char *words_peek(const struct words *w)
{
    return w->at < w->n ? w->w[w->at] : NULL;
}

bool words_take(struct words *w, const char *word)
{
    if (!words_peek(w) || strcmp(words_peek(w), word))
        return false;
    w->at++;
    return true;
}

int words_fail(struct words *w, const char *expected)
{
    const char *at = words_peek(w);

    if (!at)
        return error_set(w->e, -EINVAL, "packet", NULL, "ends where %s should follow", expected);
    return error_set(w->e, -EINVAL, "packet", NULL, "\"%s\" where %s should stand", at, expected);
}

int words_number(struct words *w, unsigned long max, const char *expected, unsigned long *out)
{
    char *end;
    const char *s = words_peek(w);

    if (!s || *s == '-')
        return words_fail(w, expected);
    errno = 0;
    *out = strtoul(s, &end, 0);
    if (end == s || *end || errno || *out > max)
        return words_fail(w, expected);
    w->at++;
    return 0;
}

int words_mac(struct words *w, struct mac *m)
{
    if (!words_peek(w) || mac_parse(words_peek(w), m))
        return words_fail(w, "a MAC address");
    w->at++;
    return 0;
}

int words_ip(struct words *w, struct ip *ip)
{
    if (!words_peek(w) || ip_parse(words_peek(w), ip))
        return words_fail(w, "an IP address");
    w->at++;
    return 0;
}

/* "10.0.0.1:80", "[fd00::1]:80", or an address alone. */
static int take_endpoint(struct words *w, struct ip *ip, uint16_t *port, bool *has_port)
{
    const char *s = words_peek(w), *colon;
    char host[IP_STRLEN + 2];
    unsigned long n;

    *has_port = false;
    if (s && !ip_parse(s, ip)) {
        w->at++;
        return 0;
    }
    colon = s ? strrchr(s, ':') : NULL;
    if (!colon || (size_t)(colon - s) >= sizeof host)
        return words_fail(w, "ADDRESS or ADDRESS:PORT");
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
        return words_fail(w, "ADDRESS or ADDRESS:PORT");
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
    words_take(w, ">"); /* shells take it for themselves, so it may be left out */
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

const struct packet_icmp_word packet_icmp_words[PACKET_ICMP_WORDS] = {
    {"echo", 8, 128},
    {"reply", 0, 129},
    {"unreachable", 3, 1},
    {"time-exceeded", 11, 3},
    {"parameter-problem", 12, 4},
    {"too-big", 3, 2},
};

static int parse_icmp(struct words *w)
{
    const struct packet_icmp_word *word = NULL;
    unsigned long type = 8, code = 0;
    bool numeric = false, code_given = false;
    int rc;

    for (size_t i = 0; i < PACKET_ICMP_WORDS && !word; i++)
        if (words_take(w, packet_icmp_words[i].word))
            word = &packet_icmp_words[i];
    if (!word && words_take(w, "type")) {
        numeric = true;
        if ((rc = words_number(w, 255, "an ICMP type", &type)))
            return rc;
    }
    if (words_take(w, "code")) {
        code_given = true;
        if ((rc = words_number(w, 255, "an ICMP code", &code)))
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

    *reply = !words_take(w, "who-has");
    if ((rc = words_ip(w, asked)))
        return rc;
    if (*reply) {
        if (!words_take(w, "is-at"))
            return words_fail(w, "\"is-at\"");
        if ((rc = words_mac(w, &w->spec->sha)))
            return rc;
        w->spec->sha_given = true;
    }
    if (!words_take(w, "tell"))
        return words_fail(w, "\"tell\"");
    return words_ip(w, other);
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
    const char *s = words_peek(w);

    if (!s)
        return words_fail(w, "TCP flags (letters of FSRPAU)");
    for (; *s; s++) {
        const char *l = strchr(letters, *s);
        if (!l)
            return words_fail(w, "TCP flags (letters of FSRPAU)");
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
        if (words_take(w, names[i])) {
            GIVE(w, ip_frag, (uint8_t)i);
            return 0;
        }
    }
    return words_fail(w, "none, first or later");
}

static int parse_number_modifier(struct words *w, const char *name)
{
    unsigned long n;
    int rc = words_number(w, 65535, "a number", &n);

    if (rc)
        return rc;
    if (!strcmp(name, "vlan") && n <= FLOW_VLAN_VID)
        GIVE(w, vlan_tci, (uint16_t)(n | FLOW_VLAN_PRESENT));
    else if (!strcmp(name, "pcp") && n <= 7 && w->spec->key.vlan_tci)
        GIVE(w, vlan_tci, (uint16_t)((w->spec->key.vlan_tci & 0x1fff) | n << 13));
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

/* The rest of the words. */
static int parse_quoted(struct words *w)
{
    struct packet_spec quoted;

    if (!packet_is_icmp_error(&w->spec->key))
        return error_set(w->e, -EINVAL, "packet", "about", "only ICMP errors quote a packet");
    int rc = packet_spec_parse(w->w + w->at, w->n - w->at, &quoted, w->e);
    if (rc)
        return rc;
    if (quoted.key.eth_type != w->spec->key.eth_type)
        return error_set(w->e, -EINVAL, "packet", "about", "is of another IP version");
    w->spec->quotes = true;
    w->spec->quoted = quoted.key;
    w->spec->quoted_given = quoted.given;
    w->at = w->n;
    return 0;
}

static int parse_plain_modifier(struct words *w)
{
    static const char *const numbers[] = {"vlan", "pcp",  "inner-vlan", "ttl",
                                          "tos",  "code", "id",         "size"};
    struct mac m;

    if (words_take(w, "from")) {
        int rc = words_mac(w, &m);
        if (!rc)
            GIVE(w, eth_src, m);
        return rc;
    }
    if (words_take(w, "to")) {
        int rc = words_mac(w, &m);
        if (!rc)
            GIVE(w, eth_dst, m);
        return rc;
    }
    if (words_take(w, "src") || words_take(w, "dst"))
        return parse_endpoint_modifier(w, !strcmp(w->w[w->at - 1], "src"));
    if (words_take(w, "frag"))
        return parse_frag(w);
    if (words_take(w, "flags"))
        return parse_flags(w);
    if (words_take(w, "about"))
        return parse_quoted(w);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (words_take(w, numbers[i]))
            return parse_number_modifier(w, numbers[i]);
    return words_fail(
        w, "from, to, src, dst, vlan, pcp, ttl, tos, frag, flags, id, code, size or about");
}

static int parse_modifier(struct words *w)
{
    bool taken = false;
    int rc = w->spec->app.kind ? words_app(w, &taken) : 0;

    return rc || taken ? rc : parse_plain_modifier(w);
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

    if (words_take(w, "tcp"))
        return parse_l4(w, IPPROTO_TCP);
    if (words_take(w, "udp"))
        return parse_l4(w, IPPROTO_UDP);
    if (words_take(w, "icmp") || words_take(w, "icmp6"))
        return parse_icmp(w);
    if (words_take(w, "arp"))
        return parse_arp(w);
    if (words_take(w, "nd"))
        return parse_nd(w);
    if (words_app_kind(w, &rc))
        return rc;
    if (words_take(w, "ip"))
        return (rc = words_number(w, 255, "a protocol number", &n)) ? rc : parse_l4(w, (uint8_t)n);
    if (words_take(w, "eth")) {
        if (!(rc = words_number(w, 65535, "an ethertype", &n)))
            GIVE(w, eth_type, (uint16_t)n);
        return rc;
    }
    return words_fail(w, "tcp, udp, icmp, arp, nd, dhcp, dhcp6, rs, ra, ip or eth");
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
