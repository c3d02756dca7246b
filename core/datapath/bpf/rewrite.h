/* Header fields set to absolute values, with checksums that stay right whatever their state: made,
 * half-made for offload, or summed by the NIC.
 *
 * IPv4's header sum hides our changes from a NIC's sum over the packet (skb->csum); for IPv6 we
 * tell the kernel.  Flows this can't do (ports of SCTP, ICMP types) are refused by the process. */
#ifndef MN_BPF_REWRITE_H
#define MN_BPF_REWRITE_H

#include "parse.h"

/* Adds to 'sum' what changing a word from 'from' to 'to' does to a checksum's sum. */
static __always_inline __u64 diff32(__u64 sum, __u32 from, __u32 to)
{
    return sum + (__u32)~from + to;
}

static __always_inline __u32 fold32(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    return sum;
}

static __always_inline __u16 fold16(__u64 sum)
{
    __u32 s = fold32(sum);

    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return s;
}

static __always_inline __u32 checksum_at(__u8 proto, __u8 family)
{
    switch (proto) {
    case IPPROTO_TCP:
        return 16;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_DCCP:
        return 6;
    case IPPROTO_ICMPV6:
        return family == 6 ? 2 : 0;
    }
    return 0;
}

static __always_inline int set_ip4(void *data, void *end, __u32 set, const struct fp_out *o,
                                   __u8 ttl, __u64 *pseudo)
{
    struct iphdr *ip = data + L3;
    __u64 sum = 0;

    if ((void *)(ip + 1) > end)
        return -1;
    if (set & FP_SET_IP_SRC) {
        *pseudo = diff32(*pseudo, ip->saddr, o->src4);
        ip->saddr = o->src4;
    }
    if (set & FP_SET_IP_DST) {
        *pseudo = diff32(*pseudo, ip->daddr, o->dst4);
        ip->daddr = o->dst4;
    }
    sum = *pseudo;
    if (set & FP_SET_TOS) {
        __u32 *first = (__u32 *)ip, old = *first;

        ip->tos = o->tos;
        sum = diff32(sum, old, *first);
    }
    if (set & FP_DEC_TTL) {
        __u32 *third = (__u32 *)ip + 2, old = *third & ~bpf_htonl(0xffff);

        ip->ttl = ttl;
        sum = diff32(sum, old, *third & ~bpf_htonl(0xffff));
    }
    if (sum)
        ip->check = ~fold16(sum + (__u16)~ip->check);
    return 0;
}

static __always_inline void set_addr6(__u32 *field, const __u8 *to, __u64 *pseudo)
{
    for (int i = 0; i < 4; i++) {
        __u32 word;

        __builtin_memcpy(&word, to + 4 * i, 4);
        *pseudo = diff32(*pseudo, field[i], word);
        field[i] = word;
    }
}

/* 'own': what the changes that no transport checksum covers do to the packet's sum. */
static __always_inline int set_ip6(void *data, void *end, __u32 set, const struct fp_out *o,
                                   __u8 ttl, __u64 *pseudo, __u64 *own)
{
    struct ipv6hdr *ip = data + L3;
    __u32 *w = (__u32 *)ip;

    if ((void *)(ip + 1) > end)
        return -1;
    if (set & FP_SET_IP_SRC)
        set_addr6(w + 2, o->src, pseudo);
    if (set & FP_SET_IP_DST)
        set_addr6(w + 6, o->dst, pseudo);
    if (set & FP_SET_TOS) {
        __u32 word = (w[0] & ~bpf_htonl(0x0ff00000)) | bpf_htonl((__u32)o->tos << 20);

        *own = diff32(*own, w[0], word);
        w[0] = word;
    }
    if (set & FP_DEC_TTL) {
        __u32 old = w[1];

        ip->hop_limit = ttl;
        *own = diff32(*own, old, w[1]);
    }
    return 0;
}

static __always_inline int set_ports(void *data, void *end, const struct pkt *p, __u32 set,
                                     const struct fp_out *o, __u64 *diff)
{
    struct udphdr *l4 = data + (p->l4 & 0x1ff);
    __u32 old;

    if ((void *)(l4 + 1) > end)
        return -1;
    __builtin_memcpy(&old, l4, 4);
    if (set & FP_SET_TP_SRC)
        l4->source = o->tp_src;
    if (set & FP_SET_TP_DST)
        l4->dest = o->tp_dst;
    __u32 now;

    __builtin_memcpy(&now, l4, 4);
    *diff = diff32(*diff, old, now);
    return 0;
}

static __always_inline int fix_l4(struct __sk_buff *skb, const struct pkt *p, __u64 pseudo,
                                  __u64 own)
{
    __u32 at = checksum_at(p->key.h.proto, p->family), l4 = p->l4 & 0x1ff;
    __u64 flags = p->key.h.proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

    if (!at || p->key.h.frag == FP_FRAG_LATER ||
        (p->family == 4 && p->key.h.proto == IPPROTO_ICMPV6))
        return 0;
    if (pseudo) {
        __u32 diff = fold32(pseudo);

        if (bpf_l4_csum_replace(skb, l4 + at, 0, diff, flags | BPF_F_PSEUDO_HDR) < 0)
            return -1;
        if (p->family == 6) /* no header sum takes up the change: undo it in skb->csum */
            bpf_csum_update(skb, diff);
    }
    if (own && bpf_l4_csum_replace(skb, l4 + at, 0, fold32(own), flags) < 0)
        return -1;
    return 0;
}

/* All of 'set' but VLAN tags; 'ttl' is the new one. */
static __always_inline int set_fields(struct __sk_buff *skb, const struct pkt *p, __u32 set,
                                      const struct fp_out *o, __u8 ttl)
{
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    __u64 pseudo = 0, ports = 0, own = 0;

    if (data + ETH_HLEN > end)
        return -1;
    if (set & FP_SET_ETH_DST)
        __builtin_memcpy(data, o->macs, 6);
    if (set & FP_SET_ETH_SRC)
        __builtin_memcpy(data + 6, o->macs + 6, 6);
    if (!(set & (FP_SET_IP | FP_SET_TP)) || !p->family)
        return 0;
    if (set & FP_SET_IP) {
        if (p->family == 4 ? set_ip4(data, end, set, o, ttl, &pseudo)
                           : set_ip6(data, end, set, o, ttl, &pseudo, &own))
            return -1;
    }
    if (set & FP_SET_TP && p->key.h.frag != FP_FRAG_LATER &&
        set_ports(data, end, p, set, o, &ports))
        return -1;
    if (own)
        bpf_csum_update(skb, fold32(own));
    return pseudo | ports ? fix_l4(skb, p, pseudo, ports) : 0;
}

#endif
