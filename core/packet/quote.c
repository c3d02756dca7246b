/* What ICMP errors quote: read, and translated. */
#include "base/mem.h"
#include "packet/edit.h"

enum {
    QUOTE_MAX = WIRE_IP6_SIZE + 256 + 64, /* headers that the parser would walk, and some more */
    QUOTE_MIN = 8,                        /* bytes of transport */
};

static bool is_icmp(const struct flow_key *k)
{
    return k->eth_type == ETH_TYPE_IP6
               ? k->ip_proto == WIRE_PROTO_ICMP6
               : k->eth_type == ETH_TYPE_IP && k->ip_proto == WIRE_PROTO_ICMP;
}

bool packet_is_echo(const struct flow_key *k)
{
    bool ip6 = k->eth_type == ETH_TYPE_IP6;

    return is_icmp(k) && k->ip_frag != FLOW_FRAG_LATER &&
           (ip6 ? k->tp_src == 128 || k->tp_src == 129 : k->tp_src == 8 || k->tp_src == 0);
}

/* Not the redirect: it speaks of the link it is on, and no router forwards it. */
bool packet_is_icmp_error(const struct flow_key *k)
{
    if (!is_icmp(k) || k->ip_frag == FLOW_FRAG_LATER)
        return false;
    if (k->eth_type == ETH_TYPE_IP6)
        return k->tp_src >= 1 && k->tp_src <= 4;
    return k->tp_src == 3 || k->tp_src == 4 || k->tp_src == 11 || k->tp_src == 12;
}

/* The quoted packet as a whole frame: the parser would take it for cut. */
static size_t complete(uint8_t *buf, const uint8_t *quote, size_t n, bool ip6)
{
    uint8_t *ip = buf + WIRE_ETH_SIZE;

    n = MIN(n, (size_t)QUOTE_MAX);
    memset(buf, 0, WIRE_ETH_SIZE);
    put16(buf + 12, ip6 ? ETH_TYPE_IP6 : ETH_TYPE_IP);
    memcpy(ip, quote, n);
    if (ip6)
        n = WIRE_IP6_SIZE + ((n - WIRE_IP6_SIZE) & ~(size_t)7); /* as fragments must be */
    if (ip6)
        put16(ip + 4, (uint16_t)(n - WIRE_IP6_SIZE));
    else
        put16(ip + 2, (uint16_t)n);
    return WIRE_ETH_SIZE + n;
}

bool packet_quote(const uint8_t *p, size_t size, struct packet_quote *q)
{
    uint8_t whole[WIRE_ETH_SIZE + QUOTE_MAX];
    struct packet_layers l;
    struct flow_key key;

    packet_parse(p, size, &key, &l);
    if (key.malformed || !packet_is_icmp_error(&key))
        return false;
    bool ip6 = key.eth_type == ETH_TYPE_IP6;
    uint32_t at = l.l4 + WIRE_ICMP_SIZE;
    if (l.l4_end < at + (ip6 ? WIRE_IP6_SIZE : WIRE_IP4_SIZE))
        return false;
    *q = (struct packet_quote){.ports = false};
    packet_parse(whole, complete(whole, p + at, l.l4_end - at, ip6), &q->key, &q->l);
    if (!q->l.l4 || q->l.l4_end < q->l.l4 + QUOTE_MIN ||
        (q->key.malformed && q->key.malformed != PACKET_BAD_L4 &&
         q->key.malformed != PACKET_BAD_ND))
        return false;
    q->l.l3 = at;
    q->l.l4 += at - WIRE_ETH_SIZE;
    q->l.l4_end = l.l4_end;
    q->ports = q->key.ip_frag != FLOW_FRAG_LATER;
    return true;
}

void packet_quote_rewrite(uint8_t *p, const struct packet_quote *q, const struct flow_key *to)
{
    bool ip6 = q->key.eth_type == ETH_TYPE_IP6;
    struct edit e = {
        .p = p, .key = q->key, .l = q->l, .ip6 = ip6, .l4_size = q->l.l4_end - q->l.l4};
    /* Nothing behind the place of TCP's checksum changes. */
    size_t n = MIN(q->l.l4_end - q->l.l3, q->l.l4 + 18 - q->l.l3) & ~(size_t)1;
    uint8_t old[QUOTE_MAX];

    memcpy(old, p + q->l.l3, n);
    edit_find_checksum(&e);
    edit_address(&e, ip6 ? 8 : 12, &to->ip_src);
    edit_address(&e, ip6 ? 24 : 16, &to->ip_dst);
    if (packet_is_echo(&q->key))
        edit_echo_id(&e, to->icmp_id);
    else if (q->ports && !is_icmp(&q->key))
        edit_ports(&e, to->tp_src, to->tp_dst);
    /* Of either family: two bytes into the header in front. */
    csum_update(p + q->l.l3 - WIRE_ICMP_SIZE + 2, old, p + q->l.l3, n);
}
