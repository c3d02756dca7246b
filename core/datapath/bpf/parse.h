/* From a frame to a flow key; the same reading as packet_parse() of the agent, or a frame is called
 * malformed here and goes up for the agent to say why.
 *
 * The outermost VLAN tag is never in the bytes: the kernel has taken it out before any tc program
 * runs.  So the IP header is at 14, or there is another tag and no IP header for us. */
#ifndef MN_BPF_PARSE_H
#define MN_BPF_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "maps.h"

#define L3 ETH_HLEN

struct pkt {
    union fp_key key;
    __u32 len;     /* of the frame, without the tag */
    __u16 l4;      /* offset, 0: none */
    __u16 payload; /* offset of what TCP or UDP carry, 0: other */
    __u8 family;   /* 4, 6, or 0 */
    __u8 ttl;
    __u8 fragment; /* a fragment header has been seen */
};

enum { PARSED, MALFORMED, CUT /* headers are there but not in the linear part */, MORE };

static __always_inline int parse_ports(void *l4, void *end, struct pkt *p, __u32 left)
{
    struct fp_key_head *k = &p->key.h;
    struct tcphdr *tcp = l4;
    struct udphdr *udp = l4;
    __u8 *icmp = l4;

    if (k->proto == IPPROTO_TCP) {
        if (left < sizeof *tcp)
            return MALFORMED;
        if ((void *)(tcp + 1) > end)
            return CUT;
        __u32 word = bpf_ntohs(*(__be16 *)(l4 + 12));
        __u32 size = (word >> 12) * 4;

        k->tp_src = tcp->source;
        k->tp_dst = tcp->dest;
        k->tcp_flags = word & 0xfff;
        p->payload = p->l4 + size;
        return size < sizeof *tcp || size > left ? MALFORMED : PARSED;
    }
    if (k->proto == IPPROTO_UDP) {
        if (left < sizeof *udp)
            return MALFORMED;
        if ((void *)(udp + 1) > end)
            return CUT;
        __u32 size = bpf_ntohs(udp->len);

        k->tp_src = udp->source;
        k->tp_dst = udp->dest;
        p->payload = p->l4 + sizeof *udp;
        return size < sizeof *udp || (size > left && k->frag == FP_FRAG_NONE) ? MALFORMED : PARSED;
    }
    if (k->proto == (p->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
        if (left < 8)
            return MALFORMED;
        if (l4 + 8 > end)
            return CUT;
        k->tp_src = bpf_htons(icmp[0]);
        k->tp_dst = bpf_htons(icmp[1]);
        return PARSED;
    }
    if (k->proto == IPPROTO_SCTP) {
        if (left < 12)
            return MALFORMED;
        if (l4 + 12 > end)
            return CUT;
        k->tp_src = udp->source;
        k->tp_dst = udp->dest;
    }
    if ((k->proto == IPPROTO_UDPLITE && left < 8) || (k->proto == IPPROTO_DCCP && left < 12))
        return MALFORMED; /* a rewrite would look for its checksum */
    return PARSED;
}

static __always_inline bool bad_source4(__be32 net)
{
    __u32 a = bpf_ntohl(net);

    return a >> 24 == 127 || a >> 28 == 14 || a == 0xffffffff;
}

static __always_inline int parse_ip4(void *data, void *end, struct pkt *p)
{
    struct fp_key_head *k = &p->key.h;
    struct iphdr *ip = data + L3;

    if (p->len < L3 + sizeof *ip)
        return MALFORMED;
    if ((void *)(ip + 1) > end)
        return CUT;
    __u32 size = ip->ihl * 4, total = bpf_ntohs(ip->tot_len), frag = bpf_ntohs(ip->frag_off);
    __u32 offset = (frag & 0x1fff) * 8;

    if (ip->version != 4 || size < sizeof *ip || total < size || total > p->len - L3 ||
        offset + total > 65535 || bad_source4(ip->saddr))
        return MALFORMED;
    p->family = 4;
    p->ttl = ip->ttl;
    p->l4 = L3 + size;
    p->key.n.src = ip->saddr;
    p->key.n.dst = ip->daddr;
    k->proto = ip->protocol;
    k->tos = ip->tos;
    if (offset) {
        k->frag = FP_FRAG_LATER;
        return PARSED;
    }
    k->frag = frag & 0x2000 ? FP_FRAG_FIRST : FP_FRAG_NONE;
    return parse_ports(data + L3 + size, end, p, total - size);
}

/* One extension header; p->l4 and the protocol move behind it.  'end' is where the packet ends by
 * its own word.  MORE: another one may follow. */
static __noinline int step_ip6(struct __sk_buff *skb, struct pkt *p, __u32 end, __u32 n)
{
    struct fp_key_head *k = &p->key.h;
    __u32 at = p->l4, size;
    __u8 h[4], proto = k->proto;

    if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING && proto != IPPROTO_DSTOPTS &&
        proto != IPPROTO_FRAGMENT && proto != IPPROTO_AH)
        return PARSED;
    if (n == 8 || (proto == IPPROTO_HOPOPTS && n) || at + 8 > end ||
        bpf_skb_load_bytes(skb, at, h, sizeof h) < 0)
        return MALFORMED;
    size = proto == IPPROTO_FRAGMENT ? 8 : proto == IPPROTO_AH ? (h[1] + 2) * 4 : (h[1] + 1) * 8;
    if (size < 8 || at + size > end || at + size > L3 + sizeof(struct ipv6hdr) + 256)
        return MALFORMED;
    k->proto = h[0];
    at += size;
    p->l4 = at;
    if (proto != IPPROTO_FRAGMENT)
        return MORE;
    __u32 field = h[2] << 8 | h[3], offset = field & 0xfff8;

    if (p->fragment || offset + (end - at) > 65535 || (field & 1 && (end - at) & 7))
        return MALFORMED;
    p->fragment = 1;
    k->frag = offset ? FP_FRAG_LATER : field & 1 ? FP_FRAG_FIRST : FP_FRAG_NONE;
    return offset ? PARSED : MORE;
}

/* Unrolled: a loop whose body is followed by its head without a jump is refused by verifiers of
 * Linux 6.1, and where the compiler puts what isn't ours to say. */
static __noinline int walk_ip6(struct __sk_buff *skb, struct pkt *p, __u32 end)
{
    int rc = MORE;

    p->l4 = L3 + sizeof(struct ipv6hdr);
#pragma clang loop unroll(full)
    for (__u32 n = 0; n < 9; n++) {
        rc = step_ip6(skb, p, end, n);
        if (rc != MORE)
            return rc;
    }
    return MALFORMED;
}

static __always_inline bool bad_ip6(const struct ipv6hdr *ip)
{
    const __u32 *s = (const __u32 *)&ip->saddr, *d = (const __u32 *)&ip->daddr;
    __u32 mapped = bpf_htonl(0xffff);

    return (bpf_ntohl(s[0]) >> 24 == 0xff) || (!(s[0] | s[1]) && s[2] == mapped) ||
           (!(d[0] | d[1]) && d[2] == mapped) || (!(s[0] | s[1] | s[2]) && s[3] == bpf_htonl(1));
}

static __always_inline int parse_ip6(struct __sk_buff *skb, void *data, void *end, struct pkt *p)
{
    struct fp_key_head *k = &p->key.h;
    struct ipv6hdr *ip = data + L3;

    if (p->len < L3 + sizeof *ip)
        return MALFORMED;
    if ((void *)(ip + 1) > end)
        return CUT;
    __u32 size = bpf_ntohs(ip->payload_len), stop = L3 + sizeof *ip + size;

    if (ip->version != 6 || stop > p->len || bad_ip6(ip))
        return MALFORMED;
    p->family = 6;
    p->ttl = ip->hop_limit;
    p->l4 = L3 + sizeof *ip;
    __builtin_memcpy(p->key.w.src, &ip->saddr, 32);
    k->proto = ip->nexthdr;
    k->tos = bpf_ntohs(*(__be16 *)ip) >> 4;
    k->frag = FP_FRAG_NONE;
    p->fragment = 0;
    if (k->proto == IPPROTO_TCP || k->proto == IPPROTO_UDP)
        return parse_ports(ip + 1, end, p, size);
    if (walk_ip6(skb, p, stop) != PARSED)
        return MALFORMED;
    if (k->frag == FP_FRAG_LATER)
        return PARSED;
    __u32 l4 = p->l4 & 0x1ff;

    data = (void *)(long)skb->data;
    end = (void *)(long)skb->data_end;
    return parse_ports(data + l4, end, p, stop - l4);
}

static __always_inline int parse_arp(void *data, void *end, struct pkt *p)
{
    __u8 *a = data + L3;

    if (p->len < L3 + 28)
        return MALFORMED;
    if ((void *)(a + 28) > end)
        return CUT;
    if (*(__be16 *)a != bpf_htons(1) || *(__be16 *)(a + 2) != bpf_htons(ETH_P_IP) || a[4] != 6 ||
        a[5] != 4 || a[8] & 1)
        return MALFORMED;
    __builtin_memcpy(&p->key.n.src, a + 14, 4);
    __builtin_memcpy(&p->key.n.dst, a + 24, 4);
    p->key.h.proto = a[6] ? 0 : a[7];
    return bad_source4(p->key.n.src) ? MALFORMED : PARSED;
}

/* Not static: the verifier looks at it once, not once for each caller and state. */
__noinline int parse_once(struct __sk_buff *skb, struct pkt *p)
{
    if (!p)
        return MALFORMED;
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    struct fp_key_head *k = &p->key.h;
    struct ethhdr *eth = data;

    if (p->len < sizeof *eth)
        return MALFORMED;
    if ((void *)(eth + 1) > end)
        return CUT;
    __builtin_memcpy(k->macs, data, 12);
    k->eth_type = eth->h_proto;
    k->vlan_tci = skb->vlan_present ? (skb->vlan_tci & 0xffff) | 0x1000 : 0;
    if (k->eth_type == bpf_htons(ETH_P_IP))
        return parse_ip4(data, end, p);
    if (k->eth_type == bpf_htons(ETH_P_IPV6))
        return parse_ip6(skb, data, end, p);
    if (k->eth_type == bpf_htons(ETH_P_ARP))
        return parse_arp(data, end, p);
    if (bpf_ntohs(k->eth_type) < 0x600) {
        __u32 says = bpf_ntohs(k->eth_type);

        k->eth_type = 0;
        return says <= 1500 && says > p->len - L3 ? MALFORMED : PARSED;
    }
    return PARSED;
}

/* 'p' comes zeroed. */
static __always_inline int parse(struct __sk_buff *skb, struct pkt *p)
{
    p->len = skb->len;
    int rc = parse_once(skb, p);

    if (rc == CUT) {
        __u32 wanted = p->len < 384 ? p->len : 384;

        if (!bpf_skb_pull_data(skb, wanted))
            rc = parse_once(skb, p);
    }
    return rc;
}

#endif
