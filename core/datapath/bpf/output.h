/* Where a packet goes: one output on the fast way, many by clones.
 *
 * Into a machine behind a veth in another namespace a packet is handed over directly
 * (bpf_redirect_peer), which saves a trip through the backlog.  It arrives there marked as "for
 * this host" without a look at its address, so that is for frames to the address we have seen the
 * machine send from; all others take the veth, whose end sorts them. */
#ifndef MN_BPF_OUTPUT_H
#define MN_BPF_OUTPUT_H

#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include "limit.h"
#include "rewrite.h"
#include "tunnel.h"

static __always_inline void count_tx(struct __sk_buff *skb, __u32 port_no)
{
    struct fp_port_stats *st = bpf_map_lookup_elem(&mn_port_stats, &port_no);

    if (st) {
        st->tx_packets++;
        st->tx_bytes += frame_size(skb);
    }
}

static __always_inline struct fp_port *live_port(__u32 port_no)
{
    struct fp_port *port = bpf_map_lookup_elem(&mn_ports, &port_no);

    if (port && port->ifindex)
        return port;
    count(FP_NO_PORT);
    return 0;
}

static __always_inline bool lives_there(struct __sk_buff *skb, const struct fp_port *port)
{
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

    return data + ETH_ALEN <= end && *(__u32 *)data == *(const __u32 *)port->mac &&
           *(__u16 *)(data + 4) == *(const __u16 *)(port->mac + 4);
}

static __always_inline int to_port(struct __sk_buff *skb, __u32 port_no)
{
    struct fp_port *port = live_port(port_no);

    if (!port)
        return TC_ACT_SHOT;
    count_tx(skb, port_no);
    if (!(port->flags & FP_PORT_PEER) || !lives_there(skb, port))
        return bpf_redirect(port->ifindex, 0);
    if (skb->pkt_type != PACKET_HOST) /* older kernels don't set it on the way over */
        bpf_skb_change_type(skb, PACKET_HOST);
    return bpf_redirect_peer(port->ifindex, 0);
}

static __always_inline int to_tunnel(struct __sk_buff *skb, const struct pkt *p,
                                     const struct fp_out *o, __u32 hash)
{
    __u32 index = o->to, ifindex;
    struct fp_tunnel *t = bpf_map_lookup_elem(&mn_tunnels, &index);

    if (!t || !t->in_use) {
        count(FP_NO_TUNNEL);
        return TC_ACT_SHOT;
    }
    bool ip6 = t->flags & FP_TUNNEL_IP6;

    if (t->flags & FP_TUNNEL_READY) {
        if (!tunnel_fits(skb, p, t, ip6 ? OUTER6 : OUTER4)) {
            count(FP_TOO_BIG);
            return TC_ACT_SHOT;
        }
        t->packets++;
        if (p->family && !skb->vlan_present &&
            !(ip6 ? tunnel_push6(skb, o, t, hash) : tunnel_push4(skb, o, t, hash)))
            return bpf_redirect(t->ifindex, 0);
    }
    count(FP_TUNNEL_SLOW);
    if (tunnel_by_device(skb, o, t, &ifindex)) {
        count(FP_NO_TUNNEL);
        return TC_ACT_SHOT;
    }
    return bpf_redirect(ifindex, 0);
}

static __always_inline int rewrite(struct __sk_buff *skb, struct pkt *p, const struct fp_out *o)
{
    __u32 set = o->set;

    if (!set)
        return 0;
    if (set & FP_POP_VLAN && bpf_skb_vlan_pop(skb) < 0)
        return -1;
    if (set & ~(FP_POP_VLAN | FP_PUSH_VLAN) && set_fields(skb, p, set, o, p->ttl - o->ttl_dec))
        return -1;
    if (set & FP_PUSH_VLAN && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), o->vlan_tci) < 0)
        return -1;
    return 0;
}

static __always_inline int output(struct __sk_buff *skb, struct pkt *p, const struct fp_out *o,
                                  __u32 hash)
{
    if (rewrite(skb, p, o)) {
        count(FP_REWRITE_FAILED);
        return TC_ACT_SHOT;
    }
    return o->kind == FP_OUT_PORT ? to_port(skb, o->to) : to_tunnel(skb, p, o, hash);
}

#endif
