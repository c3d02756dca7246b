/* Flow key, mask and actions: what the simulator decides and every datapath understands.
 *
 * A key is what can be read from a packet's headers; a mask says which of its bits were looked at.
 * Two packets that agree under the mask get the same treatment, so a 1-bit too many costs speed and
 * a 0-bit too many forwards wrongly (classifier terms as in Open vSwitch's lib/classifier.h).
 *
 * Treatment is a list of outputs.  Each output is one copy of the packet as it came in, with some
 * header fields replaced by absolute values, sent to one port or into one tunnel.  Copies don't
 * depend on each other or on their order.  No output: drop.
 *
 * Numbers are in host order except inside 'struct ip'.  TTL is never matched by a datapath: an
 * output that takes hops off says how many, and a packet whose TTL doesn't exceed that goes up. */
#ifndef MN_PACKET_FLOW_H
#define MN_PACKET_FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/types.h"

enum flow_frag { FLOW_FRAG_NONE, FLOW_FRAG_FIRST, FLOW_FRAG_LATER };

/* In vlan_tci: there is a tag (the CFI/DEI bit, as Linux does). */
#define FLOW_VLAN_PRESENT 0x1000
#define FLOW_VLAN_VID     0x0fff

struct flow_key {
    uint32_t in_port; /* datapath port number; 0 never occurs */
    uint32_t tun_id;  /* 24-bit key the packet came in with, 0 when not tunnelled */
    struct ip tun_src;
    struct mac eth_src, eth_dst;
    uint16_t vlan_tci;        /* outermost tag with FLOW_VLAN_PRESENT, or 0 */
    uint16_t eth_type;        /* after the outermost tag; 0x8100/0x88a8 when there is a second one;
                               * 0 for frames with an 802.3 length */
    struct ip ip_src, ip_dst; /* ARP: sender and target protocol address */
    uint8_t ip_proto;         /* ARP: operation (1..255, 0 beyond); IPv6: after extension headers */
    uint8_t ip_tos;           /* DSCP and ECN; IPv6 traffic class */
    uint8_t ip_ttl;
    uint8_t ip_frag; /* enum flow_frag */
    uint16_t tp_src; /* TCP, UDP, SCTP port; ICMP type; 0 in later fragments */
    uint16_t tp_dst; /* port; ICMP code */
    uint16_t tcp_flags;
    uint16_t icmp_id;  /* echo only; never matched by a datapath */
    uint8_t malformed; /* headers contradict the packet's size (see packet.h); never matched */
    uint8_t n_vlans;   /* tags in the frame, 255 at most; never matched (flow_out_diff needs it to
                        * tell a tag replaced from one pushed or popped below another) */
    uint8_t pad[2];    /* zero */
};

_Static_assert(sizeof(struct flow_key) == 88, "flow_key has implicit padding");

/* Does 'key' agree with 'match' under 'mask'? */
static inline bool flow_key_matches(const struct flow_key *key, const struct flow_key *match,
                                    const struct flow_key *mask)
{
    const uint64_t *k = (const uint64_t *)key, *f = (const uint64_t *)match,
                   *m = (const uint64_t *)mask;
    uint64_t diff = 0;

    for (unsigned i = 0; i < sizeof *key / 8; i++)
        diff |= (k[i] ^ f[i]) & m[i];
    return !diff;
}

/* *out = key & mask. */
static inline void flow_key_and(struct flow_key *out, const struct flow_key *key,
                                const struct flow_key *mask)
{
    const uint64_t *k = (const uint64_t *)key, *m = (const uint64_t *)mask;
    uint64_t *o = (uint64_t *)out;

    for (unsigned i = 0; i < sizeof *key / 8; i++)
        o[i] = k[i] & m[i];
}

/* The same on both directions of a connection, on every host, in every version.  Reads addresses,
 * protocol, fragment kind and, of unfragmented TCP, UDP and SCTP, the ports: all fragments of a
 * datagram and all ICMP between two hosts hash alike. */
uint64_t flow_symmetric_hash(const struct flow_key *key);

enum {
    FLOW_SET_ETH_SRC = 1 << 0,
    FLOW_SET_ETH_DST = 1 << 1,
    FLOW_SET_IP_SRC = 1 << 2,
    FLOW_SET_IP_DST = 1 << 3,
    FLOW_SET_TOS = 1 << 4,
    FLOW_SET_TP_SRC = 1 << 5,
    FLOW_SET_TP_DST = 1 << 6,
    FLOW_DEC_TTL = 1 << 7,   /* by ttl_dec */
    FLOW_POP_VLAN = 1 << 8,  /* the outermost tag; before a push */
    FLOW_PUSH_VLAN = 1 << 9, /* with vlan_tci, ethertype 0x8100; pop and push: replace */
};

enum flow_out_kind { FLOW_OUT_PORT, FLOW_OUT_TUNNEL };
enum flow_tunnel { FLOW_TUNNEL_VXLAN, FLOW_TUNNEL_GRE };

struct flow_out {
    uint16_t set;    /* FLOW_SET_* and friends */
    uint8_t kind;    /* enum flow_out_kind */
    uint8_t ttl_dec; /* 1..255 */
    uint32_t port;   /* FLOW_OUT_PORT: datapath port number */
    struct mac eth_src, eth_dst;
    uint16_t vlan_tci;
    uint8_t ip_tos;
    uint8_t tun_type; /* FLOW_OUT_TUNNEL: enum flow_tunnel */
    struct ip ip_src, ip_dst;
    uint16_t tp_src, tp_dst;
    uint32_t tun_id;                 /* 24 bits */
    struct ip tun_local, tun_remote; /* outer addresses, both of one family */
    uint8_t tun_tos;
    uint8_t pad[7];
};

/* Fills 'out' with what turns a packet of header 'from' into one of header 'to' (only fields an
 * output can set are compared; at most one tag popped, then one pushed); kind and destination are
 * left to the caller. */
void flow_out_diff(struct flow_out *out, const struct flow_key *from, const struct flow_key *to);

/* "in=3,vlan=5,ip,src=10.0.0.1,..." of the fields with mask bits; returns buf. */
char *flow_key_format(const struct flow_key *key, const struct flow_key *mask, char *buf,
                      size_t size);
char *flow_out_format(const struct flow_out *out, char *buf, size_t size);

#endif
