#include "packet/checksum.h"

#include "base/mem.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/wire.h"

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Adds in memory order, 8 bytes at a time: byte order of a one's complement sum may be changed at
 * the end (RFC 1071 section 2). */
uint16_t csum_add(uint16_t start, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t sum = 0, word;

    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        sum += word;
        sum += sum < word;
    }
    if (size) {
        word = 0;
        memcpy(&word, p, size);
        sum += word;
        sum += sum < word;
    }
    sum = (sum & 0xffffffff) + (sum >> 32);
    return fold((uint64_t)__builtin_bswap16(fold(sum)) + start);
}

void csum_update(uint8_t *field, const void *old, const void *new, size_t size)
{
    uint16_t was = csum_add(0, old, size), is = csum_add(0, new, size);
    uint32_t sum = (uint16_t)~get16(field) + (uint32_t)(uint16_t)~was + is;

    put16(field, (uint16_t)~fold(sum));
}

/* Half a byte at a time: SCTP through a rewrite is rare, a 1 KB table isn't worth its cache. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *p = data;

    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = crc >> 4 ^ table[(crc ^ p[i]) & 15];
        crc = crc >> 4 ^ table[(crc ^ p[i] >> 4) & 15];
    }
    return ~crc;
}

/* The CRC of an SCTP packet, in the byte order it travels in (RFC 9260 appendix A). */
static uint32_t sctp_crc(const uint8_t *p, size_t size)
{
    uint32_t crc = crc32c(crc32c(0, p, 8), "\0\0\0", 4);

    return __builtin_bswap32(crc32c(crc, p + WIRE_SCTP_SIZE, size - WIRE_SCTP_SIZE));
}

void packet_sctp_crc(uint8_t *p, size_t size)
{
    put32(p + 8, sctp_crc(p, size));
}

struct csum_place csum_place(uint8_t proto, bool ip6)
{
    switch (proto) {
    case WIRE_PROTO_TCP:
        return (struct csum_place){16, true};
    case WIRE_PROTO_UDP:
    case WIRE_PROTO_UDPLITE:
    case WIRE_PROTO_DCCP:
        return (struct csum_place){6, true};
    case WIRE_PROTO_ICMP:
        return (struct csum_place){ip6 ? 0 : 2, false};
    case WIRE_PROTO_ICMP6:
        return (struct csum_place){ip6 ? 2 : 0, true};
    default:
        return (struct csum_place){0, false};
    }
}

/* Sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) for 'size' bytes of transport. */
static uint16_t pseudo_sum(const uint8_t *l3, bool ip6, uint8_t proto, size_t size)
{
    uint8_t tail[8] = {0};

    put32(tail, (uint32_t)size);
    tail[7] = proto;
    return csum_add(csum_add(0, tail, sizeof tail), ip6 ? l3 + 8 : l3 + 12, ip6 ? 32 : 8);
}

/* The transport's sum as it stands, its checksum field included: 0xffff when right.  *size bytes of
 * it are covered (UDP-Lite and DCCP cover what they say). */
static bool transport_sum(const uint8_t *p, const struct flow_key *key,
                          const struct packet_layers *l, uint16_t *sum)
{
    bool ip6 = key->eth_type == ETH_TYPE_IP6;
    struct csum_place at = csum_place(key->ip_proto, ip6);
    size_t size = l->l4_end - l->l4, covered = size;

    if (!at.offset || size < at.offset + 2u)
        return false;
    if (key->ip_proto == WIRE_PROTO_UDP)
        covered = size = get16(p + l->l4 + 4);
    if (key->ip_proto == WIRE_PROTO_UDPLITE && get16(p + l->l4 + 4) >= 8)
        covered = MIN(size, get16(p + l->l4 + 4));
    if (key->ip_proto == WIRE_PROTO_DCCP && size >= 12 && p[l->l4 + 5] & 0x0f)
        covered = MIN(size, p[l->l4 + 4] * 4u + ((p[l->l4 + 5] & 0x0fu) - 1) * 4);
    *sum = at.pseudo ? pseudo_sum(p + l->l3, ip6, key->ip_proto, size) : 0;
    *sum = csum_add(*sum, p + l->l4, covered);
    return true;
}

static bool ip_with_transport(const struct flow_key *key, const struct packet_layers *l)
{
    return packet_transport_sound(key, l) && key->ip_frag == FLOW_FRAG_NONE;
}

void packet_finish_checksums(uint8_t *p, size_t size)
{
    struct flow_key key;
    struct packet_layers l;
    uint16_t sum;

    packet_parse(p, size, &key, &l);
    if (!l.l3 || key.malformed == PACKET_BAD_IP_SIZE || key.malformed == PACKET_BAD_IP_VERSION ||
        key.malformed == PACKET_BAD_IP6_EXT)
        return;
    if (key.eth_type == ETH_TYPE_IP) {
        put16(p + l.l3 + 10, 0);
        put16(p + l.l3 + 10, (uint16_t)~csum_add(0, p + l.l3, (p[l.l3] & 15) * 4u));
    }
    if (!ip_with_transport(&key, &l))
        return;
    if (key.ip_proto == WIRE_PROTO_SCTP) {
        packet_sctp_crc(p + l.l4, l.l4_end - l.l4);
        return;
    }
    struct csum_place at = csum_place(key.ip_proto, key.eth_type == ETH_TYPE_IP6);
    if (!at.offset || l.l4_end - l.l4 < at.offset + 2u)
        return;
    put16(p + l.l4 + at.offset, 0);
    if (!transport_sum(p, &key, &l, &sum))
        return;
    sum = (uint16_t)~sum;
    /* UDP: a zero field means there is no checksum (RFC 768). */
    put16(p + l.l4 + at.offset, key.ip_proto == WIRE_PROTO_UDP && !sum ? 0xffff : sum);
}

bool packet_checksums_right(const uint8_t *p, size_t size)
{
    struct flow_key key;
    struct packet_layers l;
    uint16_t sum;

    packet_parse(p, size, &key, &l);
    if (key.malformed)
        return false;
    if (!l.l3 || key.eth_type == ETH_TYPE_ARP)
        return true;
    if (key.eth_type == ETH_TYPE_IP && csum_add(0, p + l.l3, (p[l.l3] & 15) * 4u) != 0xffff)
        return false;
    if (!ip_with_transport(&key, &l))
        return true;
    if (key.ip_proto == WIRE_PROTO_SCTP)
        return get32(p + l.l4 + 8) == sctp_crc(p + l.l4, l.l4_end - l.l4);
    if (key.ip_proto == WIRE_PROTO_UDP && key.eth_type == ETH_TYPE_IP && !get16(p + l.l4 + 6))
        return true;
    return !transport_sum(p, &key, &l, &sum) || sum == 0xffff;
}
