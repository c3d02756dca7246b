/* Whole agents in one process: a memory store, a switchboard of memory datapaths, one clock.
 *
 *      h1                                h2
 *      a --+                          +-- b
 *          +-- bridge "net" ----------+
 *      c --+                          +-- d
 */
#include <unistd.h>

#include "agent/agent.h"
#include "agent/report.h"
#include "base/clock.h"
#include "datapath/memory.h"
#include "objects_fixture.h"
#include "packet_fixture.h"
#include "topology/tables.h"

#define SEC NSEC_PER_SEC

struct host {
    struct cloud *cloud;
    char name[16], dp_name[32];
    struct uuid id;
    struct store *store;
    struct dp *dp;
    struct agent *agent;
    unsigned n_workers;
};

struct cloud {
    char url[48];
    uint64_t now;
    struct store *store;
    struct objects *db;
    struct memory_board *board;
    struct host h[2];
    struct uuid bridge, a, b, c, d;
};

static uint64_t cloud_now(void *aux)
{
    return ((struct cloud *)aux)->now;
}

static struct uuid make(struct cloud *c, enum schema_type_id type, json_t *j)
{
    return make_object(c->db, type, j);
}

static void change(struct cloud *c, enum schema_type_id type, const struct uuid *id, json_t *j)
{
    change_object(c->db, type, id, j);
}

static void run_all(struct cloud *c)
{
    unsigned turns = 0;

    for (bool busy = true; busy;) {
        busy = false;
        for (unsigned i = 0; i < 2; i++)
            if (c->h[i].agent)
                busy |= agent_run(c->h[i].agent, c->now);
        assert_true(++turns < 100000);
    }
}

/* Until nothing is left to do, letting the moment pass in which learned entries are gathered. */
static void settle(struct cloud *c)
{
    for (unsigned i = 0; i < 4; i++) {
        run_all(c);
        c->now += 50 * NSEC_PER_MSEC;
    }
    run_all(c);
}

static void pass(struct cloud *c, unsigned seconds)
{
    for (unsigned i = 0; i < 2 * seconds; i++) {
        c->now += SEC / 2;
        run_all(c);
    }
}

static void start(struct host *h)
{
    struct agent_options o = {
        .host = h->id, .name = h->name, .keep_mtu = true, .n_workers = h->n_workers};
    struct error e = {0};

    assert_int_equal(store_open(h->cloud->url, NULL, &h->store, &e), 0);
    struct dp_options dpo = {.name = h->dp_name, .n_queues = h->n_workers};
    assert_int_equal(dp_open("memory", &dpo, &h->dp, &e), 0);
    memory_dp_set_clock(h->dp, cloud_now, h->cloud);
    memory_dp_join(h->dp, h->cloud->board);
    o.store = h->store;
    o.dp = h->dp;
    if (agent_open(&o, &h->agent, &e))
        fail_msg("%s", e.message);
}

static void stop(struct host *h, bool keep)
{
    agent_close(h->agent, keep);
    h->agent = NULL;
    dp_close(h->dp, keep);
    store_close(h->store);
}

static void iface(struct host *h, const char *name, bool carrier, bool gone)
{
    struct net_iface i = {.index = 1, .mtu = 1500, .up = true, .carrier = carrier};

    snprintf(i.name, sizeof i.name, "%s", name);
    agent_iface(h->agent, &i, gone);
}

static void plug(struct host *h, const char *name)
{
    assert_int_equal(memory_if_add(h->dp, name), 0);
    iface(h, name, true, false);
}

static struct uuid bound_port(struct cloud *c, struct host *h, const char *name)
{
    struct uuid id =
        make(c, ST_PORT, attrs("{'bridgeId':'%s','name':'%s'}", text_of(&c->bridge), name));

    plug(h, name);
    change(c, ST_PORT, &id, attrs("{'hostId':'%s','interfaceName':'%s'}", text_of(&h->id), name));
    return id;
}

static struct cloud *up_with(unsigned n_workers)
{
    static unsigned count;
    struct cloud *c = NEW(struct cloud);
    struct error e;

    c->now = 1000 * SEC;
    snprintf(c->url, sizeof c->url, "memory:cluster-%d-%u", (int)getpid(), count++);
    assert_int_equal(store_open(c->url, NULL, &c->store, &e), 0);
    c->db = objects_open(c->store);
    c->board = memory_board_new();
    for (unsigned i = 0; i < 2; i++) {
        struct host *h = &c->h[i];
        *h = (struct host){.cloud = c, .id.b = {0xaa, (uint8_t)i}, .n_workers = n_workers};
        snprintf(h->name, sizeof h->name, "h%u", i + 1);
        snprintf(h->dp_name, sizeof h->dp_name, "cluster-%u-%u", count, i);
        start(h);
    }
    settle(c);
    struct uuid zone = make(c, ST_TUNNEL_ZONE, attrs("{'name':'z','type':'vxlan'}"));
    for (unsigned i = 0; i < 2; i++)
        make(c, ST_TUNNEL_ZONE_HOST,
             attrs("{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.%u'}", text_of(&zone),
                   text_of(&c->h[i].id), i + 1));
    c->bridge = make(c, ST_BRIDGE, attrs("{'name':'net'}"));
    c->a = bound_port(c, &c->h[0], "a");
    c->c = bound_port(c, &c->h[0], "c");
    c->b = bound_port(c, &c->h[1], "b");
    c->d = bound_port(c, &c->h[1], "d");
    settle(c);
    return c;
}

static struct cloud *up(void)
{
    return up_with(1);
}

static void down(struct cloud *c)
{
    for (unsigned i = 0; i < 2; i++)
        if (c->h[i].agent)
            stop(&c->h[i], false);
    memory_board_free(c->board);
    objects_close(c->db);
    store_close(c->store);
    free(c);
}

static struct flow_key frame_between(char from, char to)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 7, 8);

    k.eth_src = (struct mac){{2, 0, 0, 0, 0, (uint8_t)from}};
    k.eth_dst = (struct mac){{2, 0, 0, 0, 0, (uint8_t)to}};
    return k;
}

static void send_from(struct host *h, const char *iface_name, char to)
{
    struct flow_key k = frame_between(*iface_name, to);
    struct frame f = frame_of(&k);

    assert_int_equal(memory_inject(h->dp, iface_name, f.b, f.size), 0);
    run_all(h->cloud);
}

/* How many frames came out, and they are thrown away. */
static unsigned received(struct host *h, const char *iface_name)
{
    uint8_t buf[2048];
    unsigned n = 0;

    while (memory_take(h->dp, iface_name, buf, sizeof buf) > 0)
        n++;
    return n;
}

static uint32_t n_flows(struct host *h)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < agent_n_workers(h->agent); i++)
        n += ft_n_flows(worker_flows(agent_worker(h->agent, i)));
    return n;
}

static uint64_t n_upcalls(struct host *h)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < agent_n_workers(h->agent); i++)
        n += worker_counters(agent_worker(h->agent, i))->upcalls;
    return n;
}

static bool is_active(struct cloud *c, const struct uuid *port)
{
    struct error e = {0};
    json_t *obj;

    assert_int_equal(objects_get(c->db, ST_PORT, port, &obj, &e), 0);
    bool active = json_is_true(json_object_get(obj, "active"));
    json_decref(obj);
    return active;
}

/* The host that the store says serves the port. */
static bool served_by(struct cloud *c, const struct uuid *port, struct host *h)
{
    char path[STORE_PATH_MAX];
    struct store_value v;

    objects_state_path(ST_PORT, port, "active", path);
    if (store_get(c->store, path, &v, NULL))
        return false;
    bool named = strstr(v.data, text_of(&h->id)) != NULL;
    store_value_free(&v);
    return named;
}

static const char *port_state(struct host *h, const char *name)
{
    static char state[64];
    json_t *doc = report_ports(h->agent), *row;
    size_t i;

    strcpy(state, "none");
    json_array_foreach (json_object_get(doc, "ports"), i, row)
        if (!strcmp(json_string_value(json_object_get(row, "interface")), name))
            snprintf(state, sizeof state, "%s", json_string_value(json_object_get(row, "state")));
    json_decref(doc);
    return state;
}

static void two_hosts_are_one_bridge(void **state)
{
    struct cloud *c = up();

    (void)state;
    assert_true(is_active(c, &c->a) && is_active(c, &c->b));
    send_from(&c->h[0], "a", 'b'); /* unknown: flooded */
    assert_int_equal(received(&c->h[0], "c"), 1);
    assert_int_equal(received(&c->h[1], "b"), 1);
    assert_int_equal(received(&c->h[1], "d"), 1);
    settle(c); /* where A is has come to h2 */
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(received(&c->h[0], "a"), 1);
    assert_int_equal(received(&c->h[0], "c"), 0);
    assert_int_equal(received(&c->h[1], "d"), 0);
    settle(c); /* where B is has come to h1, and the flood is none any more */
    send_from(&c->h[0], "a", 'b');
    assert_int_equal(received(&c->h[1], "b"), 1);
    assert_int_equal(received(&c->h[0], "c"), 0);
    assert_int_equal(received(&c->h[1], "d"), 0);
    assert_int_equal(n_upcalls(&c->h[0]), 1);
    assert_int_equal(n_upcalls(&c->h[1]), 1);
    down(c);
}

static void deleted_interface_unbinds(void **state)
{
    struct cloud *c = up();

    (void)state;
    send_from(&c->h[0], "a", 'c');
    send_from(&c->h[0], "c", 'a');
    send_from(&c->h[1], "b", 'a');
    settle(c);
    assert_int_equal(n_flows(&c->h[0]), 2);
    received(&c->h[0], "a");
    memory_if_del(c->h[0].dp, "a");
    iface(&c->h[0], "a", false, true);
    settle(c);
    assert_false(is_active(c, &c->a));
    assert_string_equal(port_state(&c->h[0], "a"), "no interface");
    assert_int_equal(n_flows(&c->h[0]), 0);
    received(&c->h[1], "d");
    send_from(&c->h[1], "b", 'a'); /* the other host knows it too */
    assert_int_equal(received(&c->h[1], "d"), 1);

    plug(&c->h[0], "a"); /* and it comes back */
    settle(c);
    assert_true(is_active(c, &c->a));
    send_from(&c->h[0], "a", 'b');
    settle(c);
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(received(&c->h[0], "a"), 1);
    down(c);
}

/* Deleted and made again before anybody looked: still another interface. */
static void replaced_interface_is_taken_anew(void **state)
{
    struct cloud *c = up();

    (void)state;
    send_from(&c->h[0], "a", 'b');
    memory_if_del(c->h[0].dp, "a");
    iface(&c->h[0], "a", false, true);
    plug(&c->h[0], "a");
    settle(c);
    assert_true(is_active(c, &c->a));
    send_from(&c->h[0], "a", 'b');
    assert_true(received(&c->h[1], "b") >= 1);
    down(c);
}

static void link_decides(void **state)
{
    struct cloud *c = up();

    (void)state;
    iface(&c->h[0], "a", false, false);
    settle(c);
    assert_false(is_active(c, &c->a));
    assert_string_equal(port_state(&c->h[0], "a"), "no link");
    send_from(&c->h[0], "c", 'a');
    assert_int_equal(received(&c->h[0], "a"), 0);
    iface(&c->h[0], "a", true, false);
    settle(c);
    assert_true(is_active(c, &c->a));
    assert_string_equal(port_state(&c->h[0], "a"), "active");
    send_from(&c->h[0], "c", 'a');
    assert_int_equal(received(&c->h[0], "a"), 1);
    down(c);
}

static void port_moves_to_the_other_host(void **state)
{
    struct cloud *c = up();

    (void)state;
    send_from(&c->h[0], "a", 'b');
    send_from(&c->h[1], "b", 'a');
    settle(c);
    received(&c->h[0], "a");
    plug(&c->h[1], "a2");
    change(c, ST_PORT, &c->a, attrs("{'hostId':'%s','interfaceName':'a2'}", text_of(&c->h[1].id)));
    settle(c);
    assert_true(is_active(c, &c->a));
    /* its machine may still be where it was: served there and here, and packets go to both */
    assert_string_equal(port_state(&c->h[0], "a"), "moving");
    assert_string_equal(port_state(&c->h[1], "a2"), "active");
    send_from(&c->h[0], "a", 'b');
    assert_true(received(&c->h[1], "b") >= 1);
    for (unsigned i = 0; i < 2; i++) {
        send_from(&c->h[i], i ? "b" : "c", 'a');
        assert_int_equal(received(&c->h[0], "a"), 1);
        assert_int_equal(received(&c->h[1], "a2"), 1);
    }
    struct flow_key k = frame_between('a', 'b');
    struct frame f = frame_of(&k);
    memory_inject(c->h[1].dp, "a2", f.b, f.size);
    settle(c);
    assert_true(received(&c->h[1], "b") >= 1);
    assert_string_equal(port_state(&c->h[0], "a"), "none");
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(received(&c->h[1], "a2"), 1);
    assert_int_equal(received(&c->h[0], "a"), 0);
    down(c);
}

static int unknown_key(const char *name, uint64_t value, void *aux)
{
    if (!strcmp(name, "unknown_tunnel_key"))
        *(uint64_t *)aux = value;
    return 0;
}

/* The machine is silent where it went, and its interface goes where it was. */
static void port_moves_when_its_interface_goes(void **state)
{
    struct cloud *c = up();

    (void)state;
    send_from(&c->h[0], "a", 'b');
    send_from(&c->h[1], "b", 'a');
    plug(&c->h[1], "a2");
    change(c, ST_PORT, &c->a, attrs("{'hostId':'%s','interfaceName':'a2'}", text_of(&c->h[1].id)));
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "moving");
    memory_if_del(c->h[0].dp, "a");
    iface(&c->h[0], "a", false, true);
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "none");
    assert_true(is_active(c, &c->a));
    received(&c->h[1], "a2");
    uint64_t astray = 0;
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(received(&c->h[1], "a2"), 1);
    dp_counters(c->h[0].dp, unknown_key, &astray);
    assert_int_equal(astray, 0); /* nothing is sent there any more */
    down(c);
}

/* It goes on being served where it was until the other host does so, which may never be. */
static void port_waits_where_it_was(void **state)
{
    struct cloud *c = up();

    (void)state;
    send_from(&c->h[0], "a", 'b');
    send_from(&c->h[1], "b", 'a');
    received(&c->h[0], "a");
    change(c, ST_PORT, &c->a, attrs("{'hostId':'%s','interfaceName':'a2'}", text_of(&c->h[1].id)));
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "moving");
    assert_string_equal(port_state(&c->h[1], "a2"), "no interface");
    assert_false(is_active(c, &c->a)); /* not where it is bound to */
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(received(&c->h[0], "a"), 1);
    plug(&c->h[1], "a2"); /* the new host serves it, and dies before the machine has come */
    settle(c);
    assert_string_equal(port_state(&c->h[1], "a2"), "active");
    stop(&c->h[1], false);
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "moving");
    assert_true(served_by(c, &c->a, &c->h[0]));
    send_from(&c->h[0], "c", 'a');
    assert_int_equal(received(&c->h[0], "a"), 1);
    /* not bound at all */
    change(c, ST_PORT, &c->a, attrs("{'hostId':null,'interfaceName':null}"));
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "none");
    assert_false(served_by(c, &c->a, &c->h[0]));
    down(c);
}

static void changed_interface_name_rebinds(void **state)
{
    struct cloud *c = up();

    (void)state;
    plug(&c->h[0], "e");
    change(c, ST_PORT, &c->a, attrs("{'interfaceName':'e'}"));
    settle(c);
    assert_string_equal(port_state(&c->h[0], "e"), "active");
    send_from(&c->h[0], "c", 'a');
    assert_int_equal(received(&c->h[0], "e"), 1);
    assert_int_equal(received(&c->h[0], "a"), 0);
    down(c);
}

static void learned_addresses_live_while_used(void **state)
{
    struct cloud *c = up();

    (void)state;
    send_from(&c->h[0], "a", 'b');
    send_from(&c->h[1], "b", 'a');
    settle(c);
    uint64_t before = n_upcalls(&c->h[0]) + n_upcalls(&c->h[1]);
    for (unsigned t = 0; t < 300; t += 10) { /* b only listens, and is not forgotten for a while */
        send_from(&c->h[0], "a", 'b');
        send_from(&c->h[1], "b", 'a');
        pass(c, 10);
    }
    received(&c->h[0], "c");
    send_from(&c->h[0], "a", 'b');
    assert_int_equal(received(&c->h[0], "c"), 0);
    assert_int_equal(n_upcalls(&c->h[0]) + n_upcalls(&c->h[1]), before);
    pass(c, 400); /* nobody speaks: flows and addresses go */
    assert_int_equal(n_flows(&c->h[0]), 0);
    received(&c->h[1], "d");
    send_from(&c->h[0], "c", 'b');
    assert_int_equal(received(&c->h[1], "d"), 1); /* flooded again */
    down(c);
}

static void restart_keeps_flows(void **state)
{
    struct cloud *c = up();
    struct host *h = &c->h[0];

    (void)state;
    send_from(h, "a", 'b');
    settle(c);
    send_from(&c->h[1], "b", 'a');
    settle(c);
    received(h, "a");
    received(h, "c");
    received(&c->h[1], "b");
    stop(h, true);
    struct flow_key k = frame_between('a', 'b');
    struct frame f = frame_of(&k);
    start(h);
    assert_int_equal(memory_inject(h->dp, "a", f.b, f.size), 0); /* before it knows anything */
    assert_int_equal(received(&c->h[1], "b"), 1);
    iface(h, "a", true, false);
    iface(h, "c", true, false);
    settle(c);
    pass(c, 10);
    assert_int_equal(n_flows(h), 1);
    send_from(h, "a", 'b');
    assert_int_equal(received(&c->h[1], "b"), 1);
    assert_int_equal(received(h, "c"), 0);
    assert_int_equal(n_upcalls(h), 0);
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(received(h, "a"), 1);
    down(c);
}

/* What nobody wants any more is not taken over. */
static void restart_sweeps(void **state)
{
    struct cloud *c = up();
    struct host *h = &c->h[0];

    (void)state;
    send_from(h, "a", 'b');
    settle(c);
    stop(h, true);
    change(c, ST_PORT, &c->a, attrs("{'hostId':null,'interfaceName':null}"));
    start(h);
    iface(h, "a", true, false);
    iface(h, "c", true, false);
    settle(c);
    assert_int_equal(n_flows(h), 0);
    received(&c->h[1], "b");
    struct flow_key k = frame_between('a', 'b');
    struct frame f = frame_of(&k);
    memory_inject(h->dp, "a", f.b, f.size);
    settle(c);
    assert_int_equal(received(&c->h[1], "b"), 0);
    send_from(h, "c", 'b');
    assert_int_equal(received(&c->h[1], "b"), 1);
    down(c);
}

static void several_workers(void **state)
{
    struct cloud *c = up_with(3);

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        send_from(&c->h[0], "a", 'b');
        send_from(&c->h[0], "c", 'b');
        send_from(&c->h[1], "b", 'a');
        send_from(&c->h[1], "d", 'c');
        settle(c);
    }
    assert_int_equal(received(&c->h[1], "b") > 0, 1);
    assert_int_equal(n_flows(&c->h[0]), 2);
    assert_int_equal(n_flows(&c->h[1]), 2);
    pass(c, 10);
    assert_int_equal(n_flows(&c->h[0]), 2);
    memory_if_del(c->h[0].dp, "a");
    iface(&c->h[0], "a", false, true);
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "no interface");
    down(c);
}

static void reports_say_why(void **state)
{
    struct cloud *c = up();
    struct host *h = &c->h[0];
    bool named = false;
    json_t *v;
    size_t i;

    (void)state;
    send_from(h, "a", 'b');
    settle(c);
    struct listing *l = report_flows(h->agent, true);
    json_t *page = listing_page(l, c->now), *flows = json_object_get(page, "flows");
    assert_int_equal(json_array_size(flows), 1);
    assert_true(json_is_false(json_object_get(page, "more")));
    json_t *flow = json_array_get(flows, 0);
    assert_string_equal(json_string_value(json_object_get(flow, "class")), "forward");
    assert_int_equal(json_array_size(json_object_get(flow, "actions")), 3);
    json_array_foreach (json_object_get(flow, "why"), i, v)
        named |= !strcmp(json_string_value(v), "bridge net");
    assert_true(named);
    json_decref(page);
    listing_free(l);

    json_t *status = report_status(h->agent, c->now);
    assert_int_equal(json_integer_value(json_object_get(status, "flows")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "active")), 2);
    assert_true(json_is_true(json_object_get(status, "ready")));
    json_decref(status);

    change(c, ST_BRIDGE, &c->bridge, attrs("{'adminStateUp':false}"));
    settle(c);
    send_from(h, "a", 'b');
    json_t *drops = report_drops(h->agent, c->now);
    json_t *row = json_array_get(json_object_get(drops, "drops"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "reason")), "bridge-admin-down");
    assert_string_equal(json_string_value(json_object_get(row, "object")), "bridge net");
    json_decref(drops);
    json_decref(report_memory(h->agent));
    json_decref(report_counters(h->agent));
    down(c);
}

static int reader_setup(void **state)
{
    (void)state;
    rcu_register_thread();
    return 0;
}

static int reader_teardown(void **state)
{
    (void)state;
    rcu_unregister_thread();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hosts_are_one_bridge),
        cmocka_unit_test(deleted_interface_unbinds),
        cmocka_unit_test(replaced_interface_is_taken_anew),
        cmocka_unit_test(link_decides),
        cmocka_unit_test(port_moves_to_the_other_host),
        cmocka_unit_test(port_moves_when_its_interface_goes),
        cmocka_unit_test(port_waits_where_it_was),
        cmocka_unit_test(changed_interface_name_rebinds),
        cmocka_unit_test(learned_addresses_live_while_used),
        cmocka_unit_test(restart_keeps_flows),
        cmocka_unit_test(restart_sweeps),
        cmocka_unit_test(several_workers),
        cmocka_unit_test(reports_say_why),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
