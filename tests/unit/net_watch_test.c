/*  netns wt-<pid>:  lo   wta --veth-- wtb      watched while things are made, changed and removed
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/link.h"
#include "net/netns.h"
#include "net/watch.h"

static unsigned n_gone;
static char last_gone[16];

static void on_change(const struct net_iface *iface, bool gone, void *aux)
{
    (void)aux;
    if (gone) {
        n_gone++;
        snprintf(last_gone, sizeof last_gone, "%s", iface->name);
    }
}

typedef bool condition(struct net_watch *w);

static bool comes_true(struct net_watch *w, condition *c)
{
    uint64_t end = clock_ns() + 60 * NSEC_PER_SEC;

    while (!c(w)) {
        struct pollfd p = {.fd = net_watch_fd(w), .events = POLLIN};
        if (clock_ns() > end)
            return false;
        poll(&p, 1, 100);
        net_watch_run(w);
    }
    return true;
}

static bool both_there(struct net_watch *w)
{
    return net_watch_find(w, "wta") && net_watch_find(w, "wtb");
}

static bool has_carrier(struct net_watch *w)
{
    const struct net_iface *a = net_watch_find(w, "wta");

    return a && a->up && a->carrier;
}

static bool carrier_lost(struct net_watch *w)
{
    const struct net_iface *a = net_watch_find(w, "wta");

    return a && a->up && !a->carrier;
}

static bool has_addresses(struct net_watch *w)
{
    const struct net_iface *a = net_watch_find(w, "wta");
    struct cidr v4, v6;
    unsigned n = 0;

    cidr_parse("10.1.2.3/24", &v4);
    cidr_parse("fd00::7/64", &v6);
    for (unsigned i = 0; a && i < a->n_addrs; i++) {
        const struct cidr *c = &a->addrs[i];
        n += (ip_equal(&c->addr, &v4.addr) && c->len == 24) ||
             (ip_equal(&c->addr, &v6.addr) && c->len == 64);
    }
    return n == 2;
}

static bool mtu_changed(struct net_watch *w)
{
    const struct net_iface *a = net_watch_find(w, "wta");

    return a && a->mtu == 1400;
}

static bool none_there(struct net_watch *w)
{
    return !net_watch_find(w, "wta") && !net_watch_find(w, "wtb");
}

static void add_address(const char *text)
{
    struct cidr c;

    assert_int_equal(cidr_parse(text, &c), 0);
    assert_int_equal(net_addr_add("wta", &c, NULL), 0);
}

static void follows_changes(void **state)
{
    struct net_watch *w;
    struct error e = {0};

    (void)state;
    assert_int_equal(net_watch_open(on_change, NULL, &w, &e), 0);
    const struct net_iface *lo = net_watch_find(w, "lo");
    assert_non_null(lo);
    assert_true(lo->loopback);
    assert_null(net_watch_next(w, lo));

    assert_int_equal(net_veth_add("wta", "wtb", -1, &e), 0);
    assert_true(comes_true(w, both_there));
    assert_string_equal(net_watch_find(w, "wta")->kind, "veth");
    assert_false(mac_is_zero(&net_watch_find(w, "wta")->mac));
    assert_false(net_watch_find(w, "wta")->up);

    net_link_up("wta", true, &e);
    net_link_up("wtb", true, &e);
    assert_true(comes_true(w, has_carrier));
    add_address("10.1.2.3/24");
    add_address("fd00::7/64");
    assert_true(comes_true(w, has_addresses));
    net_link_mtu("wta", 1400, &e);
    assert_true(comes_true(w, mtu_changed));
    net_link_up("wtb", false, &e);
    assert_true(comes_true(w, carrier_lost));
    assert_true(has_addresses(w));

    n_gone = 0;
    assert_int_equal(net_link_del("wta"), 0);
    assert_true(comes_true(w, none_there));
    assert_int_equal(n_gone, 2);
    net_watch_close(w);
}

/* 300 pairs come while nobody reads: announcements are lost and everything is read again. */
static void survives_a_burst(void **state)
{
    struct net_watch *w;
    char a[16], b[16];
    unsigned n = 0;

    (void)state;
    assert_int_equal(net_watch_open(on_change, NULL, &w, NULL), 0);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(a, sizeof a, "wta%u", i);
        snprintf(b, sizeof b, "wtb%u", i);
        assert_int_equal(net_veth_add(a, b, -1, NULL), 0);
        net_link_up(a, true, NULL);
        net_link_up(b, true, NULL);
    }
    net_watch_run(w);
    for (const struct net_iface *i = net_watch_next(w, NULL); i; i = net_watch_next(w, i))
        n += i->up;
    assert_true(n >= 600);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(a, sizeof a, "wta%u", i);
        net_link_del(a);
    }
    net_watch_run(w);
    assert_true(none_there(w));
    assert_null(net_watch_find(w, "wtb299"));
    net_watch_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_changes),
        cmocka_unit_test(survives_a_burst),
    };
    char name[32];
    int back;

    snprintf(name, sizeof name, "wt-%d", getpid());
    if (geteuid() || netns_add(name, NULL)) {
        puts("needs root: network namespaces");
        return 77;
    }
    back = netns_enter(name, NULL);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    netns_leave(back);
    netns_del(name);
    return rc;
}
