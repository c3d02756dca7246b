/* The datapath's programs: one for ports, one for underlay interfaces, one for the VXLAN device one
 * for the device through which the process sends, and one that the process runs itself. */
#include "batch.h"
#include "lookup.h"
#include "many.h"
#include "upcall.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Number of the port an interface is, 0: none. */
static __always_inline __u32 port_of(const struct fp_shared *sh, __u32 ifindex)
{
    for (int i = 0; i < FP_IF_PROBES; i++) {
        __u32 no = sh->port_of[(ifindex + i) & (FP_IFS - 1)];
        struct fp_port *port = no ? bpf_map_lookup_elem(&mn_ports, &no) : 0;

        if (port && port->ifindex == ifindex)
            return no;
    }
    return 0;
}

static __always_inline void learn(struct fp_port *port, const struct fp_key_head *k)
{
    const __u8 *src = k->macs + 6;

    if (*(const __u16 *)src == *(__u16 *)port->mac &&
        *(const __u32 *)(src + 2) == *(__u32 *)(port->mac + 2))
        return;
    if (!(src[0] & 1))
        __builtin_memcpy(port->mac, src, 6);
}

static __always_inline void use(struct fp_flow *f, __u32 bytes)
{
    __u32 now = bpf_ktime_get_coarse_ns() >> FP_USED_SHIFT;

    __sync_fetch_and_add(&f->packets, 1);
    __sync_fetch_and_add(&f->bytes, bytes);
    if (f->used != now)
        f->used = now;
}

SEC("tc")
int mn_port(struct __sk_buff *skb)
{
    struct fp_shared *sh = shared();
    __u32 no = sh ? port_of(sh, skb->ifindex) : 0;
    struct fp_port *port = bpf_map_lookup_elem(&mn_ports, &no);
    struct fp_port_stats *st = bpf_map_lookup_elem(&mn_port_stats, &no);
    struct pkt p = {};

    if (!sh || !no || !port || !st) {
        count(FP_NO_PORT);
        return TC_ACT_SHOT;
    }
    st->rx_packets++;
    st->rx_bytes += frame_size(skb);
    if (port->limit.cost && !limit_may(&port->limit, frame_size(skb))) {
        st->limited++;
        return TC_ACT_SHOT;
    }

    int rc = parse(skb, &p);

    p.key.h.in_port = no;
    learn(port, &p.key.h);

    __u32 hash = key_hash(&p);

    if (rc != PARSED) {
        count(FP_MALFORMED);
        return upcall(skb, no, UPCALL_MISS, hash);
    }
    struct fp_flow *f = lookup(sh, &p, hash);

    if (!f)
        return upcall(skb, no, UPCALL_MISS, hash);
    if (f->ttl_needed && p.ttl <= f->ttl_needed)
        return upcall(skb, no, UPCALL_TTL, hash);
    use(f, frame_size(skb));
    if (f->n_outs == 1)
        return output(skb, &p, &f->out, hash);
    return f->n_outs ? output_many(skb, &p, f->out.to, 0, f->n_outs) : TC_ACT_SHOT;
}

/* Out of a tunnel: the key alone says where. */
static __always_inline struct fp_port *bound_port(__u32 key, __u32 *port_no)
{
    __u32 *no = bpf_map_lookup_elem(&mn_binds, &key);

    if (!no) {
        count(FP_UNKNOWN_KEY);
        return 0;
    }
    *port_no = *no;
    return live_port(*port_no);
}

/* A merged packet popped by hand keeps marks of its tunnel, which a TCP receiver behind a veth
 * never looks at, but a UDP one, a tap or a NIC would: those come through the device. */
static __always_inline bool clean_when_popped(struct __sk_buff *skb, const struct fp_port *port,
                                              __u32 l3, __be16 type)
{
    __u8 proto;

    if (!skb->gso_size)
        return true;
    if (!(port->flags & FP_PORT_PEER) ||
        bpf_skb_load_bytes(skb, l3 + (type == bpf_htons(ETH_P_IP) ? 9 : 6), &proto, 1) < 0)
        return false;
    return proto == IPPROTO_TCP;
}

SEC("tc")
int mn_underlay(struct __sk_buff *skb)
{
    struct fp_shared *sh = shared();
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    __u8 outer_dst[16] __attribute__((aligned(8))), inner[ETH_HLEN];
    __u32 port_no;

    if (!sh || skb->vlan_present || skb->pkt_type != PACKET_HOST)
        return TC_ACT_UNSPEC;
    if (data + L3 + 28 > end && skb->len >= L3 + OUTER4 && bpf_skb_pull_data(skb, L3 + OUTER4))
        return TC_ACT_UNSPEC;
    __u32 at = tunnel_find(skb, sh, outer_dst);

    if (!at || !is_local(sh, outer_dst))
        return TC_ACT_UNSPEC;
    __u32 grown = at - ETH_HLEN + VXLAN_SIZE + ETH_HLEN; /* OUTER4 or OUTER6 */

    data = (void *)(long)skb->data;
    end = (void *)(long)skb->data_end;
    if (data + L3 + OUTER4 > end)
        return TC_ACT_UNSPEC;
    at &= 0x7f;
    if (data + at + VXLAN_SIZE + ETH_HLEN > end)
        return TC_ACT_UNSPEC;
    if (!(*(__u8 *)(data + at) & 8)) {
        count(FP_MALFORMED);
        return TC_ACT_SHOT;
    }
    struct fp_port *port = bound_port(bpf_ntohl(*(__be32 *)(data + at + 4)) >> 8, &port_no);

    if (!port)
        return TC_ACT_SHOT;
    __builtin_memcpy(inner, data + at + VXLAN_SIZE, ETH_HLEN);

    __be16 type = *(__be16 *)(inner + 12);

    if (!clean_when_popped(skb, port, at + VXLAN_SIZE + ETH_HLEN, type))
        return TC_ACT_UNSPEC;
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;

    if (type != skb->protocol)
        flags |= type == bpf_htons(ETH_P_IPV6) ? ADJ_DECAP_L3_IPV6
                 : type == bpf_htons(ETH_P_IP) ? ADJ_DECAP_L3_IPV4
                                               : 0;
    if (bpf_skb_adjust_room(skb, -(int)grown, BPF_ADJ_ROOM_MAC, flags) < 0)
        return TC_ACT_UNSPEC;
    data = (void *)(long)skb->data;
    end = (void *)(long)skb->data_end;
    if (data + ETH_HLEN > end)
        return TC_ACT_SHOT;
    __builtin_memcpy(data, inner, ETH_HLEN);
    if (skb->protocol == type)
        return to_port(skb, port_no);
    count_tx(skb, port_no);
    return bpf_redirect(port->ifindex, 0);
}

SEC("tc")
int mn_vxlan(struct __sk_buff *skb)
{
    struct bpf_tunnel_key key = {};
    __u32 port_no;

    if (bpf_skb_get_tunnel_key(skb, &key, offsetof(struct bpf_tunnel_key, local_ipv4), 0) < 0 &&
        bpf_skb_get_tunnel_key(skb, &key, offsetof(struct bpf_tunnel_key, local_ipv4),
                               BPF_F_TUNINFO_IPV6) < 0)
        return TC_ACT_SHOT;
    if (!bound_port(key.tunnel_id, &port_no))
        return TC_ACT_SHOT;
    return to_port(skb, port_no);
}

SEC("tc")
int mn_inject(struct __sk_buff *skb)
{
    __u32 n = skb->queue_mapping ? skb->queue_mapping - 1 : 0;
    struct fp_slot *slot = bpf_map_lookup_elem(&mn_slots, &n);
    struct pkt p = {};
    int rc;

    if (!slot || slot->seq == slot->done)
        return TC_ACT_SHOT;
    rc = parse(skb, &p);
    if (slot->n_outs == 1)
        rc = output(skb, &p, &slot->outs[0], key_hash(&p));
    else
        rc = output_many(skb, &p, 0, n, slot->n_outs);
    slot->done = slot->seq;
    return rc;
}

/* Returns how many packets couldn't be sent. */
SEC("tc")
int mn_batch(struct __sk_buff *skb)
{
    const struct fp_request *r = (void *)(long)skb->data;

    if ((void *)r->rest > (void *)(long)skb->data_end)
        return -1;
    __u32 what = r->what, queue = r->queue, n = r->n;
    int n_failed = 0;

    for (__u32 i = 0; i < FP_BATCH && i < n; i++) {
        if (what == FP_PUT)
            batch_put(queue, i);
        else if (what == FP_DELETE)
            batch_delete(queue, i);
        else
            n_failed += batch_send(skb, queue, i) < 0;
    }
    return n_failed;
}
