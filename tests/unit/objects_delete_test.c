/* What deleting an object does to those that refer to it: the table of model.md section 2, row by
 * row. */
#include "objects_testlib.h"

static struct uuid b, r, chain, port, rport;

static int fixture(void **state)
{
    db_setup(state);
    b = make(ST_BRIDGE, "{'name':'b'}");
    r = make(ST_ROUTER, "{'name':'r'}");
    chain = make(ST_CHAIN, "{'name':'c'}");
    port = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    rport = make(ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/24']}", u(&r));
    return 0;
}

static struct uuid bound_host(const struct uuid *p)
{
    struct uuid h = make(ST_HOST, "{'name':'h'}");
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");

    make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}", u(&z),
         u(&h));
    if (p)
        set(ST_PORT, p, "{'hostId':'%s','interfaceName':'eth0'}", u(&h));
    return h;
}

static void test_bridge(void **state)
{
    struct uuid m = make(ST_MIRROR, "{'toPortId':'%s'}", u(&rport));
    struct uuid q = make(ST_QOS_POLICY, "{'name':'q'}");
    struct uuid d = make(ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/24'}", u(&b));
    struct uuid dh =
        make(ST_DHCP_HOST, "{'dhcpId':'%s','macAddr':'2:0:0:0:0:1','ipAddr':'10.0.0.2'}", u(&d));
    struct uuid d6 = make(ST_DHCPV6, "{'bridgeId':'%s','prefix':'2001:db8::/64'}", u(&b));
    struct uuid t = make(ST_TRACE_REQUEST, "{'bridgeId':'%s'}", u(&b));
    struct uuid tp = make(ST_TRACE_REQUEST, "{'portId':'%s'}", u(&port));
    struct uuid im =
        make(ST_IP_MAC, "{'bridgeId':'%s','ip':'10.0.0.2','mac':'2:0:0:0:0:1'}", u(&b));

    (void)state;
    set(ST_BRIDGE, &b,
        "{'inboundFilterId':'%s','outboundFilterId':'%s','qosPolicyId':'%s',"
        "'inboundMirrorIds':['%s'],'outboundMirrorIds':['%s']}",
        u(&chain), u(&chain), u(&q), u(&m), u(&m));
    set(ST_PORT, &port, "{'peerId':'%s'}", u(&rport));
    del(ST_BRIDGE, &b);
    assert_false(there(ST_PORT, &port));
    assert_false(there(ST_DHCP, &d));
    assert_false(there(ST_DHCP_HOST, &dh));
    assert_false(there(ST_DHCPV6, &d6));
    assert_false(there(ST_TRACE_REQUEST, &t));
    assert_false(there(ST_TRACE_REQUEST, &tp));
    assert_false(there(ST_IP_MAC, &im));
    assert_true(there(ST_CHAIN, &chain));
    assert_true(there(ST_MIRROR, &m));
    assert_true(there(ST_QOS_POLICY, &q));
    assert_no_field(ST_PORT, &rport, "peerId");
    del(ST_CHAIN, &chain); /* no back reference has stayed behind */
    del(ST_QOS_POLICY, &q);
    del(ST_MIRROR, &m);
}

static void test_router(void **state)
{
    struct uuid lb = make(ST_LOAD_BALANCER, "{}");
    struct uuid route = make(ST_ROUTE, "{'routerId':'%s','type':'BlackHole'}", u(&r));
    struct uuid net =
        make(ST_BGP_NETWORK, "{'routerId':'%s','subnetAddress':'10.0.0.0/24'}", u(&r));
    struct uuid peer =
        make(ST_BGP_PEER, "{'routerId':'%s','asNumber':1,'address':'10.0.0.2'}", u(&r));
    struct uuid t = make(ST_TRACE_REQUEST, "{'routerId':'%s'}", u(&r));
    struct uuid vpn = make(ST_VPN_SERVICE, "{'routerId':'%s'}", u(&r));
    struct uuid tunnel =
        make(ST_IPSEC_CONNECTION, "{'vpnServiceId':'%s','peerAddress':'a','peerId':'b','psk':'c'}",
             u(&vpn));

    (void)state;
    set(ST_ROUTER, &r, "{'loadBalancerId':'%s','inboundFilterId':'%s'}", u(&lb), u(&chain));
    del_rc(-EBUSY, ST_ROUTER, &r);
    assert_says("field load-balancer: has to be cleared first");
    assert_true(there(ST_PORT, &rport));
    set(ST_ROUTER, &r, "{'loadBalancerId':null}");
    assert_no_field(ST_LOAD_BALANCER, &lb, "routerId");
    del(ST_ROUTER, &r);
    assert_false(there(ST_PORT, &rport));
    assert_false(there(ST_ROUTE, &route));
    assert_false(there(ST_BGP_NETWORK, &net));
    assert_false(there(ST_BGP_PEER, &peer));
    assert_false(there(ST_TRACE_REQUEST, &t));
    assert_false(there(ST_VPN_SERVICE, &vpn));
    assert_false(there(ST_IPSEC_CONNECTION, &tunnel));
    assert_true(there(ST_CHAIN, &chain));
    assert_int_equal(count(ST_ROUTE, NULL), 0);
}

static void test_port(void **state)
{
    struct uuid other = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    struct uuid route =
        make(ST_ROUTE, "{'routerId':'%s','type':'Normal','nextHopPort':'%s'}", u(&r), u(&rport));
    struct uuid in = make(ST_L2INSERTION, "{'portId':'%s','srvPortId':'%s','mac':'2:0:0:0:0:1'}",
                          u(&other), u(&port));
    struct uuid m = make(ST_MIRROR, "{'toPortId':'%s'}", u(&port));
    struct uuid g = make(ST_PORT_GROUP, "{}");
    struct uuid member =
        make(ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", u(&g), u(&port));
    struct uuid sg = make(ST_SERVICE_CONTAINER_GROUP, "{}");
    struct uuid c =
        make(ST_SERVICE_CONTAINER, "{'serviceGroupId':'%s','portId':'%s','serviceType':'QUAGGA'}",
             u(&sg), u(&port));
    struct uuid fip =
        make(ST_RULE,
             "{'chainId':'%s','type':'snat','natTargets':[{'addressFrom':'192.0.2.1'}],"
             "'fipPortId':'%s'}",
             u(&chain), u(&rport));
    struct uuid d =
        make(ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/24','routerIfPortId':'%s'}", u(&b),
             u(&rport));

    (void)state;
    assert_field(ST_PORT, &port, "serviceContainerId", u(&c));
    set(ST_BRIDGE, &b, "{'inboundMirrorIds':['%s']}", u(&m));
    del(ST_PORT, &port);
    assert_false(there(ST_L2INSERTION, &in));
    struct uuid port2 = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    in = make(ST_L2INSERTION, "{'portId':'%s','srvPortId':'%s','mac':'2:0:0:0:0:1'}", u(&port2),
              u(&other));
    del(ST_PORT, &port2);
    assert_false(there(ST_L2INSERTION, &in));
    assert_false(there(ST_MIRROR, &m));
    assert_no_field(ST_BRIDGE, &b, "inboundMirrorIds");
    assert_false(there(ST_PORT_GROUP_PORT, &member));
    assert_true(there(ST_PORT_GROUP, &g));
    assert_false(there(ST_SERVICE_CONTAINER, &c));
    assert_true(there(ST_BRIDGE, &b));

    struct uuid lb = make(ST_LOAD_BALANCER, "{}");
    struct uuid pool = make(ST_POOL, "{'loadBalancerId':'%s','lbMethod':'ROUND_ROBIN'}", u(&lb));
    struct uuid vip = make(ST_VIP,
                           "{'poolId':'%s','address':'10.0.0.9','protocolPort':80,"
                           "'gatewayPortId':'%s'}",
                           u(&pool), u(&rport));
    del_rc(-EBUSY, ST_PORT, &rport);
    assert_says("is in use by vip");
    del_rc(-EBUSY, ST_ROUTER, &r);
    assert_says("is in use by vip");
    assert_true(there(ST_ROUTE, &route));
    set(ST_VIP, &vip, "{'gatewayPortId':null}");
    del(ST_PORT, &rport);
    assert_false(there(ST_ROUTE, &route));
    assert_false(there(ST_RULE, &fip));
    assert_no_field(ST_DHCP, &d, "routerIfPortId");
}

/* A condition that named what is gone matches nothing: it must not come to match everything. */
static void test_conditions_keep(void **state)
{
    struct uuid g = make(ST_PORT_GROUP, "{}"), ag = make(ST_IP_ADDR_GROUP, "{'name':'g'}");
    struct uuid rule = make(ST_RULE,
                            "{'chainId':'%s','type':'drop','inPorts':['%s'],'portGroup':'%s',"
                            "'ipAddrGroupSrc':'%s'}",
                            u(&chain), u(&port), u(&g), u(&ag));
    struct uuid m =
        make(ST_MIRROR, "{'toPortId':'%s','conditions':[{'inPorts':['%s']}]}", u(&rport), u(&port));

    (void)state;
    del(ST_PORT, &port);
    del(ST_PORT_GROUP, &g);
    del(ST_IP_ADDR_GROUP, &ag);
    assert_non_null(strstr(field(ST_RULE, &rule, "inPorts"), u(&port)));
    assert_field(ST_RULE, &rule, "portGroup", u(&g));
    assert_field(ST_RULE, &rule, "ipAddrGroupSrc", u(&ag));
    assert_non_null(strstr(field(ST_MIRROR, &m, "conditions"), u(&port)));
    set(ST_RULE, &rule, "{'nwProto':6}"); /* and it can still be changed */
    make_rc(-ENOENT, ST_RULE, "{'chainId':'%s','type':'drop','portGroup':'%s'}", u(&chain), u(&g));
    del(ST_RULE, &rule);
    del(ST_MIRROR, &m);
}

static void test_chain(void **state)
{
    struct uuid c2 = make(ST_CHAIN, "{'name':'c2'}"), res = make(ST_LOGGING_RESOURCE, "{}");
    struct uuid rule = make(ST_RULE, "{'chainId':'%s','type':'drop'}", u(&chain));
    struct uuid jump =
        make(ST_RULE, "{'chainId':'%s','type':'jump','jumpChainId':'%s'}", u(&c2), u(&chain));
    struct uuid log =
        make(ST_RULE_LOGGER, "{'chainId':'%s','loggingResourceId':'%s','event':'ALL'}", u(&chain),
             u(&res));

    (void)state;
    set(ST_PORT, &port, "{'inboundFilterId':'%s'}", u(&chain));
    set(ST_ROUTER, &r, "{'localRedirectChainId':'%s','forwardChainId':'%s'}", u(&chain), u(&chain));
    del(ST_CHAIN, &chain);
    assert_false(there(ST_RULE, &rule));
    assert_false(there(ST_RULE_LOGGER, &log));
    assert_no_field(ST_PORT, &port, "inboundFilterId");
    assert_no_field(ST_ROUTER, &r, "localRedirectChainId");
    assert_no_field(ST_ROUTER, &r, "forwardChainId");
    assert_field(ST_RULE, &jump, "jumpChainId", u(&chain)); /* stays, does nothing */
    del(ST_CHAIN, &c2);
    struct uuid c3 = make(ST_CHAIN, "{}");
    log = make(ST_RULE_LOGGER, "{'chainId':'%s','loggingResourceId':'%s','event':'ALL'}", u(&c3),
               u(&res));
    del(ST_LOGGING_RESOURCE, &res);
    assert_false(there(ST_RULE_LOGGER, &log));
    assert_true(there(ST_CHAIN, &c3));
}

static void test_host_and_zone(void **state)
{
    struct uuid h = bound_host(&port), hg = make(ST_HOST_GROUP, "{'hostIds':['%s']}", u(&h));
    char alive[STORE_PATH_MAX];

    (void)state;
    del_rc(-EBUSY, ST_HOST, &h);
    assert_says("is in use by port");
    del(ST_PORT, &port);
    objects_state_path(ST_HOST, &h, "alive", alive);
    assert_int_equal(store_create(the_store, alive, "{}", 2, STORE_EPHEMERAL | STORE_PARENTS, NULL),
                     0);
    del_rc(-EBUSY, ST_HOST, &h);
    assert_says("Cannot delete host h because it is active");
    assert_int_equal(store_delete(the_store, alive, STORE_ANY, NULL), 0);
    del(ST_HOST, &h);
    assert_int_equal(count(ST_TUNNEL_ZONE_HOST, NULL), 0);
    assert_int_equal(count(ST_TUNNEL_ZONE, NULL), 1);
    assert_no_field(ST_HOST_GROUP, &hg, "hostIds");
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'zz','type':'gre'}");
    struct uuid h2 = make(ST_HOST, "{'name':'h2'}");
    make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}", u(&z),
         u(&h2));
    del(ST_TUNNEL_ZONE, &z);
    assert_true(there(ST_HOST, &h2));
    assert_int_equal(count(ST_TUNNEL_ZONE_HOST, NULL), 0);
    make(ST_TUNNEL_ZONE, "{'name':'zz','type':'gre'}"); /* the name is free again */
}

static void test_load_balancer(void **state)
{
    struct uuid lb = make(ST_LOAD_BALANCER, "{}"), hm = make(ST_HEALTH_MONITOR, "{'type':'TCP'}");
    struct uuid pool =
        make(ST_POOL, "{'loadBalancerId':'%s','lbMethod':'ROUND_ROBIN','healthMonitorId':'%s'}",
             u(&lb), u(&hm));
    struct uuid pm =
        make(ST_POOL_MEMBER, "{'poolId':'%s','address':'10.0.0.3','protocolPort':80}", u(&pool));
    struct uuid vip =
        make(ST_VIP, "{'poolId':'%s','address':'10.0.0.9','protocolPort':80}", u(&pool));

    (void)state;
    set(ST_ROUTER, &r, "{'loadBalancerId':'%s'}", u(&lb));
    assert_int_equal(count(ST_POOL, &hm), 1);
    del(ST_HEALTH_MONITOR, &hm);
    assert_no_field(ST_POOL, &pool, "healthMonitorId");
    struct uuid pool2 = make(ST_POOL, "{'loadBalancerId':'%s','lbMethod':'ROUND_ROBIN'}", u(&lb));
    del(ST_POOL, &pool);
    assert_false(there(ST_POOL_MEMBER, &pm));
    assert_false(there(ST_VIP, &vip));
    del(ST_LOAD_BALANCER, &lb);
    assert_false(there(ST_POOL, &pool2));
    assert_no_field(ST_ROUTER, &r, "loadBalancerId");
    del(ST_ROUTER, &r);
}

static void test_others(void **state)
{
    struct uuid q = make(ST_QOS_POLICY, "{}");
    struct uuid bw = make(ST_QOS_BW_RULE, "{'policyId':'%s','maxKbps':5}", u(&q));
    struct uuid dscp = make(ST_QOS_DSCP_RULE, "{'policyId':'%s','dscpMark':5}", u(&q));
    struct uuid g = make(ST_PORT_GROUP, "{}"), h = bound_host(NULL);
    struct uuid hg = make(ST_HOST_GROUP, "{'hostIds':['%s']}", u(&h));
    struct uuid sg =
        make(ST_SERVICE_CONTAINER_GROUP, "{'portGroupId':'%s','hostGroupId':'%s'}", u(&g), u(&hg));
    struct uuid c =
        make(ST_SERVICE_CONTAINER, "{'serviceGroupId':'%s','serviceType':'IPSEC'}", u(&sg));
    struct uuid vpn = make(ST_VPN_SERVICE, "{'routerId':'%s','containerId':'%s'}", u(&r), u(&c));
    struct uuid t = make(ST_TRACE_REQUEST, "{'portId':'%s'}", u(&port));
    struct uuid tr =
        make(ST_RULE, "{'chainId':'%s','type':'trace','requestId':'%s'}", u(&chain), u(&t));

    (void)state;
    set(ST_PORT, &port, "{'qosPolicyId':'%s'}", u(&q));
    set(ST_BRIDGE, &b, "{'qosPolicyId':'%s'}", u(&q));
    del(ST_QOS_POLICY, &q);
    assert_false(there(ST_QOS_BW_RULE, &bw));
    assert_false(there(ST_QOS_DSCP_RULE, &dscp));
    assert_no_field(ST_PORT, &port, "qosPolicyId");
    assert_no_field(ST_BRIDGE, &b, "qosPolicyId");
    del(ST_HOST_GROUP, &hg);
    del(ST_PORT_GROUP, &g);
    assert_no_field(ST_SERVICE_CONTAINER_GROUP, &sg, "portGroupId");
    assert_no_field(ST_SERVICE_CONTAINER_GROUP, &sg, "hostGroupId");
    del(ST_SERVICE_CONTAINER_GROUP, &sg);
    assert_false(there(ST_SERVICE_CONTAINER, &c));
    assert_no_field(ST_VPN_SERVICE, &vpn, "containerId");
    del(ST_TRACE_REQUEST, &t);
    assert_false(there(ST_RULE, &tr));
}

/* DHCP's gateway routes and IPsec's routes are made by the system. */
static void test_owned_routes(void **state)
{
    struct uuid d = make(ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/24'}", u(&b));
    struct uuid vpn = make(ST_VPN_SERVICE, "{'routerId':'%s'}", u(&r));
    struct uuid tunnel =
        make(ST_IPSEC_CONNECTION, "{'vpnServiceId':'%s','peerAddress':'a','peerId':'b','psk':'c'}",
             u(&vpn));
    struct uuid ids[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct objects_txn *t = objects_begin(db);
        objects_system(t);
        json_t *o = json_pack("{s:s,s:s,s:s}", "routerId", u(&r), "type", "Reject",
                              i ? "ipsecSiteConnectionId" : "gatewayDhcpId", u(i ? &tunnel : &d));
        assert_int_equal(objects_create(t, ST_ROUTE, o, &ids[i], &last), 0);
        assert_int_equal(objects_commit(t, &last), 0);
        objects_abort(t);
        json_decref(o);
    }
    del(ST_DHCP, &d);
    assert_false(there(ST_ROUTE, &ids[0]));
    del(ST_VPN_SERVICE, &vpn);
    assert_false(there(ST_IPSEC_CONNECTION, &tunnel));
    assert_false(there(ST_ROUTE, &ids[1]));
}

static void test_revision(void **state)
{
    (void)state;
    assert_int_equal(objects_delete1(db, ST_BRIDGE, &b, 7, &last), -ESTALE);
    assert_true(there(ST_BRIDGE, &b));
    set(ST_BRIDGE, &b, "{'name':'n'}");
    assert_int_equal(objects_delete1(db, ST_BRIDGE, &b, 0, &last), -ESTALE);
    assert_says("has been changed: it is at revision 1, not 0");
    assert_int_equal(objects_delete1(db, ST_BRIDGE, &b, 1, &last), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture, db_teardown)
    const struct CMUnitTest tests[] = {
        T(test_bridge),       T(test_router),        T(test_port),          T(test_conditions_keep),
        T(test_chain),        T(test_host_and_zone), T(test_load_balancer), T(test_others),
        T(test_owned_routes), T(test_revision),
    };

    return run_on_stores(tests);
}
