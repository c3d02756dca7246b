/* Datagrams between agents: by UDP on loopback, and over the switchboard of memory datapaths. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "datapath/memory.h"

static struct ip ip_of(const char *text)
{
    struct ip ip;

    assert_int_equal(ip_parse(text, &ip), 0);
    return ip;
}

static void arrives(struct mail *from, const char *local, struct mail *to, const char *remote)
{
    struct ip l = ip_of(local), r = ip_of(remote), seen;
    char buf[MAIL_MAX];

    assert_int_equal(mail_send(from, &l, &r, "hello", 6), 0);
    struct pollfd p = {.fd = mail_fd(to), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(mail_recv(to, &seen, buf, sizeof buf), 6);
    assert_string_equal(buf, "hello");
    assert_true(ip_equal(&seen, &l));
    assert_int_equal(mail_recv(to, &seen, buf, sizeof buf), -EAGAIN);
    assert_int_equal(poll(&p, 1, 0), 0);
}

static void udp_both_families(void **arg)
{
    struct mail *m;
    struct error e = {0};

    (void)arg;
    assert_int_equal(mail_udp_open(16677, &m, &e), 0);
    arrives(m, "127.0.0.1", m, "127.0.0.2");
    arrives(m, "127.0.0.9", m, "127.0.0.1");
    arrives(m, "::1", m, "::1");
    struct mail *other;
    assert_int_equal(mail_udp_open(16677, &other, &e), -EADDRINUSE);
    assert_non_null(strstr(e.message, "16677"));
    mail_close(m);
}

/* It is given, not passed over: who sends nothing but such must not keep the receiver looking. */
static void an_empty_datagram_is_one(void **arg)
{
    struct ip local = ip_of("127.0.0.1"), from;
    struct error e = {0};
    struct mail *m;
    char buf[8];

    (void)arg;
    assert_int_equal(mail_udp_open(16678, &m, &e), 0);
    assert_int_equal(mail_send(m, &local, &local, "", 0), 0);
    assert_int_equal(mail_send(m, &local, &local, "x", 1), 0);
    struct pollfd p = {.fd = mail_fd(m), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(mail_recv(m, &from, buf, sizeof buf), 0);
    assert_true(ip_equal(&from, &local));
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(mail_recv(m, &from, buf, sizeof buf), 1);
    assert_int_equal(mail_recv(m, &from, buf, sizeof buf), -EAGAIN);
    mail_close(m);
}

struct pair {
    struct memory_board *board;
    struct dp *dp[2];
    struct mail *mail[2];
};

static struct pair pair_up(void)
{
    struct pair p = {.board = memory_board_new()};

    for (unsigned i = 0; i < 2; i++) {
        struct dp_options o = {.name = i ? "mail-b" : "mail-a"};
        struct ip local = ip_of(i ? "192.0.2.2" : "192.0.2.1");
        struct error e = {0};
        assert_int_equal(dp_open("memory", &o, &p.dp[i], &e), 0);
        memory_dp_join(p.dp[i], p.board);
        assert_int_equal(dp_tunnel_local(p.dp[i], &local, FLOW_TUNNEL_VXLAN, &e), 0);
        p.mail[i] = memory_mail_open(p.dp[i]);
    }
    return p;
}

static void pair_down(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        mail_close(p->mail[i]);
        dp_close(p->dp[i], false);
    }
    memory_board_free(p->board);
}

static void over_the_board(void **arg)
{
    struct ip a = ip_of("192.0.2.1"), b = ip_of("192.0.2.2"), nobody = ip_of("192.0.2.3"), from;
    struct pair p = pair_up();
    char buf[8];

    (void)arg;
    arrives(p.mail[0], "192.0.2.1", p.mail[1], "192.0.2.2");
    arrives(p.mail[1], "192.0.2.2", p.mail[0], "192.0.2.1");
    assert_int_equal(mail_send(p.mail[0], &a, &nobody, "x", 1), -EHOSTUNREACH);
    assert_int_equal(mail_send(p.mail[0], &b, &a, "x", 1), -EHOSTUNREACH); /* not its address */
    memory_board_cut(p.board, &b, true);
    assert_int_equal(mail_send(p.mail[0], &a, &b, "x", 1), -EHOSTUNREACH);
    memory_board_cut(p.board, &b, false);
    memory_board_lose_mail(p.board, 8);
    assert_int_equal(mail_send(p.mail[0], &a, &b, "x", 1), 0);
    assert_int_equal(mail_recv(p.mail[1], &from, buf, sizeof buf), -EAGAIN);
    pair_down(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(udp_both_families),
        cmocka_unit_test(an_empty_datagram_is_one),
        cmocka_unit_test(over_the_board),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
