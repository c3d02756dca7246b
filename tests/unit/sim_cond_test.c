/* Every field of a condition, holding, failing, inverted; what a packet doesn't have; masks. */
#include "sim_routed.h"

/*  a, x -- ba -- ra:rt:rb -- bb -- b      the rule under test drops, in chain "c"; group "g" has
 * a's address, port group "pg" port a, "qg" port pb                                              */
struct rig {
    struct world *w;
    struct net n;
    struct chn *c;
    struct flow_key k;
};

static struct rig rig_of(struct world *w, bool ip6)
{
    struct rig r = {.w = w, .n = net_of(w, ip6)};
    struct topo_ip_set *g = ip_group(w->topo, "g");

    r.c = chain(w, "c");
    r.k = from_a(&r.n, r.n.ip_b);
    r.n.a->groups[r.n.a->n_groups++] = named(w->topo, TOPO_PORT_GROUP, "pg");
    r.n.ra->groups[r.n.ra->n_groups++] = named(w->topo, TOPO_PORT_GROUP, "qg");
    member(g, r.n.ip_a);
    vm(r.n.ba, "x");
    publish_missing(w, TOPO_IP_GROUP, "nowhere");
    publish(w);
    return r;
}

static bool drops(struct rig *r, const char *condition)
{
    chain_clear(r->c);
    rule(r->c, "drop %s", condition);
    publish(r->w);
    send_key(r->w, "a", &r->k);
    if (r->w->res.verdict == SIM_FORWARD)
        return false;
    expect_drop(r->w, SIM_CHAIN_DROP, "c:1");
    return true;
}

/* The condition holds, its inversion doesn't, nor does it as a whole inverted. */
static void holds(struct rig *r, const char *condition)
{
    char text[120];

    if (!drops(r, condition))
        fail_msg("%s should hold", condition);
    snprintf(text, sizeof text, "!%s", condition);
    if (drops(r, text))
        fail_msg("%s shouldn't hold", text);
    snprintf(text, sizeof text, "inverted %s", condition);
    if (drops(r, text))
        fail_msg("%s shouldn't hold", text);
}

static void fails(struct rig *r, const char *condition)
{
    char text[120];

    if (drops(r, condition))
        fail_msg("%s shouldn't hold", condition);
    snprintf(text, sizeof text, "!%s", condition);
    if (!drops(r, text))
        fail_msg("%s should hold", text);
    snprintf(text, sizeof text, "inverted %s", condition);
    if (!drops(r, text))
        fail_msg("%s should hold", text);
}

/* Of what the packet doesn't have: neither that nor its inversion. */
static void never(struct rig *r, const char *condition)
{
    char text[120];

    if (drops(r, condition))
        fail_msg("%s shouldn't hold", condition);
    snprintf(text, sizeof text, "!%s", condition);
    if (drops(r, text))
        fail_msg("%s shouldn't hold", text);
}

static void headers(struct world *w, bool ip6)
{
    struct rig r = rig_of(w, ip6);

    r.n.a->infilter = r.c->ref;
    holds(&r, ip6 ? "ethertype 0x86dd" : "ethertype 0x0800");
    fails(&r, "ethertype 0x0806");
    holds(&r, "no-vlan");
    fails(&r, "vlan 0");
    holds(&r, "proto 17");
    fails(&r, "proto 0");
    holds(&r, "tos 0");
    holds(&r, ip6 ? "src fd00:a::/64" : "src 10.0.1.0/24");
    fails(&r, ip6 ? "src 10.0.1.0/24" : "src fd00:a::/64");
    fails(&r, ip6 ? "src ::/128" : "src 10.0.1.2/32");
    holds(&r, ip6 ? "dst fd00:b::1/128" : "dst 10.0.2.1/32");
    holds(&r, ip6 ? "dst ::/0" : "dst 0.0.0.0/0");
    fails(&r, ip6 ? "dst 0.0.0.0/0" : "dst ::/0");
    holds(&r, "hw-src " MAC_A);
    fails(&r, "hw-src " MAC_B);
    holds(&r, "hw-src 02:00:00:00:00:ff/ff:ff:ff:ff:ff:00");
    fails(&r, "hw-dst ff:ff:ff:ff:ff:ff");
    holds(&r, "ip-address-group-src g");
    fails(&r, "ip-address-group-dst g");
    fails(&r, "ip-address-group-src nowhere");
    holds(&r, "src-port 1000-1000");
    holds(&r, "dst-port 0-65535");
    fails(&r, "dst-port 1-1999");
    never(&r, "tcp-flags 0x02/0x02");
    never(&r, "icmp-id 0");
    never(&r, ip6 ? "icmp-data-src ::/0" : "icmp-data-src 0.0.0.0/0");
}

static void places(struct world *w, bool ip6)
{
    struct rig r = rig_of(w, ip6);

    r.n.rt->infilter = r.c->ref;
    holds(&r, "in-ports ra");
    fails(&r, "in-ports rb");
    fails(&r, "out-ports rb"); /* not known yet */
    holds(&r, "port-group pg");
    fails(&r, "in-port-group pg");
    holds(&r, "in-port-group qg");
    fails(&r, "out-port-group qg");
    holds(&r, "traversed-device ba");
    holds(&r, "traversed-device a");
    holds(&r, "traversed-device pa");
    fails(&r, "traversed-device bb");
    fails(&r, "match-nw-dst-rewritten");
    r.n.rt->infilter = 0;
    r.n.rt->outfilter = r.c->ref;
    holds(&r, "out-ports rb");
    fails(&r, "out-ports ra");
    assert_true(drops(&r, "in-ports ra in-ports rb out-ports rb"));
    r.n.rt->outfilter = 0;
    r.n.bb->outfilter = r.c->ref;
    holds(&r, "out-ports b");
    holds(&r, "in-ports pb");
    holds(&r, "port-group pg"); /* interior hops don't change where it came from */
}

static void tcp_and_icmp(struct world *w, bool ip6)
{
    struct rig r = rig_of(w, ip6);

    r.n.a->infilter = r.c->ref;
    r.k.ip_proto = 6;
    r.k.tcp_flags = 0x12;
    holds(&r, "tcp-flags 0x02/0x02");
    fails(&r, "tcp-flags 0x02/0x12");
    assert_false(drops(&r, "tcp-flags 0x02/0x12"));
    assert_int_equal(w->res.mask.tcp_flags, 0x12);
    r.k = key_of(ip6 ? 58 : 1, r.n.ip_a, r.n.ip_b, ip6 ? 128 : 8, 0);
    r.k.eth_src = MAC(MAC_A);
    r.k.eth_dst = r.n.ra->mac;
    r.k.icmp_id = 77;
    holds(&r, ip6 ? "src-port 128" : "src-port 8");
    holds(&r, "dst-port 0");
    holds(&r, "icmp-id 77");
    fails(&r, "icmp-id 78");
    assert_false(drops(&r, "icmp-id 78"));
    assert_true(w->res.no_flow); /* no datapath matches it */
}

static void fragments(struct world *w, bool ip6)
{
    struct rig r = rig_of(w, ip6);

    r.n.a->infilter = r.c->ref;
    assert_true(drops(&r, "fragment-policy unfragmented"));
    assert_true(drops(&r, "fragment-policy header"));
    assert_false(drops(&r, "fragment-policy nonheader"));
    if (ip6)
        return; /* frames of IPv6 fragments aren't made by packet_from_key() */
    r.k.ip_frag = FLOW_FRAG_LATER;
    r.k.tp_src = r.k.tp_dst = 0;
    assert_true(drops(&r, "fragment-policy nonheader"));
    assert_false(drops(&r, "fragment-policy header"));
    assert_true(drops(&r, "fragment-policy any"));
    /* Tested first, never inverted: neither by itself nor with the rest. */
    assert_false(drops(&r, "!fragment-policy unfragmented"));
    assert_false(drops(&r, "inverted fragment-policy unfragmented proto 6"));
    assert_true(drops(&r, "inverted fragment-policy nonheader proto 6"));
    never(&r, "dst-port 0-65535");
    never(&r, "src-port 0");
}

static void test_arp_addresses(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w, false);
    struct ip spa = IP("10.0.1.1"), tpa = IP("10.0.1.7");
    struct mac a = MAC(MAC_A), none = {{0}};
    struct frame f;

    r.n.a->infilter = r.c->ref;
    f.size = packet_arp(f.b, sizeof f.b, 1, &a, &mac_broadcast, &a, &spa, &none, &tpa);
    rule(r.c, "drop ethertype 0x0806 src 10.0.1.1 dst 10.0.1.7 !ip-address-group-dst g");
    publish(w);
    send_frame(w, "a", &f);
    expect_drop(w, SIM_CHAIN_DROP, "c:1");
    /* The operation is no protocol, its zero ports are none. */
    chain_clear(r.c);
    rule(r.c, "drop src-port 0");
    rule(r.c, "drop !src-port 0");
    publish(w);
    send_frame(w, "a", &f);
    expect_verdict(w, SIM_FORWARD);
}

static void test_vlan(void **state)
{
    struct world *w = *state;
    struct dev *br = bridge(w, "br");
    struct prt *a = vm(br, "a");
    struct rig r = {.w = w, .c = chain(w, "c")};

    vm(br, "b");
    a->infilter = r.c->ref;
    r.k = key_of(17, "10.0.0.1", "10.0.0.2", 1, 2);
    r.k.eth_src = MAC(MAC_A);
    r.k.eth_dst = MAC(MAC_B);
    r.k.vlan_tci = FLOW_VLAN_PRESENT | 0x2000 | 5;
    holds(&r, "vlan 5");
    fails(&r, "vlan 6");
    fails(&r, "no-vlan");
}

static void test_group_members_come_and_go(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w, false);
    topo_ref g = named(w->topo, TOPO_IP_GROUP, "g");
    struct ip a = IP("10.0.1.1");

    r.n.a->infilter = r.c->ref;
    assert_true(drops(&r, "ip-address-group-src g"));
    assert_true(has_tag(w, tag_group_ip(g, &a)));
    assert_true(has_tag(w, tag_object(g)));
    assert_int_equal(w->res.mask.ip_src.w[3], ~0u);
    assert_true(topo_ip_set_del(topo_ip_group(w->topo, g)->members, &a));
    assert_false(drops(&r, "ip-address-group-src g"));
    assert_true(has_tag(w, tag_group_ip(g, &a)));
    topo_unload(w->topo, g);
    send_key(w, "a", &r.k);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.needs[0].ref, g);
}

static void test_quoted_addresses(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w, false);
    struct flow_key about = key_of(17, "10.9.9.9", "10.0.1.1", 5, 6);
    struct mac a = MAC(MAC_A);
    struct ip src = IP("10.0.1.1");
    struct frame f, q = frame_of(&about);
    static const struct {
        const char *condition;
        bool drops;
    } cases[] = {
        {"icmp-data-src 10.9.0.0/16", true},  {"!icmp-data-src 10.9.0.0/16", false},
        {"icmp-data-src 10.8.0.0/16", false}, {"icmp-data-dst 10.0.1.1", true},
        {"!icmp-data-dst 10.0.1.2", true},    {"inverted icmp-data-dst 10.0.1.1", false},
    };

    w->skip_mask_check = true;
    r.n.a->infilter = r.c->ref;
    f.size = packet_icmp_error(f.b, sizeof f.b, &a, &src, &r.n.ra->mac, 3, 1, 0, q.b, q.size);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        chain_clear(r.c);
        rule(r.c, "drop %s", cases[i].condition);
        publish(w);
        send_frame(w, "a", &f);
        assert_int_equal(w->res.verdict == SIM_DROP && w->res.reason == SIM_CHAIN_DROP,
                         cases[i].drops);
        assert_true(w->res.no_flow);
    }
}

static void test_empty_and_inverted(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w, false);

    r.n.a->infilter = r.c->ref;
    assert_true(drops(&r, ""));
    assert_false(drops(&r, "inverted"));
    assert_true(drops(&r, "inverted proto 17 dst-port 1"));
    assert_false(drops(&r, "inverted proto 17 dst-port 2000"));
}

static void test_generated_packets_return(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w, false);

    /* The router's echo reply leaves by ra, and by a. */
    r.n.ra->outfilter = r.c->ref;
    rule(r.c, "accept return-flow");
    rule(r.c, "drop");
    publish(w);
    r.k = key_of(1, r.n.ip_a, "10.0.1.254", 8, 0);
    r.k.eth_src = MAC(MAC_A);
    r.k.eth_dst = r.n.ra->mac;
    send_key(w, "a", &r.k);
    expect_verdict(w, SIM_ANSWERED);
    assert_int_equal(w->res.n_emits, 1);
    chain_clear(r.c);
    rule(r.c, "drop return-flow");
    publish(w);
    send_key(w, "a", &r.k);
    assert_int_equal(w->res.n_emits, 0);
}

BOTH(headers)
BOTH(places)
BOTH(tcp_and_icmp)
BOTH(fragments)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(headers),
        both_tests(places),
        both_tests(tcp_and_icmp),
        both_tests(fragments),
        world_test(test_arp_addresses),
        world_test(test_vlan),
        world_test(test_group_members_come_and_go),
        world_test(test_quoted_addresses),
        world_test(test_empty_and_inverted),
        world_test(test_generated_packets_return),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
