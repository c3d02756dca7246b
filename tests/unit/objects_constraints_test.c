/* Constraints that need to see other objects, one by one, with what they say. */
#include "objects_testlib.h"

static struct uuid host_in_zone(void)
{
    struct uuid h = make(ST_HOST, "{'name':'h'}");
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'%s','type':'vxlan'}", u(&h));

    make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}", u(&z),
         u(&h));
    return h;
}

static struct uuid bridge_port(const struct uuid *bridge, int vlan)
{
    return make(ST_PORT, "{'bridgeId':'%s','vlanId':%d}", u(bridge), vlan);
}

static struct uuid router_port(const struct uuid *router)
{
    return make(ST_PORT, "{'routerId':'%s'}", u(router));
}

static void test_references(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}");

    (void)state;
    make_rc(-ENOENT, ST_PORT, "{'bridgeId':'11111111-1111-4111-8111-111111111111'}");
    assert_says("field device: There is no bridge with ID 11111111");
    make_rc(-ENOENT, ST_PORT, "{'routerId':'%s'}", u(&b));
    assert_says("There is no router with ID");
    set_rc(-ENOENT, ST_BRIDGE, &b, "{'inboundFilterId':'%s'}", u(&b));
    assert_says("field infilter: There is no chain with ID");
    assert_int_equal(count(ST_PORT, NULL), 0);
    make(ST_BRIDGE, "{'id':'11111111-1111-4111-8111-111111111111'}");
    make_rc(-EEXIST, ST_BRIDGE, "{'id':'11111111-1111-4111-8111-111111111111'}");
    assert_says("A bridge with ID 11111111-1111-4111-8111-111111111111 already exists");
}

static void test_port_device(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), r = make(ST_ROUTER, "{}");

    (void)state;
    make_rc(-EINVAL, ST_PORT, "{}");
    assert_says("field device: is required: a bridge or a router");
    make_rc(-EINVAL, ST_PORT, "{'bridgeId':'%s','routerId':'%s'}", u(&b), u(&r));
    assert_says("not to both");
    struct uuid p = bridge_port(&b, 0);
    set_rc(-EINVAL, ST_PORT, &p, "{'bridgeId':null,'routerId':'%s'}", u(&r));
    assert_says("field device: can't be changed once the port exists");
    set(ST_PORT, &p, "{'bridgeId':'%s'}", u(&b));
    set_rc(-EINVAL, ST_PORT, &p, "{'portMac':'02:00:00:00:00:01'}");
    assert_says("field mac: is not for ports of a bridge");
    set_rc(-EINVAL, ST_PORT, &p, "{'portSubnet':['10.0.0.1/24']}");
    struct uuid rp = router_port(&r);
    set_rc(-EINVAL, ST_PORT, &rp, "{'vlanId':3}");
    assert_says("field vlan");
    set_rc(-EINVAL, ST_PORT, &rp, "{'portMac':'01:00:00:00:00:01'}");
    assert_says("01:00:00:00:00:01 is not the address of one station");
    set_rc(-EINVAL, ST_PORT, &rp, "{'portSubnet':['224.0.0.1/24']}");
    assert_says("224.0.0.1/24 is not the address of one host");
    set_rc(-EINVAL, ST_PORT, &p, "{'tunnelKey':5}");
    assert_says("field tunnel-key: is a read-only attribute");
}

static void test_links(void **state)
{
    struct uuid b1 = make(ST_BRIDGE, "{}"), b2 = make(ST_BRIDGE, "{}"), b3 = make(ST_BRIDGE, "{}");
    struct uuid r1 = make(ST_ROUTER, "{}"), r2 = make(ST_ROUTER, "{}");
    struct uuid p1 = bridge_port(&b1, 0), p2 = router_port(&r1), p3 = router_port(&r2);

    (void)state;
    set_rc(-EINVAL, ST_PORT, &p1, "{'peerId':'%s'}", u(&p1));
    assert_says("can't be itself");
    set(ST_PORT, &p1, "{'peerId':'%s'}", u(&p2));
    set(ST_PORT, &p1, "{'peerId':'%s'}", u(&p2));
    set_rc(-EBUSY, ST_PORT, &p3, "{'peerId':'%s'}", u(&p2));
    assert_says("Ports are not linkable: it is already linked");
    set_rc(-EBUSY, ST_PORT, &p1, "{'peerId':'%s'}", u(&p3));
    assert_says("Ports are not linkable");
    assert_field(ST_PORT, &p2, "peerId", u(&p1));
    assert_no_field(ST_PORT, &p3, "peerId");
    struct uuid p4 = router_port(&r1);
    set(ST_PORT, &p3, "{'peerId':'%s'}", u(&p4)); /* router to router */

    struct uuid a = bridge_port(&b1, 0), c = bridge_port(&b2, 0), d = bridge_port(&b2, 7);
    set_rc(-EBUSY, ST_PORT, &a, "{'peerId':'%s'}", u(&c));
    assert_says("exactly one has a VLAN tag");
    struct uuid a9 = bridge_port(&b1, 9);
    set_rc(-EBUSY, ST_PORT, &a9, "{'peerId':'%s'}", u(&d));
    set(ST_PORT, &a, "{'peerId':'%s'}", u(&d));
    struct uuid a2 = bridge_port(&b1, 0), e = bridge_port(&b3, 7);
    set_rc(-EEXIST, ST_PORT, &a2, "{'peerId':'%s'}", u(&e)); /* a second VLAN-aware bridge */
    set(ST_PORT, &a, "{'peerId':null}");
    set(ST_PORT, &a2, "{'peerId':'%s'}", u(&e));
    struct uuid q = bridge_port(&b2, 0);
    set_rc(-EBUSY, ST_PORT, &q, "{'peerId':'%s'}", u(&d));
    assert_says("both are of the same device");
    /* The place above the bridge is free again however the link ended. */
    del(ST_PORT, &e);
    struct uuid e2 = bridge_port(&b3, 7);
    set(ST_PORT, &a, "{'peerId':'%s'}", u(&e2));
    del(ST_BRIDGE, &b3);
    set(ST_PORT, &a2, "{'peerId':'%s'}", u(&d));
    del(ST_PORT, &a2);
    set(ST_PORT, &a, "{'peerId':'%s'}", u(&d));
    make_rc(-EEXIST, ST_PORT, "{'bridgeId':'%s','vlanId':7}", u(&b2));
    assert_says("field device: another port already has the same device and vlan");
}

static void test_bindings(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), p = bridge_port(&b, 0), p2 = bridge_port(&b, 0);
    struct uuid lonely = make(ST_HOST, "{'name':'lonely'}"), h = host_in_zone();
    struct uuid r = make(ST_ROUTER, "{}"), rp = router_port(&r);

    (void)state;
    set_rc(-EBUSY, ST_PORT, &p, "{'hostId':'%s','interfaceName':'eth0'}", u(&lonely));
    assert_says("The specified host is not in any tunnel zone");
    set_rc(-EINVAL, ST_PORT, &p, "{'hostId':'%s'}", u(&h));
    assert_says("field interface: is required");
    set_rc(-EINVAL, ST_PORT, &p, "{'interfaceName':'eth0'}");
    assert_says("field host: is required");
    set_rc(-EINVAL, ST_PORT, &p, "{'hostId':'%s','interfaceName':'a/b'}", u(&h));
    assert_says("\"a/b\" is not an interface name");
    set_rc(-EINVAL, ST_PORT, &p, "{'hostId':'%s','interfaceName':'sixteen-and-more'}", u(&h));
    assert_says("field interface");
    set(ST_PORT, &p, "{'hostId':'%s','interfaceName':'eth0'}", u(&h));
    set_rc(-EEXIST, ST_PORT, &p2, "{'hostId':'%s','interfaceName':'eth0'}", u(&h));
    assert_says("another port already has the same host and interface");
    set_rc(-EINVAL, ST_PORT, &p, "{'peerId':'%s'}", u(&rp));
    assert_says("not both");
    set_rc(-EINVAL, ST_PORT, &rp, "{'peerId':'%s'}", u(&p));
    assert_says("not both");
    struct uuid h2 = host_in_zone();
    set(ST_PORT, &p, "{'hostId':'%s'}", u(&h2)); /* moved */
    assert_field(ST_PORT, &p, "previousHostId", u(&h));
    set(ST_PORT, &p2, "{'hostId':'%s','interfaceName':'eth0'}", u(&h));
    set(ST_PORT, &p, "{'hostId':null,'interfaceName':null}");
    assert_field(ST_PORT, &p, "previousHostId", u(&h2));
    set(ST_PORT, &p, "{'peerId':'%s'}", u(&rp));
}

static void test_routes(void **state)
{
    struct uuid r = make(ST_ROUTER, "{}"), r2 = make(ST_ROUTER, "{}"), b = make(ST_BRIDGE, "{}");
    struct uuid p = router_port(&r), p2 = router_port(&r2), bp = bridge_port(&b, 0);
    static const char must[] = "requires a next hop port that is a port on the same router";

    (void)state;
    make_rc(-EINVAL, ST_ROUTE, "{'routerId':'%s','type':'Normal'}", u(&r));
    assert_says(must);
    make_rc(-EINVAL, ST_ROUTE, "{'routerId':'%s','type':'Normal','nextHopPort':'%s'}", u(&r),
            u(&p2));
    assert_says(must);
    make_rc(-EINVAL, ST_ROUTE, "{'routerId':'%s','type':'Normal','nextHopPort':'%s'}", u(&r),
            u(&bp));
    make_rc(
        -ENOENT, ST_ROUTE,
        "{'routerId':'%s','type':'Normal','nextHopPort':'11111111-1111-4111-8111-111111111111'}",
        u(&r));
    make_rc(-EINVAL, ST_ROUTE, "{'routerId':'%s','type':'BlackHole','nextHopPort':'%s'}", u(&r),
            u(&p));
    assert_says("field port: is for normal routes only");
    make_rc(-EINVAL, ST_ROUTE, "{'routerId':'%s','type':'Reject','nextHopGateway':'10.0.0.1'}",
            u(&r));
    assert_says("field gw: is for normal routes only");
    make_rc(-EINVAL, ST_ROUTE, "{'routerId':'%s','type':'Local','nextHopPort':'%s'}", u(&r), u(&p));
    assert_says("field type: routes of type Local are made by the system only");
    make_rc(
        -EINVAL, ST_ROUTE,
        "{'routerId':'%s','type':'Reject','dstNetworkAddr':'10.0.0.0/8','srcNetworkAddr':'::/0'}",
        u(&r));
    assert_says("field src: source and destination are of different IP versions");
    make_rc(-EINVAL, ST_ROUTE,
            "{'routerId':'%s','type':'Normal','nextHopPort':'%s','dstNetworkAddr':'2001:db8::/64',"
            "'nextHopGateway':'10.0.0.1'}",
            u(&r), u(&p));
    assert_says("field gw: gateway and destination are of different IP versions");
    make_rc(-EINVAL, ST_ROUTE, "{'routerId':'%s','type':'Reject','dstNetworkAddr':'10.0.0.0/33'}",
            u(&r));
    assert_says("field dst: \"10.0.0.0/33\" is not an IP prefix");
    struct uuid six = make(ST_ROUTE,
                           "{'routerId':'%s','type':'Normal','nextHopPort':'%s',"
                           "'dstNetworkAddr':'2001:DB8::5/64','nextHopGateway':'0.0.0.0'}",
                           u(&r), u(&p));
    assert_field(ST_ROUTE, &six, "srcNetworkAddr", "::/0");
    assert_field(ST_ROUTE, &six, "dstNetworkAddr", "2001:db8::/64");
    assert_no_field(ST_ROUTE, &six, "nextHopGateway");
    set(ST_ROUTE, &six, "{'dstNetworkAddr':'10.0.0.0/8'}");
    assert_field(ST_ROUTE, &six, "srcNetworkAddr", "0.0.0.0/0");
    set(ST_ROUTE, &six, "{'nextHopGateway':'10.0.0.9','weight':5}");
    /* "add while linked then unlink keeps the route" */
    set(ST_PORT, &p, "{'peerId':'%s'}", u(&bp));
    set(ST_PORT, &p, "{'peerId':null}");
    assert_true(there(ST_ROUTE, &six));
}

static int find_local(json_t *obj, void *aux)
{
    if (!strcmp(json_string_value(json_object_get(obj, "type")), "Local"))
        uuid_parse(json_string_value(json_object_get(obj, "id")), aux);
    return 0;
}

static void test_local_routes(void **state)
{
    struct uuid r = make(ST_ROUTER, "{}"), id = uuid_zero;
    struct uuid p = make(ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/24']}", u(&r));

    (void)state;
    assert_int_equal(objects_each(db, ST_ROUTE, &r, find_local, &id, NULL), 0);
    assert_field(ST_ROUTE, &id, "dstNetworkAddr", "10.0.0.1/32");
    assert_field(ST_ROUTE, &id, "srcNetworkAddr", "0.0.0.0/0");
    assert_field(ST_ROUTE, &id, "weight", "0");
    del_rc(-EBUSY, ST_ROUTE, &id);
    assert_says("a local route can't be deleted");
    set_rc(-EBUSY, ST_ROUTE, &id, "{'weight':3}");
    set(ST_PORT, &p, "{'portSubnet':['10.0.0.1/16','10.0.0.2/16','2001:db8::1/64','10.0.0.2/24']}");
    assert_int_equal(count(ST_ROUTE, &r), 3);
    assert_true(there(ST_ROUTE, &id));
    set(ST_PORT, &p, "{'portSubnet':null}");
    assert_int_equal(count(ST_ROUTE, &r), 0);
    set(ST_PORT, &p, "{'portSubnet':['10.0.0.9/16']}");
    del(ST_ROUTER, &r);
    assert_int_equal(count(ST_ROUTE, NULL), 0);
    assert_int_equal(count(ST_PORT, NULL), 0);
}

static void test_tunnel_zones(void **state)
{
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    struct uuid g = make(ST_TUNNEL_ZONE, "{'name':'z','type':'gre'}");
    struct uuid v = make(ST_TUNNEL_ZONE, "{'name':'v','type':'vtep'}");
    struct uuid h = make(ST_HOST, "{'name':'h'}");

    (void)state;
    make_rc(-EEXIST, ST_TUNNEL_ZONE, "{'name':'z','type':'gre'}");
    assert_says("field name: another tunnel-zone already has the same name and type");
    make_rc(-EINVAL, ST_TUNNEL_ZONE, "{'type':'gre'}");
    assert_says("field name: is required");
    make_rc(-EINVAL, ST_TUNNEL_ZONE, "{'name':'','type':'gre'}");
    make_rc(-EINVAL, ST_TUNNEL_ZONE, "{'name':'x','type':'geneve'}");
    assert_says("field type: \"geneve\" is not one of gre, vxlan, vtep");
    set_rc(-EINVAL, ST_TUNNEL_ZONE, &z, "{'type':'gre'}");
    struct uuid m =
        make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}",
             u(&z), u(&h));
    make_rc(-EEXIST, ST_TUNNEL_ZONE_HOST,
            "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.2'}", u(&z), u(&h));
    make_rc(-EEXIST, ST_TUNNEL_ZONE_HOST,
            "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}", u(&g), u(&h));
    assert_says("field host: another member already has the same host");
    make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}", u(&v),
         u(&h));
    make_rc(-EINVAL, ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s'}", u(&z), u(&h));
    assert_says("field address: is required");
    set_rc(-EINVAL, ST_TUNNEL_ZONE_HOST, &m, "{'ipAddress':'300.0.2.1'}");
    set_rc(-EINVAL, ST_TUNNEL_ZONE_HOST, &m, "{'ipAddress':'224.0.0.1'}");
    set(ST_TUNNEL_ZONE_HOST, &m, "{'ipAddress':'2001:db8::1'}");
    del(ST_TUNNEL_ZONE_HOST, &m);
    make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}", u(&g),
         u(&h));
}

static void test_members(void **state)
{
    struct uuid g = make(ST_IP_ADDR_GROUP, "{'name':'g'}");
    struct uuid b = make(ST_BRIDGE, "{}"), p = bridge_port(&b, 0);
    struct uuid pg = make(ST_PORT_GROUP, "{'name':'pg'}");
    struct uuid a = make(ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'1:2:3:4:5:6:7:8'}", u(&g));

    (void)state;
    assert_field(ST_IP_ADDR, &a, "addr", "1:2:3:4:5:6:7:8");
    make_rc(-EEXIST, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'0001:02:3:4:5:6:7:8'}", u(&g));
    assert_says("ip: field address: An ip with address 1:2:3:4:5:6:7:8 already exists");
    make_rc(-EINVAL, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'10.0.0.0/8'}", u(&g));
    assert_says("field address: \"10.0.0.0/8\" is not an IP address");
    make(ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", u(&pg), u(&p));
    make_rc(-EEXIST, ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", u(&pg), u(&p));
    struct uuid d = make(ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.7/24'}", u(&b));
    assert_field(ST_DHCP, &d, "subnetPrefix", "10.0.0.0/24");
    make_rc(-EEXIST, ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/24'}", u(&b));
    make_rc(-EINVAL, ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/33'}", u(&b));
    make_rc(-EINVAL, ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'2001:db8::/64'}", u(&b));
    assert_says("is not an IPv4 prefix");
    set_rc(-EINVAL, ST_DHCP, &d, "{'defaultGateway':'nonsense'}");
    set_rc(-EINVAL, ST_DHCP, &d, "{'defaultGateway':'1.2.3.4.5'}");
    set(ST_DHCP, &d,
        "{'opt121Routes':[{'destinationPrefix':'10.1.0.1/16','gatewayAddr':'10.0.0.1'}]}");
    assert_field(ST_DHCP, &d, "opt121Routes",
                 "[{\"destinationPrefix\":\"10.1.0.0/16\",\"gatewayAddr\":\"10.0.0.1\"}]");
    make(ST_DHCP_HOST, "{'dhcpId':'%s','macAddr':'02:00:00:00:00:0A','ipAddr':'10.0.0.9'}", u(&d));
    make_rc(-EEXIST, ST_DHCP_HOST,
            "{'dhcpId':'%s','macAddr':'02:00:00:00:00:0a','ipAddr':'10.0.0.8'}", u(&d));
    struct uuid b2 = make(ST_BRIDGE, "{}");
    make_rc(-EINVAL, ST_MAC_PORT, "{'bridgeId':'%s','macAddr':'02:00:00:00:00:01','portId':'%s'}",
            u(&b2), u(&p));
    assert_says("field port: is not a port of the bridge");
    make_rc(-EINVAL, ST_MAC_PORT, "{'bridgeId':'%s','macAddr':'02-00-00','portId':'%s'}", u(&b),
            u(&p));
    assert_says("is not a MAC address");
    make(ST_MAC_PORT, "{'bridgeId':'%s','macAddr':'02:00:00:00:00:01','portId':'%s'}", u(&b),
         u(&p));
}

static void test_bgp(void **state)
{
    struct uuid r = make(ST_ROUTER, "{'asNumber':64512}"), r2 = make(ST_ROUTER, "{}");
    struct uuid p = make(ST_BGP_PEER, "{'routerId':'%s','asNumber':1,'address':'10.0.0.1'}", u(&r));

    (void)state;
    make_rc(-EEXIST, ST_BGP_PEER, "{'routerId':'%s','asNumber':1,'address':'10.0.0.1'}", u(&r));
    assert_says("the same router and address and asn");
    make(ST_BGP_PEER, "{'routerId':'%s','asNumber':2,'address':'10.0.0.1'}", u(&r));
    make(ST_BGP_PEER, "{'routerId':'%s','asNumber':1,'address':'10.0.0.1'}", u(&r2));
    set_rc(-EEXIST, ST_BGP_PEER, &p, "{'asNumber':2}");
    set(ST_BGP_PEER, &p, "{'asNumber':3}");
    make(ST_BGP_PEER, "{'routerId':'%s','asNumber':1,'address':'10.0.0.1'}", u(&r));
    set_rc(-EINVAL, ST_BGP_PEER, &p, "{'keepAlive':4}");
    assert_says("field keep-alive: 4 is not within 5..3600");
    set_rc(-EINVAL, ST_BGP_PEER, &p, "{'asNumber':0}");
    set_rc(-EINVAL, ST_BGP_PEER, &p, "{'holdTime':7201}");
}

static void test_load_balancer(void **state)
{
    struct uuid lb = make(ST_LOAD_BALANCER, "{}"), lb2 = make(ST_LOAD_BALANCER, "{}");
    struct uuid r = make(ST_ROUTER, "{'loadBalancerId':'%s'}", u(&lb)), r2 = make(ST_ROUTER, "{}");

    (void)state;
    assert_field(ST_LOAD_BALANCER, &lb, "routerId", u(&r));
    set_rc(-EBUSY, ST_ROUTER, &r2, "{'loadBalancerId':'%s'}", u(&lb));
    assert_says("field router: is already taken by router");
    make_rc(-EINVAL, ST_LOAD_BALANCER, "{'routerId':'%s'}", u(&r2));
    assert_says("field router: is a read-only attribute");
    make_rc(-EINVAL, ST_POOL, "{'loadBalancerId':'%s'}", u(&lb));
    assert_says("field lb-method: is required");
    struct uuid pool = make(ST_POOL, "{'loadBalancerId':'%s','lbMethod':'ROUND_ROBIN'}", u(&lb));
    assert_field(ST_POOL, &pool, "protocol", "TCP");
    set_rc(-EINVAL, ST_POOL, &pool, "{'loadBalancerId':'%s'}", u(&lb2));
    make_rc(-EINVAL, ST_POOL_MEMBER, "{'poolId':'%s','address':'10.0.0.1','protocolPort':70000}",
            u(&pool));
    assert_says("field protocol-port: 70000 is not within 0..65535");
    make_rc(-EINVAL, ST_POOL_MEMBER,
            "{'poolId':'%s','address':'10.0.0.1','protocolPort':80,'weight':-1}", u(&pool));
    make_rc(-EINVAL, ST_POOL_MEMBER,
            "{'poolId':'%s','address':'10.0.0.1','protocolPort':80,'status':'INACTIVE'}", u(&pool));
    make_rc(-ENOENT, ST_VIP, "{'poolId':'%s','address':'10.0.0.1','protocolPort':80}", u(&lb));
    struct uuid vip =
        make(ST_VIP, "{'poolId':'%s','address':'10.0.0.1','protocolPort':80}", u(&pool));
    assert_field(ST_VIP, &vip, "loadBalancerId", u(&lb));
    assert_int_equal(count(ST_VIP, &lb), 1);
    assert_int_equal(count(ST_VIP, &pool), 1);
    struct uuid b = make(ST_BRIDGE, "{}"), bp = bridge_port(&b, 0);
    set_rc(-EINVAL, ST_VIP, &vip, "{'gatewayPortId':'%s'}", u(&bp));
    assert_says("field gateway-port: is not a port of a router");
    make_rc(-EINVAL, ST_HEALTH_MONITOR, "{'delay':1}");
    assert_says("field type: is required");
    set(ST_ROUTER, &r, "{'loadBalancerId':null}");
    set(ST_ROUTER, &r2, "{'loadBalancerId':'%s'}", u(&lb));
}

static void test_vtep(void **state)
{
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'v','type':'vtep'}");
    struct uuid o = make(ST_TUNNEL_ZONE, "{'name':'o','type':'gre'}");
    struct uuid b = make(ST_BRIDGE, "{}"), b2 = make(ST_BRIDGE, "{}");

    (void)state;
    host_in_zone();
    make_rc(-EINVAL, ST_VTEP, "{'managementIp':'10.0.0.1','managementPort':6632}");
    assert_says("field tunnel-zone: is required");
    make_rc(-EINVAL, ST_VTEP,
            "{'managementIp':'10.0.0.1','managementPort':6632,'tunnelZoneId':'%s'}", u(&o));
    assert_says("field tunnel-zone: Tunnel zone is not of type VTEP");
    make_rc(-EBUSY, ST_VTEP,
            "{'managementIp':'192.0.2.1','managementPort':6632,'tunnelZoneId':'%s'}", u(&z));
    assert_says("VTEP conflicts with an existing host with IP address 192.0.2.1");
    struct uuid v =
        make(ST_VTEP, "{'managementIp':'10.0.0.1','managementPort':1,'tunnelZoneId':'%s'}", u(&z));
    make_rc(-EEXIST, ST_VTEP, "{'managementIp':'10.0.0.1','managementPort':2,'tunnelZoneId':'%s'}",
            u(&z));
    make_rc(-EINVAL, ST_VTEP_BINDING,
            "{'vtepId':'%s','portName':'p','vlanId':4096,'networkId':'%s'}", u(&v), u(&b));
    make_rc(-EINVAL, ST_VTEP_BINDING, "{'vtepId':'%s','portName':'p','vlanId':1}", u(&v));
    assert_says("field network-id: is required");
    struct uuid x =
        make(ST_VTEP_BINDING, "{'vtepId':'%s','portName':'p','vlanId':1,'networkId':'%s'}", u(&v),
             u(&b));
    make_rc(-EEXIST, ST_VTEP_BINDING, "{'vtepId':'%s','portName':'p','vlanId':1,'networkId':'%s'}",
            u(&v), u(&b2));
    struct uuid y =
        make(ST_VTEP_BINDING, "{'vtepId':'%s','portName':'p','vlanId':2,'networkId':'%s'}", u(&v),
             u(&b));
    /* One port for both, with a network number; it can't be deleted by hand. */
    assert_int_equal(count(ST_PORT, &b), 1);
    assert_non_null(field(ST_BRIDGE, &b, "vni"));
    struct uuid *ids, port;
    size_t n;
    assert_int_equal(objects_referrers(db, ST_PORT, "vtepId", &v, &ids, &n, NULL), 0);
    assert_int_equal(n, 1);
    port = ids[0];
    free(ids);
    del_rc(-EBUSY, ST_PORT, &port);
    del_rc(-EBUSY, ST_BRIDGE, &b);
    assert_says("is in use by binding");
    del_rc(-EBUSY, ST_VTEP, &v);
    del_rc(-EBUSY, ST_TUNNEL_ZONE, &z);
    assert_says("is in use by vtep");
    del(ST_VTEP_BINDING, &x);
    assert_int_equal(count(ST_PORT, &b), 1);
    del(ST_VTEP_BINDING, &y);
    assert_int_equal(count(ST_PORT, &b), 0);
    del(ST_BRIDGE, &b);
    del(ST_VTEP, &v);
}

static void test_l2insertion_and_remote_peers(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), p = bridge_port(&b, 0);

    (void)state;
    make_rc(-EINVAL, ST_L2INSERTION, "{'portId':'%s','srvPortId':'%s','mac':'02:00:00:00:00:01'}",
            u(&p), u(&p));
    assert_says("field srv-port: is the inspected port itself");
    make_rc(-EINVAL, ST_L2INSERTION, "{'portId':'%s','srvPortId':'%s'}", u(&p), u(&p));
    assert_says("field mac: is required");
    make_rc(-EINVAL, ST_REMOTE_PEER, "{'portId':'%s','mac':'02:00:00:00:00:01','ip':'10.0.0.1'}",
            u(&p));
    assert_says("field port: is not a port of a router");
    struct uuid g = make(ST_SERVICE_CONTAINER_GROUP, "{}");
    make(ST_SERVICE_CONTAINER, "{'serviceGroupId':'%s','portId':'%s','serviceType':'IPSEC'}", u(&g),
         u(&p));
    make_rc(-EBUSY, ST_SERVICE_CONTAINER,
            "{'serviceGroupId':'%s','portId':'%s','serviceType':'IPSEC'}", u(&g), u(&p));
    assert_says("field container: is already taken by container");
}

static void test_insertions(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), r = make(ST_ROUTER, "{}");
    struct uuid vm = bridge_port(&b, 0), vm2 = bridge_port(&b, 0), srv = bridge_port(&b, 0);
    struct uuid rp = router_port(&r);

    (void)state;
#define INSERTION(port, srv, mac, vlan)                                                            \
    "{'portId':'%s','srvPortId':'%s','mac':'" mac "','vlan':" vlan "}", u(port), u(srv)
    make_rc(-EINVAL, ST_L2INSERTION, INSERTION(&vm, &vm, "02:00:00:00:00:01", "0"));
    assert_says("field srv-port: is the inspected port itself");
    make_rc(-EINVAL, ST_L2INSERTION, INSERTION(&rp, &srv, "02:00:00:00:00:01", "0"));
    assert_says("field port: is not a port of a bridge");
    struct uuid in = make(ST_L2INSERTION, INSERTION(&vm, &srv, "02:00:00:00:00:01", "0"));
    make_rc(-EBUSY, ST_L2INSERTION, INSERTION(&srv, &vm2, "02:00:00:00:00:02", "0"));
    assert_says("field port: has a service behind it");
    make_rc(-EBUSY, ST_L2INSERTION, INSERTION(&vm2, &vm, "02:00:00:00:00:02", "0"));
    assert_says("field srv-port: is inspected itself");
    make_rc(-EBUSY, ST_L2INSERTION, INSERTION(&vm2, &srv, "02:00:00:00:00:02", "7"));
    assert_says("field vlan: the service inspects 02:00:00:00:00:01 too");
    set(ST_L2INSERTION, &in, "{'vlan':7}");
    make(ST_L2INSERTION, INSERTION(&vm2, &srv, "02:00:00:00:00:02", "7"));
    set_rc(-EBUSY, ST_L2INSERTION, &in, "{'vlan':0}");
}

static size_t n_listed(const struct uuid *port, const char *list)
{
    json_t *body = get(ST_PORT, port);
    size_t n = json_array_size(json_object_get(body, list));

    json_decref(body);
    return n;
}

/* A port lists what hangs on it, and only that. */
static void test_lists(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), vm = bridge_port(&b, 0), srv = bridge_port(&b, 0);
    struct uuid g = make(ST_PORT_GROUP, "{'name':'g'}"), h = make(ST_PORT_GROUP, "{'name':'h'}");

    (void)state;
    struct uuid m = make(ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", u(&g), u(&vm));
    make(ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", u(&h), u(&vm));
    assert_int_equal(n_listed(&vm, "portGroupIds"), 2);
    set_rc(-EINVAL, ST_PORT, &vm, "{'portGroupIds':['%s']}", u(&g));
    assert_says("field port-groups: is a read-only attribute");
    del(ST_PORT_GROUP_PORT, &m);
    assert_int_equal(n_listed(&vm, "portGroupIds"), 1);
    del(ST_PORT_GROUP, &h);
    assert_int_equal(n_listed(&vm, "portGroupIds"), 0);

    make(ST_L2INSERTION, INSERTION(&vm, &srv, "02:00:00:00:00:01", "0"));
    make(ST_TRACE_REQUEST, "{'portId':'%s'}", u(&vm));
    assert_int_equal(n_listed(&vm, "insertionIds"), 1);
    assert_int_equal(n_listed(&srv, "srvInsertionIds"), 1);
    assert_int_equal(n_listed(&vm, "traceRequestIds"), 1);
    del(ST_PORT, &srv);
    assert_int_equal(n_listed(&vm, "insertionIds"), 0);
    assert_int_equal(count(ST_L2INSERTION, NULL), 0);
    make(ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", u(&g), u(&vm));
    del(ST_PORT, &vm);
    assert_int_equal(count(ST_TRACE_REQUEST, NULL), 0);
    del(ST_PORT_GROUP, &g); /* no back reference has stayed behind */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup, db_teardown)
    const struct CMUnitTest tests[] = {
        T(test_insertions),   T(test_lists),
        T(test_references),   T(test_port_device),
        T(test_links),        T(test_bindings),
        T(test_routes),       T(test_local_routes),
        T(test_tunnel_zones), T(test_members),
        T(test_bgp),          T(test_load_balancer),
        T(test_vtep),         T(test_l2insertion_and_remote_peers),
    };

    return run_on_stores(tests);
}
