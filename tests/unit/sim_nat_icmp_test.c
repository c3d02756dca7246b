/* ICMP errors through translations, and the way there and back through chains of them.
 *
 *      a --(l0 ) r1 ( )-- ... --( ) rn ( r)-- b       every ri translates what it likes
 *
 * Whatever the routers do to a's packets: b's answers come home with the addresses a wrote to, and
 * an error from either side quotes what the other one sent, byte for byte. */
#include "sim_conns.h"

enum { MAX_ROUTERS = 3 };

struct line {
    struct world *w;
    struct state *s;
    unsigned n;
    bool ip6;
    struct dev *r[MAX_ROUTERS];
    struct prt *left[MAX_ROUTERS], *right[MAX_ROUTERS];
    struct chn *in[MAX_ROUTERS], *out[MAX_ROUTERS];
    char text[96][60]; /* names and addresses; names are pointed to */
    unsigned n_text;
    char dst[60]; /* where a writes to */
};

enum { NONE, STATIC, DYNAMIC };

static char *text(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static char *text(struct line *l, const char *fmt, ...)
{
    char *s = l->text[l->n_text++];
    va_list ap;

    assert_true(l->n_text <= ARRAY_SIZE(l->text));
    va_start(ap, fmt);
    vsnprintf(s, sizeof l->text[0], fmt, ap);
    va_end(ap);
    return s;
}

/* Host 'host' of link 'i': between router i and i + 1, counted from 1. */
static char *link_ip(struct line *l, unsigned i, unsigned host)
{
    return text(l, l->ip6 ? "fd00:0:0:%x::%x" : "10.0.%u.%u", i, host);
}

static const char *bare(const struct line *l, const char *ip, char buf[70])
{
    snprintf(buf, 70, l->ip6 ? "[%s]" : "%s", ip);
    return buf;
}

/* Sources that router i gives: routed to it by those on the right. */
static void translate_source(struct line *l, unsigned i, int how, const char *who)
{
    char buf[70];
    char *to = text(l, l->ip6 ? "fd01::%x" : "10.100.0.%u", i + 1);

    if (how == DYNAMIC) {
        rule(l->in[i], "rev_snat in-ports %s action continue", l->right[i]->name);
        rule(l->out[i], "snat out-ports %s target %s:%u-%u action continue", l->right[i]->name,
             bare(l, to, buf), 5000 + 1000 * i, 5999 + 1000 * i);
    } else if (how == STATIC) {
        rule(l->out[i], "snat out-ports %s target %s stateless action continue", l->right[i]->name,
             bare(l, to, buf));
        rule(l->in[i], "dnat in-ports %s dst %s target %s stateless action continue",
             l->right[i]->name, to, bare(l, who, buf));
    }
}

static void translate_destination(struct line *l, unsigned i, int how, const char *from,
                                  const char *to)
{
    char buf[70];

    if (how == DYNAMIC) {
        rule(l->in[i], "dnat in-ports %s dst %s target %s:8080-8089 action continue",
             l->left[i]->name, from, bare(l, to, buf));
        rule(l->out[i], "rev_dnat out-ports %s action continue", l->left[i]->name);
    } else if (how == STATIC) {
        rule(l->in[i], "dnat in-ports %s dst %s target %s stateless action continue",
             l->left[i]->name, from, bare(l, to, buf));
        rule(l->out[i], "snat out-ports %s src %s target %s stateless action continue",
             l->left[i]->name, to, bare(l, from, buf));
        /* errors by routers behind it, about packets to it */
        rule(l->out[i], "snat out-ports %s icmp-data-dst %s target %s stateless action continue",
             l->left[i]->name, to, buf);
    }
}

static void add_router(struct line *l, unsigned i)
{
    const char *pre = l->ip6 ? "/64" : "/24";
    struct world *w = l->w;

    l->r[i] = router(w, text(l, "r%u", i));
    l->left[i] = rport(l->r[i], text(l, "left%u", i), text(l, "%s%s", link_ip(l, i, 254), pre));
    l->right[i] = rport(l->r[i], text(l, "right%u", i), text(l, "%s%s", link_ip(l, i + 1, 1), pre));
    l->in[i] = chain(w, text(l, "in%u", i));
    l->out[i] = chain(w, text(l, "out%u", i));
    l->r[i]->infilter = l->in[i]->ref;
    l->r[i]->outfilter = l->out[i]->ref;
    if (i)
        plug(l->right[i - 1], l->left[i]);
}

static void add_routes(struct line *l, unsigned i)
{
    const char *right = link_ip(l, i + 1, i + 1 == l->n ? 2 : 254);
    const char *left = i ? link_ip(l, i, 1) : NULL;

    add_route(l->r[i], text(l, "any%u", i), l->ip6 ? "::/0" : "0.0.0.0/0", TOPO_HOP_PORT,
              l->right[i], right);
    if (left) {
        add_route(l->r[i], text(l, "src%u", i), l->ip6 ? "fd01::/64" : "10.100.0.0/16",
                  TOPO_HOP_PORT, l->left[i], left);
        add_route(l->r[i], text(l, "a%u", i), l->ip6 ? "fd00::/64" : "10.0.0.0/24", TOPO_HOP_PORT,
                  l->left[i], left);
    }
}

static struct line *line_of(struct world *w, bool ip6, unsigned n, const int *src, const int *dst)
{
    struct line *l = NEW(struct line);
    char from[60], to[60], who[60];

    *l = (struct line){.w = w, .n = n, .ip6 = ip6};
    for (unsigned i = 0; i < n; i++)
        add_router(l, i);
    snprintf(who, sizeof who, "%s", link_ip(l, 0, 1));
    snprintf(from, sizeof from, "%s", link_ip(l, n, 2));
    for (unsigned i = n; i-- > 0;) {
        snprintf(to, sizeof to, "%s", from);
        if (dst[i])
            snprintf(from, sizeof from, l->ip6 ? "fd02::%x" : "10.200.0.%u", i + 1);
        translate_destination(l, i, dst[i], from, to);
    }
    snprintf(l->dst, sizeof l->dst, "%s", from);
    for (unsigned i = 0; i < n; i++) {
        translate_source(l, i, src[i], who);
        if (src[i])
            snprintf(who, sizeof who, l->ip6 ? "fd01::%x" : "10.100.0.%u", i + 1);
        add_routes(l, i);
    }
    l->left[0]->host = l->right[n - 1]->host = "host1";
    publish(w);
    knows(l->left[0], link_ip(l, 0, 1), MAC_A);
    knows(l->right[n - 1], link_ip(l, n, 2), MAC_B);
    l->s = with_state(w);
    return l;
}

static void line_free(struct line *l)
{
    state_free(l->s);
    free(l);
}

static struct flow_key from_left(struct line *l, uint8_t proto)
{
    const char *a = l->ip6 ? "fd00::1" : "10.0.0.1";
    struct flow_key k = proto ? key_of(proto, a, l->dst, 1000, 80) : echo_of(a, l->dst, 77);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = l->left[0]->mac;
    return k;
}

/* 'e', which arrived, is an error about 'sent': addressed to its sender, quoting it but for the
 * hops. */
static void check_error(const struct frame *e, const struct frame *sent)
{
    struct packet_quote q = quote_of(e);
    struct packet_layers l;
    struct flow_key k = parse(e), s = parse_exact(sent->b, sent->size, &l);
    size_t n = l.l4_end - l.l4;

    assert_true(ip_equal(&k.ip_dst, &s.ip_src));
    assert_true(ip_equal(&q.key.ip_src, &s.ip_src) && ip_equal(&q.key.ip_dst, &s.ip_dst));
    assert_true(q.l.l4_end - q.l.l4 >= n);
    if (s.ip_proto == 132) { /* SCTP's CRC can't follow */
        assert_memory_equal(e->b + q.l.l4, sent->b + l.l4, 8);
    } else {
        assert_memory_equal(e->b + q.l.l4, sent->b + l.l4, n);
    }
    if (s.eth_type == ETH_TYPE_IP) { /* the quoted header's checksum */
        uint8_t whole[2048] = {0};
        memcpy(whole, sent->b, 14);
        memcpy(whole + 14, e->b + q.l.l3, q.l.l4_end - q.l.l3);
        if (s.ip_proto != 132)
            assert_true(packet_checksums_right(whole, 14 + q.l.l4_end - q.l.l3));
    }
}

/* From what b got: its error about it reaches a. */
static void error_back(struct line *l, const struct frame *sent, const struct frame *got,
                       uint8_t type, uint8_t code)
{
    struct frame e =
        error_about(got, l->ip6 ? "fd00:0:0:9::9" : "10.9.9.9", type, code); /* beyond b */
    const char *b = l->right[l->n - 1]->name;

    send_frame(l->w, b, &e);
    struct frame home = delivered(l->w, l->left[0]->name);
    assert_int_equal(l->w->res.n_states, 0);
    check_error(&home, sent);
    struct flow_key k = parse(&home);
    assert_int_equal(k.tp_src, type);
    assert_int_equal(k.tp_dst, code);
}

static void round_trip(struct line *l, uint8_t proto)
{
    const char *left = l->left[0]->name, *right = l->right[l->n - 1]->name;
    struct flow_key k = from_left(l, proto);
    struct frame sent = frame_of(&k), got = through(l->w, l->s, left, &k, right);
    struct flow_key back = reply_to(&got);
    struct frame answer = frame_of(&back), home = through(l->w, l->s, right, &back, left);
    struct flow_key h = parse(&home);

    assert_true(ip_equal(&h.ip_src, &k.ip_dst) && ip_equal(&h.ip_dst, &k.ip_src));
    if (proto) {
        assert_int_equal(h.tp_src, k.tp_dst);
        assert_int_equal(h.tp_dst, k.tp_src);
    } else {
        assert_int_equal(h.icmp_id, k.icmp_id);
    }
    assert_memory_equal(home.b + home.size - 16, "0123456789abcdef", 16);
    error_back(l, &sent, &got, l->ip6 ? 1 : 3, l->ip6 ? 4 : 3);
    error_back(l, &sent, &got, l->ip6 ? 3 : 11, 0);
    error_back(l, &sent, &got, l->ip6 ? 4 : 12, 0);
    error_back(l, &sent, &got, l->ip6 ? 2 : 3, l->ip6 ? 0 : 4);
    /* And the other way: a doesn't like the answer. */
    struct frame e =
        error_about(&home, l->ip6 ? "fd00::1" : "10.0.0.1", l->ip6 ? 1 : 3, l->ip6 ? 4 : 3);
    send_frame(l->w, left, &e);
    struct frame there = delivered(l->w, right);
    check_error(&there, &answer);
    h = parse(&there);
    assert_true(ip_equal(&h.ip_src, &back.ip_dst));
}

/* Every combination of what up to three routers do to source and destination. */
static void chains_of_translations(struct world *w, bool ip6)
{
    static const uint8_t protos[] = {6, 17, 132, 0};
    unsigned seed = 7;

    for (unsigned i = 0; i < 60; i++) {
        unsigned n = 1 + (unsigned)rand_r(&seed) % MAX_ROUTERS;
        int src[MAX_ROUTERS], dst[MAX_ROUTERS];
        for (unsigned j = 0; j < MAX_ROUTERS; j++) {
            src[j] = i < 9 ? (int)i % 3 : rand_r(&seed) % 3;
            dst[j] = i < 9 ? (int)i / 3 : rand_r(&seed) % 3;
        }
        struct line *l = line_of(w, ip6, i < 9 ? 1 : n, src, dst);
        for (unsigned p = 0; p < sizeof protos; p++)
            round_trip(l, protos[p]);
        line_free(l);
        world_free(w);
        world_init(w);
    }
}
BOTH(chains_of_translations)

static struct line *hiding(struct world *w, bool ip6, unsigned n)
{
    return line_of(w, ip6, n, (int[]){DYNAMIC, DYNAMIC, DYNAMIC}, (int[]){NONE, NONE, NONE});
}

/* About nothing that is known: not translated on the way in, stopped on the way out. */
static void errors_out_of_the_blue(struct world *w, bool ip6)
{
    struct line *l = hiding(w, ip6, 1);
    struct flow_key k = from_left(l, 17);
    struct frame sent = frame_of(&k), got = through(w, l->s, "left0", &k, "right0");
    struct packet_layers layers;
    const char *a = ip6 ? "fd00::1" : "10.0.0.1";

    /* About another port of the address. */
    parse_exact(got.b, got.size, &layers);
    put16(got.b + layers.l4, 4999);
    packet_finish_checksums(got.b, got.size);
    struct frame e = error_about(&got, ip6 ? "fd00:0:0:1::2" : "10.0.1.2", ip6 ? 1 : 3, 1);
    send_frame(w, "right0", &e);
    assert_true(w->res.no_flow);
    struct flow_key out = parse(&e);
    if (w->res.verdict == SIM_FORWARD)
        assert_true(ip_equal(&w->res.outs[0].hdr->ip_dst, &out.ip_dst));

    struct flow_key back = reply_to(&sent);
    back.tp_src = 81;
    struct frame answer = frame_of(&back);
    e = error_about(&answer, a, ip6 ? 1 : 3, 1);
    send_frame(w, "left0", &e);
    expect_drop(w, SIM_NAT_NO_STATE, "out0:1");
    line_free(l);
}
BOTH(errors_out_of_the_blue)

/* Some node inside complains about an answer: its own address doesn't show. */
static void inner_addresses_stay_inside(struct world *w, bool ip6)
{
    struct line *l = hiding(w, ip6, 1);
    struct flow_key k = from_left(l, 17);
    struct frame got = through(w, l->s, "left0", &k, "right0");
    struct flow_key back = reply_to(&got);
    struct frame home = through(w, l->s, "right0", &back, "left0");
    struct frame e = error_about(&home, ip6 ? "fd00::99" : "10.0.0.99", ip6 ? 3 : 11, 0);

    send_frame(w, "left0", &e);
    struct frame there = delivered(w, "right0");
    struct flow_key told = parse(&there);
    assert_true(ip_equal(&told.ip_src, &back.ip_dst));
    line_free(l);
}
BOTH(inner_addresses_stay_inside)

/* The TTL ends at the second router: its message finds its way through the first, whose record is
 * a proposal of the same run. */
static void second_router_complains(struct world *w, bool ip6)
{
    struct line *l = hiding(w, ip6, 2);
    struct flow_key k = from_left(l, 17);

    k.ip_ttl = 2;
    struct frame sent = frame_of(&k);
    send_frame(w, "left0", &sent);
    expect_drop(w, SIM_TTL, "r1");
    struct frame e = emitted(w, "left0");
    struct packet_quote q = quote_of(&e);
    struct flow_key told = parse(&e);
    assert_true(ip_equal(&told.ip_dst, &k.ip_src));
    assert_ip(&told.ip_src, ip6 ? "fd00:0:0:1::fe" : "10.0.1.254");
    assert_true(ip_equal(&q.key.ip_src, &k.ip_src));
    assert_int_equal(q.key.tp_src, 1000);
    assert_int_equal(w->res.n_states, 0);
    line_free(l);
}
BOTH(second_router_complains)

/* A static rule with a condition on what is quoted changes only that (behaviour.md 8.2). */
static void only_what_is_quoted(struct world *w, bool ip6)
{
    struct line *l = line_of(w, ip6, 1, (int[]){NONE}, (int[]){NONE});
    struct flow_key back = from_left(l, 17);
    const char *inner = ip6 ? "fd00::1" : "10.0.0.1", *hop = ip6 ? "fd00::99" : "10.0.0.99";

    rule(l->out[0], "snat icmp-data-dst %s target %s stateless", inner,
         ip6 ? "[fd01::7]" : "10.100.0.7");
    publish(w);
    /* b's packet to a, as it was on the left. */
    struct ip a = back.ip_src;
    back.ip_src = back.ip_dst;
    back.ip_dst = a;
    back.eth_dst = MAC(MAC_A);
    back.eth_src = l->left[0]->mac;
    struct frame f = frame_of(&back), e = error_about(&f, hop, ip6 ? 3 : 11, 0);
    send_frame(w, "left0", &e);
    struct frame there = delivered(w, "right0");
    struct packet_quote q = quote_of(&there);
    struct flow_key told = parse(&there);
    assert_ip(&told.ip_src, hop);
    assert_ip(&q.key.ip_dst, ip6 ? "fd01::7" : "10.100.0.7");
    line_free(l);
}
BOTH(only_what_is_quoted)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(chains_of_translations),      both_tests(errors_out_of_the_blue),
        both_tests(inner_addresses_stay_inside), both_tests(second_router_complains),
        both_tests(only_what_is_quoted),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
