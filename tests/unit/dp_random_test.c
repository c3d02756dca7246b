/* Random flows and frames: every datapath matches what the agent's parser reads, and makes of a
 * frame what the agent's own rewriting makes of it, byte for byte.
 *
 * A flow is made of a frame, a random mask and random rewrites; frames that agree with it, that
 * nearly do, and ones with broken headers are sent.  So the kernel's parser and the process' are
 * held against each other, where a difference would forward what the agent never meant to. */
#include "agent/flowname.h"
#include "datapath/fillings.h"
#include "dp_rig.h"

enum { ROUNDS = 400, OTHERS = 5, MAX_COPIES = 3 };

static unsigned seed;

static unsigned roll(unsigned sides)
{
    return (unsigned)rand_r(&seed) / 7 % sides;
}

#define PICK(list) (list)[roll(ARRAY_SIZE(list))]

static const char *const macs[] = {"02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03",
                                   "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", "02:00:00:00:01:02"};
static const char *const ips[] = {"10.0.0.1",    "10.0.0.2",        "10.0.1.129", "192.0.2.1",
                                  "224.0.0.251", "255.255.255.255", "127.0.0.1",  "0.0.0.0"};
static const char *const ip6s[] = {"fd00::1", "fd00::2", "fd00:1::ffff:10.0.0.1",
                                   "fe80::1", "ff02::1", "2001:db8::1",
                                   "::1",     "::"};

static struct ip some_ip(bool ip6)
{
    return IP(ip6 ? PICK(ip6s) : PICK(ips));
}

static struct flow_key some_key(void)
{
    static const uint16_t types[] = {ETH_TYPE_IP,  ETH_TYPE_IP,  ETH_TYPE_IP6,
                                     ETH_TYPE_IP6, ETH_TYPE_ARP, 0x1234};
    static const uint8_t protos[] = {6, 17, 17, 1, 58, 132, 47, 33, 136};
    static const uint16_t ports[] = {0, 8, 22, 53, 128, 443, 65535};
    struct flow_key k = {.eth_src = MAC(PICK(macs)),
                         .eth_dst = MAC(PICK(macs)),
                         .eth_type = PICK(types),
                         .ip_ttl = (uint8_t)(roll(4) ? 64 : roll(4)),
                         .ip_tos = (uint8_t)(roll(3) * 0x45),
                         .ip_proto = PICK(protos),
                         .tp_src = PICK(ports),
                         .tp_dst = PICK(ports),
                         .tcp_flags = (uint16_t)(1u << roll(9)),
                         .icmp_id = 7};

    k.eth_src.b[0] &= 0xfe;
    if (k.eth_type == ETH_TYPE_ARP)
        k.ip_proto = (uint8_t)(1 + roll(2));
    if (!roll(3))
        k.vlan_tci = FLOW_VLAN_PRESENT | (uint16_t)(roll(2) << 13) | (uint16_t)(5 + roll(2));
    if (!roll(4))
        k.ip_frag = (uint8_t)(1 + roll(2));
    k.ip_src = some_ip(k.eth_type == ETH_TYPE_IP6);
    k.ip_dst = some_ip(k.eth_type == ETH_TYPE_IP6);
    return k;
}

/* An extension header in front of what an untagged IPv6 packet carries. */
static void insert(struct frame *f, uint8_t type)
{
    uint8_t *ip = f->b + WIRE_ETH_SIZE;
    uint8_t size = type == WIRE_PROTO_AH ? 16 : 8;

    if (get16(f->b + 12) != ETH_TYPE_IP6)
        return;
    memmove(ip + WIRE_IP6_SIZE + size, ip + WIRE_IP6_SIZE, f->size - WIRE_ETH_SIZE - WIRE_IP6_SIZE);
    memset(ip + WIRE_IP6_SIZE, 0, size);
    ip[WIRE_IP6_SIZE] = ip[6];
    ip[WIRE_IP6_SIZE + 1] = type == WIRE_PROTO_AH ? 2 : 0;
    ip[6] = type;
    put16(ip + 4, (uint16_t)(get16(ip + 4) + size));
    f->size += size;
}

static void extend(struct frame *f)
{
    static const uint8_t types[] = {WIRE_PROTO_HOPOPTS, WIRE_PROTO_ROUTING, WIRE_PROTO_DSTOPTS,
                                    WIRE_PROTO_AH, WIRE_PROTO_FRAGMENT};

    insert(f, PICK(types));
}

static struct frame frame_with(const struct flow_key *k)
{
    struct frame f = frame_of(k);

    for (unsigned n = roll(6); n > 3; n--)
        extend(&f);
    if (!roll(4) && k->ip_proto == 17 && k->ip_frag != FLOW_FRAG_LATER && !k->vlan_tci &&
        get16(f.b + 12) != ETH_TYPE_ARP && k->eth_type != 0x1234)
        memset(f.b + f.size - 16 - 2, 0, 2); /* a UDP checksum that isn't made */
    if (!roll(8)) {                          /* one more tag around it */
        memmove(f.b + 16, f.b + 12, f.size - 12);
        put16(f.b + 12, roll(2) ? ETH_TYPE_VLAN : ETH_TYPE_QINQ);
        put16(f.b + 14, 9);
        f.size += WIRE_VLAN_SIZE;
    }
    return f;
}

static struct ip some_prefix(bool ip6)
{
    unsigned bits = roll(3) ? 128 : (ip6 ? 0 : 96) + roll(ip6 ? 129 : 33);
    struct ip m = ip_none;

    for (unsigned i = 0; i < bits; i++)
        m.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
    return m;
}

static struct flow_key some_mask(const struct flow_key *k)
{
    const struct mac all = mac_broadcast, none = {{0}};
    bool ip6 = k->eth_type == ETH_TYPE_IP6, ip = ip6 || k->eth_type == ETH_TYPE_IP;
    bool addresses = ip || k->eth_type == ETH_TYPE_ARP;
    struct flow_key m = {.in_port = ~0u,
                         .eth_src = roll(2) ? all : none,
                         .eth_dst = roll(2) ? all : none,
                         .vlan_tci = roll(3) ? 0xffff : 0,
                         .eth_type = roll(4) ? 0xffff : 0};

    if (addresses && roll(2))
        m.ip_src = some_prefix(ip6);
    if (addresses && roll(2))
        m.ip_dst = some_prefix(ip6);
    if (addresses && roll(2))
        m.ip_proto = 0xff;
    if (ip && roll(3) == 0)
        m.ip_tos = 0xff;
    if (ip && roll(2))
        m.ip_frag = 0xff;
    if (ip && roll(3) == 0)
        m.tp_src = 0xffff;
    if (ip && roll(3) == 0)
        m.tp_dst = 0xffff;
    if (ip && k->ip_proto == 6 && roll(3) == 0)
        m.tcp_flags = (uint16_t)(1u << roll(9));
    return m;
}

/* As far as a flow of this mask may know that its packets have them. */
static unsigned some_sets(const struct flow_key *k, const struct flow_key *m)
{
    bool ip = m->eth_type && (k->eth_type == ETH_TYPE_IP || k->eth_type == ETH_TYPE_IP6);
    bool ports = ip && m->ip_proto && (k->ip_proto == 6 || k->ip_proto == 17);
    unsigned sets = FLOW_SET_ETH_SRC | FLOW_SET_ETH_DST;

    if (ip)
        sets |= FLOW_SET_IP_SRC | FLOW_SET_IP_DST | FLOW_SET_TOS | FLOW_DEC_TTL;
    if (ports && m->ip_frag && k->ip_frag == FLOW_FRAG_NONE)
        sets |= FLOW_SET_TP_SRC | FLOW_SET_TP_DST;
    if (m->vlan_tci && k->vlan_tci)
        sets |= FLOW_POP_VLAN;
    sets |= FLOW_PUSH_VLAN;
    return sets & roll(1024) & roll(1024);
}

static struct flow_out some_out(const struct rig *r, unsigned to, const struct flow_key *k,
                                const struct flow_key *m)
{
    struct flow_out o = rig_out(r, to);
    bool ip6 = k->eth_type == ETH_TYPE_IP6;

    o.set = (uint16_t)some_sets(k, m);
    o.ttl_dec = (uint8_t)(1 + (rig_is_ovs(r) ? 0 : roll(3)));
    o.eth_src = MAC(macs[roll(3)]);
    o.eth_dst = MAC(PICK(macs));
    o.vlan_tci = FLOW_VLAN_PRESENT | 77;
    o.ip_tos = (uint8_t)roll(256);
    o.ip_src = IP(ip6 ? "2001:db8::99" : "192.0.2.254");
    o.ip_dst = some_ip(ip6);
    o.tp_src = (uint16_t)roll(65536);
    o.tp_dst = (uint16_t)roll(65536);
    return o;
}

/* Bits of 'from' where the mask has ones. */
static void mix(struct flow_key *k, const struct flow_key *from, const struct flow_key *m)
{
    uint8_t *p = (uint8_t *)k;

    for (size_t i = 0; i < sizeof *k; i++)
        p[i] = (uint8_t)((p[i] & ~((const uint8_t *)m)[i]) |
                         (((const uint8_t *)from)[i] & ((const uint8_t *)m)[i]));
}

static struct frame other_frame(const struct frame *first, const struct flow_key *key,
                                const struct flow_key *mask)
{
    struct frame f = *first;
    struct flow_key k = some_key();

    switch (roll(3)) {
    case 0:
        mix(&k, key, mask);
        return frame_with(&k);
    case 1: /* checksums made again */
        f.b[roll((unsigned)MIN(f.size, 80u))] = (uint8_t)roll(256);
        packet_finish_checksums(f.b, f.size);
        return f;
    default: /* or left wrong */
        f.b[12 + roll((unsigned)MIN(f.size, 80u) - 12)] ^= (uint8_t)(1u << roll(8));
        return f;
    }
}

static bool has_fragment_header(const struct frame *f, const struct flow_key *k)
{
    const uint8_t *ip = f->b + WIRE_ETH_SIZE + k->n_vlans * WIRE_VLAN_SIZE;
    unsigned type = ip[6], at = WIRE_IP6_SIZE;

    for (unsigned n = 0; n < 8 && k->eth_type == ETH_TYPE_IP6; n++) {
        if (type == WIRE_PROTO_FRAGMENT)
            return true;
        if (type != WIRE_PROTO_HOPOPTS && type != WIRE_PROTO_ROUTING &&
            type != WIRE_PROTO_DSTOPTS && type != WIRE_PROTO_AH)
            break;
        bool ah = type == WIRE_PROTO_AH;
        type = ip[at];
        at += ah ? (ip[at + 1] + 2u) * 4 : (ip[at + 1] + 1u) * 8;
    }
    return false;
}

/* What the table in docs/datapath.md lists as different. */
static bool told_apart(const struct rig *r, const struct frame *f, const struct flow_key *k)
{
    if (rig_kernel(r) && k->malformed == PACKET_BAD_ND)
        return true;
    return rig_is_ovs(r) && (k->malformed || k->n_vlans > 2 || get16(f->b + 12) == ETH_TYPE_QINQ ||
                             k->eth_type == ETH_TYPE_QINQ || has_fragment_header(f, k));
}

struct flow {
    struct flow_key key, mask;
    struct flow_out outs[MAX_COPIES];
    unsigned n_outs;
};

/* A wrong checksum may look like one that was left to offload, and be made. */
static void expect_upcall(struct rig *r, const struct frame *f, enum dp_reason reason)
{
    const struct dp_upcall *up = rig_upcall(r);
    struct frame want = *f, got = {.size = 0};

    if (!up)
        rig_dump("should come up", f->b, f->size);
    assert_non_null(up);
    got.size = MIN((size_t)up->size, sizeof got.b);
    memcpy(got.b, up->packet, got.size);
    if (rig_kernel(r) && !packet_checksums_right(f->b, f->size)) {
        packet_finish_checksums(want.b, want.size);
        packet_finish_checksums(got.b, got.size);
    }
    if (got.size != want.size || memcmp(got.b, want.b, want.size)) {
        rig_dump("should come up", f->b, f->size);
        rig_dump("came up", up->packet, up->size);
        fail();
    }
    assert_int_equal(up->reason, reason);
}

/* Returns whether the flow takes it. */
static bool try_frame(struct rig *r, const struct flow *flow, const struct frame *f)
{
    struct flow_key k = rig_key(r, 1, f);
    bool fits = flow_key_matches(&k, &flow->key, &flow->mask) && !k.malformed;
    bool lasts = k.ip_ttl > dp_ttl_needed(flow->outs, flow->n_outs) ||
                 !dp_ttl_needed(flow->outs, flow->n_outs);

    if (told_apart(r, f, &k))
        return false;
    rig_send(r, 1, f);
    if (!fits || !lasts) {
        expect_upcall(r, f, fits ? DP_TTL : DP_MISS);
        return false;
    }
    for (unsigned i = 0; i < flow->n_outs; i++) {
        struct frame copy = *f;
        uint8_t *p = packet_rewrite(copy.b, &copy.size, &flow->outs[i]);
        rig_expect_bytes(r, i + 2, p, copy.size);
    }
    return true;
}

static int read_packets(const struct dp_flow *f, const struct dp_flow_stats *stats, void *aux)
{
    (void)f;
    *(uint64_t *)aux = stats->packets;
    return 0;
}

/* What was dropped has been by then.  (ovs counts what its TTL sends up, too.) */
static void await_packets(struct rig *r, unsigned n)
{
    uint64_t deadline = clock_ns() + RIG_PATIENCE, packets = 0;

    while (packets < n && clock_ns() < deadline)
        dp_flow_each(r->dp, read_packets, &packets);
    assert_true(packets == n || (rig_is_ovs(r) && packets > n));
}

/* False: not for this datapath.  ebpf doesn't use a mask's number again for a while. */
static bool put(struct rig *r, const struct flow *flow)
{
    struct dp_flow f = {.key = flow->key,
                        .mask = flow->mask,
                        .cookie = 1,
                        .outs = flow->outs,
                        .n_outs = (uint16_t)flow->n_outs};
    uint64_t full = rig_counts(r, "masks_full") ? rig_counter(r, "masks_full") : 0;
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    int rc = 0;

    while (dp_flow_put(r->dp, 0, &f, 1, &rc)) {
        assert_int_equal(rc, -ENOTSUP);
        if (!rig_counts(r, "masks_full") || rig_counter(r, "masks_full") == full)
            return false;
        assert_true(clock_ns() < deadline);
        full = rig_counter(r, "masks_full");
        poll(NULL, 0, 10);
    }
    return true;
}

static void test_random_flows(void **state)
{
    const char *rounds = getenv("MN_TEST_ROUNDS");
    unsigned n = rounds ? (unsigned)strtoul(rounds, NULL, 0) : ROUNDS, n_put = 0;
    struct rig *r = rig_open(*state, 1 + MAX_COPIES);

    for (unsigned round = 0; round < n; round++) {
        seed = round * 2654435761u + 1;
        struct flow_key k = some_key();
        struct frame first = frame_with(&k);
        struct flow flow = {.key = rig_key(r, 1, &first)};
        if (flow.key.malformed || told_apart(r, &first, &flow.key))
            continue;
        flow.mask = some_mask(&flow.key);
        flow_name_clean(&flow.key, &flow.mask);
        flow.n_outs = roll(MAX_COPIES + 1);
        for (unsigned i = 0; i < flow.n_outs; i++)
            flow.outs[i] = some_out(r, i + 2, &flow.key, &flow.mask);
        if (!put(r, &flow))
            continue;
        n_put++;
        if (getenv("MN_TEST_ALL"))
            printf("round %u\n", round);
        unsigned took = try_frame(r, &flow, &first);
        for (unsigned i = 0; i < OTHERS; i++) {
            struct frame f = other_frame(&first, &flow.key, &flow.mask);
            took += try_frame(r, &flow, &f);
        }
        await_packets(r, took);
        assert_int_equal(rig_flow_del(r, &flow.key, &flow.mask, NULL), 0);
    }
    assert_in_range(n_put, n / 8, n);
    for (unsigned i = 1; i <= MAX_COPIES; i++)
        rig_expect_nothing(r, i + 1);
    rig_close(r);
}

/* What random frames seldom are: goes up, though the flow takes whatever comes from the port. */
static void test_broken_headers(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key port = {.in_port = r->port[1]}, mask = mask_port();
    struct flow_key k = key_of(33, "fd00::1", "fd00::2", 0, 0);
    struct flow_out out = rig_out(r, 2);
    struct frame f = frame_of(&k);

    if (rig_is_ovs(r)) { /* it doesn't look */
        rig_close(r);
        return;
    }
    rig_flow(r, &port, &mask, &out, 1);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    put16(f.b + WIRE_ETH_SIZE + 4, WIRE_DCCP_SIZE - 1);
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    k.ip_proto = 17;
    f = frame_of(&k);
    for (unsigned i = 0; i < 2; i++) { /* in pieces, and the first one in pieces */
        insert(&f, WIRE_PROTO_FRAGMENT);
        rig_send(r, 1, &f);
        if (!i)
            rig_expect(r, 2, &f);
    }
    rig_expect_upcall(r, 1, &f, DP_MISS);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_flows),
        cmocka_unit_test(test_broken_headers),
    };

    return rig_main("random flows", tests, ARRAY_SIZE(tests));
}
