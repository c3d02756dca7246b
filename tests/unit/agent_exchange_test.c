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
#include <arpa/inet.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/log.h"
#include "datapath/memory.h"
#include "objects_fixture.h"
#include "packet_fixture.h"

#define SEC NSEC_PER_SEC
enum { HOSTS = 3 };

struct cloud;

struct host {
    struct cloud *cloud;
    char name[8], dp_name[32];
    struct uuid id;
    struct store *store;
    struct dp *dp;
    struct mail *mail;
    struct agent *agent;
};

struct cloud {
    char url[48];
    uint64_t now;
    struct store *store;
    struct objects *db;
    struct memory_board *board;
    struct host h[HOSTS];
    struct uuid zone, bridge, a, b, answers_only;
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
        for (unsigned i = 0; i < HOSTS; i++)
            if (c->h[i].agent)
                busy |= agent_run(c->h[i].agent, c->now);
        assert_true(++turns < 100000);
    }
}

static void pass_ms(struct cloud *c, unsigned ms)
{
    run_all(c);
    for (unsigned i = 0; i < ms; i += 5) {
        c->now += 5 * NSEC_PER_MSEC;
        run_all(c);
    }
}

static void start(struct host *h)
{
    struct agent_options o = {.host = h->id, .name = h->name, .keep_mtu = true, .n_workers = 1};
    struct error e = {0};

    assert_int_equal(store_open(h->cloud->url, NULL, &h->store, &e), 0);
    struct dp_options dpo = {.name = h->dp_name, .n_queues = 1};
    assert_int_equal(dp_open("memory", &dpo, &h->dp, &e), 0);
    memory_dp_set_clock(h->dp, cloud_now, h->cloud);
    memory_dp_join(h->dp, h->cloud->board);
    h->mail = memory_mail_open(h->dp);
    o.store = h->store;
    o.dp = h->dp;
    o.mail = h->mail;
    if (agent_open(&o, &h->agent, &e))
        fail_msg("%s", e.message);
}

static void stop(struct host *h, bool keep)
{
    agent_close(h->agent, keep);
    h->agent = NULL;
    mail_close(h->mail);
    dp_close(h->dp, keep);
    store_close(h->store);
}

static void tell_iface(struct host *h, const char *name)
{
    struct net_iface i = {.index = 1, .mtu = 1500, .up = true, .carrier = true};

    snprintf(i.name, sizeof i.name, "%s", name);
    agent_iface(h->agent, &i, false);
}

static void plug(struct host *h, const char *name)
{
    assert_int_equal(memory_if_add(h->dp, name), 0);
    tell_iface(h, name);
}

static void bind_to(struct cloud *c, const struct uuid *port, struct host *h, const char *ifname)
{
    change(c, ST_PORT, port,
           attrs("{'hostId':'%s','interfaceName':'%s'}", text_of(&h->id), ifname));
}

/* Accepts what belongs to a connection the other side has opened, and nothing else. */
static struct uuid answers_only(struct cloud *c)
{
    struct uuid chain = make(c, ST_CHAIN, attrs("{'name':'answers'}"));

    make(c, ST_RULE,
         attrs("{'chainId':'%s','type':'accept','position':1,'matchReturnFlow':true}",
               text_of(&chain)));
    make(c, ST_RULE, attrs("{'chainId':'%s','type':'drop','position':2}", text_of(&chain)));
    return chain;
}

static struct cloud *up(void)
{
    static unsigned count;
    struct cloud *c = NEW(struct cloud);
    struct error e;

    log_level = LOG_LVL_ERROR;
    c->now = 1000 * SEC;
    snprintf(c->url, sizeof c->url, "memory:exchange-%d-%u", (int)getpid(), count++);
    assert_int_equal(store_open(c->url, NULL, &c->store, &e), 0);
    c->db = objects_open(c->store);
    c->board = memory_board_new();
    for (unsigned i = 0; i < HOSTS; i++) {
        struct host *h = &c->h[i];
        *h = (struct host){.cloud = c, .id.b = {0xaa, (uint8_t)i}};
        snprintf(h->name, sizeof h->name, "h%u", i + 1);
        snprintf(h->dp_name, sizeof h->dp_name, "exchange-%u-%u", count, i);
        start(h);
    }
    pass_ms(c, 100);
    c->zone = make(c, ST_TUNNEL_ZONE, attrs("{'name':'z','type':'vxlan'}"));
    for (unsigned i = 0; i < HOSTS; i++)
        make(c, ST_TUNNEL_ZONE_HOST,
             attrs("{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.%u'}",
                   text_of(&c->zone), text_of(&c->h[i].id), i + 1));
    c->bridge = make(c, ST_BRIDGE, attrs("{'name':'net'}"));
    c->answers_only = answers_only(c);
    c->a = make(c, ST_PORT, attrs("{'bridgeId':'%s','name':'a'}", text_of(&c->bridge)));
    c->b = make(c, ST_PORT, attrs("{'bridgeId':'%s','name':'b'}", text_of(&c->bridge)));
    plug(&c->h[0], "a");
    plug(&c->h[1], "b");
    bind_to(c, &c->a, &c->h[0], "a");
    bind_to(c, &c->b, &c->h[1], "b");
    pass_ms(c, 200);
    return c;
}

static void down(struct cloud *c)
{
    for (unsigned i = 0; i < HOSTS; i++)
        if (c->h[i].agent)
            stop(&c->h[i], false);
    memory_board_free(c->board);
    objects_close(c->db);
    store_close(c->store);
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

/* How many frames came out, and they are thrown away. */
static unsigned taken(struct host *h, const char *name)
{
    uint8_t buf[2048];
    unsigned n = 0;

    while (memory_take(h->dp, name, buf, sizeof buf) > 0)
        n++;
    return n;
}

static bool passes(struct cloud *c, struct host *from, char who, struct host *to, uint16_t a_port)
{
    struct flow_key k = frame_from(who, a_port, 53);
    struct frame f = frame_of(&k);
    const char *in = who == 'a' ? "a" : "b", *out = who == 'a' ? "b" : "a";

    taken(to, out);
    assert_int_equal(memory_inject(from->dp, in, f.b, f.size), 0);
    for (unsigned i = 0; i < 8; i++) /* what a worker lacks is loaded in the next turn */
        run_all(c);
    return taken(to, out) == 1;
}

/* b may only answer, which its own host decides. */
static void b_only_answers(struct cloud *c)
{
    change(c, ST_PORT, &c->b, attrs("{'inboundFilterId':'%s'}", text_of(&c->answers_only)));
    /* a's packets are tracked where they leave towards b */
    struct uuid chain = make(c, ST_CHAIN, attrs("{'name':'tracked'}"));
    make(c, ST_RULE,
         attrs("{'chainId':'%s','type':'accept','position':1,'matchForwardFlow':true}",
               text_of(&chain)));
    change(c, ST_PORT, &c->b, attrs("{'outboundFilterId':'%s'}", text_of(&chain)));
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
    memory_board_lose_mail(c->board, 8);
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 2000));
    assert_false(passes(c, &c->h[1], 'b', &c->h[0], 2000));
    memory_board_lose_mail(c->board, 0);
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

/* a moves to h3; it may only answer b, whose connection only h1 and h2 have seen. */
static void connections_move_with_their_port(void **arg)
{
    struct cloud *c = up();
    struct exchange_counters x;

    (void)arg;
    struct uuid chain = make(c, ST_CHAIN, attrs("{'name':'tracked'}"));
    make(c, ST_RULE,
         attrs("{'chainId':'%s','type':'accept','position':1,'matchForwardFlow':true}",
               text_of(&chain)));
    change(c, ST_PORT, &c->a,
           attrs("{'inboundFilterId':'%s','outboundFilterId':'%s'}", text_of(&c->answers_only),
                 text_of(&chain)));
    pass_ms(c, 100);
    for (uint16_t port = 3000; port < 3100; port++)
        assert_true(passes(c, &c->h[1], 'b', &c->h[0], port));
    assert_true(passes(c, &c->h[0], 'a', &c->h[1], 3050));
    assert_false(passes(c, &c->h[0], 'a', &c->h[1], 4000));
    plug(&c->h[2], "a");
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

/* The former host doesn't answer: the port is served all the same, after a while. */
static void a_silent_former_host_delays_only(void **arg)
{
    struct ip h1 = ip_from4(htonl(0xc0000201));
    struct cloud *c = up();

    (void)arg;
    memory_board_cut(c->board, &h1, true);
    plug(&c->h[2], "a");
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
        make(c, ST_PORT, attrs("{'bridgeId':'%s','name':'b2'}", text_of(&c->bridge)));
    struct uuid group = make(c, ST_PORT_GROUP, attrs("{'name':'uplinks','stateful':true}"));
    make(c, ST_PORT_GROUP_PORT,
         attrs("{'portGroupId':'%s','portId':'%s'}", text_of(&group), text_of(&c->b)));
    make(c, ST_PORT_GROUP_PORT,
         attrs("{'portGroupId':'%s','portId':'%s'}", text_of(&group), text_of(&other)));
    change(c, ST_PORT, &other, attrs("{'inboundFilterId':'%s'}", text_of(&c->answers_only)));
    plug(&c->h[2], "b");
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
    stop(&c->h[1], true);
    pass_ms(c, 500);
    start(&c->h[1]);
    tell_iface(&c->h[1], "b");
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
        run_all(c);
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
    run_all(c);
    assert_false(inbox_any(agent_mail_inbox(a)));
    h.sender = c->h[0].id;
    wire_begin(&w, buf, sizeof buf, &h);
    assert_int_equal(mail_send(c->h[0].mail, &h1, &h2, buf, w.size), 0);
    struct flow_key k = frame_from('b', 1, 1);
    struct frame f = frame_of(&k);
    assert_int_equal(memory_inject(c->h[1].dp, "b", f.b, f.size), 0);
    agent_exchange(a, &before);
    agent_run_worker(a, 0, c->now); /* takes mail before packets */
    assert_true(inbox_any(agent_mail_inbox(a)));
    agent_run_mail(a, c->now);
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
        cmocka_unit_test(a_silent_former_host_delays_only),
        cmocka_unit_test(a_stateful_group_knows),
        cmocka_unit_test(who_lost_its_memory_is_told_again),
        cmocka_unit_test(strangers_are_not_believed),
        cmocka_unit_test(a_stranger_is_heard_once_it_is_known),
        cmocka_unit_test(what_a_worker_hears_is_answered_at_once),
    };

    rcu_register_thread();
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_unregister_thread();
    return rc;
}
