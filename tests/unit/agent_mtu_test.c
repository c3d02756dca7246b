/* Reference scenario B8.200: the MTU machines are told is that of the smallest interface that can
 * carry tunnels less what they add; interfaces without an address in a zone don't count; the
 * default when there is none; never more than 65535. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/mtu.h"
#include "packet/flow.h"
#include "values.h"

static struct topo_zone_addr zones[4];
static struct topo_host host = {.zones = zones};

static void zone(const char *ip, enum flow_tunnel type)
{
    zones[host.n_zones++] = (struct topo_zone_addr){.ip = IP(ip), .type = (uint8_t)type};
}

static struct net_iface iface(const char *name, unsigned mtu, const char *address)
{
    struct net_iface i = {.mtu = mtu, .up = true, .n_addrs = address != NULL};

    strcpy(i.name, name);
    if (address)
        i.addrs[0] = CIDR(address);
    return i;
}

static void least_of_those_with_tunnels(void **state)
{
    struct ifaces *f = ifaces_new();
    struct net_iface i;

    (void)state;
    assert_int_equal(overlay_mtu(NULL, f, 1500), 1500);
    assert_int_equal(overlay_mtu(&host, f, 0), 65535);
    zone("192.0.2.1", FLOW_TUNNEL_VXLAN);
    assert_int_equal(overlay_mtu(&host, f, 1500), 1500); /* its interface isn't there */
    i = iface("eth0", 1500, "192.0.2.1/24");
    ifaces_set(f, &i, false);
    assert_int_equal(overlay_mtu(&host, f, 1500), 1450);
    assert_int_equal(overlay_mtu(&host, f, 1400), 1400);
    i = iface("small", 600, "10.0.0.1/24"); /* in no zone */
    ifaces_set(f, &i, false);
    i = iface("none", 500, NULL);
    ifaces_set(f, &i, false);
    assert_int_equal(overlay_mtu(&host, f, 1500), 1450);
    zone("2001:db8::1", FLOW_TUNNEL_VXLAN);
    i = iface("eth1", 1400, "2001:db8::1/64");
    ifaces_set(f, &i, false);
    assert_int_equal(overlay_mtu(&host, f, 1500), 1330);
    ifaces_set(f, &i, true);
    assert_int_equal(overlay_mtu(&host, f, 1500), 1450);
    i = iface("eth0", 9000, "192.0.2.1/24");
    ifaces_set(f, &i, false);
    assert_int_equal(overlay_mtu(&host, f, 1500), 1500);
    assert_int_equal(overlay_mtu(&host, f, 0), 8950);
    zones[0].type = FLOW_TUNNEL_GRE;
    assert_int_equal(overlay_mtu(&host, f, 0), 8954);
    i = iface("eth0", 100000, "192.0.2.1/24");
    ifaces_set(f, &i, false);
    assert_int_equal(overlay_mtu(&host, f, 0), 65535);
    i = iface("eth0", 60, "192.0.2.1/24"); /* nothing would be left */
    ifaces_set(f, &i, false);
    assert_int_equal(overlay_mtu(&host, f, 1500), 1500);
    ifaces_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(least_of_those_with_tunnels)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
