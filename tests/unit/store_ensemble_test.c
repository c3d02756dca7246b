/* The ZooKeeper store on three servers that are killed under it. */
#include "store_zk_suite.h"

/* Writes pairs, each in one commit, and notes which were acknowledged. */
struct journal {
    const char *url;
    atomic_bool stop;
    int n;
    struct {
        bool acknowledged;
    } pairs[20000];
};

static void *journal_writer(void *arg)
{
    struct journal *j = arg;
    struct store_options opts = {.timeout_ms = 3000, .session_timeout_ms = 4000};
    struct store *s;

    await(!store_open(j->url, &opts, &s, NULL));
    for (; !j->stop && j->n < (int)ARRAY_SIZE(j->pairs); j->n++) {
        char left[32], right[32];
        snprintf(left, sizeof left, "/left/%05d", j->n);
        snprintf(right, sizeof right, "/right/%05d", j->n);
        struct store_op ops[] = {{.type = STORE_CREATE, .path = left},
                                 {.type = STORE_CREATE, .path = right}};
        int rc = store_commit(s, ops, 2, NULL, NULL);
        assert_true(!rc || rc == -ENOTCONN || rc == -ETIMEDOUT);
        j->pairs[j->n].acknowledged = !rc;
        usleep(500);
    }
    store_close(s);
    return NULL;
}

/* Nothing acknowledged is lost, nothing is half done. */
static void check_journal(struct store *s, const struct journal *j)
{
    struct store_names left, right;
    size_t at = 0;

    ok(store_children(s, "/left", &left, e));
    ok(store_children(s, "/right", &right, e));
    assert_int_equal(left.n, right.n);
    assert_true(left.n > 0);
    for (size_t i = 0; i < left.n; i++)
        assert_string_equal(left.names[i], right.names[i]);
    for (int i = 0; i < j->n; i++) {
        bool there = at < left.n && atoi(left.names[at]) == i;
        at += there;
        assert_true(there || !j->pairs[i].acknowledged);
    }
    store_names_free(&left);
    store_names_free(&right);
}

static void kill_leader(struct store *s)
{
    int leader = zk_leader(&zk);

    (void)s;
    zk_kill(&zk, leader);
    zk_await(&zk); /* the other two go on */
    zk_start(&zk, leader);
    zk_await(&zk);
}

static void kill_all(struct store *s)
{
    (void)s;
    for (int i = 0; i < zk.n; i++)
        zk_kill(&zk, i);
    for (int i = 0; i < zk.n; i++)
        zk_start(&zk, i);
    zk_await(&zk);
}

/* One server at a time, so that all clients move. */
static void restart_each(struct store *s)
{
    (void)s;
    for (int i = 0; i < zk.n; i++) {
        zk_kill(&zk, i);
        zk_await(&zk);
        zk_start(&zk, i);
        zk_await(&zk);
    }
}

static void expire(struct store *s)
{
    zk_expire(&zk, s);
}

/* A reader that follows by events, a writer of what it follows, a writer of pairs and an ephemeral
 * node, while 'blow' falls. */
static void under(void (*blow)(struct store *s), int times)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url), *check = open_store(url);
    struct hot hot = {.url = url, .changes = 200, .keep_on = true, .reader = s, .check = check};
    struct journal *j = NEW(struct journal);
    pthread_t writer, follower, journal;
    struct store_value v;

    j->url = url;
    assert_int_equal(create(s, "/hot", "", 0), 0);
    assert_int_equal(create(s, "/left", "", 0), 0);
    assert_int_equal(create(s, "/right", "", 0), 0);
    assert_int_equal(create(s, "/alive", "me", STORE_EPHEMERAL), 0);
    hot_watch(s);
    pthread_create(&writer, NULL, hot_writer, &hot);
    pthread_create(&follower, NULL, hot_follower, &hot);
    pthread_create(&journal, NULL, journal_writer, j);
    for (int i = 0; i < times; i++) {
        blow(s);
        await(store_connected(s));
        await(!strcmp(text(s, "/alive"), "me"));
    }
    hot.keep_on = false;
    j->stop = true;
    pthread_join(writer, NULL);
    pthread_join(journal, NULL);
    pthread_join(follower, NULL);
    check_journal(s, j);
    ok(store_get(s, "/alive", &v, e));
    assert_true(v.ephemeral);
    store_value_free(&v);
    store_close(s);
    await(store_exists(check, "/alive") == 0);
    store_close(check);
    free(j);
}

static void the_leader_is_killed(void **state)
{
    (void)state;
    under(kill_leader, 3);
}

static void all_are_killed(void **state)
{
    (void)state;
    under(kill_all, 2);
}

static void each_is_restarted(void **state)
{
    (void)state;
    under(restart_each, 1);
}

static void sessions_expire(void **state)
{
    (void)state;
    under(expire, 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TESTS,
        PROCESS_TESTS,
        cmocka_unit_test(the_leader_is_killed),
        cmocka_unit_test(all_are_killed),
        cmocka_unit_test(each_is_restarted),
        cmocka_unit_test(sessions_expire),
    };

    return suite_main(argc, argv, 3, tests, ARRAY_SIZE(tests));
}
