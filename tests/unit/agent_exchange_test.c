/* Connections told between agents: three whole agents in one process, on a switchboard whose mail
 * can be made to get lost.
 *
 *      h1                h2                h3
 *      a --+         +-- b             (nobody yet)
 *          +-- net --+
 *
 * Filters on the ports decide by direction, so that every answer needs the record of what it
 * answers, on the host where it enters.
 */
#include "agent_hosts.h"
#include <arpa/inet.h>

struct cloud {
    struct hosts all;
    struct host *h; /* all.h */
    struct uuid bridge, a, b, answers_only;
};

static void pass_ms(struct cloud *c, unsigned ms)
{
    hosts_run(&c->all);
    for (unsigned i = 0; i < ms; i += 5) {
        c->all.now += 5 * NSEC_PER_MSEC;
        hosts_run(&c->all);
    }
}

static void bind_to(struct cloud *c, const struct uuid *port, struct host *h, const char *ifname)
{
    change(&c->all, ST_PORT, port, "{'hostId':'%s','interfaceName':'%s'}", text_of(&h->id), ifname);
}

/* Accepts what belongs to a connection the other side has opened, and nothing else. */
static struct uuid answers_only(struct cloud *c)
{
    struct uuid chain = make(&c->all, ST_CHAIN, "{'name':'answers'}");

    make(&c->all, ST_RULE, "{'chainId':'%s','type':'accept','position':1,'matchReturnFlow':true}",
         text_of(&chain));
    make(&c->all, ST_RULE, "{'chainId':'%s','type':'drop','position':2}", text_of(&chain));
    return chain;
}

static struct cloud *up(void)
{
    struct cloud *c = NEW(struct cloud);

    c->all.n = 3;
    c->all.mails = true;
    c->h = c->all.h;
    hosts_open(&c->all, "exchange");
    pass_ms(c, 100);
    hosts_tunnel(&c->all);
    c->bridge = make(&c->all, ST_BRIDGE, "{'name':'net'}");
    c->answers_only = answers_only(c);
    c->a = make(&c->all, ST_PORT, "{'bridgeId':'%s','name':'a'}", text_of(&c->bridge));
    c->b = make(&c->all, ST_PORT, "{'bridgeId':'%s','name':'b'}", text_of(&c->bridge));
    host_plug(&c->h[0], "a");
    host_plug(&c->h[1], "b");
    bind_to(c, &c->a, &c->h[0], "a");
    bind_to(c, &c->b, &c->h[1], "b");
    pass_ms(c, 200);
    return c;
}

static void down(struct cloud *c)
{
    hosts_close(&c->all);
    free(c);
}

static struct flow_key frame_from(char from, uint16_t a_port, uint16_t b_port)
{
    bool a = from == 'a';
    struct flow_key k = key_of(17, a ? "10.0.0.1" : "10.0.0.2", a ? "10.0.0.2" : "10.0.0.1",
                               a ? a_port : b_port, a ? b_port : a_port);

    k.eth_src = (struct mac){{2, 0, 0, 0, 0, (uint8_t)from}};
    k.eth_dst = (struct mac){{2, 0, 0, 0, 0, a ? 'b' : 'a'}};
    return k;
}

static bool passes(struct cloud *c, struct host *from, char who, struct host *to, uint16_t a_port)
{
    struct flow_key k = frame_from(who, a_port, 53);
    struct frame f = frame_of(&k);
    const char *in = who == 'a' ? "a" : "b", *out = who == 'a' ? "b" : "a";

    host_took(to, out);
    assert_int_equal(memory_inject(from->dp, in, f.b, f.size), 0);
    for (unsigned i = 0; i < 8; i++) /* what a worker lacks is loaded in the next turn */
        hosts_run(&c->all);
    return host_took(to, out) == 1;
}

/* b may only answer, which its own host decides. */
static void b_only_answers(struct cloud *c)
{
    change(&c->all, ST_PORT, &c->b, "{'inboundFilterId':'%s'}", text_of(&c->answers_only));
    /* a's packets are tracked where they leave towards b */
    struct uuid chain = make(&c->all, ST_CHAIN, "{'name':'tracked'}");
    make(&c->all, ST_RULE, "{'chainId':'%s','type':'accept','position':1,'matchForwardFlow':true}",
         text_of(&chain));
    change(&c->all, ST_PORT, &c->b, "{'outboundFilterId':'%s'}", text_of(&chain));
    pass_ms(c, 100);
}

static void an_answer_finds_the_record(void **arg)
{
    struct cloud *c = up();

    (void)arg;
    b_only_answers(c);
    assert_false(passes(c, &c->h[1], 'b', &c->h[0], 1000));
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 2000));
    /* no time has passed: it is there before the packet that made it */
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    assert_false(passes(c, &c->h[1], 'b', &c->h[0], 2001));
    /* the one refused before is another connection until a opens it; then the flow that dropped
     * it is simulated again */
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 1000));
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 1000));
    down(c);
}

static void lost_mail_is_healed(void **arg)
{
    struct cloud *c = up();

    (void)arg;
    b_only_answers(c);
    memory_board_lose_mail(c->all.board, 8);
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 2000));
    assert_false(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    memory_board_lose_mail(c->all.board, 0);
    pass_ms(c, 1000);
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    down(c);
}

static void idle_connections_end_everywhere(void **arg)
{
    struct cloud *c = up();

    (void)arg;
    b_only_answers(c);
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 2000));
    for (unsigned i = 0; i < 6; i++) { /* used one way only: kept at the other end as well */
        pass_ms(c, 20000);
        assert_true(passes(c, &c->h[0], 'a', &c->h[1], 2000));
    }
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    pass_ms(c, 200000);
    assert_false(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    down(c);
}

/* What leaves by the port is tracked, and what enters must be an answer. */
static void track_to(struct cloud *c, const struct uuid *port)
{
    struct uuid chain = make(&c->all, ST_CHAIN, "{'name':'tracked'}");

    make(&c->all, ST_RULE, "{'chainId':'%s','type':'accept','position':1,'matchForwardFlow':true}",
         text_of(&chain));
    change(&c->all, ST_PORT, port, "{'inboundFilterId':'%s','outboundFilterId':'%s'}",
           text_of(&c->answers_only), text_of(&chain));
    pass_ms(c, 100);
}

/* a moves to h3; it may only answer b, whose connection only h1 and h2 have seen. */
static void connections_move_with_their_port(void **arg)
{
    struct cloud *c = up();
    struct exchange_counters x;

    (void)arg;
    track_to(c, &c->a);
    for (uint16_t port = 3000; port < 3100; port++)
        assert_true(passes(c, &c->h[1], 'b', &c->h[0], port));
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 3050));
    assert_false(passes(c, &c->h[0], 'a', &c->h[1], 4000));
    host_plug(&c->h[2], "a");
    bind_to(c, &c->a, &c->h[2], "a");
    pass_ms(c, 200);
    for (uint16_t port = 3000; port < 3100; port++)
        assert_true(passes(c, &c->h[2], 'a', &c->h[1], port));
    assert_false(passes(c, &c->h[2], 'a', &c->h[1], 4001));
    assert_true(passes(c, &c->h[1], 'b', &c->h[2], 3050));
    agent_exchange(c->h[2].agent, &x);
    assert_int_equal(x.fetched, 1);
    assert_int_equal(x.fetch_timeouts, 0);
    /* the former host goes on hearing of what is used, and of nothing else */
    for (unsigned i = 0; i < 8; i++) {
        pass_ms(c, 15000);
        assert_true(passes(c, &c->h[2], 'a', &c->h[1], 3050));
    }
    assert_int_equal(state_size(agent_state(c->h[0].agent)), 1);
    down(c);
}

/* The former host told an earlier life of the asker of connections, and has none to tell of now. */
static void what_an_earlier_life_was_told_is_not_waited_for(void **arg)
{
    struct cloud *c = up();
    struct exchange_counters x;

    (void)arg;
    struct uuid other =
        make(&c->all, ST_PORT, "{'bridgeId':'%s','name':'other'}", text_of(&c->bridge));
    host_plug(&c->h[0], "other");
    bind_to(c, &other, &c->h[0], "other");
    track_to(c, &c->a);
    for (uint16_t port = 3000; port < 3100; port++)
        assert_true(passes(c, &c->h[1], 'b', &c->h[0], port));
    host_plug(&c->h[2], "a");
    bind_to(c, &c->a, &c->h[2], "a");
    pass_ms(c, 1000);
    assert_true(passes(c, &c->h[2], 'a', &c->h[1], 3050));
    change(&c->all, ST_PORT, &c->a, "{'hostId':null,'interfaceName':null}");
    pass_ms(c, 1000); /* all of it is reported */
    host_stop(&c->h[2], false);
    host_start(&c->h[2]);
    pass_ms(c, 1000);
    host_plug(&c->h[2], "other");
    bind_to(c, &other, &c->h[2], "other");
    pass_ms(c, 5000);
    agent_exchange(c->h[2].agent, &x);
    assert_int_equal(x.fetched, 1);
    assert_int_equal(x.fetch_timeouts, 0);
    down(c);
}

/* The former host doesn't answer: the port is served all the same, after a while. */
static void a_silent_former_host_delays_only(void **arg)
{
    struct ip h1 = ip_from4(htonl(0xc0000201));
    struct cloud *c = up();

    (void)arg;
    memory_board_cut(c->all.board, &h1, true);
    host_plug(&c->h[2], "a");
    bind_to(c, &c->a, &c->h[2], "a");
    pass_ms(c, 500);
    assert_false(passes(c, &c->h[2], 'a', &c->h[1], 5000));
    pass_ms(c, 4000);
    assert_true(passes(c, &c->h[2], 'a', &c->h[1], 5000));
    down(c);
}

/* a's connections may return by h3 too, where another port of the group is. */
static void a_stateful_group_knows(void **arg)
{
    struct cloud *c = up();

    (void)arg;
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 1)); /* where b is, is known: nothing floods */
    b_only_answers(c);
    struct uuid other =
        make(&c->all, ST_PORT, "{'bridgeId':'%s','name':'b2'}", text_of(&c->bridge));
    struct uuid group = make(&c->all, ST_PORT_GROUP, "{'name':'uplinks','stateful':true}");
    make(&c->all, ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", text_of(&group),
         text_of(&c->b));
    make(&c->all, ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", text_of(&group),
         text_of(&other));
    change(&c->all, ST_PORT, &other, "{'inboundFilterId':'%s'}", text_of(&c->answers_only));
    host_plug(&c->h[2], "b");
    bind_to(c, &other, &c->h[2], "b");
    pass_ms(c, 300);
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 2000));
    assert_true(passes(c, &c->h[2], 'b', &c->h[0], 2000));
    assert_false(passes(c, &c->h[2], 'b', &c->h[0], 2001));
    down(c);
}

static void who_lost_its_memory_is_told_again(void **arg)
{
    struct cloud *c = up();

    (void)arg;
    b_only_answers(c);
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 2000));
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    host_stop(&c->h[1], true);
    pass_ms(c, 500);
    host_start(&c->h[1]);
    host_iface(&c->h[1], "b", true, false);
    pass_ms(c, 500);
    /* h1 speaks to it again and finds it knows nothing */
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 2002));
    pass_ms(c, 1000);
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 2002));
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    down(c);
}

static void strangers_are_not_believed(void **arg)
{
    struct wire_header h = {.type = WIRE_RECORDS, .life = 5, .number = 1};
    struct cloud *c = up();
    struct exchange_counters x;
    struct wire_writer w;
    uint8_t buf[WIRE_MAX];
    struct ip h1 = ip_from4(htonl(0xc0000201)), h2 = ip_from4(htonl(0xc0000202));

    (void)arg;
    b_only_answers(c);
    struct state_rec rec = {.kind = STATE_CONN, .fwd = {.proto = 17, .sport = 53, .dport = 2000}};
    ip_parse("10.0.0.2", &rec.fwd.src);
    ip_parse("10.0.0.1", &rec.fwd.dst);
    h.sender = c->h[2].id; /* h3, says h1's address */
    wire_begin(&w, buf, sizeof buf, &h);
    assert_true(wire_add_rec(&w, &rec, &c->bridge, 0, NULL, 0));
    assert_int_equal(mail_send(c->h[0].mail, &h1, &h2, buf, w.size), 0);
    uuid_random(&h.sender); /* a host that doesn't exist */
    wire_begin(&w, buf, sizeof buf, &h);
    assert_true(wire_add_rec(&w, &rec, &c->bridge, 0, NULL, 0));
    assert_int_equal(mail_send(c->h[0].mail, &h1, &h2, buf, w.size), 0);
    assert_int_equal(mail_send(c->h[0].mail, &h1, &h2, "mnst garbage", 12), 0);
    pass_ms(c, 100);
    assert_false(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    agent_exchange(c->h[1].agent, &x);
    assert_int_equal(x.strangers, 2);
    assert_int_equal(x.malformed, 1);
    assert_int_equal(x.heard, 0);
    h.sender = c->h[0].id; /* the same from whom it may come */
    wire_begin(&w, buf, sizeof buf, &h);
    assert_true(wire_add_rec(&w, &rec, &c->bridge, 0, NULL, 0));
    assert_int_equal(mail_send(c->h[0].mail, &h1, &h2, buf, w.size), 0);
    pass_ms(c, 100);
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    down(c);
}

/* h3 has never had to do with h2, which looks it up, and then knows what it said. */
static void a_stranger_is_heard_once_it_is_known(void **arg)
{
    struct wire_header h = {.type = WIRE_RECORDS, .life = 5, .number = 1};
    struct state_rec rec = {.kind = STATE_CONN, .fwd = {.proto = 17, .sport = 53, .dport = 2000}};
    struct ip h3 = ip_from4(htonl(0xc0000203)), h2 = ip_from4(htonl(0xc0000202));
    struct cloud *c = up();
    struct exchange_counters x;
    struct wire_writer w;
    uint8_t buf[WIRE_MAX];

    (void)arg;
    b_only_answers(c);
    ip_parse("10.0.0.2", &rec.fwd.src);
    ip_parse("10.0.0.1", &rec.fwd.dst);
    assert_null(
        topo_get(agent_topo(c->h[1].agent), topo_find(agent_topo(c->h[1].agent), &c->h[2].id)));
    h.sender = c->h[2].id;
    wire_begin(&w, buf, sizeof buf, &h);
    assert_true(wire_add_rec(&w, &rec, &c->bridge, 0, NULL, 0));
    assert_int_equal(mail_send(c->h[2].mail, &h3, &h2, buf, w.size), 0);
    for (unsigned i = 0; i < 8; i++) /* no time passes */
        hosts_run(&c->all);
    agent_exchange(c->h[1].agent, &x);
    assert_int_equal(x.strangers, 0);
    assert_int_equal(x.heard, 1);
    assert_true(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    down(c);
}

/* A worker takes in mail that wants an answer: who runs the exchange is woken, once. */
static void what_a_worker_hears_is_answered_at_once(void **arg)
{
    struct ip h1 = ip_from4(htonl(0xc0000201)), h2 = ip_from4(htonl(0xc0000202));
    struct wire_header h = {.type = WIRE_PROBE, .life = 5, .number = 3};
    struct cloud *c = up();
    struct agent *a = c->h[1].agent;
    struct exchange_counters before, after;
    struct wire_writer w;
    uint8_t buf[WIRE_MAX];

    (void)arg;
    hosts_run(&c->all);
    assert_false(inbox_any(agent_mail_inbox(a)));
    h.sender = c->h[0].id;
    wire_begin(&w, buf, sizeof buf, &h);
    assert_int_equal(mail_send(c->h[0].mail, &h1, &h2, buf, w.size), 0);
    struct flow_key k = frame_from('b', 1, 1);
    struct frame f = frame_of(&k);
    assert_int_equal(memory_inject(c->h[1].dp, "b", f.b, f.size), 0);
    agent_exchange(a, &before);
    agent_run_worker(a, 0, c->all.now); /* takes mail before packets */
    assert_true(inbox_any(agent_mail_inbox(a)));
    agent_run_mail(a, c->all.now);
    agent_exchange(a, &after);
    assert_int_equal(after.sent, before.sent + 1); /* messages 1 to 3 are missing */
    assert_false(inbox_any(agent_mail_inbox(a)));
    down(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_finds_the_record),
        cmocka_unit_test(lost_mail_is_healed),
        cmocka_unit_test(idle_connections_end_everywhere),
        cmocka_unit_test(connections_move_with_their_port),
        cmocka_unit_test(what_an_earlier_life_was_told_is_not_waited_for),
        cmocka_unit_test(a_silent_former_host_delays_only),
        cmocka_unit_test(a_stateful_group_knows),
        cmocka_unit_test(who_lost_its_memory_is_told_again),
        cmocka_unit_test(strangers_are_not_believed),
        cmocka_unit_test(a_stranger_is_heard_once_it_is_known),
        cmocka_unit_test(what_a_worker_hears_is_answered_at_once),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
