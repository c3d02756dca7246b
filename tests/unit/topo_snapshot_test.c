/* Snapshots of devices: made by who had to read one whole, used by who comes next, exact whatever
 * has changed since, ignored when they make no sense, gone with their device. */
#include <inttypes.h>

#include "topo_flaky.h"

enum { N_PORTS = 100, N_HOSTS = 8 };

struct fixture {
    struct cloud c;
    struct uuid zone, bridge, ports[N_PORTS];
    struct agent *hosts[N_HOSTS];
    char snapshot[STORE_PATH_MAX], building[STORE_PATH_MAX];
};

static bool exists(struct fixture *f, const char *path)
{
    return store_exists(f->c.store, path) == 1;
}

/* All in one commit. */
static void make_ports(struct fixture *f, unsigned n, struct uuid *ids)
{
    struct objects_txn *t = objects_begin(f->c.db);
    struct error e = {0};
    static unsigned number;

    for (unsigned i = 0; i < n; i++) {
        json_t *attrs = json_pack("{s:s,s:s,s:s}", "bridgeId", text_of(&f->bridge), "hostId",
                                  text_of(&f->hosts[i % N_HOSTS]->host), "interfaceName", "x");
        json_object_set_new(attrs, "interfaceName", json_sprintf("t%u", number++));
        if (objects_create(t, ST_PORT, attrs, &ids[i], &e))
            fail_msg("%s", e.message);
        json_decref(attrs);
    }
    if (objects_commit(t, &e))
        fail_msg("%s", e.message);
    objects_abort(t);
}

static struct fixture *up(unsigned n_ports)
{
    struct fixture *f = NEW(struct fixture);
    char name[8];

    cloud_open(&f->c);
    f->bridge = make(&f->c, ST_BRIDGE, "{'name':'b'}");
    for (unsigned i = 0; i < N_HOSTS; i++) {
        snprintf(name, sizeof name, "h%u", i);
        f->hosts[i] = agent_start(&f->c, name);
        settle(f->hosts[i]);
    }
    f->zone = zone_of_n(f->hosts, N_HOSTS);
    make_ports(f, n_ports, f->ports);
    objects_path(ST_BRIDGE, &f->bridge, f->snapshot);
    strcat(f->snapshot, "/snapshot.0");
    objects_state_path(ST_BRIDGE, &f->bridge, "building", f->building);
    return f;
}

static void down(struct fixture *f)
{
    for (unsigned i = 0; i < N_HOSTS; i++)
        agent_stop(f->hosts[i]);
    cloud_close(&f->c);
    free(f);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

/* Ids of a bridge's exterior ports, sorted. */
static size_t exterior(const struct agent *a, const struct uuid *bridge, struct uuid *ids)
{
    const struct topo_bridge *b = topo_bridge(a->topo, ref_of(a, bridge));

    for (size_t i = 0; i < b->n_exterior; i++)
        ids[i] = *topo_id(a->topo, b->exterior[i]);
    qsort(ids, b->n_exterior, sizeof *ids, by_id);
    return b->n_exterior;
}

static void same(const struct fixture *f, const struct agent *a, const struct agent *b)
{
    struct uuid x[2 * N_PORTS], y[2 * N_PORTS];
    size_t n = exterior(a, &f->bridge, x);

    assert_int_equal(n, exterior(b, &f->bridge, y));
    assert_memory_equal(x, y, n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        const struct topo_port *p = port_of(a, &x[i]), *q = port_of(b, &x[i]);
        assert_int_equal(p->active, q->active);
        assert_int_equal(p->silent, q->silent);
        assert_int_equal(p->admin_up, q->admin_up);
        assert_int_equal(p->tunnel_key, q->tunnel_key);
        assert_string_equal(p->ifname, q->ifname);
        assert_string_equal(topo_host(a->topo, p->host)->obj.name,
                            topo_host(b->topo, q->host)->obj.name);
        assert_int_equal(topo_host(a->topo, p->host)->alive, topo_host(b->topo, q->host)->alive);
    }
}

/* One that has loaded the bridge, and what that has cost. */
static struct agent *load_new(struct fixture *f, uint64_t *gets)
{
    struct flaky *store = flaky_open(&f->c);
    struct agent *a = agent_flaky(&f->c, store, "new");

    settle(a);
    uint64_t before = store->gets;
    load(a, TOPO_BRIDGE, &f->bridge);
    if (gets)
        *gets = store->gets - before;
    return a;
}

static void who_comes_next_reads_little(void **state)
{
    struct fixture *f = up(N_PORTS);
    uint64_t gets;

    struct agent *a = load_new(f, &gets);
    assert_true(gets > 2 * N_PORTS);
    assert_int_equal(status_of(a).snapshots, 0);
    assert_true(exists(f, f->snapshot));
    assert_false(exists(f, f->building));

    struct agent *b = load_new(f, &gets);
    assert_int_equal(status_of(b).snapshots, 1);
    assert_true(gets < 15);
    same(f, a, b);
    /* a mere reader too */
    struct agent *reader = agent_open(&f->c, &uuid_zero);
    load(reader, TOPO_BRIDGE, &f->bridge);
    assert_int_equal(status_of(reader).snapshots, 1);
    same(f, a, reader);
    agent_stop(reader);
    agent_stop(b);
    agent_stop(a);
    down(f);
    (void)state;
}

static void small_devices_have_none(void **state)
{
    struct fixture *f = up(40);
    uint64_t gets;
    struct agent *a = load_new(f, NULL), *b = load_new(f, &gets);

    assert_false(exists(f, f->snapshot));
    assert_true(gets >= 80);
    struct flaky *store = (struct flaky *)b->store;
    change(&f->c, ST_PORT, &f->ports[0], "{'adminStateUp':false}");
    uint64_t before = store->gets;
    settle(a, b);
    assert_int_equal(store->gets - before, 3); /* the log, the port, its state */
    same(f, a, b);
    agent_stop(b);
    agent_stop(a);
    down(f);
    (void)state;
}

static void what_has_changed_since_is_read(void **state)
{
    struct fixture *f = up(N_PORTS);
    struct agent *a = load_new(f, NULL);
    struct uuid more[3];
    uint64_t gets;

    load(f->hosts[1], TOPO_BRIDGE, &f->bridge);
    for (unsigned i = 0; i < f->hosts[1]->n_bindings; i++) /* told by the log */
        sync_port_up(f->hosts[1]->sync, f->hosts[1]->bindings[i].port, 0);
    settle(f->hosts[1], a);
    change(&f->c, ST_PORT, &f->ports[7], "{'adminStateUp':false}");
    destroy(&f->c, ST_PORT, &f->ports[9]);
    make_ports(f, 3, more);
    sync_port_down(f->hosts[1]->sync, f->hosts[1]->bindings[0].port);
    settle(f->hosts[1], a);
    struct agent *b = load_new(f, &gets);
    assert_int_equal(status_of(b).snapshots, 1);
    assert_true(gets < 35);
    assert_false(port_of(b, &f->ports[7])->admin_up);
    assert_null(topo_get(b->topo, ref_of(b, &f->ports[9])));
    assert_non_null(port_of(b, &more[2]));
    same(f, a, b);
    change(&f->c, ST_PORT, &f->ports[8], "{'adminStateUp':false}");
    settle(a, b);
    same(f, a, b);
    agent_stop(b);
    agent_stop(a);
    down(f);
    (void)state;
}

/* So much has happened that the log doesn't reach back: read whole, and made anew. */
static void one_that_is_too_old_is_ignored(void **state)
{
    struct fixture *f = up(N_PORTS);
    struct agent *a = load_new(f, NULL);
    struct uuid ids[100];
    uint64_t gets;

    agent_stop(a);
    for (unsigned round = 0; round < 24; round++) {
        struct objects_txn *t = objects_begin(f->c.db);
        struct error e = {0};
        make_ports(f, 100, ids);
        for (unsigned i = 0; i < 100; i++)
            assert_int_equal(objects_delete(t, ST_PORT, &ids[i], STORE_ANY, &e), 0);
        if (objects_commit(t, &e))
            fail_msg("%s", e.message);
        objects_abort(t);
    }
    a = load_new(f, &gets);
    assert_int_equal(status_of(a).snapshots, 0);
    assert_true(gets > 2 * N_PORTS);
    struct agent *b = load_new(f, &gets);
    assert_int_equal(status_of(b).snapshots, 1);
    assert_true(gets < 15);
    same(f, a, b);
    agent_stop(b);
    agent_stop(a);
    down(f);
    (void)state;
}

/* Many changes later somebody makes it anew, although it would do. */
static void one_that_is_old_is_made_anew(void **state)
{
    struct fixture *f = up(N_PORTS);
    struct agent *a = load_new(f, NULL);
    struct uuid ids[600];
    uint64_t gets;

    for (unsigned i = 0; i < 6; i++)
        make_ports(f, 100, ids + 100 * i);
    settle(a);
    agent_stop(load_new(f, &gets));
    assert_true(gets > 600);
    struct agent *b = load_new(f, &gets);
    assert_true(gets < 15);
    assert_int_equal(topo_bridge(b->topo, ref_of(b, &f->bridge))->n_exterior, N_PORTS + 600);
    agent_stop(b);
    agent_stop(a);
    down(f);
    (void)state;
}

static void nonsense_is_ignored(void **state)
{
    static const char *const nonsense[] = {
        "",
        "{",
        "null",
        "{\"format\":2,\"rev\":1,\"parts\":1,\"objects\":[]}",
        "{\"format\":1,\"rev\":-1,\"parts\":1,\"objects\":[]}",
        "{\"format\":1,\"rev\":1,\"parts\":0,\"objects\":[]}",
        "{\"format\":1,\"rev\":1,\"parts\":3,\"objects\":[]}",
        "{\"format\":1,\"rev\":1,\"parts\":16,\"objects\":[]}",
        "{\"format\":1,\"rev\":1,\"parts\":4000000000,\"objects\":[]}",
        "{\"format\":1,\"rev\":9223372036854775807,\"parts\":1,\"objects\":[]}",
        "{\"format\":1,\"rev\":1,\"parts\":1,\"objects\":7}",
        "{\"format\":1,\"rev\":1,\"parts\":1,\"objects\":[7]}",
        "{\"format\":1,\"rev\":1,\"parts\":1,\"objects\":[[\"x\",{}]]}",
        "{\"format\":1,\"rev\":1,\"parts\":1,\"objects\":[[\"00000000-0000-4000-8000-"
        "000000000000\","
        "7]]}",
        "{\"format\":1,\"rev\":1,\"parts\":1,\"objects\":[[\"00000000-0000-4000-8000-"
        "000000000000\",{},"
        "[\"x\",1,\"0\"]]]}",
        "{\"format\":1,\"rev\":1,\"parts\":1,\"objects\":[[\"00000000-0000-4000-8000-"
        "000000000000\",{}],"
        "[\"00000000-0000-4000-8000-000000000000\",{}]]}",
    };
    struct fixture *f = up(N_PORTS);
    struct agent *a = load_new(f, NULL);
    uint64_t gets;

    for (unsigned i = 0; i < ARRAY_SIZE(nonsense); i++) {
        put(&f->c, f->snapshot, nonsense[i]);
        struct agent *reader = agent_open(&f->c, &uuid_zero); /* doesn't mend it */
        load(reader, TOPO_BRIDGE, &f->bridge);
        assert_int_equal(status_of(reader).snapshots, 0);
        same(f, a, reader);
        agent_stop(reader);
        struct agent *b = load_new(f, NULL);
        assert_int_equal(status_of(b).snapshots, 0);
        same(f, a, b);
        agent_stop(b);
        b = load_new(f, &gets); /* it has been mended */
        assert_int_equal(status_of(b).snapshots, 1);
        assert_true(gets < 15);
        agent_stop(b);
    }
    agent_stop(a);
    down(f);
    (void)state;
}

/* Of what makes sense as a whole, a body that doesn't is read from its own node. */
static void a_body_that_makes_no_sense_is_read(void **state)
{
    static const char *const bodies[] = {"{}", "{\"bridgeId\":7}", "{\"adminStateUp\":\"maybe\"}",
                                         "{\"bridgeId\":\"00000000-0000-4000-8000-000000000000\"}"};
    struct fixture *f = up(N_PORTS);
    struct agent *a = load_new(f, NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(bodies); i++) {
        struct objects_snapshot sn;
        struct error e = {0};
        assert_int_equal(objects_snapshot_read(f->c.db, ST_BRIDGE, &f->bridge, &sn, &e), 0);
        assert_int_equal(sn.n, N_PORTS);
        json_decref(sn.copies[i].body);
        sn.copies[i].body = json_loads(bodies[i], 0, NULL);
        assert_int_equal(objects_snapshot_write(f->c.db, ST_BRIDGE, &f->bridge, &sn, &e), 0);
        objects_snapshot_free(&sn);
        struct agent *b = load_new(f, NULL);
        assert_int_equal(status_of(b).snapshots, 1);
        same(f, a, b);
        agent_stop(b);
    }
    agent_stop(a);
    down(f);
    (void)state;
}

/* Another is at it.  What it makes is awaited; if it dies, or is stuck, its place is taken. */
static void one_builds_and_others_wait(void **state)
{
    enum { MAKES, DIES, HANGS };

    for (int how = MAKES; how <= HANGS; how++) {
        struct fixture *f = up(N_PORTS);
        struct flaky *store = flaky_open(&f->c);
        struct agent *b = agent_flaky(&f->c, store, "waits");
        struct store *builder;
        struct error e;

        assert_int_equal(store_open(f->c.url, NULL, &builder, &e), 0);
        assert_int_equal(store_create(builder, f->building, "00000000000000ab", 16,
                                      STORE_EPHEMERAL | STORE_PARENTS, &e),
                         0);
        settle(b);
        uint64_t gets = store->gets;
        topo_ref ref = sync_load(b->sync, TOPO_BRIDGE, &f->bridge);
        run_for(NSEC_PER_SEC, b);
        assert_null(topo_get(b->topo, ref));
        assert_int_equal(status_of(b).n_needs, 1);
        assert_true(store->gets - gets < N_PORTS);
        if (how == MAKES) {
            store_delete(builder, f->building, STORE_ANY, &e);
            agent_stop(load_new(f, NULL));
            gets = store->gets;
        } else if (how == DIES) {
            store_close(builder);
        }
        run_for(how == HANGS ? 25 * NSEC_PER_SEC : NSEC_PER_SEC, b);
        assert_non_null(topo_get(b->topo, ref));
        assert_int_equal(status_of(b).n_needs, 0);
        assert_int_equal(status_of(b).snapshots, how == MAKES);
        assert_true(how != MAKES || store->gets - gets < 15);
        assert_true(exists(f, f->snapshot));
        assert_false(exists(f, f->building));
        struct agent *c = load_new(f, NULL);
        same(f, b, c);
        agent_stop(c);
        agent_stop(b);
        if (how != DIES)
            store_close(builder);
        down(f);
    }
    (void)state;
}

/* However often its calls fail, who has loaded it knows what there is, and nothing is left over. */
static void failures_leave_nothing_over(void **state)
{
    struct fixture *f = up(N_PORTS);
    struct agent *a = load_new(f, NULL);

    for (unsigned round = 0; round < 40; round++) {
        struct flaky *store = flaky_open(&f->c);
        struct agent *b = agent_flaky(&f->c, store, "flaky");
        struct error e;
        settle(b);
        if (round % 2)
            store_delete(f->c.store, f->snapshot, STORE_ANY, &e);
        store->r.x = round + 1;
        store->fail_in_8 = 1 + round % 3;
        sync_load(b->sync, TOPO_BRIDGE, &f->bridge);
        run_for(5 * NSEC_PER_SEC, b);
        store->fail_in_8 = 0;
        run_for(15 * NSEC_PER_SEC, b);
        settle(a, b);
        same(f, a, b);
        assert_false(exists(f, f->building));
        agent_stop(b);
    }
    agent_stop(a);
    down(f);
    (void)state;
}

static void it_goes_with_its_device(void **state)
{
    struct fixture *f = up(N_PORTS);
    char device[STORE_PATH_MAX];
    json_t *before, *after;
    struct error e;

    assert_int_equal(objects_export(f->c.db, &before, &e), 0);
    struct agent *a = load_new(f, NULL);
    assert_true(exists(f, f->snapshot));
    assert_int_equal(objects_export(f->c.db, &after, &e), 0);
    json_t *bridges = json_object_get(json_object_get(before, "objects"), "bridges");
    assert_true(json_equal(bridges, json_object_get(json_object_get(after, "objects"), "bridges")));
    json_t *ports = json_object_get(json_object_get(before, "objects"), "ports");
    assert_true(json_equal(ports, json_object_get(json_object_get(after, "objects"), "ports")));
    json_decref(before);
    json_decref(after);
    destroy(&f->c, ST_BRIDGE, &f->bridge);
    objects_path(ST_BRIDGE, &f->bridge, device);
    assert_false(exists(f, device));
    settle(a);
    assert_true(topo_get(a->topo, ref_of(a, &f->bridge))->missing);
    agent_stop(a);
    down(f);
    (void)state;
}

/* The snapshot is made just when a host has lost its session and its nodes aren't there: who uses
 * it when they are back finds its port active. */
static void nobody_is_believed_to_serve_nothing_in_the_gap(void **state)
{
    struct fixture *f = up(N_PORTS);
    struct server s = server_up(&f->c, &f->zone, &f->bridge);
    struct error e;

    store_delete(f->c.store, f->snapshot, STORE_ANY, &e);
    flaky_lose(s.store);
    flaky_expire(s.store);
    struct agent *maker = load_new(f, NULL);
    assert_false(port_of(maker, &s.port)->active);
    assert_true(exists(f, f->snapshot));
    flaky_return(s.store);
    run_for(10 * NSEC_PER_SEC, s.a);
    settle(s.a, maker);
    struct agent *user = load_new(f, NULL);
    assert_int_equal(status_of(user).snapshots, 1);
    assert_true(port_of(user, &s.port)->active);
    assert_int_equal(port_of(user, &s.port)->tunnel_key, s.key);
    assert_true(port_of(maker, &s.port)->active);
    same(f, maker, user);
    agent_stop(user);
    agent_stop(maker);
    agent_stop(s.a);
    down(f);
    (void)state;
}

static void zones_have_them_too(void **state)
{
    enum { N = 120 };
    struct fixture *f = up(1);
    struct objects_txn *t = objects_begin(f->c.db);
    struct uuid hosts[N], members[N];
    struct error e = {0};
    char path[STORE_PATH_MAX];

    for (unsigned i = 0; i < N; i++) {
        hosts[i] = make(&f->c, ST_HOST, "{'name':'x%u'}", i);
        json_t *attrs =
            json_pack("{s:s,s:s,s:o}", "tunnelZoneId", text_of(&f->zone), "hostId",
                      text_of(&hosts[i]), "ipAddress", json_sprintf("198.51.100.%u", i));
        assert_int_equal(objects_create(t, ST_TUNNEL_ZONE_HOST, attrs, &members[i], &e), 0);
        json_decref(attrs);
    }
    assert_int_equal(objects_commit(t, &e), 0);
    objects_abort(t);
    objects_path(ST_TUNNEL_ZONE, &f->zone, path);
    strcat(path, "/snapshot.0");
    uint64_t gets[2];
    for (unsigned i = 0; i < 2; i++) {
        struct flaky *store = flaky_open(&f->c);
        struct agent *a = agent_flaky(&f->c, store, "new");
        settle(a);
        struct uuid own = join(&f->c, &f->zone, a, i ? "203.0.113.2" : "203.0.113.1");
        settle(a);
        assert_true(exists(f, path));
        gets[i] = store->gets;
        if (i) {
            change(&f->c, ST_TUNNEL_ZONE_HOST, &members[5], "{'ipAddress':'203.0.113.77'}");
            destroy(&f->c, ST_TUNNEL_ZONE_HOST, &members[6]);
        }
        for (unsigned k = 0; k < N; k++)
            sync_load(a->sync, TOPO_HOST, &hosts[k]);
        settle(a);
        for (unsigned k = 0; k < N; k++) {
            const struct topo_host *h = topo_host(a->topo, ref_of(a, &hosts[k]));
            char ip[20];
            snprintf(ip, sizeof ip, i && k == 5 ? "203.0.113.77" : "198.51.100.%u", k);
            struct ip is = ip_of(ip);
            assert_int_equal(h->n_zones, i && k == 6 ? 0 : 1);
            assert_true(!h->n_zones || ip_equal(&h->zones[0].ip, &is));
        }
        destroy(&f->c, ST_TUNNEL_ZONE_HOST, &own);
        agent_stop(a);
    }
    assert_true(gets[0] > N && gets[1] < N / 2);
    down(f);
    (void)state;
}

/* More than fits in one node: in parts, all of which have to be there. */
static void large_ones_come_in_parts(void **state)
{
    enum { N = 5000 };
    struct fixture *f = up(1);
    struct objects_snapshot sn = {.rev = 7, .names = json_object()}, read;
    char path[STORE_PATH_MAX];
    struct error e = {0};

    for (unsigned i = 0; i < N; i++) {
        struct objects_copy c = {
            .active = {.told = i % 3 != 0, .there = i % 3 == 1, .key = i, .inc = i}};
        uuid_random(&c.id);
        uuid_random(&c.active.host);
        c.body = json_pack("{s:o}", "name", json_sprintf("%0400u", i));
        objects_snapshot_add(&sn, &c);
        json_decref(c.body);
    }
    assert_int_equal(objects_snapshot_write(f->c.db, ST_BRIDGE, &f->bridge, &sn, &e), 0);
    assert_int_equal(objects_snapshot_read(f->c.db, ST_BRIDGE, &f->bridge, &read, &e), 0);
    assert_int_equal(read.rev, 7);
    assert_int_equal(read.n, N);
    qsort(sn.copies, sn.n, sizeof *sn.copies, by_id);
    for (unsigned i = 0; i < N; i++) {
        const struct objects_active *x = &sn.copies[i].active, *y = &read.copies[i].active;
        assert_true(uuid_equal(&sn.copies[i].id, &read.copies[i].id));
        assert_true(json_equal(sn.copies[i].body, read.copies[i].body));
        assert_int_equal(x->told, y->told);
        assert_true(!x->told || x->there == y->there);
        assert_true(!x->told || !x->there ||
                    (x->key == y->key && x->inc == y->inc && uuid_equal(&x->host, &y->host)));
    }
    objects_snapshot_free(&read);
    objects_path(ST_BRIDGE, &f->bridge, path);
    strcat(path, "/snapshot.3");
    assert_int_equal(store_delete(f->c.store, path, STORE_ANY, &e), 0);
    assert_int_equal(objects_snapshot_read(f->c.db, ST_BRIDGE, &f->bridge, &read, &e), 0);
    assert_int_equal(read.rev, -1);
    objects_snapshot_free(&read);
    objects_snapshot_free(&sn);
    down(f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_next_reads_little),
        cmocka_unit_test(small_devices_have_none),
        cmocka_unit_test(what_has_changed_since_is_read),
        cmocka_unit_test(one_that_is_too_old_is_ignored),
        cmocka_unit_test(one_that_is_old_is_made_anew),
        cmocka_unit_test(nonsense_is_ignored),
        cmocka_unit_test(a_body_that_makes_no_sense_is_read),
        cmocka_unit_test(one_builds_and_others_wait),
        cmocka_unit_test(failures_leave_nothing_over),
        cmocka_unit_test(it_goes_with_its_device),
        cmocka_unit_test(nobody_is_believed_to_serve_nothing_in_the_gap),
        cmocka_unit_test(zones_have_them_too),
        cmocka_unit_test(large_ones_come_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
