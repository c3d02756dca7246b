/* DHCP, router advertisements and port security in the simulator: what the scenarios
 * (tests/scenarios/dhcp*.mn, port-security.mn) don't see: masks, tags, sizes, the trail. */
#include "sim_fixture.h"

#include "packet/dhcp6.h"
#include "packet/ra.h"
#include "packet/text.h"

static const struct mac mac_a = {{2, 0, 0, 0, 0, 0x0a}}, mac_b = {{2, 0, 0, 0, 0, 0x0b}};

/*  a, b -- br -- up:rt     a has an entry; the server's address is the router's  */
static struct dev *build(struct world *w)
{
    struct dev *br = bridge(w, "br"), *rt = router(w, "rt");
    struct prt *up = port(br, "up"), *r = rport(rt, "r", "10.0.0.254/24");

    vm(br, "a");
    vm(br, "b");
    address(r, "fd00::fe/64");
    add_route(rt, "hole", "192.0.0.0/8", TOPO_HOP_BLACKHOLE, NULL, NULL);
    plug(up, r);
    struct topo_dhcp_subnet *n = subnet(br, "n4", "10.0.0.0/24");
    n->gateway = n->server = IP("10.0.0.254");
    n->server_mac = r->mac;
    dhcp_host(br, n, &mac_a, 6, "10.0.0.10");
    publish(w);
    return br;
}

static struct frame said(const char *text)
{
    struct packet_spec spec;
    struct error e = {0};
    const char *words[64];
    char copy[400];
    struct frame f = {.size = 0};
    size_t n = 0;

    strcpy(copy, text);
    for (char *s = strtok(copy, " "); s; s = strtok(NULL, " "))
        words[n++] = s;
    if (packet_spec_parse(words, n, &spec, &e))
        fail_msg("%s: %s", text, e.message);
    f.size = packet_spec_build(&spec, f.b, sizeof f.b);
    return f;
}

static void send_words(struct world *w, const char *port, const char *text)
{
    static struct frame f;

    f = said(text);
    send_frame(w, port, &f);
}

static bool trail_says(struct world *w, const char *text)
{
    trace(w);
    for (uint32_t i = 0; i < w->res.n_steps; i++)
        if (strstr(w->res.steps[i].text, text))
            return true;
    for (uint32_t i = 0; i < w->res.n_steps; i++)
        fprintf(stderr, "%s\n", w->res.steps[i].text);
    return false;
}

static struct dhcp answer_of(struct world *w, const char *port)
{
    static struct frame f;
    struct dhcp d;

    expect_verdict(w, SIM_ANSWERED);
    f = emitted(w, port);
    assert_int_equal(dhcp_parse(f.b, f.size, &d), 0);
    return d;
}

static void answers_once_to_the_asker(void **state)
{
    struct world *w = *state;
    struct dhcp d;

    build(w);
    send_words(w, "a", "dhcp discover from 02:00:00:00:00:0a");
    d = answer_of(w, "a");
    assert_int_equal(w->res.emits[0].n_outs, 1);
    assert_int_equal(d.type, DHCP_OFFER);
    assert_true(w->res.no_flow);
    assert_int_equal(w->res.n_learns, 0);
    assert_true(trail_says(w, "answers offer of 10.0.0.10 from host entry 02:00:00:00:00:0a"));
}

/* Whatever the client says it takes, the answer is no larger than an Ethernet's worth, and no
 * larger than it takes. */
static void answers_fit(void **state)
{
    static const char *const sizes[] = {"0", "576", "577", "1500", "65535"};
    struct world *w = *state;
    struct dev *br = build(w);
    struct topo_dhcp_host h = {.id = uuid_of("big"),
                               .subnet = br->subnets[0].id,
                               .ip = IP("10.0.0.11"),
                               .name = "b",
                               .key = mac_b.b,
                               .key_size = 6};
    struct dhcp_opt opts[20];
    uint8_t value[250] = {1};
    char words[200];

    for (unsigned i = 0; i < 20; i++)
        opts[i] = (struct dhcp_opt){(uint8_t)(200 + i), sizeof value, value};
    h.opts = opts;
    h.n_opts = 20;
    topo_dhcp_add(br->hosts, topo_dhcp_host_new(&h));
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        snprintf(words, sizeof words,
                 "dhcp discover option max-message-size %s from 02:00:00:00:00:0b", sizes[i]);
        send_words(w, "b", words);
        answer_of(w, "b");
        size_t size = w->res.emits[0].size - 14;
        assert_true(size <= MAX(576u, MIN(1500u, (unsigned)atoi(sizes[i]))));
        assert_true(trail_says(w, "options don't fit"));
    }
}

/* Frames that aren't DHCP may share flows as before: only of those to the server's station more is
 * looked at, and of those no more than the destination. */
static void masks_stay_wide(void **state)
{
    struct world *w = *state;
    struct dev *br = build(w);
    struct flow_key k = key_of(6, "10.0.0.10", "192.0.2.7", 5, 80);

    mac_behind(br->ports[2], 0, "02:00:00:00:00:0b");
    k.eth_src = mac_a;
    k.eth_dst = mac_b;
    send_key(w, "a", &k);
    expect_out(w, "b");
    assert_int_equal(w->res.mask.eth_type, 0);
    assert_int_equal(w->res.mask.ip_proto, 0);
    k.eth_dst = br->subnets[0].server_mac;
    send_key(w, "a", &k);
    assert_int_equal(w->res.mask.ip_proto, 0);
    assert_int_equal(w->res.mask.tp_dst, 0);
    assert_true(w->res.mask.ip_dst.b[15] == 0);
    assert_true(has_tag(w, tag_object(br->ref)));
    k.eth_dst = mac_broadcast;
    send_key(w, "a", &k);
    assert_int_equal(w->res.mask.tp_dst, 0); /* TCP */
}

/* A renewal sent to the router that has the server's address is taken on the way. */
static void renewal_to_the_router(void **state)
{
    struct world *w = *state;
    struct dev *br = build(w);
    char words[200], mac[MAC_STRLEN];
    struct dhcp d;

    snprintf(words, sizeof words,
             "dhcp request ciaddr 10.0.0.10 src 10.0.0.10 dst 10.0.0.254 from 02:00:00:00:00:0a "
             "to %s",
             mac_format(&br->subnets[0].server_mac, mac));
    send_words(w, "a", words);
    d = answer_of(w, "a");
    assert_int_equal(d.type, DHCP_ACK);
    assert_ip(&w->res.emits[0].key.ip_dst, "10.0.0.10");
}

static void trail_says_why_not(void **state)
{
    struct world *w = *state;
    struct dev *br = build(w);

    send_words(w, "b", "dhcp discover from 02:00:00:00:00:0b");
    expect_out(w, "a");
    assert_true(trail_says(w, "no subnet of the bridge has a host entry for 02:00:00:00:00:0b"));
    send_words(w, "a", "dhcp request option server-id 10.0.0.3 from 02:00:00:00:00:0a");
    assert_true(trail_says(w, "has chosen another server"));
    send_words(w, "a", "dhcp discover giaddr 10.0.0.3 from 02:00:00:00:00:0a");
    assert_true(trail_says(w, "relayed"));
    send_words(w, "a", "dhcp discover mac 02:00:00:00:00:0b from 02:00:00:00:00:0a");
    expect_drop(w, SIM_DHCP_INVALID, "br");
    assert_true(trail_says(w, "asks in the name of 02:00:00:00:00:0b"));
    br->subnets[0].enabled = false;
    publish(w);
    send_words(w, "a", "dhcp discover from 02:00:00:00:00:0a");
    assert_true(trail_says(w, "is disabled"));
}

/* Nothing is answered where nothing may come in. */
static void down_is_silent(void **state)
{
    struct world *w = *state;
    struct dev *br = build(w);

    br->ports[1]->down = true; /* "a" */
    publish(w);
    send_words(w, "a", "dhcp discover from 02:00:00:00:00:0a");
    expect_drop(w, SIM_PORT_DOWN, "a");
    br->ports[1]->down = false;
    br->down = true;
    publish(w);
    send_words(w, "a", "dhcp discover from 02:00:00:00:00:0a");
    expect_drop(w, SIM_BRIDGE_DOWN, "br");
}

static void mtu_is_the_least(void **state)
{
    static const struct {
        uint16_t subnet, overlay;
        const char *told; /* null: nothing */
    } cases[] = {{0, 0, NULL},         {1400, 0, "1400"},    {0, 1450, "1450"},
                 {1400, 1450, "1400"}, {1500, 1450, "1450"}, {60, 0, NULL}};
    struct world *w = *state;
    struct dev *br = build(w);

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t v[2];
        char text[8];
        br->subnets[0].mtu = cases[i].subnet;
        w->in.overlay_mtu = cases[i].overlay;
        publish(w);
        send_words(w, "a", "dhcp discover from 02:00:00:00:00:0a");
        struct dhcp d = answer_of(w, "a");
        int n = dhcp_option(&d, DHCP_OPT_MTU, v, 2);
        assert_int_equal(n, cases[i].told ? 2 : -1);
        if (n == 2)
            assert_string_equal(dhcp_option_format(DHCP_OPT_MTU, v, 2, text, sizeof text),
                                cases[i].told);
    }
}

/* A client found by its DUID, whoever sends; the trail says how. */
static void dhcp6_finds_clients(void **state)
{
    static const uint8_t duid[] = {0, 4, 1, 2, 3};
    struct world *w = *state;
    struct dev *br = build(w);
    struct topo_dhcp_subnet *n = subnet(br, "n6", "fd00::/64");

    dhcp_host(br, n, duid, sizeof duid, "fd00::10");
    dhcp_host(br, n, &mac_b, 6, "fd00::11");
    publish(w);
    send_words(w, "a", "dhcp6 solicit duid 00:04:01:02:03 ia 1 from 02:00:00:00:00:0a");
    expect_verdict(w, SIM_ANSWERED);
    assert_true(trail_says(w, "with fd00::10, host entry found by DUID"));
    send_words(w, "a",
               "dhcp6 solicit duid 00:03:00:01:02:00:00:00:00:0b ia 1 from 02:00:00:00:00:0a");
    assert_true(trail_says(w, "with fd00::11, host entry found by MAC in the DUID"));
    send_words(w, "b", "dhcp6 solicit duid 00:04:09 ia 1 from 02:00:00:00:00:0b");
    assert_true(trail_says(w, "with fd00::11, host entry found by MAC"));
    send_words(w, "a", "dhcp6 solicit duid 00:04:09 ia 1 from 02:00:00:00:00:0a");
    assert_true(trail_says(w, "no host entry for DUID 00:04:09 or MAC 02:00:00:00:00:0a"));
}

/* Associations without number don't make the answer larger than fits: there is none then. */
static void dhcp6_answer_fits(void **state)
{
    struct world *w = *state;
    struct dev *br = build(w);
    struct topo_dhcp_subnet *n = subnet(br, "n6", "fd00::/64");
    uint8_t opts[1200], duid[10];
    struct dhcp6_writer wr = {opts, opts + sizeof opts, false};
    struct flow_key k = key_of(17, "fe80::a", "ff02::1:2", 546, 547);
    struct frame f;

    dhcp_host(br, n, &mac_a, 6, "fd00::10");
    publish(w);
    dhcp6_duid_of_mac(&mac_a, duid);
    dhcp6_put(&wr, DHCP6_OPT_CLIENT_ID, duid, 10);
    while (wr.end - wr.p >= 16)
        dhcp6_put(&wr, DHCP6_OPT_IA_NA, (uint8_t[12]){0}, 12);
    k.eth_src = mac_a;
    k.eth_dst = MAC("33:33:00:01:00:02");
    f.size = dhcp6_build(f.b, sizeof f.b, &k, DHCP6_SOLICIT, 1, opts, (size_t)(wr.p - opts));
    send_frame(w, "a", &f);
    expect_verdict(w, SIM_ANSWERED);
    assert_int_equal(w->res.n_emits, 0);
}

static void advertises_unasked(void **state)
{
    struct world *w = *state;
    struct dev *br = build(w);
    struct sim_emit *emits;
    struct packet_ra ra;

    assert_int_equal(sim_advertise(w->topo, w->now, ref_of(w, "a"), 1450, &w->arena, &emits), 1);
    assert_int_equal(packet_ra_parse(emits[0].packet, emits[0].size, &ra), 0);
    assert_int_equal(ra.mtu, 1450);
    assert_int_equal(ra.n_prefixes, 1);
    assert_true(ra.prefixes[0].autonomous && !ra.managed);
    assert_int_equal(emits[0].n_outs, 1);
    assert_int_equal(emits[0].outs[0].port, ref_of(w, "a"));
    assert_int_equal(sim_advertise(w->topo, w->now, ref_of(w, "up"), 0, &w->arena, &emits), 0);
    assert_int_equal(sim_advertise(w->topo, w->now, ref_of(w, "r"), 0, &w->arena, &emits), 0);
    br->down = true;
    publish(w);
    assert_int_equal(sim_advertise(w->topo, w->now, ref_of(w, "a"), 0, &w->arena, &emits), 0);
}

/* Port security; send_frame() checks that each mask holds. */

static struct dev *build_secure(struct world *w)
{
    struct dev *br = build(w);
    struct prt *a = br->ports[1];

    a->secure = true;
    a->allowed[a->n_allowed++] = (struct topo_allowed){.mac = mac_a};
    a->allowed[a->n_allowed++] = (struct topo_allowed){.net = CIDR("10.8.0.0/16")};
    mac_behind(br->ports[2], 0, "02:00:00:00:00:0b");
    publish(w);
    return br;
}

static void security_masks(void **state)
{
    struct world *w = *state;
    struct flow_key k;

    build_secure(w);
    k = key_of(17, "10.0.0.10", "10.0.0.11", 5, 53);
    k.eth_src = mac_a;
    k.eth_dst = mac_b;
    send_key(w, "a", &k);
    expect_out(w, "b");
    assert_int_equal(w->res.mask.tp_src, 0); /* a name server asked from any port: one flow */
    assert_true(has_tag(w, tag_bridge_mac(ref_of(w, "br"), 0, &mac_a)));
    k.ip_proto = 6;
    send_key(w, "a", &k);
    expect_out(w, "b");
    assert_int_equal(w->res.mask.tp_dst, 0);
    k.ip_src = IP("10.8.7.6"); /* a prefix: its host bits aren't looked at */
    send_key(w, "a", &k);
    expect_out(w, "b");
    assert_int_equal(w->res.mask.ip_src.b[15], 0);
    k.ip_src = IP("10.9.7.6");
    send_key(w, "a", &k);
    expect_drop(w, SIM_SPOOFED_ADDRESS, "a");
    assert_true(trail_says(w, "10.9.7.6 is no address of 02:00:00:00:00:0a"));
    k.eth_src = mac_b;
    send_key(w, "a", &k);
    expect_drop(w, SIM_SPOOFED_MAC, "a");
    k = key_of(17, "10.0.0.10", "10.0.0.11", 67, 68);
    k.eth_src = mac_a;
    k.eth_dst = mac_b;
    send_key(w, "a", &k);
    expect_drop(w, SIM_ROGUE_DHCP, "a");
    k.ip_frag = FLOW_FRAG_LATER;
    k.tp_src = k.tp_dst = 0;
    send_key(w, "a", &k);
    expect_out(w, "b");
}

static void security_masks6(void **state)
{
    struct world *w = *state;
    struct flow_key k;

    build_secure(w);
    k = key_of(6, "fe80::ff:fe00:a", "fd00::11", 5, 53);
    k.eth_src = mac_a;
    k.eth_dst = mac_b;
    send_key(w, "a", &k);
    expect_out(w, "b");
    assert_int_equal(w->res.mask.tp_dst, 0);
    k.ip_proto = 58;
    k.tp_src = 128;
    k.tp_dst = 0;
    send_key(w, "a", &k);
    expect_out(w, "b");
    k.ip_src = IP("fd00::66");
    send_key(w, "a", &k);
    expect_drop(w, SIM_SPOOFED_ADDRESS, "a");
    k.ip_src = ip_none;
    send_key(w, "a", &k);
    expect_drop(w, SIM_SPOOFED_ADDRESS, "a");
}

/* Only what a machine sends is looked at: not what other ports do, not what comes back. */
static void security_is_of_the_port(void **state)
{
    struct world *w = *state;
    struct flow_key k = key_of(17, "192.0.2.1", "10.0.0.10", 67, 68);
    struct dev *br = build_secure(w);

    mac_behind(br->ports[1], 0, "02:00:00:00:00:0a");
    k.eth_src = mac_b;
    k.eth_dst = mac_a;
    send_key(w, "b", &k);
    expect_out(w, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(answers_once_to_the_asker),
        world_test(answers_fit),
        world_test(masks_stay_wide),
        world_test(renewal_to_the_router),
        world_test(trail_says_why_not),
        world_test(down_is_silent),
        world_test(mtu_is_the_least),
        world_test(dhcp6_finds_clients),
        world_test(dhcp6_answer_fits),
        world_test(advertises_unasked),
        world_test(security_masks),
        world_test(security_masks6),
        world_test(security_is_of_the_port),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
