/* One output's rewrites on the bytes of a frame, with checksums kept right incrementally: a packet
 * that came in with a wrong checksum leaves with one, so that the receiver still notices. */
#include "packet/edit.h"
#include "packet/parse.h"

static uint8_t *pop_vlan(uint8_t *p, size_t *size)
{
    memmove(p + WIRE_VLAN_SIZE, p, 12);
    *size -= WIRE_VLAN_SIZE;
    return p + WIRE_VLAN_SIZE;
}

static uint8_t *push_vlan(uint8_t *p, size_t *size, uint16_t tci)
{
    p -= WIRE_VLAN_SIZE;
    memmove(p, p + WIRE_VLAN_SIZE, 12);
    put16(p + 12, ETH_TYPE_VLAN);
    put16(p + 14, tci & (uint16_t)~FLOW_VLAN_PRESENT);
    *size += WIRE_VLAN_SIZE;
    return p;
}

void edit_checksum(struct edit *e, const void *old, const void *new, size_t size)
{
    uint8_t *field = e->l4_csum;
    bool udp = e->key.ip_proto == WIRE_PROTO_UDP;

    if (!field || (udp && !get16(field))) /* none was made: in IPv6 by tunnels, RFC 6935 */
        return;
    csum_update(field, old, new, size);
    if (udp && !get16(field))
        put16(field, 0xffff);
}

void edit_address(struct edit *e, unsigned offset, const struct ip *ip)
{
    uint8_t *field = e->p + e->l.l3 + offset;
    const uint8_t *new = e->ip6 ? ip->b : ip->b + 12;
    size_t size = e->ip6 ? 16 : 4;

    if (ip_is4(ip) == e->ip6)
        return; /* translation between families isn't a rewrite of addresses */
    if (!e->ip6)
        csum_update(e->p + e->l.l3 + 10, field, new, size);
    if (e->pseudo)
        edit_checksum(e, field, new, size);
    memcpy(field, new, size);
}

/* The 16-bit word of the IPv4 header that holds the changed byte, checksum included. */
static void set_ip4_byte(struct edit *e, unsigned offset, uint8_t value)
{
    uint8_t *ip = e->p + e->l.l3, old[2];

    memcpy(old, ip + (offset & ~1u), 2);
    ip[offset] = value;
    csum_update(ip + 10, old, ip + (offset & ~1u), 2);
}

static void set_tos(struct edit *e, uint8_t tos)
{
    uint8_t *ip = e->p + e->l.l3;

    if (e->ip6)
        put16(ip, (uint16_t)((get16(ip) & 0xf00f) | tos << 4));
    else
        set_ip4_byte(e, 1, tos);
}

static void dec_ttl(struct edit *e, uint8_t by)
{
    uint8_t ttl = e->key.ip_ttl > by ? (uint8_t)(e->key.ip_ttl - by) : 0;

    if (e->ip6)
        e->p[e->l.l3 + 7] = ttl;
    else
        set_ip4_byte(e, 8, ttl);
}

void edit_ports(struct edit *e, uint16_t src, uint16_t dst)
{
    uint8_t *l4 = e->p + e->l.l4, old[4], new[4];
    bool icmp = e->key.ip_proto == (e->ip6 ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP);

    if (icmp) {
        memcpy(new, (uint8_t[4]){(uint8_t)src, (uint8_t)dst, l4[2], l4[3]}, 4);
        memcpy(old, l4, 4);
        edit_checksum(e, old, new, 2);
        memcpy(l4, new, 2);
        return;
    }
    memcpy(old, l4, 4);
    put16(new, src);
    put16(new + 2, dst);
    edit_checksum(e, old, new, 4);
    memcpy(l4, new, 4);
}

void edit_echo_id(struct edit *e, uint16_t id)
{
    uint8_t *field = e->p + e->l.l4 + 4, new[2];

    put16(new, id);
    edit_checksum(e, field, new, 2);
    memcpy(field, new, 2);
}

void edit_find_checksum(struct edit *e)
{
    struct csum_place at = csum_place(e->key.ip_proto, e->ip6);
    bool has = at.offset && e->key.ip_frag != FLOW_FRAG_LATER && e->l4_size >= at.offset + 2u;

    e->l4_csum = has ? e->p + e->l.l4 + at.offset : NULL;
    e->pseudo = has && at.pseudo;
}

/* Finds what there is to edit; false when it isn't IP, or not sound enough to touch. */
static bool edit_begin(struct edit *e, uint8_t *p, size_t size)
{
    e->p = p;
    packet_parse(p, size, &e->key, &e->l);
    if (!e->l.l4 || e->key.eth_type == ETH_TYPE_ARP)
        return false;
    e->ip6 = e->key.eth_type == ETH_TYPE_IP6;
    e->l4_size = e->l.l4_end - e->l.l4;
    edit_find_checksum(e);
    return true;
}

static bool has_ports(const struct edit *e)
{
    unsigned proto = e->key.ip_proto;
    bool known = proto == WIRE_PROTO_TCP || proto == WIRE_PROTO_UDP || proto == WIRE_PROTO_SCTP ||
                 proto == (e->ip6 ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP);

    return known && packet_transport_sound(&e->key, &e->l);
}

static void set_ports(struct edit *e, const struct flow_out *out)
{
    if (!(out->set & (FLOW_SET_TP_SRC | FLOW_SET_TP_DST)) || !has_ports(e))
        return;
    edit_ports(e, out->set & FLOW_SET_TP_SRC ? out->tp_src : e->key.tp_src,
               out->set & FLOW_SET_TP_DST ? out->tp_dst : e->key.tp_dst);
    if (e->key.ip_proto == WIRE_PROTO_SCTP && e->key.ip_frag == FLOW_FRAG_NONE)
        packet_sctp_crc(e->p + e->l.l4, e->l4_size);
}

void packet_set_echo_id(uint8_t *p, size_t size, uint16_t id)
{
    struct edit e;

    if (edit_begin(&e, p, size) && packet_transport_sound(&e.key, &e.l) && packet_is_echo(&e.key))
        edit_echo_id(&e, id);
}

uint8_t *packet_rewrite(uint8_t *p, size_t *size, const struct flow_out *out)
{
    const unsigned ip_sets = FLOW_SET_IP_SRC | FLOW_SET_IP_DST | FLOW_SET_TOS | FLOW_DEC_TTL |
                             FLOW_SET_TP_SRC | FLOW_SET_TP_DST;
    struct edit e;

    if (*size < WIRE_ETH_SIZE)
        return p;
    if (out->set & FLOW_POP_VLAN && *size >= WIRE_ETH_SIZE + WIRE_VLAN_SIZE &&
        (get16(p + 12) == ETH_TYPE_VLAN || get16(p + 12) == ETH_TYPE_QINQ))
        p = pop_vlan(p, size);
    if (out->set & ip_sets && edit_begin(&e, p, *size)) {
        if (out->set & FLOW_SET_IP_SRC)
            edit_address(&e, e.ip6 ? 8 : 12, &out->ip_src);
        if (out->set & FLOW_SET_IP_DST)
            edit_address(&e, e.ip6 ? 24 : 16, &out->ip_dst);
        if (out->set & FLOW_SET_TOS)
            set_tos(&e, out->ip_tos);
        if (out->set & FLOW_DEC_TTL)
            dec_ttl(&e, out->ttl_dec);
        set_ports(&e, out);
    }
    if (out->set & FLOW_PUSH_VLAN)
        p = push_vlan(p, size, out->vlan_tci);
    if (out->set & FLOW_SET_ETH_SRC)
        memcpy(p + 6, out->eth_src.b, 6);
    if (out->set & FLOW_SET_ETH_DST)
        memcpy(p, out->eth_dst.b, 6);
    return p;
}
