/* Rule logs: records become lines of the right file, bounded in rate and size, and never wait. */
#include <dirent.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/rulelog.h"
#include "base/clock.h"
#include "sim_fixture.h"
#include "topology/policy.h"

struct rig {
    char dir[64];
    struct rulelog *log;
    struct flow_key key;
    struct sim_log rec;
    struct topo_logger logger;
    uint64_t now;
};

/* A chain with one logger, whose records go to the file of 'resource'. */
static struct rig rig_new(struct world *w, struct rulelog_options o)
{
    struct rig r = {.dir = "/tmp/rulelog.XXXXXX", .now = 1000 * NSEC_PER_SEC};
    struct uuid chain = uuid_of("sg-in");
    struct topo_rule rule = {.id = uuid_of("rule"), .type = RULE_DROP};

    r.logger = (struct topo_logger){
        .id = uuid_of("logger"), .events = TOPO_LOG_DROP, .resource = uuid_of("resource")};
    assert_non_null(mkdtemp(r.dir));
    strcat(r.dir, "/log"); /* made by the writer */
    struct topo_chain *c =
        topo_chain_make(&chain, "sg-in", &rule, 1, &r.logger, 1, "tenant_id=t1 firewall_id=f1");
    topo_intern(w->topo, TOPO_CHAIN, &chain);
    topo_publish(w->topo, &c->obj);
    r.key = key_of(6, "10.0.0.1", "fd00::2", 1000, 23);
    r.key.ip_dst = IP("10.0.0.2");
    r.rec =
        (struct sim_log){.chain = chain, .rule = rule.id, .logger = r.logger.id, .dropped = true};
    if (!o.dir)
        o.dir = r.dir;
    r.log = rulelog_new(&o, w->topo, 2);
    return r;
}

static bool put(struct rig *r, unsigned ring)
{
    r->rec.hdr = &r->key;
    return rulelog_put(r->log, ring, &r->rec, r->now);
}

static struct rulelog_counters counters(const struct rig *r)
{
    struct rulelog_counters c;

    rulelog_counters(r->log, &c);
    return c;
}

/* The n-th line of a file, or null. */
static char *line_of(const struct rig *r, const char *name, unsigned n)
{
    static char line[1024];
    char path[192];

    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    FILE *f = fopen(path, "r");
    char *got = NULL;
    for (unsigned i = 0; f && i <= n; i++)
        got = fgets(line, sizeof line, f);
    if (f)
        fclose(f);
    return got;
}

static const char *file_of(const struct uuid *id, char buf[64])
{
    char text[UUID_STRLEN];

    snprintf(buf, 64, "%s.log", uuid_format(id, text));
    return buf;
}

static void rig_free(struct rig *r)
{
    char cmd[128];

    rulelog_free(r->log);
    *strrchr(r->dir, '/') = '\0';
    snprintf(cmd, sizeof cmd, "rm -r %s", r->dir);
    assert_int_equal(system(cmd), 0);
}

static const char *text_of(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static void test_a_record_is_a_line(void **state)
{
    struct rig r = rig_new(*state, (struct rulelog_options){0});
    char name[64];

    assert_true(put(&r, 0)); /* wakes the writer */
    assert_false(put(&r, 0));
    assert_true(put(&r, 1));
    assert_int_equal(rulelog_run(r.log), 3);
    assert_int_equal(rulelog_run(r.log), 0);
    json_t *o = json_loads(line_of(&r, file_of(&r.logger.resource, name), 2), 0, NULL);
    assert_non_null(o);
    assert_string_equal(text_of(o, "result"), "DROP");
    assert_string_equal(text_of(o, "src"), "10.0.0.1");
    assert_string_equal(text_of(o, "dst"), "10.0.0.2");
    assert_string_equal(text_of(o, "chain_name"), "sg-in");
    assert_string_equal(text_of(o, "metadata"), "tenant_id=t1 firewall_id=f1");
    assert_int_equal(json_integer_value(json_object_get(o, "dst_port")), 23);
    assert_int_equal(json_integer_value(json_object_get(o, "protocol")), 6);
    assert_non_null(text_of(o, "rule"));
    json_decref(o);
    assert_null(line_of(&r, name, 3));
    assert_int_equal(counters(&r).written, 3);
    rig_free(&r);
}

/* As MidoNet's decoder prints it, but with the rule's id where it prints the chain's. */
static void test_words(void **state)
{
    struct rig r = rig_new(*state, (struct rulelog_options){.words = true});
    char want[512], name[64], a[UUID_STRLEN], b[UUID_STRLEN], c[UUID_STRLEN];

    put(&r, 0);
    rulelog_run(r.log);
    char *line = line_of(&r, file_of(&r.logger.resource, name), 0);
    snprintf(want, sizeof want, "LOGGER=%s TIME=", uuid_format(&r.logger.id, a));
    assert_memory_equal(line, want, strlen(want));
    snprintf(want, sizeof want,
             " SRC=10.0.0.1 DST=10.0.0.2 SPT=1000 DPT=23 PROTO=6 CHAIN=%s RULE=%s "
             "MD=[tenant_id=t1 firewall_id=f1] DROP\n",
             uuid_format(&r.rec.chain, b), uuid_format(&r.rec.rule, c));
    assert_string_equal(strchr(line, 'Z') + 1, want);
    rig_free(&r);
}

static void test_log_rules_have_a_file_of_their_own(void **state)
{
    struct rig r = rig_new(*state, (struct rulelog_options){0});

    memset(&r.rec.logger, 0, sizeof r.rec.logger);
    r.rec.dropped = false;
    put(&r, 0);
    rulelog_run(r.log);
    assert_non_null(strstr(line_of(&r, "rules.log", 0), "\"result\":\"LOG\""));
    rig_free(&r);
}

static void test_a_chain_that_is_gone(void **state)
{
    struct rig r = rig_new(*state, (struct rulelog_options){0});

    put(&r, 0);
    topo_unload(((struct world *)*state)->topo,
                topo_find(((struct world *)*state)->topo, &r.rec.chain));
    rulelog_run(r.log);
    assert_non_null(line_of(&r, "rules.log", 0));
    rig_free(&r);
}

static void test_rate_is_each_loggers_own(void **state)
{
    struct rig r = rig_new(*state, (struct rulelog_options){.rate = 10});
    struct sim_log first = r.rec;
    char name[64];

    for (unsigned i = 0; i < 100; i++)
        put(&r, 0);
    assert_int_equal(counters(&r).suppressed, 90);
    r.rec.logger = uuid_of("another");
    put(&r, 0);
    assert_int_equal(counters(&r).suppressed, 90);
    r.rec = first;
    r.now += NSEC_PER_SEC / 10;
    put(&r, 0);
    assert_int_equal(rulelog_run(r.log), 12);
    assert_non_null(
        strstr(line_of(&r, file_of(&r.logger.resource, name), 10), "\"suppressed\":90"));
    rig_free(&r);
}

/* Nobody reads: the ring fills, the worker goes on. */
static void test_full_ring_loses(void **state)
{
    struct rig r = rig_new(*state, (struct rulelog_options){.rate = 1000000});

    for (unsigned i = 0; i < 5000; i++)
        put(&r, 0);
    assert_int_equal(counters(&r).lost, 5000 - 4096);
    assert_int_equal(rulelog_run(r.log), 4096);
    assert_true(put(&r, 0));
    rig_free(&r);
}

static void test_rotation(void **state)
{
    struct rig r = rig_new(
        *state,
        (struct rulelog_options){.max_size = 1000, .max_files = 2, .rate = 100, .words = true});
    char name[64], path[256];
    struct stat st;

    file_of(&r.logger.resource, name);
    for (unsigned i = 0; i < 40; i++) {
        put(&r, 0);
        rulelog_run(r.log);
    }
    for (unsigned i = 0; i < 4; i++) {
        char suffix[4] = "";
        if (i)
            snprintf(suffix, sizeof suffix, ".%u", i);
        snprintf(path, sizeof path, "%s/%s%s", r.dir, name, suffix);
        assert_int_equal(stat(path, &st), i < 3 ? 0 : -1);
        if (i < 3)
            assert_in_range(st.st_size, 1, 1000);
    }
    assert_int_equal(counters(&r).written, 40);
    rig_free(&r);
}

static void test_directory_that_cant_be_made(void **state)
{
    struct rig r = rig_new(*state, (struct rulelog_options){.dir = "/proc/no-such-place/for/logs"});

    put(&r, 0);
    assert_int_equal(rulelog_run(r.log), 1);
    assert_int_equal(counters(&r).failed, 1);
    assert_int_equal(counters(&r).written, 0);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_a_record_is_a_line),
        world_test(test_words),
        world_test(test_log_rules_have_a_file_of_their_own),
        world_test(test_a_chain_that_is_gone),
        world_test(test_rate_is_each_loggers_own),
        world_test(test_full_ring_loses),
        world_test(test_rotation),
        world_test(test_directory_that_cant_be_made),
    };

    return cmocka_run_group_tests_name("rule log", tests, reader_setup, reader_teardown);
}
