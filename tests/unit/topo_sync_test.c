/* The loader: what is loaded, kept current, announced, when it goes and when it can't be read. */

#include "topo_cloud.h"

struct fixture {
    struct cloud c;
    struct uuid bridge, router, inside, outside, vm;
    struct agent *a;
};

/*   vm -- bridge -- inside [router] outside   */
static struct fixture *up(void)
{
    struct fixture *f = NEW(struct fixture);
    struct cloud *c = &f->c;

    cloud_open(c);
    f->bridge = make(c, ST_BRIDGE, "{'name':'b'}");
    f->router = make(c, ST_ROUTER, "{'name':'r'}");
    f->inside = make(c, ST_PORT,
                     "{'routerId':'%s','portMac':'ac:ca:ba:00:00:01','portSubnet':['10.0.0.1/24']}",
                     text_of(&f->router));
    f->outside =
        make(c, ST_PORT, "{'routerId':'%s','portSubnet':['192.0.2.1/24','2001:db8::1/64']}",
             text_of(&f->router));
    f->vm = make(c, ST_PORT, "{'bridgeId':'%s','peerId':'%s'}", text_of(&f->bridge),
                 text_of(&f->inside));
    f->a = agent_start(c, "h1");
    settle(f->a);
    return f;
}

static void down(struct fixture *f)
{
    agent_stop(f->a);
    cloud_close(&f->c);
    free(f);
}

static void devices_load_with_their_parts(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    topo_ref bridge = load(a, TOPO_BRIDGE, &f->bridge);
    const struct topo_bridge *b = topo_bridge(a->topo, bridge);

    assert_string_equal(b->obj.name, "b");
    assert_true(b->admin_up);
    assert_int_equal(b->n_exterior, 0);
    assert_int_equal(b->n_links, 1);
    assert_int_equal(b->links[0].port, ref_of(a, &f->vm));
    assert_int_equal(b->links[0].peer, ref_of(a, &f->inside));
    assert_int_equal(b->links[0].peer_device, ref_of(a, &f->router));
    assert_int_equal(b->links[0].peer_kind, TOPO_ROUTER);
    assert_int_equal(mac_u64(&b->links[0].mac), 0xaccaba000001);
    assert_int_equal(b->links[0].n_addrs, 1);
    assert_null(topo_get(a->topo, ref_of(a, &f->router))); /* lazily */

    /* a port brings its device */
    topo_ref out = load(a, TOPO_PORT, &f->outside);
    const struct topo_port *p = topo_port(a->topo, out);
    const struct topo_router *r = topo_router(a->topo, p->device);
    assert_int_equal(p->n_addrs, 2);
    assert_int_equal(p->device_kind, TOPO_ROUTER);
    assert_int_equal(r->n_ports, 2);
    assert_int_equal(topo_lpm_size(r->routes), 3); /* LOCAL, one for each address */
    struct topo_lpm_result res;
    struct ip dst = ip_of("2001:db8::1");
    topo_lpm_lookup(r->routes, &dst, &dst, NULL, NULL, &res);
    assert_int_equal(res.n, 1);
    assert_int_equal(res.best[0]->hop, TOPO_HOP_LOCAL);
    assert_int_equal(res.best[0]->port, out);
    assert_int_equal(status_of(a).n_needs, 0);
    assert_true(status_of(a).n_watches < 10);
    down(f);
    (void)state;
}

static void *ask(void *aux)
{
    struct agent *a = aux;

    for (int i = 0; i < 1000; i++)
        sync_need(a->sync, (topo_ref)(1 + i % 2));
    return NULL;
}

static void needs_come_from_any_thread(void **state)
{
    struct fixture *f = up();
    topo_ref ref = topo_intern(f->a->topo, TOPO_BRIDGE, &f->bridge);
    pthread_t t;

    assert_true(ref <= 2);
    size_t before = f->a->n_loaded;
    pthread_create(&t, NULL, ask, f->a);
    for (int i = 0; i < 10; i++)
        sync_run(f->a->sync, f->c.now);
    pthread_join(t, NULL);
    settle(f->a);
    assert_true(f->a->n_loaded > before);
    assert_non_null(topo_get(f->a->topo, ref));
    assert_int_equal(status_of(f->a).n_needs, 0);
    down(f);
    (void)state;
}

static void changes_are_followed_and_announced(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    topo_ref bridge = load(a, TOPO_BRIDGE, &f->bridge), router = load(a, TOPO_ROUTER, &f->router);
    topo_ref inside = ref_of(a, &f->inside), vm = ref_of(a, &f->vm);
    struct mac old = topo_port(a->topo, inside)->mac, new;

    /* a router port's MAC: its port, and the bridge's link to it */
    a->n_changes = 0;
    change(&f->c, ST_PORT, &f->inside, "{'portMac':'ac:ca:ba:00:00:02'}");
    settle(a);
    new = topo_port(a->topo, inside)->mac;
    assert_int_equal(mac_u64(&new), 0xaccaba000002);
    assert_true(mac_equal(&topo_bridge(a->topo, bridge)->links[0].mac, &new));
    assert_true(was_announced(a, tag_object(inside)));
    assert_true(was_announced(a, tag_bridge_mac(bridge, 0, &old)));
    assert_true(was_announced(a, tag_bridge_mac(bridge, 0, &new)));
    assert_false(was_announced(a, tag_object(vm)));
    assert_false(was_announced(a, tag_object(bridge)));
    assert_false(was_announced(a, tag_object(router)));

    /* a route: its destinations, and nothing else */
    a->n_changes = 0;
    struct uuid route = make(&f->c, ST_ROUTE,
                             "{'routerId':'%s','type':'Normal','srcNetworkAddr':'0.0.0.0/0',"
                             "'dstNetworkAddr':'10.9.0.0/16','nextHopPort':'%s','weight':5}",
                             text_of(&f->router), text_of(&f->outside));
    settle(a);
    assert_int_equal(topo_lpm_size(topo_router(a->topo, router)->routes), 4);
    assert_true(was_rerouted(a, router, "10.9.0.0/16"));
    assert_int_equal(a->n_changes, 1);
    a->n_changes = 0;
    change(&f->c, ST_ROUTE, &route, "{'dstNetworkAddr':'10.8.0.0/16'}");
    settle(a);
    assert_true(was_rerouted(a, router, "10.9.0.0/16"));
    assert_true(was_rerouted(a, router, "10.8.0.0/16"));
    a->n_changes = 0;
    destroy(&f->c, ST_ROUTE, &route);
    settle(a);
    assert_int_equal(topo_lpm_size(topo_router(a->topo, router)->routes), 3);
    assert_true(was_rerouted(a, router, "10.8.0.0/16"));
    assert_int_equal(a->n_changes, 1);

    /* the device itself */
    a->n_changes = 0;
    change(&f->c, ST_ROUTER, &f->router, "{'adminStateUp':false}");
    settle(a);
    assert_false(topo_router(a->topo, router)->admin_up);
    assert_true(was_announced(a, tag_object(router)));
    assert_int_equal(a->n_changes, 1);

    /* a name is nobody's dependency */
    a->n_changes = 0;
    change(&f->c, ST_BRIDGE, &f->bridge, "{'name':'renamed'}");
    settle(a);
    assert_string_equal(topo_get(a->topo, bridge)->name, "renamed");
    assert_int_equal(a->n_changes, 0);

    /* unlinked */
    change(&f->c, ST_PORT, &f->vm, "{'peerId':null}");
    settle(a);
    assert_int_equal(topo_bridge(a->topo, bridge)->n_links, 0);
    assert_int_equal(topo_port(a->topo, inside)->peer, 0);
    assert_true(was_announced(a, tag_bridge_mac(bridge, 0, &new)));
    assert_true(was_announced(a, tag_object(vm)));
    assert_true(was_announced(a, tag_object(inside)));
    down(f);
    (void)state;
}

static void the_missing_appears_and_goes(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    struct uuid id = uuid_n(12345), port_id = uuid_n(777);
    topo_ref bridge = load(a, TOPO_BRIDGE, &id), port = load(a, TOPO_PORT, &port_id);

    assert_true(topo_get(a->topo, bridge)->missing);
    assert_true(topo_get(a->topo, port)->missing);
    assert_int_equal(status_of(a).n_missing, 2);
    a->n_changes = 0;
    make(&f->c, ST_BRIDGE, "{'id':'%s','name':'late'}", text_of(&id));
    settle(a);
    assert_false(topo_get(a->topo, bridge)->missing);
    assert_true(was_announced(a, tag_object(bridge)));
    make(&f->c, ST_PORT, "{'id':'%s','bridgeId':'%s'}", text_of(&port_id), text_of(&id));
    settle(a);
    assert_false(topo_get(a->topo, port)->missing);
    assert_true(was_announced(a, tag_object(port)));
    assert_int_equal(topo_port(a->topo, port)->device, bridge);
    assert_int_equal(status_of(a).n_missing, 0);
    struct sync_status before = status_of(a);

    a->n_changes = 0;
    destroy(&f->c, ST_BRIDGE, &id);
    settle(a);
    assert_true(topo_get(a->topo, bridge)->missing);
    assert_true(topo_get(a->topo, port)->missing);
    assert_true(was_announced(a, tag_object(bridge)));
    assert_true(was_announced(a, tag_object(port)));
    assert_int_equal(status_of(a).n_missing, 2);
    assert_int_equal(status_of(a).n_objects[TOPO_BRIDGE], before.n_objects[TOPO_BRIDGE] - 1);
    assert_int_equal(status_of(a).n_objects[TOPO_PORT], before.n_objects[TOPO_PORT] - 1);
    make(&f->c, ST_BRIDGE, "{'id':'%s','name':'again'}", text_of(&id));
    settle(a);
    assert_string_equal(topo_get(a->topo, bridge)->name, "again");
    assert_int_equal(topo_bridge(a->topo, bridge)->n_exterior, 0);
    down(f);
    (void)state;
}

static void placeholders_are_bounded(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;

    for (unsigned i = 0; i < 3000; i++) {
        struct uuid id = uuid_n(100000 + i);
        sync_load(a->sync, i % 2 ? TOPO_BRIDGE : TOPO_PORT, &id);
    }
    settle(a);
    assert_true(status_of(a).n_watches < 1100);
    assert_true(status_of(a).n_missing <= 1024);
    struct uuid last = uuid_n(102999);
    assert_true(topo_get(a->topo, ref_of(a, &last))->missing);
    make(&f->c, ST_BRIDGE, "{'id':'%s'}", text_of(&last));
    settle(a);
    assert_false(topo_get(a->topo, ref_of(a, &last))->missing);
    down(f);
    (void)state;
}

static void a_long_absence_is_made_up_by_reading_what_changed(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    topo_ref bridge = load(a, TOPO_BRIDGE, &f->bridge);
    uint64_t reloads = status_of(a).reloads;
    struct uuid ids[100];

    for (int i = 0; i < 100; i++)
        ids[i] = make(&f->c, ST_PORT, "{'bridgeId':'%s'}", text_of(&f->bridge));
    for (int i = 0; i < 100; i += 2)
        destroy(&f->c, ST_PORT, &ids[i]);
    destroy(&f->c, ST_PORT, &f->vm);
    settle(a);
    assert_int_equal(status_of(a).reloads, reloads);
    assert_true(topo_get(a->topo, ref_of(a, &f->vm))->missing);
    assert_int_equal(topo_bridge(a->topo, bridge)->n_links, 0);
    for (int i = 1; i < 100; i += 2)
        assert_false(topo_get(a->topo, ref_of(a, &ids[i]))->missing);
    down(f);
    (void)state;
}

static void where_the_log_ends_all_is_read(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    topo_ref bridge = load(a, TOPO_BRIDGE, &f->bridge);
    uint64_t reloads = status_of(a).reloads;
    char path[STORE_PATH_MAX];
    struct uuid ids[100];

    for (int i = 0; i < 100; i++)
        ids[i] = make(&f->c, ST_PORT, "{'bridgeId':'%s'}", text_of(&f->bridge));
    destroy(&f->c, ST_PORT, &f->vm);
    objects_path(ST_BRIDGE, &f->bridge, path);
    strcat(path, "/earlier");
    assert_int_equal(store_delete(f->c.store, path, STORE_ANY, NULL), 0);
    settle(a);
    assert_int_equal(status_of(a).reloads, reloads + 1);
    assert_true(topo_get(a->topo, ref_of(a, &f->vm))->missing);
    assert_int_equal(topo_bridge(a->topo, bridge)->n_links, 0);
    for (int i = 0; i < 100; i++)
        assert_false(topo_get(a->topo, ref_of(a, &ids[i]))->missing);
    down(f);
    (void)state;
}

static void seeds_are_kept(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    topo_ref bridge = load(a, TOPO_BRIDGE, &f->bridge);
    struct uuid p = make(&f->c, ST_PORT, "{'bridgeId':'%s'}", text_of(&f->bridge));
    struct mac m = {{2, 0, 0, 0, 0, 7}}, n = {{2, 0, 0, 0, 0, 8}};
    const struct topo_bridge *b;

    a->n_changes = 0;
    struct uuid seed =
        make(&f->c, ST_MAC_PORT, "{'bridgeId':'%s','macAddr':'02:00:00:00:00:07','portId':'%s'}",
             text_of(&f->bridge), text_of(&p));
    struct uuid addr =
        make(&f->c, ST_IP_MAC, "{'bridgeId':'%s','ip':'10.0.0.7','mac':'02:00:00:00:00:07'}",
             text_of(&f->bridge));
    settle(a);
    b = topo_bridge(a->topo, bridge);
    assert_int_equal(b->n_seeds, 2);
    assert_true(ip_is_none(&b->seeds[0].ip));
    assert_int_equal(b->seeds[1].port, ref_of(a, &p));
    assert_int_equal(topo_mac_lookup(b->macs, 0, &m), ref_of(a, &p));
    assert_true(was_announced(a, tag_bridge_mac(bridge, 0, &m)));
    /* the router linked to the bridge takes its word for the address */
    struct ip ip = ip_of("10.0.0.7");
    assert_true(was_announced(a, tag_neigh(b->links[0].peer, &ip)));

    /* a machine claims the address with another MAC: the seed follows */
    a->n_changes = 0;
    sync_learn_addr(a->learner, f->c.now, bridge, &ip, &n);
    settle(a);
    b = topo_bridge(a->topo, bridge);
    assert_true(mac_equal(&b->seeds[1].mac, &n));
    assert_int_equal(b->seeds[1].port, 0);
    assert_true(was_announced(a, tag_neigh(b->links[0].peer, &ip)));

    destroy(&f->c, ST_MAC_PORT, &seed);
    destroy(&f->c, ST_IP_MAC, &addr);
    settle(a);
    b = topo_bridge(a->topo, bridge);
    assert_int_equal(b->n_seeds, 0);
    assert_int_equal(topo_mac_lookup(b->macs, 0, &m), 0);
    down(f);
    (void)state;
}

static void scribble(struct fixture *f, const char *path, const char *text)
{
    assert_int_equal(store_set(f->c.store, path, text, strlen(text), STORE_ANY, NULL), 0);
}

static void broken_objects_are_missing_and_the_rest_goes_on(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    char path[STORE_PATH_MAX];
    struct uuid other = make(&f->c, ST_PORT, "{'bridgeId':'%s'}", text_of(&f->bridge));

    objects_path(ST_PORT, &other, path);
    scribble(f, path, "{\"bridgeId\":");
    topo_ref bridge = load(a, TOPO_BRIDGE, &f->bridge);
    assert_true(topo_get(a->topo, ref_of(a, &other))->missing);
    assert_int_equal(topo_bridge(a->topo, bridge)->n_links, 1);
    assert_int_equal(status_of(a).broken, 1);

    objects_path(ST_ROUTER, &f->router, path);
    scribble(f, path, "[1,2]");
    topo_ref router = load(a, TOPO_ROUTER, &f->router);
    assert_true(topo_get(a->topo, router)->missing);
    assert_true(status_of(a).broken > 1);

    /* members of a newer version are tolerated; nonsense in state and change nodes too */
    scribble(f, path, "{\"name\":\"r\",\"adminStateUp\":true,\"warp\":{\"factor\":9}}");
    objects_change_path(ST_ROUTER, &f->router, path);
    scribble(f, path, "{\"rev\":\"x\",\"log\":{}}");
    settle(a);
    assert_string_equal(topo_get(a->topo, router)->name, "r");
    objects_state_path(ST_PORT, &f->outside, "active", path);
    assert_int_equal(store_create(f->c.store, path, "\xff{", 2, STORE_PARENTS, NULL), 0);
    objects_state_path(ST_BRIDGE, &f->bridge, "mac", path);
    assert_int_equal(store_create(f->c.store, path, "{\"rev\":7,\"log\":[[8],3,[7,\"x\"],[7,9]]}",
                                  38, STORE_PARENTS, NULL),
                     0);
    change(&f->c, ST_PORT, &f->outside, "{'adminStateUp':false}");
    settle(a);
    assert_false(topo_port(a->topo, ref_of(a, &f->outside))->admin_up);
    assert_false(topo_port(a->topo, ref_of(a, &f->outside))->active);
    down(f);
    (void)state;
}

static void readers_alone_see_zones_and_write_nothing(void **state)
{
    struct fixture *f = up();
    struct uuid zone = make(&f->c, ST_TUNNEL_ZONE, "{'name':'z','type':'gre'}");
    make(&f->c, ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.7'}",
         text_of(&zone), text_of(&f->a->host));
    struct agent *reader = agent_open(&f->c, &uuid_zero);
    topo_ref host = load(reader, TOPO_HOST, &f->a->host);
    const struct topo_host *h = topo_host(reader->topo, host);

    assert_string_equal(h->obj.name, "h1");
    assert_true(h->alive);
    assert_int_equal(h->n_zones, 1);
    assert_true(uuid_equal(&h->zones[0].zone, &zone));
    load(reader, TOPO_BRIDGE, &f->bridge);
    assert_int_equal(status_of(reader).writes, 0);
    agent_stop(reader);
    down(f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_load_with_their_parts),
        cmocka_unit_test(needs_come_from_any_thread),
        cmocka_unit_test(changes_are_followed_and_announced),
        cmocka_unit_test(the_missing_appears_and_goes),
        cmocka_unit_test(placeholders_are_bounded),
        cmocka_unit_test(a_long_absence_is_made_up_by_reading_what_changed),
        cmocka_unit_test(where_the_log_ends_all_is_read),
        cmocka_unit_test(seeds_are_kept),
        cmocka_unit_test(broken_objects_are_missing_and_the_rest_goes_on),
        cmocka_unit_test(readers_alone_see_zones_and_write_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
