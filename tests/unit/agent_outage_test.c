/* The store is away for ten minutes and for thirty, for all agents and for one of them: connections
 * go on, new ones come about, and on return nothing is touched that is as it was.
 *
 * The drawing is in agent_site.h.  The router tracks what leaves by its uplinks, lets only answers
 * in there, and makes 203.0.113.1 of all sources; the uplinks are a stateful group. */
#include "agent_site.h"
#include "topology/tables.h"

enum { CONNS = 40 };

static void rule(struct site *c, const struct uuid *chain, unsigned position, const char *what)
{
    make(&c->all, ST_RULE, "{'chainId':'%s','position':%u,%s}", text_of(chain), position, what);
}

static void translate(struct site *c)
{
    struct uuid pre = make(&c->all, ST_CHAIN, "{'name':'pre'}"),
                post = make(&c->all, ST_CHAIN, "{'name':'post'}");
    struct uuid answers = make(&c->all, ST_CHAIN, "{'name':'answers'}");
    struct uuid calls = make(&c->all, ST_CHAIN, "{'name':'calls'}");
    struct uuid group = make(&c->all, ST_PORT_GROUP, "{'name':'uplinks','stateful':true}");
    char ports[256];

    snprintf(ports, sizeof ports, "'inPorts':['%s','%s','%s']", text_of(&c->m[U1].port),
             text_of(&c->m[U2].port), text_of(&c->m[U3].port));
    char reverse[320];
    snprintf(reverse, sizeof reverse, "'type':'rev_snat','flowAction':'accept',%s", ports);
    rule(c, &pre, 1, reverse);
    char snat[400];
    snprintf(snat, sizeof snat,
             "'type':'snat','flowAction':'accept','outPorts':['%s','%s','%s'],"
             "'natTargets':[{'addressFrom':'203.0.113.1','addressTo':'203.0.113.1',"
             "'portFrom':1024,'portTo':65535}]",
             text_of(&c->m[U1].port), text_of(&c->m[U2].port), text_of(&c->m[U3].port));
    rule(c, &post, 1, snat);
    rule(c, &answers, 1, "'type':'accept','matchReturnFlow':true");
    rule(c, &answers, 2, "'type':'accept','dlType':2054");
    rule(c, &answers, 3, "'type':'drop'");
    for (unsigned i = U1; i <= U3; i++) {
        make(&c->all, ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", text_of(&group),
             text_of(&c->m[i].port));
        change(&c->all, ST_PORT, &c->m[i].port, "{'inboundFilterId':'%s'}", text_of(&answers));
    }
    rule(c, &calls, 1, "'type':'accept','matchForwardFlow':true");
    change(&c->all, ST_PORT, &c->m[A].port, "{'inboundFilterId':'%s'}", text_of(&calls));
    change(&c->all, ST_PORT, &c->m[B].port, "{'inboundFilterId':'%s'}", text_of(&calls));
    change(&c->all, ST_ROUTER, &c->edge, "{'inboundFilterId':'%s','outboundFilterId':'%s'}",
           text_of(&pre), text_of(&post));
    site_pass_ms(c, 500);
}

/* A connection of 'from' to 20.1.1.1, as it was when it was last heard. */
struct conn {
    unsigned from;
    uint16_t sport, given; /* its own port, and that of 203.0.113.1 */
    unsigned gateway;
    bool open;
};

static struct conn conns[CONNS];

static const struct mac edge_up[] = {
    [U1] = {{2, 0, 0, 0, 2, U1}}, [U2] = {{2, 0, 0, 0, 2, U2}}, [U3] = {{2, 0, 0, 0, 2, U3}}};

/* Its next packet, and the answer; false when one of them doesn't arrive. */
static bool talks(struct site *c, struct conn *k)
{
    struct ip world, own = c->m[k->from].ip;

    ip_parse("20.1.1.1", &world);
    c->n_heard = 0;
    site_send(c, k->from, "20.1.1.1", k->sport, 80, &edge_mac);
    if (c->n_heard != 1 || !ip_equal(&c->heard[0].key.ip_dst, &world))
        return false;
    const struct heard *h = &c->heard[0];
    if (k->open)
        assert_int_equal(h->key.tp_src, k->given);
    *k = (struct conn){k->from, k->sport, h->key.tp_src, h->machine, true};
    assert_ip(&h->key.ip_src, "203.0.113.1");
    struct flow_key back = key_of(17, "20.1.1.1", "203.0.113.1", 80, k->given);
    back.eth_src = c->m[k->gateway].mac;
    back.eth_dst = edge_up[k->gateway];
    struct frame f = frame_of(&back);
    c->n_heard = 0;
    site_inject(c, k->gateway, f.b, f.size);
    site_run(c);
    return c->n_heard == 1 && c->heard[0].machine == k->from &&
           ip_equal(&c->heard[0].key.ip_dst, &own) && c->heard[0].key.tp_dst == k->sport;
}

static unsigned n_talk(struct site *c, unsigned n)
{
    unsigned ok = 0;

    for (unsigned i = 0; i < n; i++)
        ok += conns[i].open && talks(c, &conns[i]);
    return ok;
}

/* A port may have to be leased, and hosts that never spoke before get to know each other. */
static bool opens(struct site *c, struct conn *k, unsigned from, uint16_t sport)
{
    *k = (struct conn){.from = from, .sport = sport};
    for (unsigned i = 0; i < 4; i++) {
        if (talks(c, k))
            return true;
        site_pass_ms(c, 300);
    }
    return false;
}

static struct site *up(unsigned n)
{
    struct site *c = site_up();

    site_meet(c);
    translate(c);
    memset(conns, 0, sizeof conns);
    for (unsigned i = 0; i < n; i++)
        assert_true(opens(c, &conns[i], A, (uint16_t)(10000 + i)));
    return c;
}

/* Machines of one bridge on two hosts: does a frame arrive, to this MAC or to all? */
static bool reaches(struct site *c, unsigned from, unsigned to, bool broadcast)
{
    static const struct mac all = {{255, 255, 255, 255, 255, 255}};
    char dst[IP_STRLEN];

    c->n_heard = 0;
    site_send(c, from, ip_format(&c->m[to].ip, dst), 7, 7, broadcast ? &all : &c->m[to].mac);
    return c->n_heard == 1 && c->heard[0].machine == to;
}

static bool says_connected(struct site *c, unsigned host)
{
    json_t *status = report_status(c->h[host].agent, c->all.now);
    bool is = json_is_true(json_object_get(json_object_get(status, "store"), "connected"));

    json_decref(status);
    return is;
}

static void lose(struct site *c, unsigned first, unsigned last, bool sessions)
{
    for (unsigned i = first; i <= last; i++)
        flaky_lose(site_wire(c, i));
    site_pass(c, 1);
    for (unsigned i = first; i <= last; i++) {
        assert_false(says_connected(c, i));
        if (sessions)
            flaky_expire(site_wire(c, i));
    }
}

struct changes {
    uint64_t removed, replaced;
};

static struct changes changes_of(struct site *c)
{
    struct changes sum = {0};

    for (unsigned i = 0; i < HOSTS; i++) {
        sum.removed += counters_of(c, i)->flows_removed;
        sum.replaced += counters_of(c, i)->flows_replaced;
    }
    return sum;
}

/* All that was open goes on, and something new begins every half minute. */
static void live_on(struct site *c, unsigned minutes, unsigned n, unsigned *n_new)
{
    for (unsigned i = 0; i < 2 * minutes; i++) {
        struct conn fresh;
        for (unsigned k = 0; k < 2; k++) {
            site_pass(c, 15);
            assert_int_equal(n_talk(c, n), n);
            assert_true(reaches(c, A, B, false));
            assert_true(reaches(c, B, A, false));
        }
        if (n_new)
            *n_new += opens(c, &fresh, A, (uint16_t)(20000 + i));
    }
}

static void ten_minutes_for_all(void **arg)
{
    struct site *c = up(CONNS);
    unsigned n_new = 0;

    (void)arg;
    lose(c, 0, HOSTS - 1, false);
    struct changes before = changes_of(c);
    live_on(c, 10, CONNS, &n_new);
    assert_int_equal(n_new, 20);
    assert_true(reaches(c, B, A, true)); /* what is sent to all */
    struct changes then = changes_of(c);
    assert_int_equal(then.replaced, before.replaced);
    for (unsigned i = 0; i < HOSTS; i++)
        flaky_return(site_wire(c, i));
    site_pass(c, 20);
    assert_int_equal(n_talk(c, CONNS), CONNS);
    for (unsigned i = 0; i < HOSTS; i++)
        assert_true(says_connected(c, i));
    assert_int_equal(changes_of(c).replaced, then.replaced);
    site_down(c);
}

/* The ensemble forgot everybody's session; agents find back one after the other. */
static void everybody_comes_back_at_another_time(void **arg)
{
    struct site *c = up(CONNS);

    (void)arg;
    lose(c, 0, HOSTS - 1, true);
    live_on(c, 1, CONNS, NULL);
    struct changes before = changes_of(c);
    for (unsigned i = 0; i < HOSTS; i++) {
        flaky_return(site_wire(c, HOSTS - 1 - i));
        site_pass(c, 2);
        assert_int_equal(n_talk(c, CONNS), CONNS);
    }
    site_pass(c, 5);
    assert_int_equal(n_talk(c, CONNS), CONNS);
    struct changes then = changes_of(c);
    assert_int_equal(then.replaced, before.replaced);
    assert_int_equal(then.removed, before.removed);
    site_pass(c, 30);
    assert_int_equal(n_talk(c, CONNS), CONNS);
    for (unsigned i = 0; i < HOSTS; i++)
        assert_true(topo_port(agent_topo(c->h[0].agent),
                              topo_find(agent_topo(c->h[0].agent), &c->m[i].port))
                        ->active);
    site_down(c);
}

/* The host of the machine a: to the others it is gone, and yet there. */
static void ten_minutes_for_one(void **arg)
{
    struct site *c = up(CONNS);
    const struct topo *seen = agent_topo(c->h[B].agent);
    unsigned n_new = 0;
    struct conn other;

    (void)arg;
    assert_true(reaches(c, B, A, false));
    lose(c, A, A, true);
    site_pass(c, 1);
    const struct topo_port *port = topo_port(seen, topo_find(seen, &c->m[A].port));
    assert_false(port->active);
    assert_true(port->silent);
    struct changes before = changes_of(c);
    live_on(c, 10, CONNS, &n_new);
    assert_int_equal(n_new, 20);
    assert_true(reaches(c, B, A, true));
    assert_true(opens(c, &other, B, 30000)); /* who has the store leases other ports */
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_not_equal(conns[i].given / STATE_BLOCK, other.given / STATE_BLOCK);
    struct changes then = changes_of(c);
    assert_int_equal(then.replaced, before.replaced);
    flaky_return(site_wire(c, A));
    site_pass(c, 20);
    assert_int_equal(n_talk(c, CONNS), CONNS);
    assert_true(topo_port(seen, topo_find(seen, &c->m[A].port))->active);
    assert_int_equal(changes_of(c).replaced, then.replaced);
    site_down(c);
}

/* Longer than a host may open translated connections without the store. */
static void thirty_minutes_for_one(void **arg)
{
    struct site *c = up(CONNS);
    unsigned n_new = 0;
    struct conn fresh;

    (void)arg;
    lose(c, A, A, true);
    live_on(c, 11, CONNS, &n_new);
    assert_int_equal(n_new, 22);
    live_on(c, 19, CONNS, NULL);
    assert_false(opens(c, &fresh, A, 31000));
    flaky_return(site_wire(c, A));
    site_pass(c, 20);
    assert_int_equal(n_talk(c, CONNS), CONNS);
    assert_true(opens(c, &fresh, A, 31001));
    site_down(c);
}

/* The host of a gateway: its routes give way to those of the others, which know its connections;
 * what still arrives at it is still delivered. */
static void a_gateway_alone(void **arg)
{
    struct site *c = up(CONNS);
    struct conn was[CONNS];

    (void)arg;
    memcpy(was, conns, sizeof was);
    lose(c, U1, U1, true);
    site_pass(c, 1);
    assert_int_equal(n_talk(c, CONNS), CONNS);
    for (unsigned i = 0; i < CONNS; i++) {
        assert_int_not_equal(conns[i].gateway, U1);
        if (was[i].gateway != U1)
            assert_int_equal(conns[i].gateway, was[i].gateway);
    }
    live_on(c, 10, CONNS, NULL);
    for (unsigned i = 0; i < CONNS; i++) {
        struct conn k = conns[i];
        struct flow_key back = key_of(17, "20.1.1.1", "203.0.113.1", 80, k.given);
        back.eth_src = c->m[U1].mac;
        back.eth_dst = edge_up[U1];
        struct frame f = frame_of(&back);
        c->n_heard = 0;
        site_inject(c, U1, f.b, f.size);
        site_run(c);
        assert_int_equal(c->n_heard, 1);
        assert_int_equal(c->heard[0].key.tp_dst, k.sport);
    }
    flaky_return(site_wire(c, U1));
    site_pass(c, 20);
    assert_int_equal(n_talk(c, CONNS), CONNS);
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(conns[i].gateway, was[i].gateway);
    site_down(c);
}

/* All gateways' hosts: their routes are all there is, so they are used. */
static void all_gateways_alone(void **arg)
{
    struct site *c = up(CONNS);
    struct conn was[CONNS];

    (void)arg;
    memcpy(was, conns, sizeof was);
    lose(c, U1, U3, true);
    live_on(c, 10, CONNS, NULL);
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(conns[i].gateway, was[i].gateway);
    for (unsigned i = U1; i <= U3; i++)
        flaky_return(site_wire(c, i));
    site_pass(c, 20);
    assert_int_equal(n_talk(c, CONNS), CONNS);
    for (unsigned i = 0; i < CONNS; i++)
        assert_int_equal(conns[i].gateway, was[i].gateway);
    site_down(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_minutes_for_all),
        cmocka_unit_test(everybody_comes_back_at_another_time),
        cmocka_unit_test(ten_minutes_for_one),
        cmocka_unit_test(thirty_minutes_for_one),
        cmocka_unit_test(a_gateway_alone),
        cmocka_unit_test(all_gateways_alone),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
