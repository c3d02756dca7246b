/* Hosts: registration, bindings, active ports, tunnel keys, zones, death and return, two lives of
 * one host. */

#include "topo_cloud.h"

struct fixture {
    struct cloud c;
    struct uuid bridge, p1, p2, zone;
    struct agent *a, *b; /* p1 is bound on a's host, p2 on b's */
};

static void bind_port(struct cloud *c, const struct uuid *port, const struct agent *a,
                      const char *ifname)
{
    change(c, ST_PORT, port, "{'hostId':'%s','interfaceName':'%s'}", text_of(&a->host), ifname);
}

static struct fixture *up(void)
{
    struct fixture *f = NEW(struct fixture);
    struct cloud *c = &f->c;

    cloud_open(c);
    f->a = agent_start(c, "h1");
    f->b = agent_start(c, "h2");
    settle(f->a, f->b);
    f->zone = zone_of(f->a, f->b);
    f->bridge = make(c, ST_BRIDGE, "{'name':'b'}");
    f->p1 = make(c, ST_PORT, "{'bridgeId':'%s'}", text_of(&f->bridge));
    f->p2 = make(c, ST_PORT, "{'bridgeId':'%s'}", text_of(&f->bridge));
    bind_port(c, &f->p1, f->a, "tap1");
    bind_port(c, &f->p2, f->b, "tap2");
    settle(f->a, f->b);
    load(f->a, TOPO_BRIDGE, &f->bridge);
    load(f->b, TOPO_BRIDGE, &f->bridge);
    return f;
}

static void down(struct fixture *f)
{
    if (f->a)
        agent_stop(f->a);
    if (f->b)
        agent_stop(f->b);
    cloud_close(&f->c);
    free(f);
}

static void a_host_registers(void **state)
{
    struct fixture *f = up();
    struct error e;
    json_t *host, *ifs;

    assert_int_equal(objects_get(f->c.db, ST_HOST, &f->a->host, &host, &e), 0);
    assert_string_equal(json_string_value(json_object_get(host, "name")), "h1");
    assert_true(json_is_true(json_object_get(host, "alive")));
    json_decref(host);

    ifs = json_pack("[{s:s,s:s,s:b}]", "name", "tap1", "mac", "02:00:00:00:00:01", "up", 1);
    sync_host(f->a->sync, "renamed", ifs);
    json_decref(ifs);
    settle(f->a, f->b);
    assert_int_equal(objects_get(f->c.db, ST_HOST, &f->a->host, &host, &e), 0);
    assert_string_equal(json_string_value(json_object_get(host, "name")), "renamed");
    ifs = json_object_get(host, "hostInterfaces");
    assert_int_equal(json_array_size(ifs), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(ifs, 0), "name")), "tap1");
    json_decref(host);
    down(f);
    (void)state;
}

static void bindings_are_told(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    size_t calls = a->n_bound_calls;

    assert_int_equal(a->n_bindings, 1);
    assert_true(uuid_equal(&a->bindings[0].id, &f->p1));
    assert_string_equal(a->bindings[0].ifname, "tap1");
    assert_int_equal(a->bindings[0].port, ref_of(a, &f->p1));

    struct uuid p3 = make(&f->c, ST_PORT, "{'bridgeId':'%s'}", text_of(&f->bridge));
    settle(a, f->b);
    assert_int_equal(a->n_bound_calls, calls); /* not our business yet */
    bind_port(&f->c, &p3, a, "tap3");
    settle(a, f->b);
    assert_int_equal(a->n_bindings, 2);
    assert_int_equal(a->n_bound_calls, calls + 1);
    assert_int_equal(f->b->n_bindings, 1);

    bind_port(&f->c, &p3, f->b, "tap3"); /* moves */
    settle(a, f->b);
    assert_int_equal(a->n_bindings, 1);
    assert_int_equal(f->b->n_bindings, 2);
    destroy(&f->c, ST_PORT, &f->p1);
    settle(a, f->b);
    assert_int_equal(a->n_bindings, 0);
    down(f);
    (void)state;
}

static void no_binding_is_told_too(void **state)
{
    struct cloud c;
    cloud_open(&c);
    struct agent *a = agent_start(&c, "h1");

    settle(a);
    assert_int_equal(a->n_bound_calls, 1);
    assert_int_equal(a->n_bindings, 0);
    agent_stop(a);
    cloud_close(&c);
    (void)state;
}

static void active_ports_are_seen_by_all(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a, *b = f->b;
    topo_ref p2 = ref_of(a, &f->p2);

    assert_int_equal(topo_bridge(a->topo, ref_of(a, &f->bridge))->n_exterior, 2);
    assert_false(port_of(a, &f->p2)->active);
    a->n_changes = 0;
    uint32_t key = sync_port_up(b->sync, ref_of(b, &f->p2), 0);
    assert_int_equal(key >> 20, 1);
    settle(a, b);
    assert_true(port_of(a, &f->p2)->active);
    assert_true(port_of(b, &f->p2)->active);
    assert_int_equal(port_of(a, &f->p2)->tunnel_key, key);
    assert_int_equal(port_of(a, &f->p2)->host, ref_of(a, &b->host));
    assert_true(was_announced(a, tag_object(p2)));
    assert_true(was_announced(a, tag_flood(ref_of(a, &f->bridge))));
    assert_false(was_announced(a, tag_object(ref_of(a, &f->p1))));
    assert_int_equal(sync_port_up(b->sync, ref_of(b, &f->p2), 0), key); /* once more: the same */

    /* how a reads b's host */
    const struct topo_host *h = topo_host(a->topo, ref_of(a, &b->host));
    assert_true(h->alive);
    assert_int_equal(h->n_zones, 1);
    struct ip ip = ip_of("192.0.2.2");
    assert_true(ip_equal(&h->zones[0].ip, &ip));

    a->n_changes = 0;
    sync_port_down(b->sync, ref_of(b, &f->p2));
    settle(a, b);
    assert_false(port_of(a, &f->p2)->active);
    assert_true(was_announced(a, tag_object(p2)));
    assert_int_equal(status_of(b).n_unshared, 0);
    down(f);
    (void)state;
}

static void tunnel_keys_are_unique(void **state)
{
    struct fixture *f = up();
    uint32_t keys[64];
    struct uuid ids[64];

    for (int i = 0; i < 64; i++) {
        ids[i] = make(&f->c, ST_PORT, "{'bridgeId':'%s'}", text_of(&f->bridge));
        settle(f->a);
        keys[i] = sync_port_up(f->a->sync, ref_of(f->a, &ids[i]), i % 2 ? 0x123456 : 0);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(keys[i], keys[j]);
        assert_int_equal(keys[i] >> 20, 1);
    }
    assert_int_equal(keys[1], 0x123456);
    settle(f->a);
    sync_port_down(f->a->sync, ref_of(f->a, &ids[1]));
    settle(f->a);
    assert_int_equal(sync_port_up(f->a->sync, ref_of(f->a, &ids[1]), 0x123456), 0x123456);
    settle(f->a);
    for (int i = 0; i < 64; i++)
        destroy(&f->c, ST_PORT, &ids[i]);
    settle(f->a);
    down(f);
    (void)state;
}

static void a_dead_host_serves_nothing(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    struct uuid host = f->b->host;
    topo_ref p2 = ref_of(a, &f->p2), h = ref_of(a, &host);

    uint32_t key = sync_port_up(f->b->sync, ref_of(f->b, &f->p2), 0);
    settle(a, f->b);
    a->n_changes = 0;
    agent_stop(f->b);
    settle(a);
    assert_false(topo_host(a->topo, h)->alive);
    assert_false(topo_port(a->topo, p2)->active);
    assert_true(topo_port(a->topo, p2)->silent); /* who knows */
    assert_int_equal(topo_port(a->topo, p2)->tunnel_key, key);
    assert_true(was_announced(a, tag_tunnel(h)));
    assert_true(was_announced(a, tag_object(p2)));
    assert_true(was_announced(a, tag_flood(ref_of(a, &f->bridge))));
    assert_false(was_announced(a, tag_object(ref_of(a, &f->bridge))));

    f->b = agent_open(&f->c, &host);
    agent_register(f->b, "h2");
    settle(a, f->b);
    assert_true(topo_host(a->topo, h)->alive);
    assert_false(topo_port(a->topo, p2)->active); /* not before it says so */
    assert_false(topo_port(a->topo, p2)->silent);
    assert_int_equal(topo_port(a->topo, p2)->tunnel_key, 0);
    assert_int_equal(f->b->n_bindings, 1);
    assert_int_equal(sync_port_up(f->b->sync, f->b->bindings[0].port, 0), key);
    settle(a, f->b);
    assert_true(topo_port(a->topo, p2)->active);
    down(f);
    (void)state;
}

/* The agent is killed and started again before its session has timed out: what the first life left
 * in the store doesn't count, and is replaced. */
static void a_second_life_replaces_the_first(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a, *first = f->b;
    topo_ref p2 = ref_of(a, &f->p2);
    struct mac m = {{2, 0, 0, 0, 0, 9}};

    sync_port_up(first->sync, ref_of(first, &f->p2), 0);
    sync_learn_mac(first->learner, f->c.now, ref_of(first, &f->bridge), 0, &m,
                   ref_of(first, &f->p2));
    settle(a, first);
    const struct topo_bridge *br = topo_bridge(a->topo, ref_of(a, &f->bridge));
    assert_int_equal(topo_mac_lookup(br->macs, 0, &m), p2);

    f->b = agent_open(&f->c, &first->host);
    agent_register(f->b, "h2");
    settle(a, f->b);
    assert_true(topo_host(a->topo, ref_of(a, &first->host))->alive);
    assert_false(topo_port(a->topo, p2)->active);
    assert_int_equal(topo_mac_lookup(br->macs, 0, &m), 0);

    uint32_t key = sync_port_up(f->b->sync, f->b->bindings[0].port, 0x1abcde);
    settle(a, f->b);
    assert_true(topo_port(a->topo, p2)->active);
    assert_int_equal(topo_port(a->topo, p2)->tunnel_key, key);
    agent_stop(first); /* the old session ends now; nothing of the new life is touched */
    settle(a, f->b);
    assert_true(topo_port(a->topo, p2)->active);
    assert_true(topo_host(a->topo, ref_of(a, &f->b->host))->alive);
    down(f);
    (void)state;
}

/* The next life of a host, which says that it is alive together with its ports. */
static struct agent *next_life(struct cloud *c, const struct uuid *host, const char *name)
{
    struct sync_options o = {.host = *host, .ports_ns = 3 * NSEC_PER_SEC};
    struct agent *a = NEW(struct agent);
    struct store *store;
    struct error e;

    assert_int_equal(store_open(c->url, NULL, &store, &e), 0);
    agent_with(a, c, store, &o);
    agent_register(a, name);
    return a;
}

/* Each sees what the other does, a millisecond later; to 'a', b's port is served all the time. */
static void served_for(struct fixture *f, unsigned ms, uint32_t key)
{
    for (unsigned i = 0; i < ms; i++) {
        sync_run(f->b->sync, f->c.now);
        sync_run(f->a->sync, f->c.now);
        f->c.now += NSEC_PER_MSEC;
        const struct topo_port *p = port_of(f->a, &f->p2);
        assert_true(p->active || p->silent);
        assert_int_equal(p->tunnel_key, key);
    }
}

static void come_back(bool killed)
{
    struct fixture *f = up();
    struct agent *first = f->b;
    struct uuid host = first->host;

    uint32_t key = sync_port_up(first->sync, ref_of(first, &f->p2), 0);
    settle(f->a, first);
    if (!killed) { /* else its session lives on for a while */
        agent_stop(first);
        settle(f->a);
    }
    uint64_t rev = port_of(f->a, &f->p2)->obj.rev;
    f->b = next_life(&f->c, &host, "h2");
    served_for(f, 50, key);
    assert_int_equal(f->b->n_bindings, 1);
    sync_port_up(f->b->sync, f->b->bindings[0].port, key);
    served_for(f, 50, key);
    assert_int_equal(port_of(f->a, &f->p2)->active, killed);
    sync_ports_told(f->b->sync);
    served_for(f, 100, key);
    assert_true(port_of(f->a, &f->p2)->active);
    assert_true(topo_host(f->a->topo, ref_of(f->a, &host))->alive);
    if (killed) { /* not even for a moment was it anything else */
        assert_int_equal(port_of(f->a, &f->p2)->obj.rev, rev);
        agent_stop(first);
        served_for(f, 100, key);
        assert_true(port_of(f->a, &f->p2)->active);
    }
    down(f);
}

static void a_host_comes_back_with_its_ports(void **state)
{
    come_back(false);
    come_back(true);
    (void)state;
}

/* Nobody says that all ports are named, or one of them can't be had. */
static void ports_are_not_awaited_for_ever(void **state)
{
    struct fixture *f = up();
    struct uuid host = f->b->host;

    agent_stop(f->b);
    settle(f->a);
    uint64_t began = f->c.now;
    f->b = next_life(&f->c, &host, "h2");
    while (!topo_host(f->a->topo, ref_of(f->a, &host))->alive) {
        assert_true(f->c.now < began + 10 * NSEC_PER_SEC);
        sync_run(f->b->sync, f->c.now);
        sync_run(f->a->sync, f->c.now);
        f->c.now += 10 * NSEC_PER_MSEC;
    }
    assert_true(f->c.now >= began + 3 * NSEC_PER_SEC);
    down(f);
    (void)state;
}

static void zones_are_followed(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    topo_ref h1 = ref_of(a, &a->host), h2 = ref_of(a, &f->b->host);
    struct uuid vtep = make(&f->c, ST_TUNNEL_ZONE, "{'name':'v','type':'vtep'}");
    struct uuid gre = make(&f->c, ST_TUNNEL_ZONE, "{'name':'g','type':'gre'}");
    struct ip ip = ip_of("203.0.113.99");

    a->n_changes = 0;
    join(&f->c, &vtep, f->b, "198.51.100.2"); /* no overlay */
    destroy(&f->c, ST_TUNNEL_ZONE, &f->zone);
    settle(a, f->b);
    assert_int_equal(topo_host(a->topo, h2)->n_zones, 0);
    assert_int_equal(topo_host(a->topo, h1)->n_zones, 0);
    assert_true(was_announced(a, tag_tunnel(h2)));
    struct uuid m = join(&f->c, &gre, f->b, "203.0.113.2");
    settle(a, f->b);
    assert_int_equal(topo_host(a->topo, h2)->n_zones, 0); /* a isn't in it, so it doesn't matter */
    join(&f->c, &gre, a, "203.0.113.1");
    settle(a, f->b);
    assert_int_equal(topo_host(a->topo, h2)->n_zones, 1);
    assert_int_equal(topo_host(a->topo, h1)->n_zones, 1);

    a->n_changes = 0;
    change(&f->c, ST_TUNNEL_ZONE_HOST, &m, "{'ipAddress':'203.0.113.99'}");
    settle(a, f->b);
    assert_true(ip_equal(&topo_host(a->topo, h2)->zones[0].ip, &ip));
    assert_true(was_announced(a, tag_tunnel(h2)));
    assert_false(was_announced(a, tag_tunnel(h1)));
    destroy(&f->c, ST_TUNNEL_ZONE_HOST, &m);
    settle(a, f->b);
    assert_int_equal(topo_host(a->topo, h2)->n_zones, 0);
    assert_int_equal(topo_host(a->topo, h1)->n_zones, 1);
    down(f);
    (void)state;
}

static void a_change_elsewhere_costs_nothing_here(void **state)
{
    struct fixture *f = up();
    struct uuid other = make(&f->c, ST_BRIDGE, "{'name':'other'}");
    struct uuid r = make(&f->c, ST_ROUTER, "{'name':'r'}");

    settle(f->a, f->b);
    uint64_t reads = status_of(f->a).reads;
    for (int i = 0; i < 20; i++) {
        struct uuid p = make(&f->c, ST_PORT, "{'bridgeId':'%s'}", text_of(&other));
        bind_port(&f->c, &p, f->b, i % 2 ? "x1" : "x2");
        destroy(&f->c, ST_PORT, &p);
        make(&f->c, ST_PORT, "{'routerId':'%s','portSubnet':['10.%d.0.1/24']}", text_of(&r), i);
        settle(f->a, f->b);
    }
    assert_int_equal(status_of(f->a).reads, reads);
    down(f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_registers),
        cmocka_unit_test(bindings_are_told),
        cmocka_unit_test(no_binding_is_told_too),
        cmocka_unit_test(active_ports_are_seen_by_all),
        cmocka_unit_test(tunnel_keys_are_unique),
        cmocka_unit_test(a_dead_host_serves_nothing),
        cmocka_unit_test(a_second_life_replaces_the_first),
        cmocka_unit_test(a_host_comes_back_with_its_ports),
        cmocka_unit_test(ports_are_not_awaited_for_ever),
        cmocka_unit_test(zones_are_followed),
        cmocka_unit_test(a_change_elsewhere_costs_nothing_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
