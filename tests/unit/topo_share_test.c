/* Learned tables, shared by two agents through the store. */

#include "topo_cloud.h"

struct fixture {
    struct cloud c;
    struct uuid bridge, router, p1, p2, rp;
    struct agent *a, *b; /* p1 is bound on a's host, p2 on b's */
};

static struct fixture *up(void)
{
    struct fixture *f = NEW(struct fixture);
    struct cloud *c = &f->c;

    cloud_open(c);
    f->a = agent_start(c, "h1");
    f->b = agent_start(c, "h2");
    settle(f->a, f->b);
    zone_of(f->a, f->b);
    f->bridge = make(c, ST_BRIDGE, "{'name':'b'}");
    f->router = make(c, ST_ROUTER, "{'name':'r'}");
    f->p1 = bound_port(c, &f->bridge, &f->a->host, "t1");
    f->p2 = bound_port(c, &f->bridge, &f->b->host, "t2");
    f->rp = make(c, ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/24']}", text_of(&f->router));
    for (int i = 0; i < 2; i++) {
        struct agent *x = i ? f->b : f->a;
        load(x, TOPO_BRIDGE, &f->bridge);
        load(x, TOPO_ROUTER, &f->router);
        sync_port_up(x->sync, ref_of(x, i ? &f->p2 : &f->p1), 0);
    }
    settle(f->a, f->b);
    f->a->n_changes = f->b->n_changes = 0;
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

/* The port's id, as 'a' sees where the MAC is; null: nowhere. */
static const struct uuid *where(const struct fixture *f, const struct agent *a, const struct mac *m)
{
    const struct topo_bridge *b = topo_bridge(a->topo, ref_of(a, &f->bridge));
    topo_ref port = topo_mac_lookup(b->macs, 0, m);

    return port ? topo_id(a->topo, port) : NULL;
}

static void sees(const struct fixture *f, const struct agent *a, const struct mac *m,
                 const struct uuid *port)
{
    const struct uuid *at = where(f, a, m);

    if (!port)
        assert_null(at);
    else if (!at || !uuid_equal(at, port))
        fail_msg("elsewhere: %s", at ? text_of(at) : "nowhere");
}

static void learn(struct fixture *f, struct agent *a, const struct mac *m, const struct uuid *port)
{
    sync_learn_mac(a->learner, f->c.now, ref_of(a, &f->bridge), 0, m, ref_of(a, port));
}

static void a_mac_learned_here_is_known_there(void **state)
{
    struct fixture *f = up();
    struct mac m = mac_n(1);
    tag_t there = tag_bridge_mac(ref_of(f->b, &f->bridge), 0, &m);

    learn(f, f->a, &m, &f->p1);
    sees(f, f->a, &m, &f->p1); /* at once here */
    sees(f, f->b, &m, NULL);
    settle(f->a, f->b);
    sees(f, f->b, &m, &f->p1);
    assert_true(was_announced(f->a, tag_bridge_mac(ref_of(f->a, &f->bridge), 0, &m)));
    assert_true(was_announced(f->b, there));
    assert_int_equal(f->b->n_changes, 1);
    assert_int_equal(status_of(f->a).n_macs, 1);
    assert_int_equal(status_of(f->b).n_macs, 0);
    assert_int_equal(status_of(f->a).n_unshared, 0);

    /* seen again and again: nothing is written */
    uint64_t writes = status_of(f->a).writes;
    for (int i = 0; i < 1000; i++)
        learn(f, f->a, &m, &f->p1);
    settle(f->a, f->b);
    assert_int_equal(status_of(f->a).writes, writes);

    /* who comes later reads it */
    struct agent *late = agent_open(&f->c, &uuid_zero);
    load(late, TOPO_BRIDGE, &f->bridge);
    sees(f, late, &m, &f->p1);
    agent_stop(late);

    sync_forget_mac(f->a->sync, ref_of(f->a, &f->bridge), 0, &m);
    settle(f->a, f->b);
    sees(f, f->a, &m, NULL);
    sees(f, f->b, &m, NULL);
    down(f);
    (void)state;
}

static void the_later_claim_wins_everywhere(void **state)
{
    struct fixture *f = up();
    struct mac m = mac_n(1), other = mac_n(2);

    learn(f, f->a, &m, &f->p1);
    learn(f, f->a, &other, &f->p1);
    settle(f->a, f->b);
    f->a->n_changes = 0;
    learn(f, f->b, &m, &f->p2); /* the machine has moved */
    settle(f->a, f->b);
    sees(f, f->a, &m, &f->p2);
    sees(f, f->b, &m, &f->p2);
    sees(f, f->a, &other, &f->p1);
    assert_int_equal(f->a->n_changes, 1);
    assert_true(was_announced(f->a, tag_bridge_mac(ref_of(f->a, &f->bridge), 0, &m)));
    assert_int_equal(status_of(f->a).n_macs, 1); /* a has withdrawn its claim */
    struct agent *late = agent_open(&f->c, &uuid_zero);
    load(late, TOPO_BRIDGE, &f->bridge);
    sees(f, late, &m, &f->p2);
    agent_stop(late);

    learn(f, f->a, &m, &f->p1); /* and back */
    settle(f->a, f->b);
    sees(f, f->a, &m, &f->p1);
    sees(f, f->b, &m, &f->p1);
    down(f);
    (void)state;
}

struct racer {
    struct fixture *f;
    struct agent *a;
    const struct uuid *port;
};

static void *race(void *aux)
{
    struct racer *x = aux;
    struct random r = {(uintptr_t)x->a | 1};

    rcu_register_thread();
    for (uint64_t now = x->f->c.now; now < x->f->c.now + 4 * NSEC_PER_SEC; now += NSEC_PER_MSEC) {
        struct mac m = mac_n(rnd(&r) % 50);
        sync_learn_mac(x->a->learner, now, ref_of(x->a, &x->f->bridge), 0, &m,
                       ref_of(x->a, x->port));
        sync_run(x->a->sync, now);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

static void racing_writers_agree(void **state)
{
    struct fixture *f = up();
    struct racer racers[] = {{f, f->a, &f->p1}, {f, f->b, &f->p2}};
    pthread_t t[2];

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, race, &racers[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    f->c.now += 4 * NSEC_PER_SEC;
    settle(f->a, f->b);
    struct agent *late = agent_open(&f->c, &uuid_zero);
    load(late, TOPO_BRIDGE, &f->bridge);
    for (unsigned i = 0; i < 50; i++) {
        struct mac m = mac_n(i);
        const struct uuid *at = where(f, f->a, &m);
        assert_non_null(at);
        sees(f, f->b, &m, at);
        sees(f, late, &m, at);
    }
    agent_stop(late);
    down(f);
    (void)state;
}

/* A host that says nothing any more may have lost the store only: what it said last counts, until
 * its next life says something else, or the port is gone. */
static void entries_outlive_their_host(void **state)
{
    struct fixture *f = up();
    struct mac m = mac_n(1), n = mac_n(2);
    struct uuid host = f->a->host;

    learn(f, f->a, &m, &f->p1);
    learn(f, f->b, &n, &f->p2);
    settle(f->a, f->b);
    sees(f, f->b, &m, &f->p1);
    f->b->n_changes = 0;
    agent_stop(f->a);
    f->a = NULL;
    settle(f->b);
    f->c.now += 600 * NSEC_PER_SEC;
    settle(f->b);
    sees(f, f->b, &m, &f->p1);
    assert_false(was_announced(f->b, tag_bridge_mac(ref_of(f->b, &f->bridge), 0, &m)));

    f->a = agent_open(&f->c, &host);
    agent_register(f->a, "h1");
    settle(f->a, f->b);
    sees(f, f->b, &m, NULL);
    assert_true(was_announced(f->b, tag_bridge_mac(ref_of(f->b, &f->bridge), 0, &m)));

    load(f->a, TOPO_BRIDGE, &f->bridge);
    learn(f, f->a, &m, &f->p1);
    settle(f->a, f->b);
    sees(f, f->b, &m, &f->p1);
    agent_stop(f->a);
    f->a = NULL;
    settle(f->b);
    destroy(&f->c, ST_PORT, &f->p1);
    settle(f->b);
    f->c.now += 15 * NSEC_PER_SEC;
    settle(f->b);
    sees(f, f->b, &m, NULL);
    down(f);
    (void)state;
}

static void an_unused_mac_is_withdrawn(void **state)
{
    struct fixture *f = up();
    struct mac used = mac_n(1), unused = mac_n(2);

    learn(f, f->a, &used, &f->p1);
    learn(f, f->a, &unused, &f->p1);
    settle(f->a, f->b);
    for (int i = 0; i < 8; i++) {
        f->c.now += 20 * NSEC_PER_SEC;
        learn(f, f->a, &used, &f->p1);
        settle(f->a, f->b);
    }
    sees(f, f->b, &used, &f->p1);
    sees(f, f->b, &unused, NULL);
    sees(f, f->a, &unused, NULL);
    down(f);
    (void)state;
}

static void a_port_that_goes_takes_its_macs(void **state)
{
    struct fixture *f = up();
    struct mac m = mac_n(1);

    learn(f, f->a, &m, &f->p1);
    settle(f->a, f->b);
    sync_port_down(f->a->sync, ref_of(f->a, &f->p1));
    settle(f->a, f->b);
    sees(f, f->a, &m, NULL);
    sees(f, f->b, &m, NULL);
    down(f);
    (void)state;
}

static void a_deleted_bridge_leaves_nothing(void **state)
{
    struct fixture *f = up();
    char path[STORE_PATH_MAX];
    struct mac m = mac_n(1);

    learn(f, f->a, &m, &f->p1);
    settle(f->a, f->b);
    change(&f->c, ST_PORT, &f->p1, "{'hostId':null,'interfaceName':null}");
    change(&f->c, ST_PORT, &f->p2, "{'hostId':null,'interfaceName':null}");
    destroy(&f->c, ST_BRIDGE, &f->bridge);
    settle(f->a, f->b);
    assert_true(topo_get(f->a->topo, ref_of(f->a, &f->bridge))->missing);
    assert_int_equal(status_of(f->a).n_macs, 0);
    objects_state_path(ST_BRIDGE, &f->bridge, "mac", path);
    assert_int_equal(store_exists(f->c.store, path), 0);

    /* and a new one with the same id starts empty, and learns */
    make(&f->c, ST_BRIDGE, "{'id':'%s','name':'again'}", text_of(&f->bridge));
    make(&f->c, ST_PORT, "{'id':'%s','bridgeId':'%s'}", text_of(&f->p1), text_of(&f->bridge));
    settle(f->a, f->b);
    sees(f, f->a, &m, NULL);
    learn(f, f->a, &m, &f->p1);
    settle(f->a, f->b);
    sees(f, f->b, &m, &f->p1);
    down(f);
    (void)state;
}

/* Neighbours */

static bool resolve(const struct fixture *f, const struct agent *a, const char *ip,
                    struct topo_neigh *n)
{
    const struct topo_router *r = topo_router(a->topo, ref_of(a, &f->router));
    struct ip addr = ip_of(ip);

    return topo_neigh_lookup(r->neighs, ref_of(a, &f->rp), &addr, f->c.now, n);
}

static void hears(struct fixture *f, struct agent *a, const char *ip, const struct mac *m)
{
    struct ip addr = ip_of(ip);

    sync_learn_neigh(a->learner, f->c.now, ref_of(a, &f->router), ref_of(a, &f->rp), &addr, m);
}

static void neighbours_are_shared(void **state)
{
    struct fixture *f = up();
    struct mac m = mac_n(7), moved = mac_n(8);
    struct topo_neigh n;
    struct ip four = ip_of("10.0.0.9");

    hears(f, f->a, "10.0.0.9", &m);
    hears(f, f->a, "2001:db8::9", &m);
    assert_true(resolve(f, f->a, "10.0.0.9", &n));
    settle(f->a, f->b);
    assert_true(resolve(f, f->b, "10.0.0.9", &n));
    assert_true(mac_equal(&n.mac, &m));
    assert_true(resolve(f, f->b, "2001:db8::9", &n));
    assert_true(was_announced(f->b, tag_neigh(ref_of(f->b, &f->rp), &four)));

    /* fresh and the same: nothing to say, for whoever hears it */
    uint64_t writes = status_of(f->a).writes + status_of(f->b).writes;
    f->a->n_changes = f->b->n_changes = 0;
    hears(f, f->a, "10.0.0.9", &m);
    hears(f, f->b, "10.0.0.9", &m);
    settle(f->a, f->b);
    assert_int_equal(status_of(f->a).writes + status_of(f->b).writes, writes);

    /* stale: refreshed by the one who hears it; the same MAC makes nothing untrue */
    f->c.now += 65 * NSEC_PER_SEC;
    settle(f->a, f->b);
    assert_true(resolve(f, f->b, "10.0.0.9", &n));
    assert_true(n.stale_ns < f->c.now);
    hears(f, f->b, "10.0.0.9", &m);
    settle(f->a, f->b);
    assert_true(resolve(f, f->a, "10.0.0.9", &n));
    assert_true(n.stale_ns > f->c.now + 50 * NSEC_PER_SEC);
    assert_int_equal(f->a->n_changes, 0);
    assert_int_equal(f->b->n_changes, 0);

    /* another MAC */
    hears(f, f->a, "10.0.0.9", &moved);
    settle(f->a, f->b);
    assert_true(resolve(f, f->b, "10.0.0.9", &n));
    assert_true(mac_equal(&n.mac, &moved));
    assert_true(was_announced(f->b, tag_neigh(ref_of(f->b, &f->rp), &four)));
    assert_int_equal(f->b->n_changes, 1);

    /* silence: gone on both sides, and from the store */
    f->c.now += 120 * NSEC_PER_SEC;
    settle(f->a, f->b);
    assert_false(resolve(f, f->a, "10.0.0.9", &n));
    assert_false(resolve(f, f->b, "10.0.0.9", &n));
    assert_int_equal(status_of(f->a).n_neighs + status_of(f->b).n_neighs, 0);

    hears(f, f->a, "10.0.0.9", &m);
    settle(f->a, f->b);
    sync_forget_neigh(f->a->sync, ref_of(f->a, &f->router), ref_of(f->a, &f->rp), &four);
    settle(f->a, f->b);
    assert_false(resolve(f, f->b, "10.0.0.9", &n));
    down(f);
    (void)state;
}

static void age_survives_the_store(void **state)
{
    struct fixture *f = up();
    struct mac m = mac_n(7);
    struct topo_neigh here, there;

    hears(f, f->a, "10.0.0.9", &m);
    settle(f->a, f->b);
    f->c.now += 40 * NSEC_PER_SEC;
    settle(f->a, f->b);
    struct agent *late = agent_open(&f->c, &uuid_zero);
    load(late, TOPO_ROUTER, &f->router);
    assert_true(resolve(f, f->a, "10.0.0.9", &here));
    assert_true(resolve(f, late, "10.0.0.9", &there));
    int64_t apart = (int64_t)(here.expire_ns - there.expire_ns);
    /* the wall clock is real in this test and 40 s behind the virtual one */
    assert_in_range(apart < 0 ? -apart : apart, 0, 45 * NSEC_PER_SEC);
    assert_true(there.expire_ns <= f->c.now + 90 * NSEC_PER_SEC);
    agent_stop(late);
    down(f);
    (void)state;
}

/* Whatever another host may have written: times and revisions that no sum may be made of. */
static void nonsense_of_others_is_not_believed(void **state)
{
    struct fixture *f = up();
    struct mac m = mac_n(7);
    struct topo_neigh n;
    struct store_names chunks;
    char path[STORE_PATH_MAX], chunk[STORE_PATH_MAX], text[1024], mac[MAC_STRLEN];

    hears(f, f->a, "10.0.0.9", &m);
    settle(f->a, f->b);
    assert_true(resolve(f, f->b, "10.0.0.9", &n));
    objects_state_path(ST_ROUTER, &f->router, "arp", path);
    assert_int_equal(store_children(f->c.store, path, &chunks, NULL), 0);
    assert_int_equal(chunks.n, 1);
    snprintf(chunk, sizeof chunk, "%.400s/%.100s", path, chunks.names[0]);
    mac_format(&m, mac);
    const char *rp = text_of(&f->rp);
    snprintf(text, sizeof text,
             "[[\"%s\",\"10.0.0.9\",\"%s\",0,-9223372036854775808],"
             "[\"%s\",\"10.0.0.10\",\"%s\",-9223372036854775808,5],"
             "[\"%s\",\"10.0.0.11\",\"%s\",9223372036854775807,9223372036854775807]]",
             rp, mac, rp, mac, rp, mac);
    assert_int_equal(store_set(f->c.store, chunk, text, strlen(text), STORE_ANY, NULL), 0);
    snprintf(text, sizeof text, "{\"rev\":9,\"log\":[[9,\"%s\"]]}", chunks.names[0]);
    assert_int_equal(store_set(f->c.store, path, text, strlen(text), STORE_ANY, NULL), 0);
    store_names_free(&chunks);
    settle(f->b);
    assert_false(resolve(f, f->b, "10.0.0.9", &n));
    assert_false(resolve(f, f->b, "10.0.0.10", &n)); /* of long ago */
    assert_true(resolve(f, f->b, "10.0.0.11", &n));  /* of just now */
    assert_in_range(n.expire_ns, f->c.now, f->c.now + 90 * NSEC_PER_SEC);
    assert_int_equal(status_of(f->b).broken, 1);

    /* a revision that can't be counted on from: all is read again, and what is written counts */
    snprintf(text, sizeof text, "{\"rev\":9223372036854775806,\"log\":[]}");
    assert_int_equal(store_set(f->c.store, path, text, strlen(text), STORE_ANY, NULL), 0);
    settle(f->b);
    hears(f, f->b, "10.0.0.12", &m);
    settle(f->a, f->b);
    assert_true(resolve(f, f->a, "10.0.0.12", &n));
    down(f);
    (void)state;
}

/* Made-up addresses fill the table and no more; those in it are followed. */
static void a_full_table_learns_nothing_new(void **state)
{
    struct fixture *f = up();
    struct sync_options o = {.host = f->b->host, .learned_max = 4};
    struct store *store;
    struct topo_neigh n;
    struct error e;
    unsigned known = 0;
    char ip[16];

    agent_stop(f->b);
    f->b = NEW(struct agent);
    assert_int_equal(store_open(f->c.url, NULL, &store, &e), 0);
    agent_with(f->b, &f->c, store, &o);
    load(f->b, TOPO_BRIDGE, &f->bridge);
    load(f->b, TOPO_ROUTER, &f->router);
    for (unsigned i = 1; i <= 10; i++) {
        struct mac m = mac_n(i);
        learn(f, f->b, &m, &f->p2);
        sees(f, f->b, &m, i <= 4 ? &f->p2 : NULL);
        snprintf(ip, sizeof ip, "10.0.0.%u", 100 + i);
        hears(f, f->b, ip, &m);
        known += resolve(f, f->b, ip, &n);
    }
    assert_int_equal(known, 4);
    struct mac third = mac_n(3), moved = mac_n(20);
    learn(f, f->b, &third, &f->p1);
    sees(f, f->b, &third, &f->p1);
    hears(f, f->b, "10.0.0.103", &moved);
    assert_true(resolve(f, f->b, "10.0.0.103", &n) && mac_equal(&n.mac, &moved));
    settle(f->b);
    assert_int_equal(status_of(f->b).learns_dropped, 12);
    down(f);
    (void)state;
}

/* Workers learn while the topology thread shares and another agent reads. */
struct worker {
    struct fixture *f;
    struct agent *a;
    bool stop;
};

static void *work(void *aux)
{
    struct worker *w = aux;
    struct sync_learner *l = sync_learner_new(w->a->sync);
    topo_ref bridge = ref_of(w->a, &w->f->bridge), port = ref_of(w->a, &w->f->p1);
    topo_ref router = ref_of(w->a, &w->f->router), rp = ref_of(w->a, &w->f->rp);

    rcu_register_thread();
    for (unsigned i = 0; i < 20000 && !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); i++) {
        uint64_t now = __atomic_load_n(&w->f->c.now, __ATOMIC_RELAXED);
        struct mac m = mac_n(i % 300);
        struct ip ip = ip_of("10.0.0.0");
        ip.b[15] = (uint8_t)i;
        sync_learn_mac(l, now, bridge, 0, &m, port);
        sync_learn_neigh(l, now, router, rp, &ip, &m);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    sync_learner_free(l);
    return NULL;
}

static void workers_learn_beside(void **state)
{
    struct fixture *f = up();
    struct worker w = {f, f->a, false};
    pthread_t t[2];

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, work, &w), 0);
    for (int i = 0; i < 200; i++) {
        sync_run(f->a->sync, f->c.now);
        sync_run(f->b->sync, f->c.now);
        __atomic_store_n(&f->c.now, f->c.now + NSEC_PER_MSEC, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    settle(f->a, f->b);
    for (unsigned i = 0; i < 300; i++) {
        struct mac m = mac_n(i);
        sees(f, f->b, &m, &f->p1);
    }
    down(f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mac_learned_here_is_known_there),
        cmocka_unit_test(the_later_claim_wins_everywhere),
        cmocka_unit_test(racing_writers_agree),
        cmocka_unit_test(entries_outlive_their_host),
        cmocka_unit_test(an_unused_mac_is_withdrawn),
        cmocka_unit_test(a_port_that_goes_takes_its_macs),
        cmocka_unit_test(a_deleted_bridge_leaves_nothing),
        cmocka_unit_test(neighbours_are_shared),
        cmocka_unit_test(age_survives_the_store),
        cmocka_unit_test(nonsense_of_others_is_not_believed),
        cmocka_unit_test(a_full_table_learns_nothing_new),
        cmocka_unit_test(workers_learn_beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
