/* DHCP in the loader: what a bridge knows, kept current; one host more costs one read whatever is
 * there; what is announced; options nobody knows. */
#include "topo_cloud.h"

#include "topology/dhcp.h"

struct fixture {
    struct cloud c;
    struct uuid bridge, subnet;
    struct agent *a;
    topo_ref ref;
};

static struct fixture *up(void)
{
    struct fixture *f = NEW(struct fixture);
    struct cloud *c = &f->c;

    cloud_open(c);
    f->bridge = make(c, ST_BRIDGE, "{'name':'b'}");
    f->subnet = make(c, ST_DHCP,
                     "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/16','defaultGateway':'10.0.0.1',"
                     "'serverAddr':'10.0.0.2','dnsServerAddrs':['8.8.8.8','8.8.4.4'],"
                     "'interfaceMTU':1400,'opt121Routes':[{'destinationPrefix':'10.9.0.0/16',"
                     "'gatewayAddr':'10.0.0.3'}]}",
                     text_of(&f->bridge));
    f->a = agent_start(c, "h1");
    settle(f->a);
    f->ref = load(f->a, TOPO_BRIDGE, &f->bridge);
    return f;
}

static void down(struct fixture *f)
{
    agent_stop(f->a);
    cloud_close(&f->c);
    free(f);
}

static const struct topo_bridge *bridge_of(const struct fixture *f)
{
    return topo_bridge(f->a->topo, f->ref);
}

static struct uuid host(struct fixture *f, unsigned n, const char *ip)
{
    return make(&f->c, ST_DHCP_HOST,
                "{'dhcpId':'%s','macAddr':'02:00:00:00:%02x:%02x','ipAddr':'%s'}",
                text_of(&f->subnet), n >> 8, n & 255, ip);
}

static struct mac mac_no(unsigned n)
{
    return (struct mac){{2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}};
}

/* The address assigned to a MAC; none when there is no entry. */
static struct ip assigned(const struct fixture *f, unsigned n)
{
    struct topo_dhcp_iter it;
    struct mac mac = mac_no(n);
    const struct topo_dhcp_host *h =
        topo_dhcp_first(bridge_of(f)->dhcp_hosts, &it, false, mac.b, sizeof mac);

    return h ? h->ip : ip_none;
}

static void assert_assigned(const struct fixture *f, unsigned n, const char *ip)
{
    struct ip is = assigned(f, n), want = ip_of(ip);

    assert_true(ip_equal(&is, &want));
}

static void subnets_load_and_change(void **state)
{
    struct fixture *f = up();
    const struct topo_bridge *b = bridge_of(f);
    struct ip dns = ip_of("8.8.4.4");

    assert_int_equal(b->n_subnets, 1);
    assert_int_equal(b->subnets[0].mtu, 1400);
    assert_int_equal(b->subnets[0].n_dns, 2);
    assert_true(ip_equal(&b->subnets[0].dns[1], &dns));
    assert_int_equal(b->subnets[0].n_routes, 1);
    assert_int_equal(b->subnets[0].routes[0].dst.len, 16);
    assert_true(b->subnets[0].enabled);
    assert_true(mac_equal(&b->subnets[0].server_mac, &topo_dhcp_mac));
    assert_ptr_equal(topo_dhcp_subnet(b, &f->subnet), &b->subnets[0]);

    /* the station that has the server's address: a linked router's port */
    f->a->n_changes = 0;
    struct uuid r = make(&f->c, ST_ROUTER, "{'name':'r'}");
    struct uuid in = make(&f->c, ST_PORT,
                          "{'routerId':'%s','portMac':'02:00:00:00:00:fe','portSubnet':["
                          "'10.0.0.2/16']}",
                          text_of(&r));
    make(&f->c, ST_PORT, "{'bridgeId':'%s','peerId':'%s'}", text_of(&f->bridge), text_of(&in));
    settle(f->a);
    assert_int_equal(mac_u64(&bridge_of(f)->subnets[0].server_mac), 0x0200000000fe);
    assert_true(was_announced(f->a, tag_object(f->ref)));

    /* what decides about no packet isn't announced */
    f->a->n_changes = 0;
    change(&f->c, ST_DHCP, &f->subnet, "{'dnsServerAddrs':['9.9.9.9']}");
    settle(f->a);
    assert_int_equal(bridge_of(f)->subnets[0].n_dns, 1);
    assert_int_equal(f->a->n_changes, 0);
    change(&f->c, ST_DHCP, &f->subnet, "{'enabled':false}");
    settle(f->a);
    assert_false(bridge_of(f)->subnets[0].enabled);
    assert_true(was_announced(f->a, tag_object(f->ref)));
    down(f);
    (void)state;
}

static void hosts_come_change_and_go(void **state)
{
    struct fixture *f = up();
    struct mac mac = mac_no(7);

    struct uuid h = host(f, 7, "10.0.0.7");
    settle(f->a);
    assert_assigned(f, 7, "10.0.0.7");
    assert_true(was_announced(f->a, tag_bridge_mac(f->ref, 0, &mac)));
    f->a->n_changes = 0;
    change(&f->c, ST_DHCP_HOST, &h, "{'ipAddr':'10.0.0.8'}");
    settle(f->a);
    assert_assigned(f, 7, "10.0.0.8");
    assert_true(was_announced(f->a, tag_bridge_mac(f->ref, 0, &mac)));
    assert_int_equal(topo_dhcp_size(bridge_of(f)->dhcp_hosts), 1);
    destroy(&f->c, ST_DHCP_HOST, &h);
    settle(f->a);
    struct ip none = assigned(f, 7);
    assert_true(ip_is_none(&none));

    /* with their subnet, and with its return */
    host(f, 1, "10.0.0.10");
    host(f, 2, "10.0.0.11");
    settle(f->a);
    assert_int_equal(topo_dhcp_size(bridge_of(f)->dhcp_hosts), 2);
    destroy(&f->c, ST_DHCP, &f->subnet);
    settle(f->a);
    assert_int_equal(bridge_of(f)->n_subnets, 0);
    assert_int_equal(topo_dhcp_size(bridge_of(f)->dhcp_hosts), 0);
    f->subnet =
        make(&f->c, ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/16'}", text_of(&f->bridge));
    host(f, 1, "10.0.0.12");
    settle(f->a);
    assert_assigned(f, 1, "10.0.0.12");

    /* with the bridge */
    destroy(&f->c, ST_BRIDGE, &f->bridge);
    settle(f->a);
    assert_true(topo_get(f->a->topo, f->ref)->missing);
    down(f);
    (void)state;
}

/* Nobody heard of the changes: the bridge is compared after a reconnect, or loaded late. */
static void loaded_late(void **state)
{
    struct fixture *f = up();
    struct uuid v6 = make(&f->c, ST_DHCPV6,
                          "{'bridgeId':'%s','prefix':'fd00::/64','dnsServerAddrs':['fd00::53'],"
                          "'raMode':'dhcpv6-stateless'}",
                          text_of(&f->bridge));

    host(f, 1, "10.0.0.10");
    make(&f->c, ST_DHCPV6_HOST,
         "{'dhcpV6Id':'%s','clientId':'00:03:00:01:02:00:00:00:00:0A','fixedAddress':'fd00::10'}",
         text_of(&v6));
    struct agent *late = agent_start(&f->c, "h2");
    settle(late, f->a);
    topo_ref ref = load(late, TOPO_BRIDGE, &f->bridge);
    struct agent *both[] = {f->a, late};
    for (size_t i = 0; i < 2; i++) {
        static const uint8_t duid[] = {0, 3, 0, 1, 2, 0, 0, 0, 0, 0x0a};
        const struct topo_bridge *b = topo_bridge(both[i]->topo, i ? ref : f->ref);
        struct topo_dhcp_iter it;
        assert_int_equal(b->n_subnets, 2);
        assert_true(ip_is4(&b->subnets[0].net.addr)); /* IPv4 first */
        assert_int_equal(b->subnets[1].ra_mode, TOPO_RA_STATELESS);
        const struct topo_dhcp_host *h =
            topo_dhcp_first(b->dhcp_hosts, &it, true, duid, sizeof duid);
        assert_non_null(h);
        assert_null(topo_dhcp_next(&it));
        struct ip want = ip_of("fd00::10");
        assert_true(ip_equal(&h->ip, &want));
    }
    agent_stop(late);
    down(f);
    (void)state;
}

static void bad_options_are_ignored(void **state)
{
    struct fixture *f = up();
    struct topo_dhcp_iter it;
    struct mac mac = mac_no(1);

    make(&f->c, ST_DHCP_HOST,
         "{'dhcpId':'%s','macAddr':'02:00:00:00:00:01','ipAddr':'10.0.0.10','extraDhcpOpts':["
         "{'optName':'mtu','optValue':'1300'},{'optName':'colour','optValue':'red'},"
         "{'optName':'53','optValue':'2'},{'optName':'26','optValue':'1200'},"
         "{'optName':'router','optValue':'x'},"
         "{'optName':'server-ip-address','optValue':'10.0.0.9'}]}",
         text_of(&f->subnet));
    settle(f->a);
    const struct topo_dhcp_host *h =
        topo_dhcp_first(bridge_of(f)->dhcp_hosts, &it, false, mac.b, sizeof mac);
    assert_non_null(h);
    assert_int_equal(h->n_opts, 1); /* the last of two for one */
    assert_int_equal(h->opts[0].code, 26);
    assert_memory_equal(h->opts[0].data, "\x04\xb0", 2);
    struct ip boot = ip_of("10.0.0.9");
    assert_true(ip_equal(&h->next_server, &boot));
    assert_int_equal(status_of(f->a).ignored, 3);
    down(f);
    (void)state;
}

static void one_more_costs_one_read(void **state)
{
    static const unsigned sizes[] = {10, 1000};
    struct fixture *f = up();
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (; n < sizes[i]; n++) {
            char ip[24];
            snprintf(ip, sizeof ip, "10.0.%u.%u", 1 + n / 250, 1 + n % 250);
            host(f, n, ip);
            if (n % 16 == 0)
                settle(f->a);
        }
        settle(f->a);
        const void *version = bridge_of(f);
        uint64_t reads = status_of(f->a).reads;
        host(f, 60000 + (unsigned)i, i ? "10.0.200.2" : "10.0.200.1");
        settle(f->a);
        assert_int_equal(status_of(f->a).reads - reads, 2); /* change node and the entry */
        assert_ptr_equal(bridge_of(f), version);
        assert_assigned(f, 60000 + (unsigned)i, i ? "10.0.200.2" : "10.0.200.1");
    }
    assert_int_equal(topo_dhcp_size(bridge_of(f)->dhcp_hosts), sizes[1] + 2);
    assert_true(status_of(f->a).reloads == 1);
    for (unsigned k = 0; k < n; k++) {
        struct ip ip = assigned(f, k);
        assert_false(ip_is_none(&ip));
    }
    down(f);
    (void)state;
}

/* A port's own: security and the addresses it may use. */
static void port_security_loads(void **state)
{
    struct fixture *f = up();
    struct uuid p = make(&f->c, ST_PORT,
                         "{'bridgeId':'%s','portSecurity':true,'allowedAddresses':["
                         "{'mac':'02:00:00:00:00:01'},{'address':'10.5.0.0/16'},"
                         "{'mac':'02:00:00:00:00:02','address':'fd00::1'}]}",
                         text_of(&f->bridge));

    settle(f->a);
    const struct topo_port *port = topo_port(f->a->topo, ref_of(f->a, &p));
    assert_true(port->secure);
    assert_int_equal(port->n_allowed, 3);
    assert_true(ip_is_none(&port->allowed[0].net.addr));
    assert_true(mac_is_zero(&port->allowed[1].mac));
    assert_int_equal(port->allowed[1].net.len, 16);
    assert_int_equal(port->allowed[2].net.len, 128);
    f->a->n_changes = 0;
    change(&f->c, ST_PORT, &p, "{'portSecurity':false}");
    settle(f->a);
    assert_false(topo_port(f->a->topo, ref_of(f->a, &p))->secure);
    assert_true(was_announced(f->a, tag_object(ref_of(f->a, &p))));
    down(f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subnets_load_and_change),
        cmocka_unit_test(hosts_come_change_and_go),
        cmocka_unit_test(loaded_late),
        cmocka_unit_test(bad_options_are_ignored),
        cmocka_unit_test(one_more_costs_one_read),
        cmocka_unit_test(port_security_loads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
