/* core/base: text forms of the value types, errors, arenas, strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/types.h"

static void uuids(void **state)
{
    (void)state;
    struct uuid u = {{1}}, v;
    char s[UUID_STRLEN];
    static const char *const bad[] = {"",
                                      "01234567-89ab-cdef-0123-456789abcde",
                                      "01234567-89ab-cdef-0123-456789abcdef0",
                                      "01234567089ab-cdef-0123-456789abcdef",
                                      "0123456g-89ab-cdef-0123-456789abcdef",
                                      "-"};

    assert_int_equal(uuid_parse("01234567-89AB-cdef-0123-456789abcdef", &u), 0);
    assert_string_equal(uuid_format(&u, s), "01234567-89ab-cdef-0123-456789abcdef");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(uuid_parse(bad[i], &u), -EINVAL);
    assert_string_equal(uuid_format(&u, s), "01234567-89ab-cdef-0123-456789abcdef");
    uuid_random(&u);
    uuid_random(&v);
    assert_false(uuid_equal(&u, &v));
    assert_int_equal(u.b[6] >> 4, 4);
}

static void macs(void **state)
{
    (void)state;
    struct mac m;
    char s[MAC_STRLEN];
    static const char *const bad[] = {"",           "1:2:3:4:5",     "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:", "001:2:3:4:5:6", "1-2-3-4-5-6",
                                      "1:2:3:4:5:g"};

    assert_int_equal(mac_parse("AC:ca:Ba:0:15:1", &m), 0);
    assert_string_equal(mac_format(&m, s), "ac:ca:ba:00:15:01");
    assert_int_equal(mac_u64(&m), 0xaccaba001501);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(mac_parse(bad[i], &m), -EINVAL);
    mac_random(&m);
    assert_false(mac_is_multicast(&m));
    assert_int_equal(m.b[0] & 2, 2);
}

static void addresses(void **state)
{
    (void)state;
    struct ip a, b;
    char s[IP_STRLEN];
    static const char *const bad[] = {"",           "10.0.0", "10.0.0.256", "10.0.0.1 ",
                                      "fd00::1::2", "g::",    "10.0.0.1/24"};

    assert_int_equal(ip_parse("10.0.0.1", &a), 0);
    assert_true(ip_is4(&a));
    assert_string_equal(ip_format(&a, s), "10.0.0.1");
    assert_int_equal(ip_parse("::ffff:10.0.0.1", &b), 0);
    assert_true(ip_equal(&a, &b));
    assert_int_equal(ip_parse("FD00:0:0::0:1", &a), 0);
    assert_string_equal(ip_format(&a, s), "fd00::1");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(ip_parse(bad[i], &a), -EINVAL);
    ip_parse("fe80::1", &a);
    assert_true(ip_is_link_local(&a) && !ip_is_multicast(&a));
    ip_parse("239.1.2.3", &a);
    assert_true(ip_is_multicast(&a));
    struct mac m = mac_of_multicast_ip(&a);
    assert_string_equal(mac_format(&m, (char[MAC_STRLEN]){0}), "01:00:5e:01:02:03");
    ip_parse("fd00::12:3456", &a);
    b = ip_solicited_node(&a);
    assert_string_equal(ip_format(&b, s), "ff02::1:ff12:3456");
    mac_parse("02:00:00:00:00:0a", &m);
    b = ip_link_local_of_mac(&m);
    assert_string_equal(ip_format(&b, s), "fe80::ff:fe00:a");
}

static void cidrs(void **state)
{
    (void)state;
    struct cidr c;
    struct ip ip;
    char s[CIDR_STRLEN], t[IP_STRLEN];
    static const char *const bad[] = {"10.0.0.0/33", "fd00::/129",    "10.0.0.0/", "10.0.0.0/a",
                                      "10.0.0.0/-1", "10.0.0.0/0024", "/24"};

    assert_int_equal(cidr_parse("10.0.1.7/23", &c), 0);
    assert_string_equal(cidr_format(&c, s), "10.0.1.7/23");
    ip = cidr_network(&c);
    assert_string_equal(ip_format(&ip, t), "10.0.0.0");
    ip = cidr_broadcast(&c);
    assert_string_equal(ip_format(&ip, t), "10.0.1.255");
    ip_parse("10.0.0.200", &ip);
    assert_true(cidr_contains(&c, &ip));
    ip_parse("10.0.2.0", &ip);
    assert_false(cidr_contains(&c, &ip));
    cidr_parse("0.0.0.0/0", &c);
    assert_true(cidr_contains(&c, &ip));
    ip_parse("fd00::1", &ip);
    assert_false(cidr_contains(&c, &ip));
    cidr_parse("::/0", &c);
    assert_true(cidr_contains(&c, &ip));
    ip_parse("10.0.2.0", &ip);
    assert_false(cidr_contains(&c, &ip));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(cidr_parse(bad[i], &c), -EINVAL);
}

static void errors(void **state)
{
    (void)state;
    struct error e = {0};
    char s[700];
    static const struct {
        int code, status;
    } map[] = {{0, 0},         {5, 0},          {-EINVAL, 2}, {-ENOENT, 3},
               {-EEXIST, 4},   {-EBUSY, 4},     {-ESTALE, 4}, {-EACCES, 6},
               {-ENOTCONN, 5}, {-ETIMEDOUT, 5}, {-EIO, 1},    {-EPERM, 6}};

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        assert_int_equal(error_exit_status(map[i].code), map[i].status);
    assert_int_equal(error_set(&e, -ENOENT, "port 7", "peer", "no such %s", "port"), -ENOENT);
    error_hint(&e, "try %d", 8);
    assert_string_equal(error_format(&e, s, sizeof s), "port 7: field peer: no such port (try 8)");
    assert_int_equal(error_set(NULL, -EIO, NULL, NULL, "x"), -EIO);
    error_set(&e, -EIO, NULL, NULL, "broken");
    assert_string_equal(error_format(&e, s, sizeof s), "broken");
}

static void arenas(void **state)
{
    (void)state;
    struct arena a;

    arena_init(&a, 64);
    char *first = arena_alloc(&a, 10);
    for (unsigned i = 0; i < 100; i++) {
        char *p = arena_alloc(&a, i);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, (int)i, i);
    }
    char *large = arena_alloc(&a, 100000);
    memset(large, 1, 100000);
    arena_reset(&a);
    assert_ptr_equal(arena_alloc(&a, 10), first);
    arena_free(&a);
}

static void strings(void **state)
{
    (void)state;
    struct strbuf sb = {0};

    assert_string_equal(sb_str(&sb), "");
    for (unsigned i = 0; i < 200; i++)
        sb_printf(&sb, "%u,", i);
    sb_add(&sb, "end");
    assert_int_equal(strlen(sb_str(&sb)), sb.size);
    assert_non_null(strstr(sb_str(&sb), ",199,end"));
    char *s = sb_steal(&sb);
    assert_string_equal(sb_str(&sb), "");
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuids),   cmocka_unit_test(macs),   cmocka_unit_test(addresses),
        cmocka_unit_test(cidrs),   cmocka_unit_test(errors), cmocka_unit_test(arenas),
        cmocka_unit_test(strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
