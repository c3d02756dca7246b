/* What the eBPF programs and the process share: layouts of maps and upcall records.
 *
 * Maps outlive the process that made them (dp_close with keep, a crash) and are taken over by the
 * next one, perhaps of another build: FP_ABI names the layout.  Change a structure here, change
 * FP_ABI; a datapath of another FP_ABI is removed, not adopted.
 *
 * Two flow tables, because IPv6 addresses would make every key larger: "narrow" keys hold IPv4
 * addresses, "wide" ones IPv6 addresses.  A flow whose mask looks at no IPv6 address is narrow, for
 * whatever packets; IPv6 packets try masks of both kinds.
 *
 * Fields are in host order unless marked; addresses and MACs as on the wire. */
#ifndef MN_DATAPATH_EBPF_ABI_H
#define MN_DATAPATH_EBPF_ABI_H

#include <linux/types.h>

#define FP_ABI 2

#define FP_MAX_PORTS     8192
#define FP_MAX_MASKS     64
#define FP_MAX_TUNNELS   8192 /* pairs of local and remote address */
#define FP_MAX_LOCALS    8
#define FP_MAX_UNDERLAYS 64
#define FP_MAX_QUEUES    64
#define FP_MAX_OUTS      256 /* of one flow */
#define FP_MAX_GROUPED   32768
#define FP_MAX_BINDS     16384
#define FP_IFS           65536 /* slots of 'port_of' */
#define FP_IF_PROBES     8
#define FP_HINTS         16384 /* power of two */
#define FP_PENDING       4096  /* power of two */
#define FP_MASK_NAME     88

/* The part of a key all packets have, then addresses.  Words are compared and masked by eight
 * bytes; the hash that picks the hint and the outer UDP port leaves out what changes within a
 * connection (TOS, TCP flags). */
struct fp_key_head {
    __u32 in_port;
    __be16 eth_type;
    __be16 vlan_tci; /* host order, FLOW_VLAN_PRESENT */
    __u8 macs[12];   /* destination, source */
    __u16 tcp_flags;
    __u8 tos;
    __u8 mask; /* number of the mask + 1; 0 in a packet's own key */
    __u8 proto;
    __u8 frag; /* enum flow_frag */
    __u16 zero;
    __be16 tp_src, tp_dst; /* ICMP: type and code, each as a 16-bit number */
};

struct fp_narrow {
    struct fp_key_head h;
    __be32 src, dst;
};

struct fp_wide {
    struct fp_key_head h;
    __u8 src[16], dst[16];
};

#define FP_NARROW_WORDS 5
#define FP_WIDE_WORDS   8

union fp_key {
    struct fp_key_head h;
    struct fp_narrow n;
    struct fp_wide w;
    __u64 q[FP_WIDE_WORDS];
};

/* The bits of 'struct flow_out' (packet/flow.h can't be included in an eBPF program). */
enum {
    FP_SET_ETH_SRC = 1 << 0,
    FP_SET_ETH_DST = 1 << 1,
    FP_SET_IP_SRC = 1 << 2,
    FP_SET_IP_DST = 1 << 3,
    FP_SET_TOS = 1 << 4,
    FP_SET_TP_SRC = 1 << 5,
    FP_SET_TP_DST = 1 << 6,
    FP_DEC_TTL = 1 << 7,
    FP_POP_VLAN = 1 << 8,
    FP_PUSH_VLAN = 1 << 9,
    FP_SET_IP = FP_SET_IP_SRC | FP_SET_IP_DST | FP_SET_TOS | FP_DEC_TTL,
    FP_SET_TP = FP_SET_TP_SRC | FP_SET_TP_DST,
};
enum { FP_OUT_PORT, FP_OUT_TUNNEL };
enum { FP_FRAG_NONE, FP_FRAG_FIRST, FP_FRAG_LATER };

struct fp_out {
    __u16 set; /* FP_SET_* and friends */
    __u8 kind; /* enum flow_out_kind */
    __u8 ttl_dec;
    __u32 to;      /* port number, or index into 'tunnels' */
    __u8 macs[12]; /* destination, source */
    __u16 vlan_tci;
    __u8 tos, tun_tos;
    __be16 tp_src, tp_dst;
    __u32 tun_id;
    union {
        __be32 src4;
        __u8 src[16];
    };
    union {
        __be32 dst4;
        __u8 dst[16];
    };
};

/* 184 bytes with the narrow key and the kernel's head: one object of its 192-byte class. */
struct fp_flow {
    __u64 packets, bytes;
    __u64 cookie;
    __u32 used; /* monotonic time >> FP_USED_SHIFT */
    __u16 n_outs;
    __u8 ttl_needed;
    __u8 zero;
    struct fp_out out; /* n_outs > 1: out.to is the group */
};
#define FP_USED_SHIFT 23 /* 8.4 ms */

struct fp_member {
    __u32 group, index;
};

struct fp_mask {
    __u64 q[FP_WIDE_WORDS];
    __u32 wide;
    __u32 hits; /* found by search, not by hint: what the order is made of */
};

/* Masks to try for one kind of packet, likeliest first. */
struct fp_order {
    __u32 n;
    __u8 mask[FP_MAX_MASKS];
};

enum fp_counter {
    FP_MALFORMED,
    FP_NO_PORT,
    FP_NO_TUNNEL,
    FP_TOO_BIG,
    FP_TTL,
    FP_UNKNOWN_KEY,
    FP_UPCALL_LOST,
    FP_PENDING_DROP,
    FP_REWRITE_FAILED,
    FP_TUNNEL_SLOW, /* left through the VXLAN device: next hop unknown, tag, not IP */
    FP_N_COUNTERS
};

/* An interface on which tunnel packets are taken; ifindex 0: unused. */
struct fp_underlay {
    __u32 ifindex;
    __u32 made_clsact;
};

/* One element, mapped by the process. */
struct fp_shared {
    __u32 abi;
    __u32 n_queues;
    char name[32];
    __u32 upcalls_per_port;
    __u32 upcall_gap_ns; /* between two of one port, 0: no limit */
    __be16 vxlan_port;
    __u16 n_locals;
    __u32 vxlan_ifindex;
    __u8 locals[FP_MAX_LOCALS][16]; /* IPv4 mapped */
    struct fp_underlay underlays[FP_MAX_UNDERLAYS];
    __u32 awake[FP_MAX_QUEUES];  /* the queue's worker polls: spare the wake-up */
    __u32 active;                /* which of order[] is valid */
    struct fp_order order[2][2]; /* [active][packet is IPv6] */
    struct fp_mask masks[FP_MAX_MASKS];
    __u8 names[FP_MAX_MASKS][FP_MASK_NAME]; /* struct flow_key: the masks as the agent gave them */
    __u16 port_of[FP_IFS];                  /* by ifindex, probed FP_IF_PROBES times */
};

/* What a port may send: struct dp_bucket, and the time that is paid for. */
#define FP_COST_SHIFT  20
#define FP_LIMIT_EPOCH (1ull << 62) /* struct dp_bucket: DP_LIMIT_EPOCH */
struct fp_limit {
    __u64 cost, depth_ns, paid_ns;
};

/* Of an interface that is a port of Open vSwitch's, by ifindex. */
#define FP_LIMITED_PORTS 65000
struct fp_limited {
    struct fp_limit limit;
    __u64 dropped;
};

#define FP_PORT_PEER    1 /* veth whose other end is in another namespace */
#define FP_PORT_CLSACT  2 /* we made its clsact qdisc */
#define FP_PORT_PROMISC 4 /* we made it promiscuous */

struct fp_port {
    __u32 ifindex; /* 0: none, or the interface is gone */
    __u8 in_use;
    __u8 flags;
    __u8 queue;
    __u8 life;   /* changes when the number gets another interface */
    __u8 mac[6]; /* source of the last frame: who lives there */
    __u16 zero2;
    __u32 sent, done; /* upcalls put in the ring, and finished by the process */
    __u64 paid_ns;    /* rate of upcalls: time that is used up */
    char ifname[16];
    struct fp_limit limit;
};

struct fp_port_stats {
    __u64 rx_packets, rx_bytes, tx_packets, tx_bytes, upcalls, upcalls_lost, limited;
};

#define FP_TUNNEL_READY 1 /* header and ifindex are good */
#define FP_TUNNEL_IP6   2

struct fp_tunnel {
    __u32 ifindex;
    __u16 flags;
    __u16 mtu;    /* of the underlay interface */
    __u32 ip_sum; /* of the IPv4 header without length, TOS and checksum, unfolded */
    __u32 in_use;
    __u8 local[16], remote[16]; /* IPv4 mapped */
    __u8 header[72];            /* Ethernet, IP, UDP, VXLAN: 50 or 70 bytes */
    __u64 packets;
};

struct fp_pending {
    __u32 hash, n;
    __u64 since_ns;
};

/* Outputs of a packet the process sends itself: the writer of a queue fills its slot, writes the
 * packet to the injecting device and waits for 'done'. */
struct fp_slot {
    __u32 seq, done;
    __u32 n_outs;
    __u32 zero;
    struct fp_out outs[FP_MAX_OUTS];
};

/* What the process has done in the kernel many at a time, by one run of a program instead of a
 * system call each: flows put or deleted, small packets sent as they lie here.  A queue has one
 * batch, and only the queue's thread fills and runs it. */
#define FP_BATCH      64
#define FP_SEND_SMALL 256

struct fp_change {
    union fp_key key;
    struct fp_flow flow; /* deleted: as it was */
    __u32 wide;
    __s32 rc; /* of the kernel; -EEXIST: not put, it is there */
};

struct fp_send {
    __u32 to; /* as in fp_out */
    __u16 size;
    __u8 kind, tun_tos;
    __u32 tun_id;
    __u32 hash;
    __u8 packet[FP_SEND_SMALL];
};

struct fp_batch {
    struct fp_change changes[FP_BATCH];
    struct fp_send sends[FP_BATCH];
};

/* The packet such a run is given: what it is to do.  The Ethernet type is that of all packets it
 * sends, since that is what the kernel will think they are. */
enum { FP_PUT, FP_DELETE, FP_SEND };
struct fp_request {
    __u8 zero[12];
    __be16 eth_type;
    __u16 what; /* FP_PUT, ... */
    __u32 queue, n;
    __u8 rest[FP_SEND_SMALL - 24];
};

struct fp_upcall {
    __u32 port_no;
    __u32 size;
    __u64 time_ns;
    __u16 vlan_tci, vlan_proto; /* the tag that isn't in the bytes; proto 0: none */
    __u16 gso_size;
    __u8 reason, life;
    __u8 packet[];
};

#define FP_UPCALL_SMALL  224
#define FP_UPCALL_MEDIUM 2016
#define FP_UPCALL_JUMBO  9184
#define FP_UPCALL_MERGED 65600
#define FP_RING_SIZE     (1u << 20)

#endif
