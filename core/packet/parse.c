/* From bytes to a flow key.  Every function takes what is left of the frame and stops at the first
 * contradiction, leaving what it has read so far in the key. */
#include "packet/parse.h"
#include "packet/packet.h"
#include "packet/wire.h"

const char *packet_bad_name(unsigned bad)
{
    static const char *const names[] = {
        [PACKET_OK] = "ok",
        [PACKET_BAD_ETH] = "ethernet-cut",
        [PACKET_BAD_IP_SIZE] = "ip-length",
        [PACKET_BAD_IP_VERSION] = "ip-version",
        [PACKET_BAD_IP6_EXT] = "ip6-extension-headers",
        [PACKET_BAD_L4] = "transport-header",
        [PACKET_BAD_ARP] = "arp",
        [PACKET_BAD_ADDR] = "source-address",
        [PACKET_BAD_ND] = "neighbour-discovery",
    };

    return bad < sizeof names / sizeof *names ? names[bad] : "unknown";
}

static unsigned parse_tcp(const uint8_t *p, size_t size, struct flow_key *key)
{
    if (size < WIRE_TCP_SIZE)
        return PACKET_BAD_L4;
    key->tcp_flags = get16(p + 12) & 0x0fff;
    size_t header = (p[12] >> 4) * 4u;
    return header < WIRE_TCP_SIZE || header > size ? PACKET_BAD_L4 : PACKET_OK;
}

static unsigned parse_udp(const uint8_t *p, size_t size, const struct flow_key *key)
{
    if (size < WIRE_UDP_SIZE)
        return PACKET_BAD_L4;
    size_t says = get16(p + 4);
    bool cut = says > size && key->ip_frag == FLOW_FRAG_NONE;
    return says < WIRE_UDP_SIZE || cut ? PACKET_BAD_L4 : PACKET_OK;
}

static unsigned parse_icmp(const uint8_t *p, size_t size, struct flow_key *key)
{
    bool ip6 = key->eth_type == ETH_TYPE_IP6;

    if (size < WIRE_ICMP_SIZE)
        return PACKET_BAD_L4;
    key->tp_src = p[0];
    key->tp_dst = p[1];
    if (ip6 ? p[0] == 128 || p[0] == 129 : p[0] == 8 || p[0] == 0)
        key->icmp_id = get16(p + 4);
    if (ip6 && p[0] >= 133 && p[0] <= 137)
        return packet_nd_valid(p, size, key) ? PACKET_OK : PACKET_BAD_ND;
    return PACKET_OK;
}

/* Transport header of an unfragmented packet or first fragment; 'size' bytes of payload. */
static unsigned parse_transport(const uint8_t *p, size_t size, struct flow_key *key)
{
    switch (key->ip_proto) {
    case WIRE_PROTO_TCP:
    case WIRE_PROTO_UDP:
    case WIRE_PROTO_SCTP:
        if (size < 4)
            return PACKET_BAD_L4;
        key->tp_src = get16(p);
        key->tp_dst = get16(p + 2);
        if (key->ip_proto == WIRE_PROTO_TCP)
            return parse_tcp(p, size, key);
        if (key->ip_proto == WIRE_PROTO_UDP)
            return parse_udp(p, size, key);
        return size < WIRE_SCTP_SIZE ? PACKET_BAD_L4 : PACKET_OK;
    case WIRE_PROTO_UDPLITE:
        return size < WIRE_UDP_SIZE ? PACKET_BAD_L4 : PACKET_OK;
    case WIRE_PROTO_DCCP:
        return size < WIRE_DCCP_SIZE ? PACKET_BAD_L4 : PACKET_OK;
    case WIRE_PROTO_ICMP:
        return key->eth_type == ETH_TYPE_IP ? parse_icmp(p, size, key) : PACKET_OK;
    case WIRE_PROTO_ICMP6:
        return key->eth_type == ETH_TYPE_IP6 ? parse_icmp(p, size, key) : PACKET_OK;
    default:
        return PACKET_OK;
    }
}

static bool bad_source4(uint32_t net_order)
{
    uint8_t b[4];

    memcpy(b, &net_order, 4);
    return b[0] == 127 || (b[0] & 0xf0) == 0xe0 || net_order == ~0u;
}

static unsigned parse_ip4(const uint8_t *p, size_t size, struct flow_key *key,
                          struct packet_layers *l)
{
    uint32_t addr;

    if (size < WIRE_IP4_SIZE)
        return PACKET_BAD_IP_SIZE;
    if (p[0] >> 4 != 4)
        return PACKET_BAD_IP_VERSION;
    memcpy(&addr, p + 12, 4);
    key->ip_src = ip_from4(addr);
    bool bad_source = bad_source4(addr);
    memcpy(&addr, p + 16, 4);
    key->ip_dst = ip_from4(addr);
    key->ip_tos = p[1];
    key->ip_ttl = p[8];
    key->ip_proto = p[9];

    size_t header = (p[0] & 15) * 4u, total = get16(p + 2);
    if (header < WIRE_IP4_SIZE || header > size || total < header || total > size)
        return PACKET_BAD_IP_SIZE;
    unsigned offset = (get16(p + 6) & 0x1fffu) * 8;
    if (offset)
        key->ip_frag = FLOW_FRAG_LATER;
    else if (get16(p + 6) & 0x2000)
        key->ip_frag = FLOW_FRAG_FIRST;
    if (offset + total > 65535)
        return PACKET_BAD_IP_SIZE;
    l->l4 = l->l3 + (uint32_t)header;
    l->l4_end = l->l3 + (uint32_t)total;
    if (bad_source)
        return PACKET_BAD_ADDR;
    return offset ? PACKET_OK : parse_transport(p + header, total - header, key);
}

/* The extension headers from p[*at] on, the first of type key->ip_proto; *at moves behind them.
 * 'end' is where the payload ends. */
static unsigned parse_ip6_extensions(const uint8_t *p, size_t end, size_t *at, struct flow_key *key)
{
    bool fragment = false, later = false;

    for (unsigned n = 0;; n++) {
        size_t header;
        switch (key->ip_proto) {
        case WIRE_PROTO_HOPOPTS:
            if (n)
                return PACKET_BAD_IP6_EXT; /* only right behind the fixed header, RFC 8200 4.1 */
            /* fallthrough */
        case WIRE_PROTO_ROUTING:
        case WIRE_PROTO_DSTOPTS:
            header = end - *at < 8 ? 8 : (p[*at + 1] + 1u) * 8;
            break;
        case WIRE_PROTO_FRAGMENT:
            header = 8;
            break;
        case WIRE_PROTO_AH:
            header = end - *at < 8 ? 8 : (p[*at + 1] + 2u) * 4;
            break;
        default:
            return PACKET_OK;
        }
        if (header < 8 || header > end - *at || n == 8 || *at + header > WIRE_IP6_SIZE + 256)
            return PACKET_BAD_IP6_EXT;
        if (key->ip_proto == WIRE_PROTO_FRAGMENT) {
            unsigned field = get16(p + *at + 2), offset = field & 0xfff8;
            if (fragment)
                return PACKET_BAD_IP6_EXT;
            fragment = true;
            later = offset;
            key->ip_frag = later ? FLOW_FRAG_LATER : field & 1 ? FLOW_FRAG_FIRST : FLOW_FRAG_NONE;
            if (offset + (end - *at - header) > 65535 || (field & 1 && (end - *at - header) % 8))
                return PACKET_BAD_IP_SIZE;
        }
        key->ip_proto = p[*at];
        *at += header;
        if (later)
            return PACKET_OK;
    }
}

static unsigned parse_ip6(const uint8_t *p, size_t size, struct flow_key *key,
                          struct packet_layers *l)
{
    static const struct ip loopback = {.b = {[15] = 1}};
    size_t at = WIRE_IP6_SIZE;

    if (size < WIRE_IP6_SIZE)
        return PACKET_BAD_IP_SIZE;
    if (p[0] >> 4 != 6)
        return PACKET_BAD_IP_VERSION;
    key->ip_tos = (uint8_t)(get16(p) >> 4);
    key->ip_ttl = p[7];
    key->ip_proto = p[6];
    memcpy(key->ip_src.b, p + 8, 16);
    memcpy(key->ip_dst.b, p + 24, 16);
    if (ip_is4(&key->ip_src) || ip_is4(&key->ip_dst)) {
        key->ip_src = key->ip_dst = ip_none;
        return PACKET_BAD_ADDR;
    }
    size_t end = WIRE_IP6_SIZE + get16(p + 4);
    if (end > size)
        return PACKET_BAD_IP_SIZE;
    unsigned bad = parse_ip6_extensions(p, end, &at, key);
    if (bad)
        return bad;
    l->l4 = l->l3 + (uint32_t)at;
    l->l4_end = l->l3 + (uint32_t)end;
    if (key->ip_src.b[0] == 0xff || ip_equal(&key->ip_src, &loopback))
        return PACKET_BAD_ADDR;
    return key->ip_frag == FLOW_FRAG_LATER ? PACKET_OK : parse_transport(p + at, end - at, key);
}

static unsigned parse_arp(const uint8_t *p, size_t size, struct flow_key *key)
{
    uint32_t spa, tpa;

    if (size < WIRE_ARP_SIZE || get16(p) != 1 || get16(p + 2) != ETH_TYPE_IP || p[4] != 6 ||
        p[5] != 4)
        return PACKET_BAD_ARP;
    memcpy(&spa, p + 14, 4);
    memcpy(&tpa, p + 24, 4);
    key->ip_src = ip_from4(spa);
    key->ip_dst = ip_from4(tpa);
    key->ip_proto = get16(p + 6) <= 255 ? p[7] : 0;
    return p[8] & 1 || bad_source4(spa) ? PACKET_BAD_ARP : PACKET_OK;
}

static bool is_vlan(uint16_t type)
{
    return type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
}

/* Addresses and tags; *at moves to the payload.  The key gets the tag and type found behind the
 * first 'skip' tags. */
static unsigned parse_eth(const uint8_t *p, size_t size, unsigned skip, struct flow_key *key,
                          size_t *at)
{
    uint16_t type;
    unsigned n = 0;

    if (size < WIRE_ETH_SIZE)
        return PACKET_BAD_ETH;
    memcpy(&key->eth_dst, p, 6);
    memcpy(&key->eth_src, p + 6, 6);
    for (*at = WIRE_ETH_SIZE;; *at += WIRE_VLAN_SIZE, n++) {
        type = get16(p + *at - 2);
        if (n == skip + 1)
            key->eth_type = type;
        if (!is_vlan(type))
            break;
        if (size - *at < WIRE_VLAN_SIZE)
            return PACKET_BAD_ETH;
        if (n == skip)
            key->vlan_tci = get16(p + *at) | FLOW_VLAN_PRESENT;
    }
    key->n_vlans = (uint8_t)MIN(n < skip ? 0 : n - skip, 255u);
    if (n <= skip)
        key->eth_type = type;
    if (key->eth_type >= 0x600)
        return PACKET_OK;
    bool cut = key->eth_type <= 1500 && key->eth_type > size - *at;
    key->eth_type = 0;
    return cut ? PACKET_BAD_ETH : PACKET_OK;
}

void packet_parse_behind(const uint8_t *p, size_t size, unsigned skip, struct flow_key *key,
                         struct packet_layers *l)
{
    size_t at;

    memset(&key->eth_src, 0, sizeof *key - offsetof(struct flow_key, eth_src));
    *l = (struct packet_layers){0};
    size = MIN(size, (size_t)PACKET_MAX);
    key->malformed = (uint8_t)parse_eth(p, size, skip, key, &at);
    if (key->malformed || is_vlan(key->eth_type))
        return;
    l->l3 = (uint32_t)at;
    switch (key->eth_type) {
    case ETH_TYPE_IP:
        key->malformed = (uint8_t)parse_ip4(p + at, size - at, key, l);
        break;
    case ETH_TYPE_IP6:
        key->malformed = (uint8_t)parse_ip6(p + at, size - at, key, l);
        break;
    case ETH_TYPE_ARP:
        key->malformed = (uint8_t)parse_arp(p + at, size - at, key);
        break;
    default:
        l->l3 = 0;
    }
}

void packet_parse(const uint8_t *p, size_t size, struct flow_key *key, struct packet_layers *l)
{
    packet_parse_behind(p, size, 0, key, l);
}
