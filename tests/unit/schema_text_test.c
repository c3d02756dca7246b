/* CLI text to JSON and back, as reference/cli.md prints and takes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "schema/schema.h"

static const struct schema_attr *attr(enum schema_type_id type, const char *name)
{
    const struct schema_attr *a = schema_attr_by_name(&schema_types[type], name);

    assert_non_null(a);
    return a;
}

/* 'text' becomes 'json'; printed again it is 'back'. */
static void both(enum schema_type_id type, const char *name, const char *text, const char *json,
                 const char *back)
{
    struct error e = {0};
    bool inverted;
    json_t *v;

    if (schema_from_text(attr(type, name), text, &v, &inverted, &e))
        fprintf(stderr, "%s %s: %s\n", name, text, e.message);
    assert_int_equal(e.code, 0);
    char *dump = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(dump, json);
    char *again = schema_to_text(attr(type, name), v, inverted);
    assert_string_equal(again, back);
    free(again);
    free(dump);
    json_decref(v);
}

static void no(enum schema_type_id type, const char *name, const char *text, const char *says)
{
    struct error e = {0};
    bool inverted;
    json_t *v;

    assert_int_equal(schema_from_text(attr(type, name), text, &v, &inverted, &e), -EINVAL);
    assert_null(v);
    if (!strstr(e.message, says))
        fprintf(stderr, "\"%s\" doesn't say \"%s\"\n", e.message, says);
    assert_non_null(strstr(e.message, says));
    assert_memory_equal(e.field, name, strlen(name)); /* or something in it */
}

static void test_scalars(void **state)
{
    (void)state;
    both(ST_BRIDGE, "state", "up", "true", "up");
    both(ST_BRIDGE, "state", "DOWN", "false", "down");
    both(ST_BRIDGE, "state", "false", "false", "down");
    no(ST_BRIDGE, "state", "sideways", "\"sideways\" is not up or down");
    both(ST_RULE, "inverted", "yes", "true", "yes");
    both(ST_PORT_GROUP, "stateful", "true", "true", "true");
    both(ST_BRIDGE, "name", "a b", "\"a b\"", "a b");
    no(ST_BRIDGE, "name", "\xff", "is not UTF-8");
    both(ST_HOST, "container-limit", "no-limit", "-1", "no-limit");
    both(ST_HOST, "container-limit", "-1", "-1", "no-limit");
    both(ST_HOST, "container-limit", "7", "7", "7");
    no(ST_HOST, "flooding-proxy-weight", "70000", "70000 is not within 0..65535");
    no(ST_HOST, "flooding-proxy-weight", "x", "\"x\" is not a number");
    no(ST_HOST, "flooding-proxy-weight", "", "is not a number");
    no(ST_HOST, "flooding-proxy-weight", "99999999999999999999", "is not a number");
    both(ST_RULE, "ethertype", "2048", "2048", "2048");
    both(ST_RULE, "ethertype", "0x0806", "2054", "2054");
    both(ST_RULE, "ethertype", "ipv6", "34525", "34525");
    both(ST_RULE, "proto", "tcp", "6", "6");
    both(ST_RULE, "tcp-flags", "ack,syn", "18", "syn,ack");
    both(ST_RULE, "tcp-flags", "0x11", "17", "fin,ack");
    both(ST_RULE, "tcp-flags", "none", "0", "none");
    both(ST_RULE, "tcp-flags", "!SYN", "2", "!syn");
    no(ST_RULE, "tcp-flags", "syn,sin", "is not a number");
    no(ST_RULE, "tcp-flags", "syn,", "is not a number");
    no(ST_RULE, "tcp-flags", "1024", "is not within 0..511");
    both(ST_RULE, "proto", "!17", "17", "!17");
    no(ST_RULE, "vlan", "!5", "is not a number");
    both(ST_ROUTE, "type", "blackhole", "\"BlackHole\"", "blackhole");
    both(ST_ROUTE, "type", "Normal", "\"Normal\"", "normal");
    both(ST_RULE, "type", "l2-transform", "\"l2_transform\"", "l2-transform");
    no(ST_RULE, "type", "explode", "is not one of accept, continue, drop, jump");
    both(ST_VIP, "persistence", "source_ip", "\"SOURCE_IP\"", "SOURCE_IP");
    both(ST_VIP, "persistence", "NONE", "null", "");
    both(ST_SERVICE_CONTAINER_GROUP, "policy", "least", "\"LEAST_SCHEDULER\"", "least");
}

static void test_flow(void **state)
{
    const struct schema_attr *fwd = attr(ST_RULE, "flow"), *ret = schema_attr_next(fwd);
    bool inverted;
    json_t *v;

    (void)state;
    both(ST_RULE, "flow", "fwd-flow", "true", "fwd-flow");
    no(ST_RULE, "flow", "return-flow", "is not fwd-flow");
    assert_non_null(ret);
    assert_int_equal(schema_from_text(ret, "return-flow", &v, &inverted, NULL), 0);
    assert_true(json_is_true(v));
    assert_int_equal(schema_from_text(ret, "true", &v, &inverted, NULL), -EINVAL);
}

static void test_addresses(void **state)
{
    (void)state;
    both(ST_RULE, "src", "10.0.0.1", "\"10.0.0.1/32\"", "10.0.0.1");
    both(ST_RULE, "src", "!10.0.0.0/16", "\"10.0.0.0/16\"", "!10.0.0.0/16");
    both(ST_RULE, "dst", "2001:DB8::/32", "\"2001:db8::/32\"", "2001:db8::/32");
    both(ST_RULE, "dst", "2001:db8::1", "\"2001:db8::1/128\"", "2001:db8::1");
    both(ST_ROUTE, "dst", "10.1.2.3/8", "\"10.0.0.0/8\"", "10.0.0.0/8");
    both(ST_ROUTE, "gw", "FE80::1", "\"fe80::1\"", "fe80::1");
    no(ST_ROUTE, "gw", "10.0.0", "\"10.0.0\" is not an IP address");
    no(ST_ROUTE, "dst", "10.0.0.0/40", "is not an IP prefix");
    both(ST_RULE, "hw-src", "!fa:16:3e:fb:19:07", "\"fa:16:3e:fb:19:07\"", "!fa:16:3e:fb:19:07");
    both(ST_RULE, "hw-src-mask", "FFFF.FF00.0000", "\"ffff.ff00.0000\"", "ffff.ff00.0000");
    both(ST_PORT, "addresses", "10.0.0.1/24,2001:db8::1/64", "[\"10.0.0.1/24\",\"2001:db8::1/64\"]",
         "10.0.0.1/24,2001:db8::1/64");
    no(ST_PORT, "addresses", "10.0.0.1/24,x", "\"x\" is not an IP prefix");
    both(ST_RULE, "jump-to", "some name", "\"some name\"", "some name");
    both(ST_RULE, "in-ports", "!p1,p2", "[\"p1\",\"p2\"]", "!p1,p2");
}

static void test_ranges(void **state)
{
    (void)state;
    both(ST_RULE, "dst-port", "80", "{\"end\":80,\"start\":80}", "80-80");
    both(ST_RULE, "dst-port", "80-90", "{\"end\":90,\"start\":80}", "80-90");
    both(ST_RULE, "dst-port", "!80-", "{\"start\":80}", "!80-");
    both(ST_RULE, "dst-port", "-90", "{\"end\":90}", "-90");
    no(ST_RULE, "dst-port", "70000", "\"70000\" is not a port range (0..65535)");
    no(ST_RULE, "dst-port", "90-80", "ends before it starts");
    no(ST_RULE, "dst-port", "-", "is not a port range");
    no(ST_RULE, "dst-port", "http", "\"http\" is not a port range");
}

static void test_nat_targets(void **state)
{
#define T(from, to, a, b)                                                                          \
    "{\"addressFrom\":\"" from "\",\"addressTo\":\"" to "\",\"portFrom\":" a ",\"portTo\":" b "}"
    (void)state;
    both(ST_RULE, "target", "192.168.77.119:10000-60000",
         "[" T("192.168.77.119", "192.168.77.119", "10000", "60000") "]",
         "192.168.77.119:10000-60000");
    both(ST_RULE, "target", "198.51.100.3", "[" T("198.51.100.3", "198.51.100.3", "0", "0") "]",
         "198.51.100.3");
    both(ST_RULE, "target", "10.0.0.1-10.0.0.9:80", "[" T("10.0.0.1", "10.0.0.9", "80", "80") "]",
         "10.0.0.1-10.0.0.9:80");
    both(ST_RULE, "target", "10.0.0.1:80,10.0.0.2:81",
         "[" T("10.0.0.1", "10.0.0.1", "80", "80") "," T("10.0.0.2", "10.0.0.2", "81", "81") "]",
         "10.0.0.1:80,10.0.0.2:81");
    both(ST_RULE, "target", "2001:db8::1-2001:db8::5",
         "[" T("2001:db8::1", "2001:db8::5", "0", "0") "]", "2001:db8::1-2001:db8::5");
    both(ST_RULE, "target", "[2001:db8::1]-[2001:db8::5]:80-90",
         "[" T("2001:db8::1", "2001:db8::5", "80", "90") "]", "[2001:db8::1]-[2001:db8::5]:80-90");
    both(ST_RULE, "target", "[2001:db8::1]:80", "[" T("2001:db8::1", "2001:db8::1", "80", "80") "]",
         "[2001:db8::1]:80");
    static const char *const bad[] = {"x",          "10.0.0.1:",    "10.0.0.1-",  "10.0.0.1:80-",
                                      "10.0.0.1:a", "[2001::1",     "10.0.0.1x",  "10.0.0.1:1-2-3",
                                      "[]:80",      "10.0.0.1-x:1", "10.0.0.1:-5"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        no(ST_RULE, "target", bad[i], "is not a NAT target (ip[-ip][:port[-port]])");
    no(ST_RULE, "target", "10.0.0.1:70000", "is not within 0..65535");
}

static void test_json_text(void **state)
{
    (void)state;
    both(ST_CHAIN, "metadata", "[{\"key\":\"a\",\"value\":\"b\"}]",
         "[{\"key\":\"a\",\"value\":\"b\"}]", "[{\"key\":\"a\",\"value\":\"b\"}]");
    no(ST_CHAIN, "metadata", "{}", "is not a JSON list");
    no(ST_CHAIN, "metadata", "[{\"key\":\"a\"}]", "is required");
    both(ST_IPSEC_CONNECTION, "ike-policy", "{\"ikeVersion\":\"V2\"}",
         "{\"authAlgorithm\":\"SHA1\",\"encryptionAlgorithm\":\"AES_128\",\"ikeVersion\":\"V2\","
         "\"lifetimeValue\":3600,\"pfs\":\"GROUP5\",\"phase1NegotiationMode\":\"MAIN\"}",
         "{\"authAlgorithm\":\"SHA1\",\"encryptionAlgorithm\":\"AES_128\",\"ikeVersion\":\"V2\","
         "\"lifetimeValue\":3600,\"pfs\":\"GROUP5\",\"phase1NegotiationMode\":\"MAIN\"}");
    no(ST_IPSEC_CONNECTION, "ike-policy", "[", "is not a JSON object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),     cmocka_unit_test(test_flow),
        cmocka_unit_test(test_addresses),   cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_nat_targets), cmocka_unit_test(test_json_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
