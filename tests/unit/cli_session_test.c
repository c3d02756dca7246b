/* Whole commands over a store in memory: what is printed, in text and in JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"

static struct cli cli;
static char *out, *err;
static size_t out_size, err_size;

static void open_streams(void)
{
    cli.out.out = open_memstream(&out, &out_size);
    cli.out.err = open_memstream(&err, &err_size);
}

static void close_streams(void)
{
    fclose(cli.out.out);
    fclose(cli.out.err);
    free(out);
    free(err);
}

static int start(bool interactive)
{
    cli_init(&cli, "test", "memory:", interactive);
    open_streams();
    return 0;
}

static int start_plain(void **state)
{
    (void)state;
    return start(false);
}

static int start_interactive(void **state)
{
    (void)state;
    return start(true);
}

static int stop(void **state)
{
    (void)state;
    close_streams();
    cli_free(&cli);
    return 0;
}

/* Runs a line; what it printed replaces what was there. */
static int line(const char *text)
{
    close_streams();
    open_streams();
    int status = cli_line(&cli, text);
    fflush(cli.out.out);
    fflush(cli.out.err);
    return status;
}

static const char *prints(const char *text)
{
    int status = line(text);

    if (status)
        fail_msg("%s: exit %d: %s", text, status, err);
    if (out_size && out[out_size - 1] == '\n')
        out[out_size - 1] = '\0';
    return out;
}

/* "EXIT MESSAGE" of a command that fails, without its hint. */
static const char *refused(const char *text)
{
    static char result[600];
    int status = line(text);
    char *hint = strstr(err, " (");

    if (hint)
        *hint = '\0';
    snprintf(result, sizeof result, "%d %s", status, err + strlen("test: "));
    result[strcspn(result, "\n")] = '\0';
    return result;
}

static void test_aliases(void **state)
{
    (void)state;
    assert_string_equal(prints("bridge create name web"), "bridge0");
    assert_string_equal(prints("bridge web add port"), "bridge0:port0");
    assert_string_equal(prints("bridge bridge0 add port"), "bridge0:port1");
    assert_string_equal(prints("router add name edge"), "router0");
    assert_string_equal(prints("router router0 add port addresses 10.0.0.1/24"), "router0:port0");
    assert_string_equal(prints("bridge bridge0 port port0 set peer router0:port0"), "");
    assert_non_null(strstr(prints("bridge bridge0 list port"),
                           "port port0 device bridge0 state up plugged no peer router0:port0"));
    assert_non_null(strstr(out, "port port1 device bridge0 state up plugged no"));
    /* once given, an alias stays; a new object gets the next number */
    assert_string_equal(prints("bridge bridge0 delete"), "");
    assert_string_equal(prints("bridge create name web"), "bridge1");
    assert_non_null(strstr(refused("bridge bridge0 show"), "There is no bridge with ID"));
}

static void test_alias_and_name(void **state)
{
    (void)state;
    /* numbers that are somebody's name are passed over */
    assert_string_equal(prints("bridge create name bridge1"), "bridge0");
    assert_string_equal(prints("bridge create name x"), "bridge2");
    assert_string_equal(prints("bridge bridge1 show name"), "bridge1");
    /* a name given later that is an alias already: nobody guesses */
    assert_string_equal(prints("bridge create name bridge2"), "bridge3");
    assert_string_equal(refused("bridge bridge2 delete"),
                        "2 bridge2: is an alias and the name of another object");
}

static void test_compound_names(void **state)
{
    (void)state;
    prints("bridge create name web");
    prints("router create name web");
    prints("bridge name web add port name p");
    prints("router name web add port name q addresses 10.0.0.1/8");
    assert_string_equal(prints("show port web:p name"), "p");
    assert_string_equal(prints("port web:q set peer web:p"), "");
    assert_string_equal(prints("port web:q show name"), "q");
    /* the same name below both: ask back */
    prints("router name web add port name p addresses 10.1.0.1/8");
    assert_string_equal(refused("port web:p show"), "2 web:p: names several objects");
    assert_string_equal(refused("port web:r show"), "3 port web:r: no such port");
    assert_string_equal(refused("port :::::::::::::::: show"),
                        "3 port: no port is called \"::::::::::::::::\"");
    /* colons of their own */
    prints("bridge create name a:b");
    prints("bridge a:b add port name c:d");
    assert_string_equal(prints("port a:b:c:d show name"), "c:d");
}

static void test_not_below(void **state)
{
    (void)state;
    prints("bridge create name one");
    prints("bridge create name two");
    char *uuid = strdup(prints("bridge two add port name p"));
    char *command = mem_printf("bridge one port %s delete", uuid);
    assert_non_null(strstr(refused(command), "no such port here"));
    free(command);
    command = mem_printf("bridge two port %s show name", uuid);
    assert_string_equal(prints(command), "p");
    free(command);
    free(uuid);
}

static void test_filters(void **state)
{
    (void)state;
    prints("chain create name c");
    prints("chain c add rule type accept src 10.0.0.0/8 flow return-flow");
    prints("chain c add rule type drop hw-src AA:bb:cc:0:0:1 pos 2");
    prints("chain c add rule type drop src !10.0.0.0/8 pos 3");
    assert_non_null(strstr(prints("chain c rule list src 10.0.0.0/8"), "pos 1"));
    assert_non_null(strstr(prints("chain c rule list src !10.0.0.0/8"), "pos 3"));
    assert_non_null(strstr(prints("chain c rule list hw-src aa:bb:cc:00:00:01"), "pos 2"));
    assert_non_null(strstr(prints("chain c rule list flow return-flow"), "pos 1"));
    assert_string_equal(prints("chain c rule list flow fwd-flow"), "");
    assert_string_equal(prints("chain c rule type accept show pos"), "1");
    assert_string_equal(refused("chain c rule type drop show pos"), "2 rule: several match");
    assert_string_equal(prints("chain c rule type accept delete"), "");
    assert_string_equal(refused("chain c rule type accept delete"), "3 rule: no such rule here");
    assert_string_equal(refused("chain c rule list src nonsense"),
                        "2 rule: field src: \"nonsense\" is not an IP prefix");
}

static void test_inversion(void **state)
{
    (void)state;
    prints("chain create name c");
    prints("chain c add rule type drop src !10.0.0.0/8");
    assert_string_equal(prints("chain c rule type drop show src"), "!10.0.0.0/8");
    prints("chain c rule type drop set src 10.0.0.0/8");
    assert_string_equal(prints("chain c rule type drop show src"), "10.0.0.0/8");
    prints("chain c rule type drop set src !10.0.0.0/8");
    prints("chain c rule type drop clear src");
    assert_string_equal(prints("chain c rule type drop show src"), "");
    prints("chain c rule type drop set src 10.0.0.0/8");
    assert_string_equal(prints("chain c rule type drop show src"), "10.0.0.0/8");
}

static void test_errors(void **state)
{
    (void)state;
    prints("bridge create name web");
    assert_string_equal(refused("bridge web set tunnel-key 5"),
                        "2 bridge web: field tunnel-key: 'tunnel-key' is a read-only attribute");
    assert_string_equal(refused("bridge web clear state"),
                        "2 bridge web: field state: Field state cannot be cleared.");
    assert_string_equal(refused("host create name x"),
                        "2 host: Creating elements of this type is not possible");
    assert_string_equal(refused("create bridge name 'x"), "2 Syntax error: unmatched quote");
    assert_string_equal(refused("bridge web frob"), "2 Syntax error at: ...frob");
    assert_string_equal(refused("frob"), "2 Syntax error at: ...frob");
    assert_string_equal(refused("sett"), "2 usage: sett TENANT");
    assert_string_equal(refused("create tunnel-zone name z"),
                        "2 tunnel-zone: field type: is required");
}

/* Object, field and value; and nothing has changed. */
static void test_refusals(void **state)
{
    (void)state;
    prints("bridge create name web");
    assert_string_equal(refused("bridge web set state sideways"),
                        "2 bridge web: field state: \"sideways\" is not up or down");
    assert_string_equal(refused("create bridge name x state sideways"),
                        "2 bridge: field state: \"sideways\" is not up or down");
    assert_string_equal(refused("bridge web set name a name b"),
                        "2 bridge web: field name: is given twice");
    assert_string_equal(refused("bridge web infilter show"),
                        "3 bridge web: field infilter: refers to nothing");
    prints("bridge web add dhcp subnet 10.0.0.0/24");
    assert_string_equal(refused("bridge web add dhcp subnet 10.0.0.7/24"),
                        "4 dhcp: field subnet: A dhcp with subnet 10.0.0.0/24 already exists");
    prints("chain create name c");
    assert_string_equal(refused("chain c add rule type drop flow x"),
                        "2 rule: field flow: \"x\" is not fwd-flow or return-flow");
    assert_string_equal(prints("list bridge state down"), "");
    assert_string_equal(prints("bridge web show name"), "web");
}

/* A guard that would not be kept is refused, not ignored. */
static void test_options_of_other_verbs(void **state)
{
    (void)state;
    prints("bridge create name web");
    assert_string_equal(refused("create bridge name x --if-rev 3"),
                        "2 field --if-rev: is not for create");
    assert_string_equal(refused("create bridge name x --if-exists"),
                        "2 field --if-exists: is not for create");
    assert_string_equal(refused("bridge web delete --may-exist"),
                        "2 field --may-exist: is not for delete");
    assert_string_equal(refused("list bridge --check"), "2 field --check: is not for list");
    prints("bridge web show");
    assert_string_equal(prints("bridge web show name"), "web");
}

/* A mistyped field of what is created could have been a name: the hint tells. */
static void test_mistyped_field(void **state)
{
    (void)state;
    assert_int_equal(line("create bridge nmae web"), 2);
    assert_non_null(strstr(err, "\"nmae\" is no field of bridge"));
    assert_int_equal(line("create bridge frob"), 2);
    assert_non_null(strstr(err, "\"frob\" is no field of bridge"));
    assert_int_equal(line("list bridge frob x"), 2);
    assert_null(strstr(err, "is no field"));
    prints("bridge create name web");
    prints("bridge web add port name p");
    prints("create mirror to-port p name m");
    assert_string_equal(refused("mirror m matches add frob 1"), "2 Syntax error at: ...frob 1");
}

/* What isn't UTF-8 can't be JSON, and a terminal obeys C1 controls. */
static void test_hostile_words(void **state)
{
    (void)state;
    assert_int_equal(line("create bridge name a\xff\xc2\x9b --json"), 2);
    json_t *doc = json_loads(err, 0, NULL), *e = json_object_get(doc, "error");
    assert_string_equal(json_string_value(json_object_get(e, "message")), "\"a?"
                                                                          "??\" is not UTF-8 text");
    json_decref(doc);
    assert_string_equal(refused("frob\x9b"), "2 Syntax error at: ...frob?");
    assert_string_equal(refused("create bridge name a\xc2\x9b"),
                        "2 bridge: field name: \"a??\" is not text without control characters");
    assert_string_equal(refused("create bridge name a\x7f"),
                        "2 bridge: field name: \"a?\" is not text without control characters");
}

static void test_show_id(void **state)
{
    (void)state;
    char *id = strdup(prints("bridge create name web"));
    assert_string_equal(prints("bridge web show id"), id);
    assert_string_equal(prints("show bridge web id"), id);
    json_t *doc = json_loads(prints("bridge web show id -j"), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(doc, "value")), id);
    json_decref(doc);
    assert_int_equal(line("bridge web set id x"), 2);
    assert_int_equal(line("bridge web clear id"), 2);
    free(id);
}

static void test_flow_words(void **state)
{
    (void)state;
    prints("chain create name c");
    prints("chain c add rule type accept flow fwd-flow");
    prints("chain c rule type accept set flow return-flow");
    assert_string_equal(prints("chain c rule type accept show flow"), "return-flow");
    assert_string_equal(prints("chain c list rule flow fwd-flow"), "");
}

/* An object that nobody can read can be deleted by who knows its uuid. */
static void test_broken_object(void **state)
{
    char path[STORE_PATH_MAX];
    struct uuid uuid;

    (void)state;
    prints("chain create name c");
    char *id = strdup(prints("chain c add rule type drop"));
    prints("chain c add rule type accept");
    prints("chain create name d");
    uuid_parse(id, &uuid);
    objects_path(ST_RULE, &uuid, path);
    assert_int_equal(store_set(cli.store, path, "garbage{", 8, STORE_ANY, NULL), 0);
    char *command = mem_printf("chain c rule %s show", id);
    assert_int_equal(line(command), 1);
    free(command);
    command = mem_printf("chain d rule %s delete", id);
    assert_int_equal(line(command), 1); /* isn't there */
    free(command);
    command = mem_printf("chain c rule %s delete", id);
    assert_string_equal(prints(command), "");
    assert_int_equal(line(command), 3);
    free(command);
    assert_string_equal(prints("chain c rule type accept show pos"), "1");
    free(id);
}

static void test_tenant(void **state)
{
    (void)state;
    prints("bridge create name everybody");
    assert_string_equal(prints("sett 7a4937fa604a425e867f085427cc351e"),
                        "tenant_id: 7a4937fa604a425e867f085427cc351e");
    prints("bridge create name mine");
    assert_non_null(strstr(prints("list bridge"), "mine"));
    assert_null(strstr(prints("list bridge"), "everybody"));
    assert_string_equal(prints("bridge mine show tenant"), "7a4937fa604a425e867f085427cc351e");
    assert_string_equal(prints("cleart"), "tenant_id: None");
    assert_non_null(strstr(prints("list bridge"), "everybody"));
}

static void test_embedded(void **state)
{
    (void)state;
    prints("bridge create name web");
    prints("bridge web add port name p");
    prints("create mirror to-port web:p");
    prints("list mirror");
    prints("mirror mirror0 matches add src 10.0.0.0/8");
    prints("mirror mirror0 matches add src 10.1.0.0/16 dst 10.2.0.0/16");
    assert_string_equal(prints("mirror mirror0 matches list"),
                        "src 10.0.0.0/8\nsrc 10.1.0.0/16 dst 10.2.0.0/16");
    prints("mirror mirror0 matches src 10.1.0.0/16 set dst 10.3.0.0/16");
    prints("mirror mirror0 matches 10.0.0.0/8 delete");
    assert_string_equal(prints("mirror mirror0 matches list"), "src 10.1.0.0/16 dst 10.3.0.0/16");
    prints("mirror mirror0 matches 10.1.0.0/16 clear dst");
    assert_string_equal(prints("mirror mirror0 matches list"), "src 10.1.0.0/16");
    assert_string_equal(refused("mirror mirror0 matches 10.9.0.0/16 delete"),
                        "3 matches 10.9.0.0/16: no such matches here");
    assert_string_equal(refused("mirror mirror0 matches add src 10.1.0.0/16"),
                        "4 matches: there is one with the same values already");
    /* refused changes change nothing */
    assert_int_equal(line("mirror mirror0 matches add src-port 99999"), 2);
    assert_string_equal(prints("mirror mirror0 matches list"), "src 10.1.0.0/16");
}

static void test_json(void **state)
{
    (void)state;
    prints("bridge create name web");
    json_t *doc = json_loads(prints("bridge web show -o json"), 0, NULL);
    json_t *item = json_object_get(doc, "item");
    assert_int_equal(json_integer_value(json_object_get(doc, "schema_version")), 1);
    assert_true(json_is_true(json_object_get(item, "adminStateUp")));
    assert_true(json_is_null(json_object_get(item, "inboundFilterId")));
    assert_true(json_is_integer(json_object_get(item, "rev")));
    json_decref(doc);
    assert_int_equal(line("bridge nothing show --json"), 3);
    assert_int_equal(out_size, 0);
    doc = json_loads(err, 0, NULL);
    json_t *e = json_object_get(doc, "error");
    assert_string_equal(json_string_value(json_object_get(e, "code")), "not-found");
    assert_non_null(json_object_get(e, "hint"));
    json_decref(doc);
    /* the format is the command's, not the session's */
    assert_non_null(strstr(prints("bridge web show"), "name web"));
}

static const char *const everything[] = {
    "bridge create name web",
    "router create name edge",
    "bridge web add port name p vlan 8",
    "router edge add port name up addresses 10.0.0.1/24,2001:db8::1/64",
    "port web:p set peer edge:up",
    "router edge add route dst 10.9.0.0/16 type blackhole",
    "router edge set asn 64512",
    "router edge add bgp-peer asn 64513 address 10.0.0.2 password s keep-alive 5",
    "router edge add bgp-network net 10.0.0.0/8",
    "chain create name c",
    "chain c add rule type snat target 192.0.2.1:1024-2048 proto 6 src-port !1-2 hw-src "
    "!2:0:0:0:0:1",
    "bridge web set infilter c",
    "port-group create name pg stateful true",
    "ip-address-group create name g",
    "tunnel-zone create name z type vxlan",
    "load-balancer create",
    "health-monitor create type TCP delay 1 timeout 2 max-retries 3",
    "qos-policy create name q description d",
    "qos-policy q add bw-limit-rule max-kbps 1 max-burst-kb 2",
    "qos-policy q add dscp-rule dscp-mark 3",
    "mirror create to-port web:p",
    "tracerequest create name t port web:p limit 3",
    "container-group create policy least",
    "host-group create name hg",
    "logging-resource create name l",
};

/* Some row of that name has a value in the JSON of the object. */
static bool has_field(const struct schema_type *t, const char *name, const json_t *item)
{
    for (const struct schema_attr *a = schema_attr_by_name(t, name); a; a = schema_attr_next(a)) {
        const json_t *v = json_object_get(item, a->json);
        if (v && !json_is_null(v))
            return true;
    }
    return false;
}

static void compare_line(const struct schema_type *t, const char *text, const json_t *item)
{
    struct lex l;

    assert_int_equal(lex_line(text, false, &l, NULL), 0);
    for (size_t i = 2; i + 1 < l.n; i += 2) /* behind "bridge UUID" */
        if (!has_field(t, l.words[i].text, item))
            fail_msg("%s: %s is in the text only: %s", t->name, l.words[i].text, text);
    lex_free(&l);
}

/* What text shows, JSON has; and JSON has every attribute there is, set or not. */
static void test_one_print_layer(void **state)
{
    unsigned n = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(everything); i++)
        prints(everything[i]);
    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *t = &schema_types[i];
        if (!t->alias)
            continue;
        char *command = mem_printf("list %s -o json", t->name);
        json_t *doc = json_loads(prints(command), 0, NULL), *item;
        size_t k;
        free(command);
        command = mem_printf("list %s", t->name);
        char *text = strdup(prints(command)), *next = text;
        free(command);
        json_array_foreach (json_object_get(doc, "items"), k, item) {
            compare_line(t, strsep(&next, "\n"), item);
            for (const struct schema_attr *a = t->attrs; a->name; a++)
                assert_non_null(json_object_get(item, a->json));
            n++;
        }
        free(text);
        json_decref(doc);
    }
    assert_true(n > 20);
    assert_null(strstr(prints("-o json router edge bgp-peer list"), "\"s\""));
}

/* Each line of text can be typed again as the fields of a create. */
static void test_output_is_input(void **state)
{
    (void)state;
    prints("chain create name c");
    prints("chain c add rule type dnat target 192.0.2.1-192.0.2.9:80-90 proto 6 dst !10.0.0.1 "
           "dst-port !80-90 hw-src !2:0:0:0:0:1 action accept");
    char *first = strdup(prints("chain c rule list")), *fields = first;
    for (int i = 0; i < 2; i++) /* behind "rule UUID" */
        fields = strchr(fields, ' ') + 1;
    prints("chain create name d");
    char *command = mem_printf("chain d add rule %s", fields);
    prints(command);
    const char *second = prints("chain d rule list");
    assert_string_equal(fields, second + (fields - first));
    free(command);
    free(first);
}

int main(void)
{
#define PLAIN(t)       cmocka_unit_test_setup_teardown(t, start_plain, stop)
#define INTERACTIVE(t) cmocka_unit_test_setup_teardown(t, start_interactive, stop)
    const struct CMUnitTest tests[] = {
        INTERACTIVE(test_aliases),   INTERACTIVE(test_alias_and_name),
        PLAIN(test_compound_names),  PLAIN(test_not_below),
        PLAIN(test_filters),         PLAIN(test_inversion),
        PLAIN(test_errors),          PLAIN(test_tenant),
        INTERACTIVE(test_embedded),  PLAIN(test_json),
        PLAIN(test_one_print_layer), PLAIN(test_output_is_input),
        PLAIN(test_refusals),        PLAIN(test_options_of_other_verbs),
        PLAIN(test_mistyped_field),  PLAIN(test_hostile_words),
        PLAIN(test_show_id),         PLAIN(test_flow_words),
        PLAIN(test_broken_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
