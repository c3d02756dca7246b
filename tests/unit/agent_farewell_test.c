/* What an agent whose flows stay says before it ends.
 *
 *     a --+
 *     b --+-- bridge --(lp lr)-- rt --(up)-- the world outside
 *     c ..+   (another host's)
 */
#include "agent_rig.h"

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define MAC_C "02:00:00:00:00:0c"
#define MAC_U "02:00:00:00:00:0d"

struct net {
    struct rig *r;
    struct dev *bridge, *rt;
    struct prt *a, *b, *c, *lr, *up;
};

static void known(struct net *n, const struct prt *port, const char *ip, const char *mac,
                  uint64_t life)
{
    struct topo_neigh neigh = {MAC(mac), n->r->now + life, n->r->now + life};
    struct ip addr = IP(ip);

    topo_neigh_set(topo_router(n->r->w->topo, n->rt->ref)->neighs, port->ref, &addr, &neigh,
                   n->r->now);
}

static void behind(struct net *n, const char *mac, const struct prt *port)
{
    struct mac m = MAC(mac);

    topo_mac_set(topo_bridge(n->r->w->topo, n->bridge->ref)->macs, 0, &m, port->ref);
}

static struct net network(struct world *w)
{
    struct net n = {.bridge = bridge(w, "bridge"), .rt = router(w, "rt")};

    n.a = vm(n.bridge, "a");
    n.b = vm(n.bridge, "b");
    n.c = vm(n.bridge, "c");
    n.lr = rport(n.rt, "lr", "10.0.1.1/24");
    n.up = rport(n.rt, "up", "192.0.2.1/24");
    plug(port(n.bridge, "lp"), n.lr);
    n.up->host = "host1";
    publish(w);
    n.r = rig_new(w);
    rig_plug(n.r, n.a);
    rig_plug(n.r, n.b);
    rig_plug(n.r, n.up);
    rig_run(n.r);
    behind(&n, MAC_A, n.a);
    behind(&n, MAC_B, n.b);
    behind(&n, MAC_C, n.c);
    return n;
}

static void expect_arp(struct net *n, const char *ifname, const struct prt *port, const char *own,
                       const char *mac, const char *ip)
{
    struct flow_key k = rig_take(n->r, ifname);
    struct ip spa = IP(own), tpa = IP(ip);
    struct mac dst = MAC(mac);

    assert_int_equal(k.eth_type, ETH_TYPE_ARP);
    assert_int_equal(k.ip_proto, 2);
    assert_true(mac_equal(&k.eth_src, &port->mac));
    assert_true(mac_equal(&k.eth_dst, &dst));
    assert_true(ip_equal(&k.ip_src, &spa));
    assert_true(ip_equal(&k.ip_dst, &tpa));
}

static void test_arp(void **state)
{
    struct net n = network(*state);

    known(&n, n.lr, "10.0.1.10", MAC_A, 60 * SEC);
    known(&n, n.lr, "10.0.1.11", MAC_B, 0);        /* not any more */
    known(&n, n.lr, "10.0.1.12", MAC_C, 60 * SEC); /* its host goes on */
    known(&n, n.up, "192.0.2.254", MAC_U, 60 * SEC);
    worker_farewell(n.r->worker);
    expect_arp(&n, "a", n.lr, "10.0.1.1", MAC_A, "10.0.1.10");
    expect_arp(&n, "up", n.up, "192.0.2.1", MAC_U, "192.0.2.254");
    rig_nothing(n.r, "a");
    rig_nothing(n.r, "b");
    rig_nothing(n.r, "up");
    rig_free(n.r);
}

static void test_nd(void **state)
{
    struct net n = network(*state);
    const struct topo_port *lr = topo_port(n.r->w->topo, n.lr->ref);
    struct ip machine = IP("fe80::a");
    uint8_t buf[256];
    struct packet_nd nd;

    known(&n, n.lr, "fe80::a", MAC_A, 60 * SEC);
    worker_farewell(n.r->worker);
    int size = memory_take(n.r->dp, "a", buf, sizeof buf);
    assert_true(size > 0);
    struct flow_key k = parse_exact(buf, (size_t)size, NULL);
    assert_int_equal(packet_nd_parse(buf, (size_t)size, &nd), 0);
    assert_int_equal(k.tp_src, 136); /* advertisement */
    assert_true(ip_equal(&nd.target, &lr->link_local));
    assert_true(mac_equal(&nd.lladdr, &lr->mac));
    assert_true(nd.flags & 0x40000000); /* solicited: that confirms */
    assert_true(ip_equal(&k.ip_dst, &machine));
    rig_nothing(n.r, "a");
    rig_free(n.r);
}

static void test_nobody_known(void **state)
{
    struct net n = network(*state);

    worker_farewell(n.r->worker);
    rig_nothing(n.r, "a");
    rig_free(n.r);
    struct rig *alone = rig_new(*state);
    worker_farewell(alone->worker);
    rig_free(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_arp),
        world_test(test_nd),
        world_test(test_nobody_known),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
