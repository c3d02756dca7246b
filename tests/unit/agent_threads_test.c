/* An agent with its threads, on real time: packets, changes, questions and bindings at once.
 *
 *      h1:   a --+-- net --+-- b
 */
#include <poll.h>
#include <unistd.h>

#include "agent/report.h"
#include "agent/threads.h"
#include "base/clock.h"
#include "datapath/memory.h"
#include "objects_fixture.h"
#include "packet_fixture.h"
#include "rcu_reader.h"

struct rig {
    char url[48];
    struct store *store, *operators;
    struct objects *db;
    struct dp *dp;
    struct agent *agent;
    struct agent_threads *threads;
    struct uuid host, bridge, a, b;
    struct uuid served; /* to be, besides a */
};

/* What the daemon's loop does. */
static void control(struct rig *r)
{
    inbox_awake(agent_control_inbox(r->agent), true);
    agent_run_control(r->agent, agent_now(r->agent));
}

typedef bool condition(struct rig *r);

static void await(struct rig *r, condition *c)
{
    uint64_t end = clock_ns() + 60 * NSEC_PER_SEC;

    while (!c(r)) {
        control(r);
        poll(NULL, 0, 1);
        if (clock_ns() > end)
            fail_msg("waited too long");
    }
}

static int count_active(const struct agent_port *p, void *aux)
{
    *(unsigned *)aux += p->port_no != 0;
    return 0;
}

static unsigned n_active(struct rig *r)
{
    unsigned n = 0;

    agent_each_port(r->agent, count_active, &n);
    return n;
}

static bool both_served(struct rig *r)
{
    return n_active(r) == 2;
}

static int find_served(const struct agent_port *p, void *aux)
{
    const struct rig *r = aux;

    return p->port_no && uuid_equal(&p->id, &r->served);
}

static bool served(struct rig *r)
{
    return n_active(r) == 2 && agent_each_port(r->agent, find_served, r);
}

static bool one_served(struct rig *r)
{
    return n_active(r) == 1;
}

static void send_frame(struct rig *r, const char *from, uint8_t to, uint16_t n)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", n, 8);

    k.eth_src = (struct mac){{2, 0, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}};
    k.eth_dst = (struct mac){{2, 0, 0, 0, 0, to}};
    struct frame f = frame_of(&k);
    memory_inject(r->dp, from, f.b, f.size);
}

static bool came_out(struct rig *r)
{
    uint8_t buf[2048];
    int n;
    bool any = false;

    send_frame(r, "a", 'b', 1);
    while ((n = memory_take(r->dp, "b", buf, sizeof buf)) > 0)
        any = true;
    return any;
}

static bool comes_not_out(struct rig *r)
{
    uint8_t buf[2048];

    while (memory_take(r->dp, "b", buf, sizeof buf) > 0)
        ;
    send_frame(r, "a", 'b', 1);
    poll(NULL, 0, 5);
    return memory_take(r->dp, "b", buf, sizeof buf) <= 0;
}

static void iface(struct rig *r, const char *name, bool gone)
{
    struct net_iface i = {.index = 1, .mtu = 1500, .up = true, .carrier = true};

    snprintf(i.name, sizeof i.name, "%s", name);
    agent_iface(r->agent, &i, gone);
}

static bool registered(struct rig *r)
{
    json_t *obj;

    if (objects_get(r->db, ST_HOST, &r->host, &obj, NULL))
        return false;
    json_decref(obj);
    return true;
}

static struct rig *up(unsigned n_workers)
{
    static unsigned count;
    struct rig *r = NEW(struct rig);
    struct dp_options dpo = {.name = "threads", .n_queues = n_workers};
    struct agent_options ao = {.name = "h1", .keep_mtu = true, .n_workers = n_workers};
    struct error e = {0};

    snprintf(r->url, sizeof r->url, "memory:threads-%d-%u", (int)getpid(), count++);
    r->host = ao.host = (struct uuid){{1, 2, 3}};
    assert_int_equal(store_open(r->url, NULL, &r->store, &e), 0);
    assert_int_equal(store_open(r->url, NULL, &r->operators, &e), 0);
    r->db = objects_open(r->operators);
    assert_int_equal(dp_open("memory", &dpo, &r->dp, &e), 0);
    ao.store = r->store;
    ao.dp = r->dp;
    ao.stats_ns = 5 * NSEC_PER_MSEC; /* often, to be in the way */
    assert_int_equal(agent_open(&ao, &r->agent, &e), 0);
    assert_int_equal(agent_threads_start(r->agent, 0, &r->threads, &e), 0);
    memory_if_add(r->dp, "a");
    memory_if_add(r->dp, "b");
    iface(r, "a", false);
    iface(r, "b", false);
    await(r, registered);
    struct uuid zone =
        make_object(r->db, ST_TUNNEL_ZONE, json_pack("{s:s,s:s}", "name", "z", "type", "vxlan"));
    char host[UUID_STRLEN], text[UUID_STRLEN];
    uuid_format(&r->host, host);
    make_object(r->db, ST_TUNNEL_ZONE_HOST,
                json_pack("{s:s,s:s,s:s}", "tunnelZoneId", uuid_format(&zone, text), "hostId", host,
                          "ipAddress", "192.0.2.1"));
    r->bridge = make_object(r->db, ST_BRIDGE, json_pack("{s:s}", "name", "net"));
    uuid_format(&r->bridge, text);
    r->a = make_object(r->db, ST_PORT, json_pack("{s:s}", "bridgeId", text));
    r->b = make_object(r->db, ST_PORT, json_pack("{s:s}", "bridgeId", text));
    change_object(r->db, ST_PORT, &r->a,
                  json_pack("{s:s,s:s}", "hostId", host, "interfaceName", "a"));
    change_object(r->db, ST_PORT, &r->b,
                  json_pack("{s:s,s:s}", "hostId", host, "interfaceName", "b"));
    await(r, both_served);
    return r;
}

static void down(struct rig *r)
{
    agent_threads_stop(r->threads);
    agent_close(r->agent, false);
    dp_close(r->dp, false);
    store_close(r->store);
    objects_close(r->db);
    store_close(r->operators);
    free(r);
}

static void changes_take_effect(void **state)
{
    struct rig *r = up(1);

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        change_object(r->db, ST_PORT, &r->b, json_pack("{s:b}", "adminStateUp", 1));
        await(r, came_out);
        change_object(r->db, ST_PORT, &r->b, json_pack("{s:b}", "adminStateUp", 0));
        await(r, comes_not_out);
    }
    down(r);
}

/* Everything at once; what is asserted is that it ends, and ends in order. */
static void all_at_once(void **state)
{
    struct rig *r = up(2);
    uint8_t buf[2048];

    (void)state;
    for (uint16_t i = 0; i < 600; i++) {
        send_frame(r, "a", 'b', i);
        send_frame(r, "b", 'a', (uint16_t)(i + 1000));
        memory_take(r->dp, "a", buf, sizeof buf);
        memory_take(r->dp, "b", buf, sizeof buf);
        control(r);
        switch (i % 40) {
        case 5:
            change_object(r->db, ST_BRIDGE, &r->bridge,
                          json_pack("{s:b}", "adminStateUp", i / 40 % 2));
            break;
        case 10:
            json_decref(report_drops(r->agent, agent_now(r->agent)));
            break;
        case 15: {
            struct listing *l = report_flows(r->agent, true);
            json_decref(listing_page(l, agent_now(r->agent)));
            listing_free(l);
            break;
        }
        case 20:
            memory_if_del(r->dp, "b");
            iface(r, "b", true);
            break;
        case 25:
            memory_if_add(r->dp, "b");
            iface(r, "b", false);
            break;
        case 30:
            json_decref(report_status(r->agent, agent_now(r->agent)));
            json_decref(report_memory(r->agent));
            break;
        }
    }
    change_object(r->db, ST_BRIDGE, &r->bridge, json_pack("{s:b}", "adminStateUp", 1));
    await(r, both_served);
    await(r, came_out);
    memory_if_del(r->dp, "b");
    iface(r, "b", true);
    await(r, one_served);
    down(r);
}

static void bind_to(struct rig *r, const struct uuid *port, const char *ifname)
{
    char host[UUID_STRLEN];

    uuid_format(&r->host, host);
    change_object(r->db, ST_PORT, port,
                  ifname ? json_pack("{s:s,s:s}", "hostId", host, "interfaceName", ifname)
                         : json_pack("{s:n,s:n}", "hostId", "interfaceName"));
}

/* One port leaves an interface, another takes it, and the agent hears of both at once. */
static void an_interface_changes_hands(void **state)
{
    struct rig *r = up(2);
    char bridge[UUID_STRLEN];
    struct uuid c = make_object(r->db, ST_PORT,
                                json_pack("{s:s}", "bridgeId", uuid_format(&r->bridge, bridge)));

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        bind_to(r, i % 2 ? &c : &r->b, NULL);
        bind_to(r, i % 2 ? &r->b : &c, "b");
        r->served = i % 2 ? r->b : c;
        await(r, served);
        await(r, came_out);
    }
    down(r);
}

static bool ticket_served(struct rig *r)
{
    static uint64_t ticket;

    if (!ticket)
        ticket = agent_threads_ticket(r->threads);
    return agent_threads_served(r->threads, ticket);
}

static void barrier_is_reached(void **state)
{
    struct rig *r = up(2);

    (void)state;
    send_frame(r, "a", 'b', 3);
    await(r, ticket_served);
    uint64_t before = agent_now(r->agent);
    agent_advance(r->agent, before, 1000 * NSEC_PER_SEC);
    assert_true(agent_now(r->agent) >= before + 1000 * NSEC_PER_SEC);
    down(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_take_effect),
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(an_interface_changes_hands),
        cmocka_unit_test(barrier_is_reached),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
