/* Row validation: types, bounds, canonical forms, dependent defaults, and what each says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json_words.h"
#include "schema/schema.h"

#define CHAIN "'chainId':'11111111-1111-4111-8111-111111111111'"
#define UUID  "22222222-2222-4222-8222-222222222222"

/* Refused, saying so. */
static void no(enum schema_type_id type, const char *text, const char *says)
{
    json_t *v = json_of("%s", text);
    struct error e = {0};
    char all[640];
    int rc = schema_validate(&schema_types[type], v, false, false, &e);

    error_format(&e, all, sizeof all);
    if (rc != -EINVAL || !strstr(all, says))
        fprintf(stderr, "%s: %d \"%s\", expected \"%s\"\n", text, rc, all, says);
    assert_int_equal(rc, -EINVAL);
    assert_non_null(strstr(all, says));
    json_decref(v);
}

/* Accepted; 'member' then is 'value' (JSON), or absent when value is null. */
static void yes(enum schema_type_id type, const char *text, const char *member, const char *value)
{
    json_t *v = json_of("%s", text);
    struct error e = {0};

    if (schema_validate(&schema_types[type], v, false, false, &e))
        fprintf(stderr, "%s: %s %s\n", text, e.field, e.message);
    assert_int_equal(e.code, 0);
    if (member) {
        char *now = json_object_get(v, member)
                        ? json_dumps(json_object_get(v, member),
                                     JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS)
                        : NULL;
        json_t *expected =
            value ? json_of("%s", value[0] == '{' || value[0] == '[' ? value : "[]") : NULL;
        if (!value) {
            assert_null(now);
        } else if (json_is_object(expected) || value[0] == '[') {
            char *wanted = json_dumps(expected, JSON_COMPACT | JSON_SORT_KEYS);
            assert_string_equal(now, wanted);
            free(wanted);
        } else
            assert_string_equal(now, value);
        json_decref(expected);
        free(now);
    }
    json_decref(v);
}

static void test_values(void **state)
{
    (void)state;
    no(ST_BRIDGE, "[]", "not a JSON object");
    no(ST_BRIDGE, "{'colour':1}", "field colour: no such attribute");
    no(ST_BRIDGE, "{'name':5}", "field name: 5 is not a string");
    no(ST_BRIDGE, "{'name':'a\\u0001b'}", "without control characters");
    no(ST_BRIDGE, "{'adminStateUp':'true'}", "field state: \"true\" is not true or false");
    no(ST_BRIDGE, "{'inboundFilterId':'x'}", "field infilter: \"x\" is not a uuid");
    no(ST_BRIDGE, "{'inboundMirrorIds':'" UUID "'}", "field in-mirrors");
    no(ST_BRIDGE, "{'inboundMirrorIds':['" UUID "','" UUID "']}", "is there twice");
    no(ST_BRIDGE, "{'id':'x'}", "field id: not a uuid");
    no(ST_TUNNEL_ZONE, "{'type':'gre'}", "field name: is required");
    no(ST_TUNNEL_ZONE, "{'name':null,'type':'gre'}", "field name: is required");
    no(ST_TUNNEL_ZONE, "{'name':'z','type':'GRE'}", "\"GRE\" is not one of gre, vxlan, vtep");
    no(ST_HOST, "{'name':'h','floodingProxyWeight':65536}", "65536 is not within 0..65535");
    no(ST_HOST, "{'name':'h','floodingProxyWeight':1.5}", "1.5 is not a number without fraction");
    no(ST_HOST, "{'name':'h','containerLimit':-2}", "-2 is not -1 or more");
    no(ST_HOST, "{'name':'h','containerLimit':2147483648}",
       "2147483648 is not within -1..2147483647");
    no(ST_BRIDGE, "{'name':[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]}",
       "... is not a string");
    yes(ST_BRIDGE, "{'name':null}", "name", NULL);
    yes(ST_BRIDGE, "{}", "adminStateUp", "true");
    yes(ST_BRIDGE, "{'inboundMirrorIds':[]}", "inboundMirrorIds", NULL);
    yes(ST_BRIDGE, "{'inboundFilterId':'2222AAAA-2222-4222-8222-222222222222'}", "inboundFilterId",
        "\"2222aaaa-2222-4222-8222-222222222222\"");
    char text[400] = "{'name':'";
    memset(text + 9, 'x', 256);
    strcpy(text + 9 + 256, "'}");
    no(ST_BRIDGE, text, "is not text of 0 to 255 bytes");
    strcpy(text + 9 + 255, "'}");
    yes(ST_BRIDGE, text, NULL, NULL);
}

static void test_canonical(void **state)
{
    (void)state;
    yes(ST_RULE, "{" CHAIN ",'type':'drop','dlSrc':'A:B:C:D:E:F'}", "dlSrc",
        "\"0a:0b:0c:0d:0e:0f\"");
    yes(ST_RULE, "{" CHAIN ",'type':'drop','dlSrc':'A:B:C:D:E:F','dlSrcMask':'FFFF.ff00.0000'}",
        "dlSrcMask", "\"ffff.ff00.0000\"");
    no(ST_RULE, "{" CHAIN ",'type':'drop','dlSrcMask':'ffff.ff00.0000'}",
       "field hw-src-mask: needs hw-src");
    no(ST_RULE, "{" CHAIN ",'type':'drop','dlSrc':'A:B:C:D:E:F','dlSrcMask':'ffffff000000'}",
       "is not a MAC mask");
    yes(ST_RULE, "{" CHAIN ",'type':'drop','nwSrcAddress':'2001:DB8:0:0::1'}", "nwSrcAddress",
        "\"2001:db8::1/128\"");
    yes(ST_RULE, "{" CHAIN ",'type':'drop','nwSrcAddress':'10.1.2.3/8','invNwSrc':true}",
        "invNwSrc", "true");
    yes(ST_RULE, "{" CHAIN ",'type':'drop','nwSrcAddress':'10.1.2.3/8','invNwSrc':false}",
        "invNwSrc", NULL);
    yes(ST_RULE, "{" CHAIN ",'type':'drop','invNwSrc':true}", "invNwSrc", NULL);
    no(ST_RULE, "{" CHAIN ",'type':'drop','invNwSrc':1}", "field src: 1 is not true or false");
    yes(ST_RULE, "{" CHAIN ",'type':'drop','tpDst':{'start':80,'end':null}}", "tpDst",
        "{'start':80}");
    no(ST_RULE, "{" CHAIN ",'type':'drop','tpDst':{'start':80,'end':79}}",
       "field dst-port: 80-79 ends before it starts");
    no(ST_RULE, "{" CHAIN ",'type':'drop','tpDst':{'start':70000}}",
       "is not a port range (0..65535)");
    no(ST_RULE, "{" CHAIN ",'type':'drop','tpDst':{'begin':7}}", "is not a port range");
    no(ST_RULE, "{" CHAIN ",'type':'drop','tpDst':{}}", "is not a port range");
    no(ST_RULE, "{" CHAIN ",'type':'drop','tpDst':80}", "is not a port range");
    no(ST_RULE, "{" CHAIN ",'type':'drop','dlType':1500}", "1500 is not within 1536..65535");
}

static void test_conditions(void **state)
{
    (void)state;
    no(ST_RULE, "{" CHAIN ",'type':'drop','noVlan':true,'vlan':5}",
       "field vlan: a frame without a tag has no VLAN");
    no(ST_RULE, "{" CHAIN ",'type':'drop','nwSrcAddress':'10.0.0.0/8','nwDstAddress':'::/0'}",
       "field dst: source and destination are of different IP versions");
    yes(ST_RULE,
        "{" CHAIN ",'type':'drop','nwSrcAddress':'10.0.0.0/8','nwDstAddress':'::1',"
        "'invNwDst':true}",
        NULL, NULL);
    no(ST_RULE, "{" CHAIN ",'type':'drop','nwSrcAddress':'10.0.0.0/8','dlType':34525}",
       "field ethertype: is of another IP version");
    yes(ST_RULE, "{" CHAIN ",'type':'drop','nwSrcAddress':'10.0.0.0/8','dlType':2054}", NULL, NULL);
    /* Fragments */
    yes(ST_RULE, "{" CHAIN ",'type':'drop'}", "fragmentPolicy", "\"any\"");
    yes(ST_RULE, "{" CHAIN ",'type':'drop','tpSrc':{'start':1}}", "fragmentPolicy", "\"header\"");
    yes(ST_RULE, "{" CHAIN ",'type':'drop','tpSrc':{'start':1},'fragmentPolicy':'unfragmented'}",
        "fragmentPolicy", "\"unfragmented\"");
    no(ST_RULE, "{" CHAIN ",'type':'drop','tpSrc':{'start':1},'fragmentPolicy':'any'}",
       "the fragmentPolicy must be 'header' or 'unfragmented'");
    no(ST_RULE, "{" CHAIN ",'type':'drop','tpDst':{'start':1},'fragmentPolicy':'nonheader'}",
       "the fragmentPolicy must be 'header' or 'unfragmented'");
    no(ST_RULE, "{" CHAIN ",'type':'drop','fragmentPolicy':'some'}",
       "is not one of any, header, nonheader, unfragmented");
    no(ST_MIRROR, "{'toPortId':'" UUID "','conditions':[{},{'noVlan':true,'vlan':5}]}",
       "mirror: field vlan");
    no(ST_MIRROR, "{'toPortId':'" UUID "','conditions':[{'nonsense':5}]}",
       "field matches.nonsense: no such attribute");
    yes(ST_MIRROR, "{'toPortId':'" UUID "','conditions':[{'nwProto':6}]}", "conditions",
        "[{'nwProto':6}]");
    no(ST_TRACE_REQUEST, "{}", "exactly one of port, router and bridge is required");
    no(ST_TRACE_REQUEST, "{'portId':'" UUID "','bridgeId':'" UUID "'}", "exactly one of");
}

#define RULE(rest) "{" CHAIN "," rest "}"

/* What no packet can be. */
static void test_contradictions(void **state)
{
    (void)state;
    no(ST_RULE, RULE("'type':'drop','matchForwardFlow':true,'matchReturnFlow':true"),
       "field flow: no packet goes in both directions");
    no(ST_RULE, RULE("'type':'drop','nwProto':47,'tpDst':{'start':5}"),
       "field dst-port: protocol 47 has no ports");
    yes(ST_RULE, RULE("'type':'drop','nwProto':47,'invNwProto':true,'tpDst':{'start':5}"), NULL,
        NULL);
    yes(ST_RULE, RULE("'type':'drop','nwProto':132,'tpDst':{'start':5}"), NULL, NULL);
    no(ST_RULE, RULE("'type':'drop','nwProto':1,'tpSrc':{'start':256}"),
       "field src-port: 256 is no ICMP type");
    no(ST_RULE, RULE("'type':'drop','nwProto':58,'tpDst':{'start':300}"),
       "field dst-port: 300 is no ICMP code");
    no(ST_RULE, RULE("'type':'drop','nwProto':1,'nwSrcAddress':'fd00::/8'"),
       "field proto: 1 is ICMP of IPv4, and the packets are IPv6");
    no(ST_RULE, RULE("'type':'drop','nwProto':58,'dlType':2048"),
       "field proto: 58 is ICMPv6, and the packets are IPv4");
    no(ST_RULE, RULE("'type':'drop','dlType':2054,'tpDst':{'start':5}"),
       "field dst-port: frames of ethertype 2054 have none");
    no(ST_RULE, RULE("'type':'drop','dlType':35020,'nwDstAddress':'10.0.0.1'"),
       "field dst: frames of ethertype 35020 have none");
    yes(ST_RULE, RULE("'type':'drop','dlType':35020,'invDlType':true,'nwDstAddress':'10.0.0.1'"),
        NULL, NULL);
    no(ST_TRACE_REQUEST, "{'portId':'" UUID "','noVlan':true,'vlan':0}",
       "tracerequest: field vlan");
}

static void test_flags(void **state)
{
    (void)state;
    no(ST_RULE, RULE("'type':'drop','tcpFlags':2"), "field tcp-flags: needs proto tcp");
    no(ST_RULE, RULE("'type':'drop','tcpFlags':2,'nwProto':17"),
       "field tcp-flags: needs proto tcp");
    no(ST_RULE, RULE("'type':'drop','tcpFlags':2,'nwProto':6,'invNwProto':true"),
       "needs proto tcp");
    no(ST_RULE, RULE("'type':'drop','tcpFlagsMask':2,'nwProto':6"),
       "field tcp-flags-mask: needs tcp-flags");
    no(ST_RULE, RULE("'type':'drop','tcpFlags':3,'tcpFlagsMask':2,'nwProto':6"),
       "field tcp-flags: has flags that tcp-flags-mask lacks");
    no(ST_RULE, RULE("'type':'drop','tcpFlags':0,'nwProto':6"), "none needs tcp-flags-mask");
    no(ST_RULE, RULE("'type':'drop','tcpFlags':512,'nwProto':6"), "is not within 0..511");
    yes(ST_RULE, RULE("'type':'drop','tcpFlags':0,'tcpFlagsMask':18,'nwProto':6"), NULL, NULL);
    no(ST_RULE, RULE("'type':'drop','icmpId':5"), "field icmp-id: needs proto icmp or icmpv6");
    yes(ST_RULE, RULE("'type':'drop','icmpId':5,'nwProto':58"), NULL, NULL);
}

static void test_rule_types(void **state)
{
    (void)state;
    no(ST_RULE, "{" CHAIN "}", "field type: is required");
    no(ST_RULE, RULE("'type':'jump'"), "field jump-to: is required by rules of type jump");
    yes(ST_RULE, RULE("'type':'jump','jumpChainId':'" UUID "'"), NULL, NULL);
    no(ST_RULE, RULE("'type':'drop','jumpChainId':'" UUID "'"),
       "field jump-to: is not for rules of type drop");
    no(ST_RULE, RULE("'type':'accept','flowAction':'accept'"),
       "field action: is not for rules of type accept");
    no(ST_RULE, RULE("'type':'redirect'"), "field target-port: is required");
    no(ST_RULE, RULE("'type':'trace'"), "field traceid: is required");
    no(ST_RULE, RULE("'type':'l2_transform','flowAction':'redirect'"),
       "field target-port: is required by action redirect");
    no(ST_RULE, RULE("'type':'l2_transform','flowAction':'return'"),
       "field action: return does not go with type l2_transform");
    yes(ST_RULE, RULE("'type':'l2_transform','popVlan':true,'pushVlan':65535"), "flowAction",
        "\"accept\"");
    no(ST_RULE, RULE("'type':'l2_transform','pushVlan':65536"), "field push-vlan");
    no(ST_RULE, RULE("'type':'drop','pushVlan':1"), "field push-vlan: is not for rules");
    no(ST_RULE, RULE("'type':'rev_snat','natTargets':[{'addressFrom':'10.0.0.1'}]"),
       "field target: is not for rules of type rev_snat");
    yes(ST_RULE, RULE("'type':'rev_snat'"), "flowAction", "\"accept\"");
    yes(ST_RULE, RULE("'type':'log'"), "flowAction", NULL);
    no(ST_RULE, RULE("'type':'l2_transform'"), "l2_transform changes nothing without");
    no(ST_RULE, RULE("'type':'l2_transform','popVlan':true,'targetPortId':'" UUID "'"),
       "field target-port: is for action redirect only");
    no(ST_RULE, RULE("'type':'drop','position':0"), "field pos: 0 is not 1 or more");
}

static void test_nat(void **state)
{
    (void)state;
    no(ST_RULE, RULE("'type':'snat'"), "field target: is required: at least one target");
    no(ST_RULE, RULE("'type':'dnat','natTargets':[]"), "at least one target");
    no(ST_RULE, RULE("'type':'dnat','natTargets':[{}]"), "field target.from: is required");
    yes(ST_RULE, RULE("'type':'dnat','natTargets':[{'addressFrom':'10.0.0.1'}]"), "natTargets",
        "[{'addressFrom':'10.0.0.1','addressTo':'10.0.0.1','portFrom':0,'portTo':0}]");
    yes(ST_RULE, RULE("'type':'dnat','natTargets':[{'addressFrom':'10.0.0.1'}]"), "fragmentPolicy",
        "\"any\"");
    yes(ST_RULE,
        RULE("'type':'snat','natTargets':[{'addressFrom':'10.0.0.1','portFrom':1,'portTo':9}]"),
        "fragmentPolicy", "\"unfragmented\"");
    no(ST_RULE,
       RULE("'type':'snat','fragmentPolicy':'header','natTargets':[{'addressFrom':'10.0.0.1',"
            "'portFrom':1,'portTo':9}]"),
       "the fragmentPolicy must be 'unfragmented'");
    no(ST_RULE,
       RULE("'type':'snat','fragmentPolicy':'any','tpDst':{'start':5},"
            "'natTargets':[{'addressFrom':'10.0.0.1'}]"),
       "the fragmentPolicy must be 'unfragmented'");
    no(ST_RULE,
       RULE("'type':'dnat','natTargets':[{'addressFrom':'10.0.0.1'},{'addressFrom':'10.0.0.2'}]"),
       "10.0.0.1 without ports is a static translation and must be the only target (give it ports");
    yes(ST_RULE,
        RULE("'type':'dnat','natTargets':[{'addressFrom':'10.0.0.1','portFrom':1},"
             "{'addressFrom':'10.0.0.2','portFrom':1}]"),
        NULL, NULL);
    no(ST_RULE,
       RULE("'type':'dnat','natTargets':[{'addressFrom':'10.0.0.9','addressTo':'10.0.0.1'}]"),
       "10.0.0.9-10.0.0.1 ends before it starts");
    no(ST_RULE,
       RULE("'type':'dnat','natTargets':[{'addressFrom':'10.0.0.1','portFrom':9,'portTo':1}]"),
       "ports 9-1 end before they start");
    no(ST_RULE,
       RULE("'type':'dnat','natTargets':[{'addressFrom':'10.0.0.1','portFrom':0,'portTo':9}]"),
       "port 0 is not a port");
    no(ST_RULE, RULE("'type':'dnat','natTargets':[{'addressFrom':'10.0.0.1','addressTo':'::1'}]"),
       "10.0.0.1 and ::1 are of different IP versions");
    no(ST_RULE,
       RULE("'type':'dnat','nwDstAddress':'10.0.0.1','natTargets':[{'addressFrom':'2001:db8::1'}]"),
       "2001:db8::1 is of another IP version than the packets that match");
    yes(ST_RULE,
        RULE("'type':'dnat','nwDstAddress':'2001:db8::9',"
             "'natTargets':[{'addressFrom':'2001:db8::1','addressTo':'2001:db8::f'}]"),
        "fragmentPolicy", "\"unfragmented\"");
    char many[64 * 65 + 200] = RULE("'type':'snat','natTargets':[") "";
    many[strlen(many) - 1] = '\0';
    for (unsigned i = 0; i < 65; i++)
        sprintf(many + strlen(many), "%s{'addressFrom':'10.0.0.%u','portFrom':1}", i ? "," : "", i);
    strcat(many, "]}");
    no(ST_RULE, many, "field target: are 65, 64 are the most");
}

static void test_partial_and_tolerant(void **state)
{
    const struct schema_type *t = &schema_types[ST_TUNNEL_ZONE];
    json_t *v = json_of("%s", "{'name':null}");
    struct error e;

    (void)state;
    assert_int_equal(schema_validate(t, v, true, false, &e), 0);
    assert_true(json_is_null(json_object_get(v, "name")));
    assert_int_equal(json_object_size(v), 1);
    json_decref(v);
    v = json_of("%s", "{'name':'z','type':'gre','novelty':[1]}");
    assert_int_equal(schema_validate(t, v, false, true, &e), 0);
    assert_non_null(json_object_get(v, "novelty"));
    assert_int_equal(schema_validate(t, v, true, false, &e), -EINVAL);
    json_decref(v);
    v = json_of("%s", "{'name':7,'type':'gre'}");
    assert_int_equal(schema_validate(t, v, false, true, &e), -EINVAL);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),     cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_conditions), cmocka_unit_test(test_rule_types),
        cmocka_unit_test(test_nat),        cmocka_unit_test(test_partial_and_tolerant),
        cmocka_unit_test(test_flags),      cmocka_unit_test(test_contradictions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
