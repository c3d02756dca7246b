#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/parse.h"

static char text[4096];

static void add(const char *fmt, ...)
{
    size_t size = strlen(text);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text + size, sizeof text - size, fmt, ap);
    va_end(ap);
}

static void add_pairs(const struct command *c, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++) {
        add(" %s=", c->pairs[i].attr->name);
        for (size_t k = 0; k < c->pairs[i].n_words; k++)
            add("%s%s", k ? "/" : "", c->pairs[i].words[k]->text);
    }
}

/* A command in one canonical spelling: "VERB coll[id|field=value]/... : fields or values". */
static const char *parse(const char *line)
{
    struct error e = {0};
    struct command c;
    struct lex l;

    text[0] = '\0';
    assert_int_equal(lex_line(line, false, &l, NULL), 0);
    int rc = cmd_parse(&l, &c, &e);
    if (rc) {
        add("%s", e.message);
    } else {
        add("%s", verb_name(c.verb));
        for (size_t i = 0; i < c.n_steps; i++) {
            const struct cmd_step *s = &c.steps[i];
            add("%c%s", i ? '/' : ' ', s->coll.word);
            if (s->id)
                add("[%s]", s->id->text);
            if (s->n_filter) {
                add("{");
                add_pairs(&c, s->filter, s->n_filter);
                add(" }");
            }
        }
        if (c.set != SIZE_MAX) {
            add(" :");
            add_pairs(&c, c.set, c.n_pairs - c.set);
        }
        for (size_t i = 0; i < c.n_fields; i++)
            add("%s %s", i ? "" : " :", c.fields[i]->name);
        if (c.follow)
            add(" ->");
    }
    cmd_free(&c);
    lex_free(&l);
    return text;
}

#define SAME(expected, ...)                                                                        \
    do {                                                                                           \
        const char *const lines[] = {__VA_ARGS__};                                                 \
        for (size_t i_ = 0; i_ < ARRAY_SIZE(lines); i_++)                                          \
            if (strcmp(parse(lines[i_]), expected))                                                \
                fail_msg("%s\n  is       %s\n  expected %s", lines[i_], text, expected);           \
    } while (0)

static void test_list(void **state)
{
    (void)state;
    SAME("list router", "list router", "router list", "l router", "router l", "li router");
    SAME("list router{ name=edge }", "list router name edge", "router list name edge",
         "l router name edge", "router name edge list");
    SAME("list router[R]/port", "list router R port", "router R list port", "router R port list",
         "router R l port", "router R port l");
    SAME("list router[R]/port{ state=up name=x }", "list router R port state up name x",
         "router R list port state up name x", "router R port list state up name x");
    SAME("list router{ name=edge }/port", "router name edge port list",
         "list router name edge port");
    SAME("list health-monitor[hm0]/pool", "health-monitor hm0 pool list");
    SAME("list host[h]/interface", "host h list interface");
    SAME("list host[h]/binding", "host h binding list");
}

static void test_show(void **state)
{
    (void)state;
    SAME("show bridge[B]", "show bridge B", "bridge B show", "sh bridge B", "bridge B s",
         "bridge show B");
    SAME("show bridge[B] : name", "show bridge B name", "bridge B show name", "bridge B name show",
         "bridge B name sh");
    SAME("show bridge[B] : name state", "show bridge B name state", "bridge B show name state");
    SAME("show bridge[B]/port[P] : vlan", "bridge B show port P vlan", "show bridge B port P vlan",
         "bridge B port P vlan show", "bridge B port P show vlan");
    SAME("show vtep{ management-ip=192.168.2.4 } : name",
         "vtep management-ip 192.168.2.4 show name", "show vtep management-ip 192.168.2.4 name");
    SAME("show pool[p] : health-monitor ->", "pool p health-monitor show");
    SAME("show pool[p] : health-monitor", "pool p show health-monitor");
    SAME("show port[u]", "port u show");
}

static void test_create(void **state)
{
    (void)state;
    SAME("create bridge : name=web state=up", "create bridge name web state up",
         "bridge create name web state up", "add bridge name web state up",
         "bridge add name web state up");
    SAME("create router[R]/port : addresses=10.0.0.1/24", "router R add port addresses 10.0.0.1/24",
         "router R port add addresses 10.0.0.1/24", "create router R port addresses 10.0.0.1/24");
    SAME("create bridge[B]/port", "bridge B add port", "bridge B port add", "create bridge B port");
    SAME("create load-balancer", "load-balancer create", "create load-balancer");
    SAME("create bridge[B]/dhcp[D]/host : address=10.0.0.5 mac=aa:bb:cc:dd:ee:ff",
         "bridge B dhcp D add host address 10.0.0.5 mac aa:bb:cc:dd:ee:ff",
         "bridge B dhcp D host add address 10.0.0.5 mac aa:bb:cc:dd:ee:ff");
    SAME("create tunnel-zone[tz]/member : host=H address=10.1.2.200",
         "tunnel-zone tz add member host H address 10.1.2.200");
    SAME("create host[h]/binding : port=P interface=eth1",
         "host h add binding port P interface eth1", "host h binding add port P interface eth1");
    SAME("create host[h]/binding : port=router/router0/port/port0 interface=veth1",
         "host h add binding port router router0 port port0 interface veth1");
    SAME("create ip-address-group[g]/ip : address=192.168.1.100",
         "ip-address-group g add ip address 192.168.1.100");
    SAME("create mirror[m]/matches : src=10.0.0.0/8", "mirror m matches add src 10.0.0.0/8");
    SAME("ensure bridge : name=web", "ensure bridge name web", "bridge ensure name web");
    SAME("create router{ name=edge }/port : vlan=3", "router name edge add port vlan 3");
}

static void test_set_clear(void **state)
{
    (void)state;
    SAME("set bridge[B] : state=down name=x", "set bridge B state down name x",
         "bridge B set state down name x");
    SAME("set router[R]/port[P] : peer=bridge1:port0", "router R port P set peer bridge1:port0",
         "set router R port P peer bridge1:port0");
    SAME("set router[R] : load-balancer=lb0", "router R set load-balancer lb0",
         "set router R load-balancer lb0");
    SAME("set router[R]/port[P] : peer=bridge/b/port/p state=up",
         "router R port P set peer bridge b port p state up");
    SAME("clear bridge[B] : infilter outfilter", "clear bridge B infilter outfilter",
         "bridge B clear infilter outfilter");
    SAME("set bridge{ name=web } : state=up", "bridge name web set state up");
}

static void test_delete_describe(void **state)
{
    (void)state;
    SAME("delete bridge[B]", "delete bridge B", "bridge B delete", "del bridge B", "bridge B dele");
    SAME("delete router[R]/route[X]", "router R delete route X", "router R route X delete",
         "delete router R route X");
    SAME("delete bridge{ name=web }", "delete bridge name web", "bridge name web delete");
    SAME("delete tunnel-zone[tz]/member{ host=h }", "tunnel-zone tz member host h delete",
         "tunnel-zone tz delete member host h", "delete tunnel-zone tz member host h");
    SAME("delete ip-address-group[g]/ip{ address=10.0.0.1 }",
         "ip-address-group g delete ip address 10.0.0.1");
    SAME("describe", "describe", "desc");
    SAME("describe bridge", "describe bridge", "bridge describe");
    SAME("describe bridge[B]/port", "describe bridge B port", "bridge B port describe");
}

/* Any name may be given to an object; quotes settle what reads two ways. */
static void test_awkward_names(void **state)
{
    (void)state;
    SAME("show bridge[s]", "bridge s show", "show bridge s", "bridge s s");
    SAME("show bridge[name]", "bridge name show", "show bridge name", "show bridge \"name\"");
    SAME("show bridge[name] : state", "show bridge \"name\" state");
    SAME("show bridge[list]", "show bridge list", "bridge 'list' show");
    SAME("create bridge : name=--json", "create bridge name '--json'",
         "create bridge -- name --json");
    SAME("list bridge{ name=list }", "list bridge name list");
    SAME("set port[x] : peer=router", "set port x peer router");
}

static void test_errors(void **state)
{
    (void)state;
    SAME("Missing arguments, incomplete command", "list", "", "create bridge name", "bridge B set",
         "set bridge B", "bridge B clear", "bridge", "bridge list name", "router R port");
    SAME("Syntax error at: ...nonsense", "list nonsense", "nonsense");
    SAME("Syntax error at: ...color red", "create bridge name x color red");
    SAME("Syntax error at: ...frob", "bridge B show frob");
    SAME("no such option", "list bridge --frob");
    SAME("needs a value: FORMAT", "list bridge -o");
}

static void test_hints(void **state)
{
    struct error e = {0};
    struct command c;
    struct lex l;

    (void)state;
    lex_line("vtep V shoo", false, &l, NULL);
    assert_int_equal(cmd_parse(&l, &c, &e), -EINVAL);
    cmd_free(&c);
    lex_free(&l);
    assert_non_null(strstr(e.hint, "expected: "));
    assert_non_null(strstr(e.hint, "show"));
    lex_line("bridge create name x colour", false, &l, NULL);
    assert_int_equal(cmd_parse(&l, &c, &e), -EINVAL);
    cmd_free(&c);
    lex_free(&l);
    assert_non_null(strstr(e.hint, "infilter"));
    assert_null(strstr(e.hint, "tunnel-key")); /* read-only: not to be set */
    lex_line("list", false, &l, NULL);
    assert_int_equal(cmd_parse(&l, &c, &e), -EINVAL);
    cmd_free(&c);
    lex_free(&l);
    assert_string_equal(e.hint + strlen(e.hint) - 5, ", ..."); /* there are more than fit */
}

static void test_options(void **state)
{
    struct command c;
    struct lex l;

    (void)state;
    lex_line("create --may-exist bridge name x -o json --check", false, &l, NULL);
    assert_int_equal(cmd_parse(&l, &c, NULL), 0);
    assert_true(c.may_exist && c.check && !c.if_exists);
    assert_string_equal(c.format, "json");
    assert_int_equal(c.if_rev, -1);
    assert_int_equal(c.n_words, 4);
    cmd_free(&c);
    lex_free(&l);
    lex_line("--if-exists delete bridge x --if-rev 7", false, &l, NULL);
    assert_int_equal(cmd_parse(&l, &c, NULL), 0);
    assert_true(c.if_exists && !c.may_exist && !c.check);
    assert_int_equal(c.if_rev, 7);
    cmd_free(&c);
    lex_free(&l);
}

/* However ambiguous and long a line is, it is settled or refused soon. */
static void test_budget(void **state)
{
    struct strbuf sb = {0};
    struct command c;
    struct lex l;

    (void)state;
    sb_add(&sb, "set port port");
    for (int i = 0; i < 1500; i++)
        sb_add(&sb, " port port");
    sb_add(&sb, " nothing");
    lex_line(sb_str(&sb), false, &l, NULL);
    assert_int_equal(cmd_parse(&l, &c, NULL), -EINVAL);
    cmd_free(&c);
    lex_free(&l);
    sb_free(&sb);
}

static void collect(const struct expect *x, const struct command *c, void *aux)
{
    struct strbuf *sb = aux;

    (void)c;
    if (x->kind == EXPECT_OPTION)
        return;
    sb_printf(sb, " %s", x->kind == EXPECT_ID ? "ID" : x->kind == EXPECT_VALUE ? "VALUE" : x->word);
}

static bool expects(const char *line, const char *word)
{
    struct strbuf sb = {0};
    struct lex l;
    char *spaced = mem_printf(" %s ", word);

    lex_line(line, true, &l, NULL);
    cmd_expect(&l, collect, &sb);
    sb_add(&sb, " ");
    bool found = strstr(sb_str(&sb), spaced);
    free(spaced);
    sb_free(&sb);
    lex_free(&l);
    return found;
}

static void test_expectations(void **state)
{
    (void)state;
    assert_true(expects("", "list") && expects("", "bridge"));
    assert_false(expects("", "VALUE"));
    assert_true(expects("list ", "bridge"));
    assert_false(expects("list ", "list"));
    assert_true(expects("bridge ", "ID") && expects("bridge ", "list") &&
                expects("bridge ", "name"));
    assert_true(expects("create bridge ", "name"));
    assert_false(expects("create bridge ", "tunnel-key"));
    assert_true(expects("create bridge name ", "VALUE"));
    assert_true(expects("bridge B ", "port") && expects("bridge B ", "set"));
    assert_true(expects("bridge B set ", "state"));
    assert_false(expects("bridge B set ", "port"));
    assert_true(expects("bridge B list ", "port"));
    assert_false(expects("bridge list ", "set"));
    assert_true(expects("bridge list ", "name"));
    assert_true(expects("bridge B port P set peer ", "VALUE"));
    assert_true(expects("host H ", "binding"));
    assert_true(expects("host H add binding ", "interface"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_set_clear),
        cmocka_unit_test(test_delete_describe),
        cmocka_unit_test(test_awkward_names),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_expectations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
