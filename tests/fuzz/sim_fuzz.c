/* Any frame into any port of a small network with a bit of everything: nothing crashes or hangs, a
 * malformed frame goes nowhere, outputs can be carried out by a datapath and come out as the header
 * says, masks hold, messages made on the way are sound. */
#include "../unit/sim_world.h"
#include "packet/dhcp.h"
#include "packet/dhcp6.h"
#include "packet/ra.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

static const char *const entries[] = {"a", "b", "up", "t1", "in5", "ring", "bound6"};

/* Both families on ba, where a has entries; b may use two addresses and no others. */
static void serve(struct dev *ba, struct prt *b)
{
    static const struct mac mac_a = {{2, 0, 0, 0, 0, 0x0a}};
    struct topo_dhcp_subnet *n4 = subnet(ba, "n4", "10.0.1.0/24"),
                            *n6 = subnet(ba, "n6", "fd00:a::/64");

    n4->gateway = n4->server = IP("10.0.1.254");
    n4->server_mac = ba->ports[0]->peer->mac;
    n4->mtu = 1400;
    dhcp_host(ba, n4, &mac_a, 6, "10.0.1.1");
    dhcp_host(ba, n6, &mac_a, 6, "fd00:a::1");
    b->secure = true;
    b->allowed[b->n_allowed++] =
        (struct topo_allowed){MAC("02:00:00:00:00:0a"), CIDR("10.0.1.0/28")};
    b->allowed[b->n_allowed++] = (struct topo_allowed){.net = CIDR("fd00:a::1")};
}

/*  a, s -- ba -- ra:rt:rb -- bb -- b          up: rt's uplink, default route, two equal gateways
 *  t1, t2 -- vab --5-- in -- in5              ring: two bridges joined twice
 *            +--7-- rv:rt                     bound6: rt's second uplink, IPv6 only          */
static void build(struct world *w)
{
    struct dev *ba = bridge(w, "ba"), *bb = bridge(w, "bb"), *vab = bridge(w, "vab"),
               *in = bridge(w, "in"), *x = bridge(w, "x"), *y = bridge(w, "y"),
               *rt = router(w, "rt");
    struct prt *pa = port(ba, "pa"), *pb = port(bb, "pb"), *v5 = port(vab, "v5"),
               *v7 = port(vab, "v7"), *i5 = port(in, "i5"), *ra, *rb, *rv, *up, *six;

    vm(ba, "a");
    struct prt *s = vm(ba, "s");
    struct prt *b = vm(bb, "b");
    vm(vab, "t1");
    vm(vab, "t2");
    vm(in, "in5");
    vm(x, "ring");
    v5->vlan = 5;
    v7->vlan = 7;
    ra = rport(rt, "ra", "10.0.1.254/24");
    rb = rport(rt, "rb", "10.0.2.254/24");
    rv = rport(rt, "rv", "10.0.7.254/24");
    up = rport(rt, "up", "192.0.2.254/24");
    six = rport(rt, "bound6", "2001:db8::fe/64");
    address(ra, "fd00:a::fe/64");
    address(rb, "fd00:b::fe/64");
    up->host = six->host = "host1";
    plug(pa, ra);
    plug(pb, rb);
    plug(v7, rv);
    plug(v5, i5);
    plug(port(x, "x1"), port(y, "y1"));
    plug(port(x, "x2"), port(y, "y2"));
    add_route(rt, "d1", "0.0.0.0/0", TOPO_HOP_PORT, up, "192.0.2.1");
    add_route(rt, "d2", "0.0.0.0/0", TOPO_HOP_PORT, up, "192.0.2.2");
    add_route(rt, "d6", "::/0", TOPO_HOP_PORT, six, "2001:db8::1");
    add_route(rt, "n6", "fd00:b::/64", TOPO_HOP_PORT, rb, NULL);
    add_route(rt, "no", "198.51.100.0/24", TOPO_HOP_REJECT, NULL, NULL);
    add_route(rt, "hole", "203.0.113.0/24", TOPO_HOP_BLACKHOLE, NULL, NULL);
    ba->seeds[ba->n_seeds++] =
        (struct topo_seed){IP("10.0.1.50"), MAC("02:00:00:00:00:50"), s->ref};
    serve(ba, b);
    publish(w);
    knows(up, "192.0.2.1", "02:00:00:00:01:01");
    knows(up, "192.0.2.2", "02:00:00:00:01:02");
    knows(six, "2001:db8::1", "02:00:00:00:01:03");
    knows(rb, "10.0.2.1", "02:00:00:00:00:0b");
    knows(rb, "fd00:b::1", "02:00:00:00:00:0b");
}

/* What a datapath makes of the packet for one output, against what the simulator says. */
static void check_out(const struct sim_out *o, const struct flow_key *key, const uint8_t *packet,
                      size_t size)
{
    uint8_t *copy = mem_alloc(size + 8);
    struct flow_key got = *o->hdr;
    struct packet_layers l;
    struct flow_out out;

    memcpy(copy + 8, packet, size);
    flow_out_diff(&out, key, o->hdr);
    uint8_t *p = packet_rewrite(copy + 8, &size, &out);
    packet_parse(p, size, &got, &l);
    if (got.malformed ==
        PACKET_BAD_ND) /* neighbour discovery that was routed: its hop limit tells */
        got.malformed = PACKET_OK;
    CHECK(got.n_vlans == o->hdr->n_vlans && got.vlan_tci == o->hdr->vlan_tci);
    CHECK(got.eth_type == o->hdr->eth_type && mac_equal(&got.eth_dst, &o->hdr->eth_dst));
    if (o->hdr->n_vlans <= 1 && key->n_vlans <= 1)
        CHECK(!memcmp(&got, o->hdr, sizeof got));
    free(copy);
}

static void check(const struct world *w)
{
    const struct sim_result *r = &w->res;

    CHECK(r->verdict <= SIM_NEED && r->reason < SIM_N_REASONS);
    CHECK(!w->key.malformed || (r->verdict == SIM_DROP && r->reason == SIM_MALFORMED));
    CHECK(r->verdict != SIM_DROP || r->reason != SIM_NONE);
    CHECK((r->verdict == SIM_FORWARD) == (r->n_outs > 0 && !r->n_needs));
    CHECK((r->verdict == SIM_NEED) == (r->n_needs > 0));
    for (uint32_t i = 0; i < r->n_outs; i++)
        check_out(&r->outs[i], &w->key, w->in.packet, w->in.size);
    for (uint32_t i = 0; i < r->n_emits; i++) {
        CHECK(r->emits[i].n_outs && packet_checksums_right(r->emits[i].packet, r->emits[i].size));
        for (uint32_t j = 0; j < r->emits[i].n_outs; j++)
            check_out(&r->emits[i].outs[j], &r->emits[i].key, r->emits[i].packet, r->emits[i].size);
    }
    /* Behind a second tag the altered key and the bytes would contradict each other. */
    CHECK(w->key.n_vlans > 1 || mask_holds(w, 6));
}

/* What DHCP clients and hosts without a router say. */
static size_t client_message(unsigned kind, uint8_t *buf, size_t size)
{
    struct mac a = MAC("02:00:00:00:00:0a");
    struct ip none = IP("0.0.0.0"), ip6 = IP("fe80::ff:fe00:a");
    struct flow_key k = {.eth_src = a,
                         .eth_dst = mac_broadcast,
                         .eth_type = ETH_TYPE_IP,
                         .ip_src = none,
                         .ip_dst = IP("255.255.255.255"),
                         .ip_proto = 17,
                         .ip_ttl = 64,
                         .tp_src = 68,
                         .tp_dst = 67};
    struct dhcp d = {.op = 1, .chaddr = a, .ciaddr = none, .yiaddr = none, .siaddr = none};
    struct dhcp_opt wish = {DHCP_OPT_REQUESTED, 4, (const uint8_t *)"\x0a\x00\x01\x01"};
    uint8_t opts[] = {0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 0x0a, 0,    3, 0, 40,   0, 0,
                      0, 1, 0, 0,  0, 0, 0, 0, 0, 0, 0, 5, 0, 24,   0xfd, 0, 0, 0x0a, 0, 0,
                      0, 0, 0, 0,  0, 0, 0, 0, 0, 1, 0, 0, 0, 0,    0,    0, 0, 0};

    d.giaddr = none;
    d.type = (uint8_t)(1 + kind % 8);
    if (kind & 16 && kind & 8)
        return packet_rs_build(buf, size, &a, kind & 1 ? &ip6 : &ip_none);
    if (!(kind & 16))
        return dhcp_build(buf, size, &k, &d, &wish, kind & 8 ? 1 : 0, 0, NULL);
    k.eth_type = ETH_TYPE_IP6;
    k.eth_dst = MAC("33:33:00:01:00:02");
    k.ip_src = ip6;
    k.ip_dst = IP("ff02::1:2");
    k.tp_src = 546;
    k.tp_dst = 547;
    return dhcp6_build(buf, size, &k, (uint8_t)(1 + kind % 8), 7, opts, sizeof opts);
}

/* A sound frame to start from, so that the input's bytes needn't find one. */
static size_t template(unsigned kind, uint8_t *buf, size_t size)
{
    struct mac a = MAC("02:00:00:00:00:0a"), none = {{0}};
    struct ip ip4 = IP("10.0.1.1"), gw4 = IP("10.0.1.254"), ip6 = IP("fd00:a::1"),
              gw6 = IP("fd00:a::fe");
    struct flow_key k = {.eth_src = a,
                         .ip_src = ip4,
                         .ip_dst = IP("10.0.2.1"),
                         .ip_proto = 17,
                         .ip_ttl = 64,
                         .tp_src = 8,
                         .eth_type = ETH_TYPE_IP};

    if (kind & 32)
        return client_message(kind, buf, size);
    k.eth_dst = MAC(kind & 8 ? "02:c0:00:00:00:0d" : "ff:ff:ff:ff:ff:ff"); /* ra */
    k.vlan_tci = kind & 16 ? FLOW_VLAN_PRESENT | 5 : 0;
    switch (kind % 8) {
    case 0:
        break;
    case 1:
        k.ip_proto = 1;
        k.ip_dst = gw4;
        break;
    case 2:
        k.ip_dst = IP("8.8.8.8");
        k.ip_proto = 6;
        break;
    case 3:
        return packet_arp(buf, size, 1, &a, &k.eth_dst, &a, &ip4, &none, &gw4);
    case 4:
        return packet_nd_solicit(buf, size, &a, &ip6, NULL, NULL, &gw6);
    case 5:
        return packet_nd_advert(buf, size, &a, &ip6, &k.eth_dst, &gw6, &ip6, false, true);
    default:
        k.eth_type = ETH_TYPE_IP6;
        k.ip_src = ip6;
        k.ip_dst = kind % 8 == 6 ? IP("fd00:b::1") : gw6;
        k.ip_proto = kind % 8 == 6 ? 17 : 58;
        k.tp_src = 128;
    }
    return packet_from_key(buf, size, &k, "0123456789abcdef", 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world *w;
    uint8_t buf[700];

    if (!w) {
        rcu_register_thread();
        w = NEW(struct world);
        world_init(w);
        build(w);
    }
    if (size < 2)
        return 0;
    const char *entry = entries[(data[0] & 15) % ARRAY_SIZE(entries)];
    w->trail = data[0] & 16;
    if (data[1] & 0x80) {
        world_run(w, entry, data + 2, size - 2);
    } else {
        size_t n = template(data[1], buf, sizeof buf);
        for (size_t i = 2; i + 1 < size; i += 2)
            buf[(data[i] * 3 + i / 64) % n] = data[i + 1];
        world_run(w, entry, buf, n);
    }
    check(w);
    return 0;
}
