/* The table itself: every row is well formed, every name leads somewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "schema/schema.h"

static void check_row(const struct schema_type *t, const struct schema_attr *rows,
                      const struct schema_attr *a)
{
    for (const struct schema_attr *b = rows; b < a; b++)
        if (!strcmp(a->json, b->json) ||
            (a->invert_json && b->invert_json && !strcmp(a->invert_json, b->invert_json)))
            fail_msg("%s: %s is there twice", t->name, a->json);
    if (!a->help || !a->help[0])
        fail_msg("%s.%s has no help", t->name, a->json);
    if (a->value == SV_ENUM && !a->words)
        fail_msg("%s.%s has no words", t->name, a->json);
    if ((a->value == SV_OBJECT || a->value == SV_NAT) != !!a->sub)
        fail_msg("%s.%s: sub", t->name, a->json);
    if ((a->value == SV_INT || a->value == SV_RANGE) && a->max <= 0)
        fail_msg("%s.%s has no upper bound", t->name, a->json);
    if (a->value == SV_REF && a->ref >= ST_NONE)
        fail_msg("%s.%s refers to nothing", t->name, a->json);
    if (!!(a->flags & SA_INVERT) != !!a->invert_json)
        fail_msg("%s.%s: inversion", t->name, a->json);
    if ((a->flags & SA_STATE) && !(a->flags & SA_READONLY))
        fail_msg("%s.%s: state is written by agents only", t->name, a->json);
    if (a->peer_json) {
        const struct schema_attr *peer =
            schema_attr_by_json(schema_types[a->ref].attrs, a->peer_json);
        if (!peer || peer->ref != t->id || strcmp(peer->peer_json, a->json))
            fail_msg("%s.%s has no counterpart", t->name, a->json);
    }
    if (a->def) {
        json_t *v = json_loads(a->def, JSON_DECODE_ANY, NULL);
        if (!v)
            fail_msg("%s.%s: default is not JSON", t->name, a->json);
        json_decref(v);
    }
}

static void check_rows(const struct schema_type *t, const struct schema_attr *rows)
{
    for (const struct schema_attr *a = rows; a->name; a++) {
        check_row(t, rows, a);
        if (a->sub)
            check_rows(t, a->sub);
    }
}

static void check_names(const struct schema_type *t, const char *list)
{
    char *copy = mem_strdup(list ? list : ""), *save = NULL;

    for (char *s = strtok_r(copy, ",;", &save); s; s = strtok_r(NULL, ",;", &save))
        if (!schema_attr_by_json(t->attrs, s))
            fail_msg("%s has no %s", t->name, s);
    free(copy);
}

static void test_rows(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *t = &schema_types[i];
        assert_int_equal(t->id, i);
        assert_non_null(t->name);
        assert_non_null(t->help);
        check_rows(t, t->attrs);
        check_names(t, t->parent_attr);
        check_names(t, t->parent_attr2);
        check_names(t, t->owners);
        check_names(t, t->unique);
        check_names(t, t->id_from);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(t->plural, schema_types[j].plural);
    }
}

/* Whatever changes, some device hears of it: owners lead to a device in the end. */
static void test_owners(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *t = &schema_types[i];
        for (unsigned steps = 0; !t->device; steps++) {
            char first[64] = "";
            assert_non_null(t->owners);
            assert_true(steps < 8);
            snprintf(first, sizeof first, "%.*s", (int)strcspn(t->owners, ","), t->owners);
            t = &schema_types[schema_attr_by_json(t->attrs, first)->ref];
        }
    }
}

static void test_lookup(void **state)
{
    (void)state;
    assert_int_equal(schema_type_by_name("bridge")->id, ST_BRIDGE);
    assert_int_equal(schema_type_by_name("tunnel_zones")->id, ST_TUNNEL_ZONE);
    assert_int_equal(schema_type_by_name("host")->id, ST_HOST);
    assert_null(schema_type_by_name("nonsense"));
    assert_int_equal(schema_child_by_name(&schema_types[ST_TUNNEL_ZONE], "member")->id,
                     ST_TUNNEL_ZONE_HOST);
    assert_int_equal(schema_child_by_name(&schema_types[ST_POOL], "member")->id, ST_POOL_MEMBER);
    assert_int_equal(schema_child_by_name(&schema_types[ST_PORT_GROUP], "member")->id,
                     ST_PORT_GROUP_PORT);
    assert_int_equal(schema_child_by_name(&schema_types[ST_DHCP], "host")->id, ST_DHCP_HOST);
    assert_null(schema_child_by_name(&schema_types[ST_BRIDGE], "rule"));
    const struct schema_attr *a = schema_attr_by_name(&schema_types[ST_PORT], "device");
    assert_string_equal(a->json, "bridgeId");
    a = schema_attr_next(a);
    assert_string_equal(a->json, "routerId");
    assert_null(schema_attr_next(a));
    assert_string_equal(schema_parent_attr(&schema_types[ST_PORT], ST_ROUTER)->json, "routerId");
}

static void test_derived_id(void **state)
{
    const struct schema_type *t = &schema_types[ST_IP_ADDR];
    json_t *obj = json_pack("{s:s,s:s}", "ipAddrGroupId", "5b1c0000-0000-4000-8000-000000000001",
                            "addr", "10.0.0.1");
    struct uuid a, b;

    (void)state;
    assert_int_equal(schema_derived_id(t, obj, &a), 0);
    assert_int_equal(schema_derived_id(t, obj, &b), 0);
    assert_memory_equal(&a, &b, sizeof a);
    /* Hosts of different versions must agree: the value itself is part of the format. */
    char text[UUID_STRLEN];
    assert_string_equal(uuid_format(&a, text), "67fdec5d-ad7f-81c5-bc68-6fa96c540c91");
    json_object_set_new(obj, "addr", json_string("10.0.0.2"));
    assert_int_equal(schema_derived_id(t, obj, &b), 0);
    assert_memory_not_equal(&a, &b, sizeof a);
    json_object_del(obj, "addr");
    assert_int_equal(schema_derived_id(t, obj, &b), -EINVAL);
    assert_int_equal(schema_derived_id(&schema_types[ST_PORT], obj, &b), -EINVAL);
    json_decref(obj);
}

static void test_describe(void **state)
{
    json_t *doc = schema_describe(), *port;

    (void)state;
    assert_non_null(doc);
    assert_int_equal(json_object_size(json_object_get(doc, "$defs")), ST_N_TYPES);
    port = json_object_get(json_object_get(doc, "$defs"), "ports");
    assert_string_equal(
        json_string_value(json_object_get(
            json_object_get(json_object_get(port, "properties"), "peerId"), "x-ref")),
        "port");
    json_decref(doc);
}

/* docs/objects.md is what the table says.  MN_REGENERATE=1 writes it. */
static void test_reference_page(void **state)
{
    static const char path[] = MN_DATA_SRC "/docs/objects.md";
    char *page = schema_reference(), *text = mem_zalloc(strlen(page) + 2);
    FILE *f = fopen(path, getenv("MN_REGENERATE") ? "w+" : "r");

    (void)state;
    assert_non_null(f);
    if (getenv("MN_REGENERATE")) {
        fputs(page, f);
        rewind(f);
    }
    size_t size = fread(text, 1, strlen(page) + 1, f);
    fclose(f);
    if (size != strlen(page) || strcmp(text, page))
        fail_msg("%s is not up to date: run this test with MN_REGENERATE=1", path);
    free(text);
    free(page);
}

/* Nothing goes with itself: deletion ends. */
static void walk_cascade(enum schema_type_id type, unsigned depth)
{
    assert_true(depth < ST_N_TYPES);
    for (unsigned i = 0; i < ST_N_TYPES; i++)
        for (const struct schema_attr *a = schema_types[i].attrs; a->name; a++)
            if (a->value == SV_REF && a->ref == type && a->on_delete == SD_CASCADE)
                walk_cascade((enum schema_type_id)i, depth + 1);
}

static void test_cascades_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ST_N_TYPES; i++)
        walk_cascade((enum schema_type_id)i, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_owners),
        cmocka_unit_test(test_lookup),       cmocka_unit_test(test_derived_id),
        cmocka_unit_test(test_describe),     cmocka_unit_test(test_reference_page),
        cmocka_unit_test(test_cascades_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
