/* Whole agents in one process: a memory store, a switchboard of memory datapaths, one clock.
 *
 *      h1                                h2
 *      a --+                          +-- b
 *          +-- bridge "net" ----------+
 *      c --+                          +-- d
 */
#include "agent_hosts.h"
#include "topology/tables.h"

struct cloud {
    struct hosts all;
    struct host *h; /* all.h */
    struct uuid bridge, a, b, c, d;
};

/* Until nothing is left to do, letting the moment pass in which learned entries are gathered. */
static void settle(struct cloud *c)
{
    for (unsigned i = 0; i < 4; i++) {
        hosts_run(&c->all);
        c->all.now += 50 * NSEC_PER_MSEC;
    }
    hosts_run(&c->all);
}

static void pass(struct cloud *c, unsigned seconds)
{
    for (unsigned i = 0; i < 2 * seconds; i++) {
        c->all.now += SEC / 2;
        hosts_run(&c->all);
    }
}

static struct uuid bound_port(struct cloud *c, struct host *h, const char *name)
{
    struct uuid id =
        make(&c->all, ST_PORT, "{'bridgeId':'%s','name':'%s'}", text_of(&c->bridge), name);

    host_plug(h, name);
    change(&c->all, ST_PORT, &id, "{'hostId':'%s','interfaceName':'%s'}", text_of(&h->id), name);
    return id;
}

static struct cloud *up_with(unsigned n_workers)
{
    struct cloud *c = NEW(struct cloud);

    c->all.n = 2;
    c->all.n_workers = n_workers;
    c->h = c->all.h;
    hosts_open(&c->all, "cluster");
    settle(c);
    hosts_tunnel(&c->all);
    c->bridge = make(&c->all, ST_BRIDGE, "{'name':'net'}");
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
    hosts_close(&c->all);
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
    hosts_run(h->all);
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

    assert_int_equal(objects_get(c->all.db, ST_PORT, port, &obj, &e), 0);
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
    if (store_get(c->all.store, path, &v, NULL))
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
    assert_int_equal(host_took(&c->h[0], "c"), 1);
    assert_int_equal(host_took(&c->h[1], "b"), 1);
    assert_int_equal(host_took(&c->h[1], "d"), 1);
    settle(c); /* where A is has come to h2 */
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(host_took(&c->h[0], "a"), 1);
    assert_int_equal(host_took(&c->h[0], "c"), 0);
    assert_int_equal(host_took(&c->h[1], "d"), 0);
    settle(c); /* where B is has come to h1, and the flood is none any more */
    send_from(&c->h[0], "a", 'b');
    assert_int_equal(host_took(&c->h[1], "b"), 1);
    assert_int_equal(host_took(&c->h[0], "c"), 0);
    assert_int_equal(host_took(&c->h[1], "d"), 0);
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
    host_took(&c->h[0], "a");
    host_unplug(&c->h[0], "a");
    settle(c);
    assert_false(is_active(c, &c->a));
    assert_string_equal(port_state(&c->h[0], "a"), "no interface");
    assert_int_equal(n_flows(&c->h[0]), 0);
    host_took(&c->h[1], "d");
    send_from(&c->h[1], "b", 'a'); /* the other host knows it too */
    assert_int_equal(host_took(&c->h[1], "d"), 1);

    host_plug(&c->h[0], "a"); /* and it comes back */
    settle(c);
    assert_true(is_active(c, &c->a));
    send_from(&c->h[0], "a", 'b');
    settle(c);
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(host_took(&c->h[0], "a"), 1);
    down(c);
}

/* Deleted and made again before anybody looked: still another interface. */
static void replaced_interface_is_taken_anew(void **state)
{
    struct cloud *c = up();

    (void)state;
    send_from(&c->h[0], "a", 'b');
    host_unplug(&c->h[0], "a");
    host_plug(&c->h[0], "a");
    settle(c);
    assert_true(is_active(c, &c->a));
    send_from(&c->h[0], "a", 'b');
    assert_true(host_took(&c->h[1], "b") >= 1);
    down(c);
}

static void link_decides(void **state)
{
    struct cloud *c = up();

    (void)state;
    host_iface(&c->h[0], "a", false, false);
    settle(c);
    assert_false(is_active(c, &c->a));
    assert_string_equal(port_state(&c->h[0], "a"), "no link");
    send_from(&c->h[0], "c", 'a');
    assert_int_equal(host_took(&c->h[0], "a"), 0);
    host_iface(&c->h[0], "a", true, false);
    settle(c);
    assert_true(is_active(c, &c->a));
    assert_string_equal(port_state(&c->h[0], "a"), "active");
    send_from(&c->h[0], "c", 'a');
    assert_int_equal(host_took(&c->h[0], "a"), 1);
    down(c);
}

static void port_moves_to_the_other_host(void **state)
{
    struct cloud *c = up();

    (void)state;
    send_from(&c->h[0], "a", 'b');
    send_from(&c->h[1], "b", 'a');
    settle(c);
    host_took(&c->h[0], "a");
    host_plug(&c->h[1], "a2");
    change(&c->all, ST_PORT, &c->a, "{'hostId':'%s','interfaceName':'a2'}", text_of(&c->h[1].id));
    settle(c);
    assert_true(is_active(c, &c->a));
    /* its machine may still be where it was: served there and here, and packets go to both */
    assert_string_equal(port_state(&c->h[0], "a"), "moving");
    assert_string_equal(port_state(&c->h[1], "a2"), "active");
    send_from(&c->h[0], "a", 'b');
    assert_true(host_took(&c->h[1], "b") >= 1);
    for (unsigned i = 0; i < 2; i++) {
        send_from(&c->h[i], i ? "b" : "c", 'a');
        assert_int_equal(host_took(&c->h[0], "a"), 1);
        assert_int_equal(host_took(&c->h[1], "a2"), 1);
    }
    struct flow_key k = frame_between('a', 'b');
    struct frame f = frame_of(&k);
    memory_inject(c->h[1].dp, "a2", f.b, f.size);
    settle(c);
    assert_true(host_took(&c->h[1], "b") >= 1);
    assert_string_equal(port_state(&c->h[0], "a"), "none");
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(host_took(&c->h[1], "a2"), 1);
    assert_int_equal(host_took(&c->h[0], "a"), 0);
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
    host_plug(&c->h[1], "a2");
    change(&c->all, ST_PORT, &c->a, "{'hostId':'%s','interfaceName':'a2'}", text_of(&c->h[1].id));
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "moving");
    host_unplug(&c->h[0], "a");
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "none");
    assert_true(is_active(c, &c->a));
    host_took(&c->h[1], "a2");
    uint64_t astray = 0;
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(host_took(&c->h[1], "a2"), 1);
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
    host_took(&c->h[0], "a");
    change(&c->all, ST_PORT, &c->a, "{'hostId':'%s','interfaceName':'a2'}", text_of(&c->h[1].id));
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "moving");
    assert_string_equal(port_state(&c->h[1], "a2"), "no interface");
    assert_false(is_active(c, &c->a)); /* not where it is bound to */
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(host_took(&c->h[0], "a"), 1);
    host_plug(&c->h[1], "a2"); /* the new host serves it, and dies before the machine has come */
    settle(c);
    assert_string_equal(port_state(&c->h[1], "a2"), "active");
    host_stop(&c->h[1], false);
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "moving");
    assert_true(served_by(c, &c->a, &c->h[0]));
    send_from(&c->h[0], "c", 'a');
    assert_int_equal(host_took(&c->h[0], "a"), 1);
    /* not bound at all */
    change(&c->all, ST_PORT, &c->a, "{'hostId':null,'interfaceName':null}");
    settle(c);
    assert_string_equal(port_state(&c->h[0], "a"), "none");
    assert_false(served_by(c, &c->a, &c->h[0]));
    down(c);
}

static void changed_interface_name_rebinds(void **state)
{
    struct cloud *c = up();

    (void)state;
    host_plug(&c->h[0], "e");
    change(&c->all, ST_PORT, &c->a, "{'interfaceName':'e'}");
    settle(c);
    assert_string_equal(port_state(&c->h[0], "e"), "active");
    send_from(&c->h[0], "c", 'a');
    assert_int_equal(host_took(&c->h[0], "e"), 1);
    assert_int_equal(host_took(&c->h[0], "a"), 0);
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
    host_took(&c->h[0], "c");
    send_from(&c->h[0], "a", 'b');
    assert_int_equal(host_took(&c->h[0], "c"), 0);
    assert_int_equal(n_upcalls(&c->h[0]) + n_upcalls(&c->h[1]), before);
    pass(c, 400); /* nobody speaks: flows and addresses go */
    assert_int_equal(n_flows(&c->h[0]), 0);
    host_took(&c->h[1], "d");
    send_from(&c->h[0], "c", 'b');
    assert_int_equal(host_took(&c->h[1], "d"), 1); /* flooded again */
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
    host_took(h, "a");
    host_took(h, "c");
    host_took(&c->h[1], "b");
    host_stop(h, true);
    struct flow_key k = frame_between('a', 'b');
    struct frame f = frame_of(&k);
    host_start(h);
    assert_int_equal(memory_inject(h->dp, "a", f.b, f.size), 0); /* before it knows anything */
    assert_int_equal(host_took(&c->h[1], "b"), 1);
    host_iface(h, "a", true, false);
    host_iface(h, "c", true, false);
    settle(c);
    pass(c, 10);
    assert_int_equal(n_flows(h), 1);
    send_from(h, "a", 'b');
    assert_int_equal(host_took(&c->h[1], "b"), 1);
    assert_int_equal(host_took(h, "c"), 0);
    assert_int_equal(n_upcalls(h), 0);
    send_from(&c->h[1], "b", 'a');
    assert_int_equal(host_took(h, "a"), 1);
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
    host_stop(h, true);
    change(&c->all, ST_PORT, &c->a, "{'hostId':null,'interfaceName':null}");
    host_start(h);
    host_iface(h, "a", true, false);
    host_iface(h, "c", true, false);
    settle(c);
    assert_int_equal(n_flows(h), 0);
    host_took(&c->h[1], "b");
    struct flow_key k = frame_between('a', 'b');
    struct frame f = frame_of(&k);
    memory_inject(h->dp, "a", f.b, f.size);
    settle(c);
    assert_int_equal(host_took(&c->h[1], "b"), 0);
    send_from(h, "c", 'b');
    assert_int_equal(host_took(&c->h[1], "b"), 1);
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
    assert_int_equal(host_took(&c->h[1], "b") > 0, 1);
    assert_int_equal(n_flows(&c->h[0]), 2);
    assert_int_equal(n_flows(&c->h[1]), 2);
    pass(c, 10);
    assert_int_equal(n_flows(&c->h[0]), 2);
    host_unplug(&c->h[0], "a");
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
    json_t *page = listing_page(l, c->all.now), *flows = json_object_get(page, "flows");
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

    json_t *status = report_status(h->agent, c->all.now);
    assert_int_equal(json_integer_value(json_object_get(status, "flows")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "active")), 2);
    assert_true(json_is_true(json_object_get(status, "ready")));
    json_decref(status);

    change(&c->all, ST_BRIDGE, &c->bridge, "{'adminStateUp':false}");
    settle(c);
    send_from(h, "a", 'b');
    json_t *drops = report_drops(h->agent, c->all.now);
    json_t *row = json_array_get(json_object_get(drops, "drops"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "reason")), "bridge-admin-down");
    assert_string_equal(json_string_value(json_object_get(row, "object")), "bridge net");
    json_decref(drops);
    json_decref(report_memory(h->agent));
    json_decref(report_counters(h->agent));
    down(c);
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
