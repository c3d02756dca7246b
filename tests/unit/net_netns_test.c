/* core/net: a namespace, a veth pair into it, addresses.
 *
 *   (here) mnt-a ---- mnt-b (namespace mnt-test)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "net/link.h"
#include "net/netns.h"

static int setup(void **state)
{
    (void)state;
    net_link_del("mnt-a");
    return netns_del("mnt-test");
}

static void pair_across(void **state)
{
    (void)state;
    struct error e = {0};
    struct cidr c;

    assert_int_equal(netns_add("mnt-test", &e), 0);
    assert_int_equal(netns_add("mnt-test", &e), -EEXIST);
    int ns = netns_open("mnt-test", &e);
    assert_true(ns >= 0);
    assert_int_equal(net_veth_add("mnt-a", "mnt-b", ns, &e), 0);
    assert_int_equal(net_veth_add("mnt-a", "mnt-b", ns, &e), -EEXIST);
    assert_true(if_nametoindex("mnt-a"));
    assert_false(if_nametoindex("mnt-b"));
    int back = netns_enter("mnt-test", &e);
    assert_true(back >= 0);
    assert_true(if_nametoindex("mnt-b"));
    assert_int_equal(net_link_mtu("mnt-b", 1400, &e), 0);
    cidr_parse("10.1.1.1/24", &c);
    assert_int_equal(net_addr_add("mnt-b", &c, &e), 0);
    assert_int_equal(net_addr_add("mnt-b", &c, &e), -EEXIST);
    cidr_parse("fd00::1/64", &c);
    assert_int_equal(net_addr_add("mnt-b", &c, &e), 0);
    assert_int_equal(net_link_up("mnt-b", true, &e), 0);
    netns_leave(back);
    assert_false(if_nametoindex("mnt-b"));
    assert_int_equal(net_link_up("mnt-nothing", true, &e), -ENODEV);
    close(ns);
    assert_int_equal(net_link_del("mnt-a"), 0);
    assert_int_equal(net_link_del("mnt-a"), 0);
    assert_int_equal(netns_del("mnt-test"), 0);
    assert_int_equal(netns_open("mnt-test", &e), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(pair_across, setup, setup)};

    if (geteuid()) {
        puts("needs root: network namespaces");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
