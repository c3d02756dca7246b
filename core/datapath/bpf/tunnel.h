/* Into and out of VXLAN.
 *
 * Out: outer headers are copied from a template that the process keeps right (route and neighbour
 * of the remote), so that a packet costs no more than plain routing, and merged packets stay
 * merged. What the template can't serve (next hop not known yet, VLAN tag, not IP) leaves through a
 * VXLAN device in external mode, where the kernel does all of it.
 *
 * In: popped at the underlay interface.  The same VXLAN device owns the UDP port, so the kernel
 * merges segments inside the tunnel before we see them; a merged packet keeps marks of its tunnel
 * when popped by hand, which only a machine behind a veth can take: for other ports it goes on
 * through the stack and comes out of the device clean. */
#ifndef MN_BPF_TUNNEL_H
#define MN_BPF_TUNNEL_H

#include "parse.h"

#define VXLAN_SIZE 8
#define OUTER4     (20 + 8 + VXLAN_SIZE + ETH_HLEN) /* what a packet grows by */
#define OUTER6     (40 + 8 + VXLAN_SIZE + ETH_HLEN)

#define ADJ_DECAP_L3_IPV4 (1ull << 7) /* since 6.4 */
#define ADJ_DECAP_L3_IPV6 (1ull << 8)

/* Through the device. */
static __noinline int tunnel_by_device(struct __sk_buff *skb, const struct fp_out *o,
                                       const struct fp_tunnel *t, __u32 *ifindex)
{
    struct fp_shared *sh = shared();
    struct bpf_tunnel_key key = {};
    __u64 flags = BPF_F_DONT_FRAGMENT;

    if (!sh || !sh->vxlan_ifindex)
        return -1;
    key.tunnel_id = o->tun_id;
    key.tunnel_tos = o->tun_tos;
    key.tunnel_ttl = 64;
    if (t->flags & FP_TUNNEL_IP6) {
        flags |= BPF_F_TUNINFO_IPV6;
        __builtin_memcpy(key.remote_ipv6, t->remote, 16);
        __builtin_memcpy(key.local_ipv6, t->local, 16);
    } else {
        __be32 a;

        flags |= BPF_F_ZERO_CSUM_TX;
        __builtin_memcpy(&a, t->remote + 12, 4);
        key.remote_ipv4 = bpf_ntohl(a);
        __builtin_memcpy(&a, t->local + 12, 4);
        key.local_ipv4 = bpf_ntohl(a);
    }
    *ifindex = sh->vxlan_ifindex;
    if (!bpf_skb_set_tunnel_key(skb, &key, sizeof key, flags))
        return 0;
    /* Before 5.19 there is no source in the key: the kernel chooses by route. */
    return bpf_skb_set_tunnel_key(skb, &key, offsetof(struct bpf_tunnel_key, local_ipv4), flags);
}

/* Does what is in the packet fit the underlay? */
static __always_inline bool tunnel_fits(struct __sk_buff *skb, const struct pkt *p,
                                        const struct fp_tunnel *t, __u32 outer)
{
    __u32 size = p->len - ETH_HLEN + outer;

    if (skb->gso_size && p->payload)
        size = p->payload - ETH_HLEN + skb->gso_size + outer;
    return size <= t->mtu;
}

static __always_inline __u16 outer_port(__u32 hash)
{
    return bpf_htons(0xc000 | (hash & 0x3fff)); /* RFC 7348: from the dynamic range */
}

/* The outer headers of a packet of 'len' bytes with them; OUTER4 bytes are there to be written. */
static __always_inline void tunnel_headers4(void *data, __u32 len, const struct fp_tunnel *t,
                                            __u8 tos, __u32 tun_id, __u32 hash)
{
    __builtin_memcpy(data, t->header, OUTER4);

    struct iphdr *ip = data + L3;
    struct udphdr *udp = (void *)(ip + 1);
    __u32 total = len - L3;
    __u32 sum = t->ip_sum + bpf_htons(total) + bpf_htons(tos);

    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip->tos = tos;
    ip->tot_len = bpf_htons(total);
    ip->check = ~sum;
    udp->source = outer_port(hash);
    udp->len = bpf_htons(total - sizeof *ip);
    *(__be32 *)((void *)(udp + 1) + 4) = bpf_htonl(tun_id << 8);
}

static __always_inline int tunnel_push4(struct __sk_buff *skb, const struct fp_out *o,
                                        const struct fp_tunnel *t, __u32 hash)
{
    const __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
                        BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) |
                        BPF_F_ADJ_ROOM_ENCAP_L2_ETH;
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    __u8 inner[ETH_HLEN];

    if (data + ETH_HLEN > end)
        return -1;
    __builtin_memcpy(inner, data, ETH_HLEN);
    if (bpf_skb_adjust_room(skb, OUTER4, BPF_ADJ_ROOM_MAC, flags) < 0)
        return -1;
    data = (void *)(long)skb->data;
    end = (void *)(long)skb->data_end;
    if (data + ETH_HLEN + OUTER4 > end)
        return -1;
    tunnel_headers4(data, skb->len, t, o->tun_tos, o->tun_id, hash);
    __builtin_memcpy(data + OUTER4, inner, ETH_HLEN);
    return 0;
}

static __always_inline void tunnel_headers6(void *data, __u32 len, const struct fp_tunnel *t,
                                            __u8 tos, __u32 tun_id, __u32 hash)
{
    __builtin_memcpy(data, t->header, OUTER6);

    struct ipv6hdr *ip = data + L3;
    struct udphdr *udp = (void *)(ip + 1);
    __u32 size = len - L3 - sizeof *ip;

    *(__be32 *)ip = bpf_htonl(6u << 28 | (__u32)tos << 20 | (hash & 0xfffff));
    ip->payload_len = bpf_htons(size);
    udp->source = outer_port(hash);
    udp->len = bpf_htons(size);
    *(__be32 *)((void *)(udp + 1) + 4) = bpf_htonl(tun_id << 8);
}

static __always_inline int tunnel_push6(struct __sk_buff *skb, const struct fp_out *o,
                                        const struct fp_tunnel *t, __u32 hash)
{
    const __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 |
                        BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) |
                        BPF_F_ADJ_ROOM_ENCAP_L2_ETH;
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    __u8 inner[ETH_HLEN];

    if (data + ETH_HLEN > end)
        return -1;
    __builtin_memcpy(inner, data, ETH_HLEN);
    if (bpf_skb_adjust_room(skb, OUTER6, BPF_ADJ_ROOM_MAC, flags) < 0)
        return -1;
    data = (void *)(long)skb->data;
    end = (void *)(long)skb->data_end;
    if (data + ETH_HLEN + OUTER6 > end)
        return -1;
    tunnel_headers6(data, skb->len, t, o->tun_tos, o->tun_id, hash);
    __builtin_memcpy(data + OUTER6, inner, ETH_HLEN);
    return 0;
}

/* Where a VXLAN packet's header begins, or 0: not ours. */
static __always_inline __u32 tunnel_find(struct __sk_buff *skb, const struct fp_shared *sh,
                                         __u8 outer_dst[16])
{
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    struct ethhdr *eth = data;
    struct udphdr *udp;
    __u32 at;

    if ((void *)(eth + 1) > end)
        return 0;
    if (eth->h_proto == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = data + L3;

        if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_UDP || ip->ihl != 5 ||
            ip->version != 4 || ip->frag_off & bpf_htons(0x3fff))
            return 0;
        __builtin_memset(outer_dst, 0, 8);
        *(__u32 *)(outer_dst + 8) = bpf_htonl(0xffff);
        *(__u32 *)(outer_dst + 12) = ip->daddr;
        at = L3 + sizeof *ip;
        if (L3 + bpf_ntohs(ip->tot_len) > skb->len)
            return 0;
    } else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = data + L3;

        if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_UDP || ip->version != 6)
            return 0;
        __builtin_memcpy(outer_dst, &ip->daddr, 16);
        at = L3 + sizeof *ip;
        if (at + bpf_ntohs(ip->payload_len) > skb->len)
            return 0;
    } else {
        return 0;
    }
    udp = data + at;
    if ((void *)(udp + 1) > end || udp->dest != sh->vxlan_port)
        return 0;
    return at + sizeof *udp;
}

static __always_inline bool is_local(const struct fp_shared *sh, const __u8 addr[16])
{
    const __u64 *a = (const __u64 *)addr;

    for (int i = 0; i < FP_MAX_LOCALS; i++) {
        const __u64 *l = (const __u64 *)sh->locals[i];

        if (i < sh->n_locals && l[0] == a[0] && l[1] == a[1])
            return true;
    }
    return false;
}

#endif
