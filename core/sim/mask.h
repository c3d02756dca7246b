/* Reading and writing the header of the packet in hand.
 *
 * Every read of a field widens the match mask of the result, unless the value is one that a device
 * on the way has put there; that is why no other file touches 'at.raw'.  Writing makes the field
 * ours.  Fields that a datapath can't match (behind a tag that was popped, an ICMP id) are noted
 * apart: having read one means that every such packet must be looked at again.
 *
 * The time to live isn't matched but checked by the datapath (flow.h): ttl_exceeded() is its only
 * reader. */
#ifndef MN_SIM_MASK_H
#define MN_SIM_MASK_H

#include "sim/run.h"

enum field {
    F_eth_src,
    F_eth_dst,
    F_vlan_tci,
    F_eth_type,
    F_ip_src,
    F_ip_dst,
    F_ip_proto,
    F_ip_tos,
    F_ip_frag,
    F_tp_src,
    F_tp_dst,
    F_tcp_flags,
    F_icmp_id,
};

#define FIELD(f) (1u << F_##f)
enum {
    FIELDS_ALL = ~0u,
    /* What lies behind the outermost tag. */
    FIELDS_INNER = FIELD(vlan_tci) | FIELD(eth_type) | FIELD(ip_src) | FIELD(ip_dst) |
                   FIELD(ip_proto) | FIELD(ip_tos) | FIELD(ip_frag) | FIELD(tp_src) |
                   FIELD(tp_dst) | FIELD(tcp_flags),
    FIELDS_UNMATCHABLE = FIELD(icmp_id),
};

#define SEE(r, f)                                                                                  \
    ((r)->seen |= FIELD(f) & ~(r)->at.own, (r)->hidden_seen |= FIELD(f) & (r)->at.hidden)
/* The value of a number; the address of a MAC or IP address. */
#define H(r, f)  (SEE(r, f), (r)->at.raw.f)
#define HP(r, f) (SEE(r, f), (const __typeof__((r)->at.raw.f) *)&(r)->at.raw.f)

#define SET(r, f, value)                                                                           \
    ((r)->at.raw.f = (value), (r)->at.own |= FIELD(f), (r)->at.hidden &= ~FIELD(f),                \
     (r)->at.snapshot = NULL)

/* Only the first 'bits' (mapped space) of an address decided; the caller got it from PEEK. */
#define SEE_PREFIX(r, f, bits, seen_bits)                                                          \
    do {                                                                                           \
        if (!((r)->at.own & FIELD(f)) && (bits) > (r)->seen_bits)                                  \
            (r)->seen_bits = (uint8_t)(bits);                                                      \
        if ((r)->at.hidden & FIELD(f))                                                             \
            (r)->hidden_seen |= FIELD(f);                                                          \
    } while (0)
#define PEEK(r, f) ((const __typeof__((r)->at.raw.f) *)&(r)->at.raw.f)

/* The same for both directions of the connection; reads no more than it hashes. */
static inline uint64_t connection_hash(struct run *r)
{
    uint8_t proto = H(r, ip_proto);

    SEE(r, ip_src);
    SEE(r, ip_dst);
    if (H(r, ip_frag) == FLOW_FRAG_NONE && (proto == 6 || proto == 17 || proto == 132)) {
        SEE(r, tp_src);
        SEE(r, tp_dst);
    }
    return flow_symmetric_hash(&r->at.raw);
}

/* Is the address within net/len?  Only as many bits count as seen as it takes to know. */
static inline bool see_within(const struct ip *ip, const struct ip *net, unsigned len,
                              unsigned *bits)
{
    unsigned same = 0;

    for (unsigned i = 0; i < 2; i++) {
        uint64_t diff = __builtin_bswap64(ip->q[i] ^ net->q[i]);
        if (diff) {
            same += (unsigned)__builtin_clzll(diff);
            break;
        }
        same += 64;
    }
    *bits = same < len ? same + 1 : len;
    return same >= len;
}

static inline bool src_within(struct run *r, const struct ip *net, unsigned len)
{
    unsigned bits;
    bool in = see_within(PEEK(r, ip_src), net, len, &bits);

    SEE_PREFIX(r, ip_src, bits, src_bits);
    return in;
}

static inline bool dst_within(struct run *r, const struct ip *net, unsigned len)
{
    unsigned bits;
    bool in = see_within(PEEK(r, ip_dst), net, len, &bits);

    SEE_PREFIX(r, ip_dst, bits, dst_bits);
    return in;
}

/* Are the flags under 'mask' those of 'value'?  Only these count as seen. */
static inline bool tcp_flags_are(struct run *r, uint16_t value, uint16_t mask)
{
    if (!(r->at.own & FIELD(tcp_flags)))
        r->tcp_bits |= mask;
    r->hidden_seen |= FIELD(tcp_flags) & r->at.hidden;
    return (r->at.raw.tcp_flags & mask) == value;
}

static inline bool ttl_exceeded(const struct run *r)
{
    return r->at.raw.ip_ttl <= 1;
}

static inline void ttl_decrement(struct run *r)
{
    r->at.raw.ip_ttl--;
    r->at.snapshot = NULL;
}

#endif
