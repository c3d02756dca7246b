#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/print.h"

static char *out;
static size_t out_size;

static void begin(struct print *p, const char *format)
{
    FILE *f = open_memstream(&out, &out_size);

    print_init(p, f, f, "test");
    assert_int_equal(print_set_format(p, format, NULL), 0);
}

static void ends(struct print *p, const char *expected)
{
    print_free(p);
    fclose(p->out);
    assert_string_equal(out, expected);
    free(out);
}

static void field(struct print *p, const char *name, const char *text, const char *json,
                  json_t *value, bool hidden)
{
    print_field(p, name, text, json, value, hidden);
    json_decref(value);
}

static void print_two(struct print *p)
{
    print_list(p, "bridge");
    print_row(p, "bridge b0", "u-0");
    field(p, "name", "two words", "name", json_string("two words"), false);
    field(p, "vlan", "7", "vlanId", json_integer(7), false);
    field(p, "key", "9", "tunnelKey", json_integer(9), true);
    print_row_end(p);
    print_row(p, "bridge b1", "u-1");
    field(p, "name", NULL, "name", NULL, false);
    field(p, "vlan", "a\tb\n", "vlanId", json_true(), false);
    field(p, "key", NULL, "tunnelKey", NULL, true);
    print_row_end(p);
    print_list_end(p);
}

static void test_formats(void **state)
{
    static const struct {
        const char *format, *expected;
    } cases[] = {
        {"text", "bridge b0 name \"two words\" vlan 7\nbridge b1 vlan a?b?\n"},
        {"json", "{\"schema_version\":1,\"type\":\"bridge\",\"items\":[\n"
                 "{\"id\":\"u-0\",\"name\":\"two words\",\"vlanId\":7,\"tunnelKey\":9},\n"
                 "{\"id\":\"u-1\",\"name\":null,\"vlanId\":true,\"tunnelKey\":null}\n]}\n"},
        {"jsonl", "{\"id\":\"u-0\",\"name\":\"two words\",\"vlanId\":7,\"tunnelKey\":9}\n"
                  "{\"id\":\"u-1\",\"name\":null,\"vlanId\":true,\"tunnelKey\":null}\n"},
        {"tsv", "u-0\ttwo words\t7\nu-1\t\ta?b?\n"},
        {"name", "\"two words\"\nu-1\n"},
    };
    struct print p;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        begin(&p, cases[i].format);
        print_two(&p);
        ends(&p, cases[i].expected);
    }
}

static void test_empty(void **state)
{
    struct print p;

    (void)state;
    begin(&p, "json");
    print_list(&p, "port");
    print_list_end(&p);
    ends(&p, "{\"schema_version\":1,\"type\":\"port\",\"items\":[]}\n");
    begin(&p, "text");
    print_list(&p, "port");
    print_list_end(&p);
    ends(&p, "");
}

static void test_value(void **state)
{
    struct print p;
    json_t *v = json_string("a \"b\"");

    (void)state;
    begin(&p, "text");
    print_value(&p, "bridge", "u", "name", "a \"b\"\x1b", v);
    print_value(&p, "bridge", "u", "name", NULL, NULL);
    ends(&p, "a \"b\"?\n");
    begin(&p, "json");
    print_value(&p, "bridge", "u", "name", "a \"b\"", v);
    ends(&p, "{\"schema_version\":1,\"type\":\"bridge\",\"id\":\"u\",\"field\":\"name\","
             "\"value\":\"a \\\"b\\\"\"}\n");
    json_decref(v);
}

static void test_failure(void **state)
{
    struct error e = {0};
    struct print p;

    (void)state;
    error_set(&e, -EEXIST, "bridge \x1bx", "name", "is taken");
    error_hint(&e, "another");
    begin(&p, "text");
    p.source = "stdin";
    p.line = 3;
    assert_int_equal(print_failure(&p, &e), 4);
    ends(&p, "test: stdin:3: bridge ?x: field name: is taken (another)\n");
    begin(&p, "json");
    print_failure(&p, &e);
    ends(&p,
         "{\"schema_version\":1,\"error\":{\"code\":\"conflict\",\"object\":\"bridge \\u001Bx\","
         "\"field\":\"name\",\"message\":\"is taken\",\"hint\":\"another\"}}\n");
}

static void test_format_names(void **state)
{
    struct print p;
    struct error e = {0};

    (void)state;
    begin(&p, "text");
    assert_int_equal(print_set_format(&p, "xml", &e), -EINVAL);
    assert_int_equal(p.format, PRINT_TEXT);
    ends(&p, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),      cmocka_unit_test(test_empty),
        cmocka_unit_test(test_value),        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_format_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
