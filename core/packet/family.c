/* Packets from one IP version to the other (RFC 7915), whole ones only: their fragments have no
 * ports to be told by.  IPv4 options and IPv6 extension headers end here. */
#include "base/hash.h"
#include "packet/edit.h"
#include "packet/parse.h"

enum {
    MTU_DIFFERENCE = WIRE_IP6_SIZE - WIRE_IP4_SIZE,
    ALWAYS_FITS = 1260, /* larger ones aren't to be fragmented: RFC 7915 section 5.1 */
    LEAST_MTU6 = 1280,
};

/* An ICMP message: type, code, and the word that is an MTU or a pointer in some. */
struct message {
    uint8_t type, code;
    uint32_t word;
};

static bool become(struct message *m, uint8_t type, uint8_t code, uint32_t word)
{
    *m = (struct message){type, code, word};
    return true;
}

/* Where in the IPv4 header is what byte 'at' of the IPv6 header says?  255: nowhere. */
static uint8_t pointer_to4(uint32_t at)
{
    static const uint8_t map[8] = {0, 1, 255, 255, 2, 2, 9, 8};

    return at < 8 ? map[at] : at < 24 ? 12 : at < 40 ? 16 : 255;
}

static uint8_t pointer_to6(uint32_t at)
{
    static const uint8_t map[12] = {0, 1, 4, 4, 255, 255, 255, 255, 7, 6, 255, 255};

    return at < 12 ? map[at] : at < 16 ? 8 : at < 20 ? 24 : 255;
}

/* RFC 7915 section 5.2; false: no counterpart. */
static bool message_to4(struct message *m)
{
    static const uint8_t unreachable[] = {1, 10, 1, 1, 3};

    switch (m->type) {
    case 128:
        return become(m, 8, 0, m->word);
    case 129:
        return become(m, 0, 0, m->word);
    case 1:
        return m->code < sizeof unreachable && become(m, 3, unreachable[m->code], 0);
    case 2:
        return become(m, 3, 4, MIN(MAX(m->word, LEAST_MTU6) - MTU_DIFFERENCE, 0xffffu));
    case 3:
        return become(m, 11, m->code, 0);
    case 4:
        if (m->code == 1)
            return become(m, 3, 2, 0);
        return !m->code && pointer_to4(m->word) != 255 &&
               become(m, 12, 0, (uint32_t)pointer_to4(m->word) << 24);
    default:
        return false;
    }
}

/* RFC 7915 section 4.2. */
static bool message_to6(struct message *m)
{
    static const uint8_t unreachable[] = {0, 0, 255, 4, 255, 0, 0, 0, 0, 1, 1, 0, 0, 1, 255, 1};

    switch (m->type) {
    case 8:
        return become(m, 128, 0, m->word);
    case 0:
        return become(m, 129, 0, m->word);
    case 3:
        if (m->code == 2)
            return become(m, 4, 1, 6);
        if (m->code == 4) /* a router that doesn't say (RFC 1191) gets the least */
            return become(m, 2, 0, MAX((m->word & 0xffff) + MTU_DIFFERENCE, LEAST_MTU6 + 0u));
        return m->code < sizeof unreachable && unreachable[m->code] != 255 &&
               become(m, 1, unreachable[m->code], 0);
    case 11:
        return become(m, 3, m->code, 0);
    case 12:
        return !m->code && pointer_to6(m->word >> 24) != 255 &&
               become(m, 4, 0, pointer_to6(m->word >> 24));
    default:
        return false;
    }
}

static bool change_message(uint8_t *p, bool to6)
{
    struct message m = {p[0], p[1], get32(p + 4)};

    if (!(to6 ? message_to6(&m) : message_to4(&m)))
        return false;
    p[0] = m.type;
    p[1] = m.code;
    put32(p + 4, m.word);
    return true;
}

static uint8_t other_proto(uint8_t proto)
{
    return proto == WIRE_PROTO_ICMP    ? WIRE_PROTO_ICMP6
           : proto == WIRE_PROTO_ICMP6 ? WIRE_PROTO_ICMP
                                       : proto;
}

/* What is a payload in one version may be an extension header, or nothing, in the other. */
static bool means_the_same(const struct flow_key *k)
{
    switch (k->ip_proto) {
    case WIRE_PROTO_ICMP:
        return k->eth_type == ETH_TYPE_IP;
    case WIRE_PROTO_ICMP6:
        return k->eth_type == ETH_TYPE_IP6;
    case WIRE_PROTO_HOPOPTS:
    case WIRE_PROTO_ROUTING:
    case WIRE_PROTO_FRAGMENT:
    case WIRE_PROTO_AH:
    case WIRE_PROTO_DSTOPTS:
        return false;
    default:
        return true;
    }
}

/* 'id' tells its fragments from those of others, should somebody make some. */
static uint8_t *put_header(uint8_t *p, const struct flow_key *k, const struct packet_ends *ends,
                           size_t n, uint64_t id)
{
    uint8_t proto = other_proto(k->ip_proto), *ip = p;

    if (k->eth_type == ETH_TYPE_IP)
        return packet_put_ip6(p, &ends->src, &ends->dst, proto, k->ip_ttl, k->ip_tos, n);
    p = packet_put_ip4(p, &ends->src, &ends->dst, proto, k->ip_ttl, k->ip_tos, n);
    if (WIRE_IP4_SIZE + n <= ALWAYS_FITS) {
        put16(ip + 4, (uint16_t)id);
        put16(ip + 6, 0);
    }
    put16(ip + 10, (uint16_t)~csum_add(0, ip, WIRE_IP4_SIZE));
    return p;
}

static size_t header_size(const struct flow_key *k) /* the other version's */
{
    return k->eth_type == ETH_TYPE_IP ? WIRE_IP6_SIZE : WIRE_IP4_SIZE;
}

/* What a transport checksum covers besides the transport, of either version, as even bytes. */
static void put_pseudo(uint8_t buf[40], const struct packet_ends *ends, uint8_t proto, size_t n)
{
    bool ip6 = !ip_is4(&ends->src);

    memset(buf, 0, 40);
    memcpy(buf, ip6 ? ends->src.b : ends->src.b + 12, ip6 ? 16 : 4);
    memcpy(buf + 16, ip6 ? ends->dst.b : ends->dst.b + 12, ip6 ? 16 : 4);
    if (proto == WIRE_PROTO_ICMP)
        memset(buf, 0, 32); /* has none */
    else
        put32(buf + 32, (uint32_t)n);
    buf[39] = proto == WIRE_PROTO_ICMP ? 0 : proto;
}

/* The quoted transport at 'p', 'n' bytes of it there of 'whole': its checksum follows by what
 * changed, for it can't be made of a part. */
static bool change_quoted(uint8_t *p, size_t n, size_t whole, const struct flow_key *k,
                          const struct packet_ends *to)
{
    bool ip6 = k->eth_type == ETH_TYPE_IP6, icmp = packet_is_echo(k);
    struct packet_ends from = {k->ip_src, k->ip_dst};
    struct csum_place at = csum_place(k->ip_proto, ip6);
    uint8_t old[44] = {0}, new[44] = {0};

    put_pseudo(old, &from, k->ip_proto, whole);
    put_pseudo(new, to, other_proto(k->ip_proto), whole);
    if (icmp) {
        memcpy(old + 40, p, 2);
        if (!change_message(p, !ip6))
            return false;
        memcpy(new + 40, p, 2);
    }
    bool none = k->ip_proto == WIRE_PROTO_UDP && n >= WIRE_UDP_SIZE && !get16(p + 6);
    if (at.offset && n >= at.offset + 2u && !none)
        csum_update(p + at.offset, old, new, sizeof old);
    return true;
}

/* Writes the packet that the error of layers 'l' quotes, changed, to 'p' with 'room' bytes. */
static size_t put_quoted(uint8_t *p, size_t room, const uint8_t *packet, size_t size,
                         const struct packet_ends *ends)
{
    struct packet_quote q;

    if (!packet_quote(packet, size, &q) || q.key.ip_frag || !q.ports || !means_the_same(&q.key))
        return 0;
    if (!packet_is_echo(&q.key) && !csum_place(q.key.ip_proto, true).pseudo &&
        q.key.ip_proto != WIRE_PROTO_SCTP)
        return 0;
    const uint8_t *ip = packet + q.l.l3;
    size_t headers = q.l.l4 - q.l.l3;
    size_t payload = q.key.eth_type == ETH_TYPE_IP6 ? get16(ip + 4) + (size_t)WIRE_IP6_SIZE
                                                    : (size_t)get16(ip + 2);
    size_t whole = payload > headers ? payload - headers : 0;
    size_t n = MIN(q.l.l4_end - q.l.l4, room - MIN(room, header_size(&q.key)));
    if (n < 8 || whole > 65000)
        return 0;
    uint8_t *l4 = put_header(p, &q.key, ends, whole, 0);
    memcpy(l4, packet + q.l.l4, n);
    return change_quoted(l4, n, whole, &q.key, ends) ? (size_t)(l4 - p) + n : 0;
}

size_t packet_change_version(uint8_t *buf, size_t room, const uint8_t *p, size_t size,
                             const struct packet_ends *ends, const struct packet_ends *quoted)
{
    struct flow_key k = {0};
    struct packet_layers l;

    packet_parse(p, size, &k, &l);
    bool to6 = k.eth_type == ETH_TYPE_IP, error = packet_is_icmp_error(&k);
    size_t n = l.l4_end - l.l4, head = WIRE_ETH_SIZE + header_size(&k);
    if (k.malformed || !l.l4 || k.n_vlans || k.ip_frag || !means_the_same(&k) ||
        k.eth_type == ETH_TYPE_ARP || (error && !quoted) || !packet_checksums_right(p, size) ||
        n > 65000 || head + n + MTU_DIFFERENCE > room)
        return 0;
    uint8_t *l4 = buf + head;
    if (error) {
        /* RFC 4443 section 2.4 (c); RFC 1812 section 4.3.2.3 lets IPv4 quote as much */
        size_t most = (size_t)LEAST_MTU6 - WIRE_IP6_SIZE - WIRE_ICMP_SIZE;
        memcpy(l4, p + l.l4, WIRE_ICMP_SIZE);
        n = put_quoted(l4 + WIRE_ICMP_SIZE, MIN(room - head - WIRE_ICMP_SIZE, most), p, size,
                       quoted);
        if (!n)
            return 0;
        n += WIRE_ICMP_SIZE;
    } else {
        memcpy(l4, p + l.l4, n);
    }
    bool icmp = k.ip_proto == WIRE_PROTO_ICMP || k.ip_proto == WIRE_PROTO_ICMP6;
    if (icmp && !change_message(l4, to6))
        return 0;
    uint8_t *ip = packet_put_eth(buf, &k.eth_src, &k.eth_dst, to6 ? ETH_TYPE_IP6 : ETH_TYPE_IP);
    put_header(ip, &k, ends, n, hash_bytes(l4, MIN(n, (size_t)64), n));
    packet_finish_checksums(buf, head + n);
    return head + n;
}
