#include <sqlite3.h>
#include <sys/stat.h>

#include "store_conformance.h"

static const bool other_processes = true;
static char folder[] = "/tmp/mn-store-XXXXXX";

static void fresh_url(char *url, size_t size)
{
    static int n;

    snprintf(url, size, "file:%s/%d.db", folder, n++);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char *command = mem_printf("rm -rf %s", folder);
    int rc = system(command);

    (void)state;
    free(command);
    return rc;
}

/* Crashes */

/* Commits without end: a pair of nodes and the number of the last; says each number that was
 * acknowledged.  Goes on where the last one was killed. */
static int role_write(struct store *s, const char *arg)
{
    char left[32], right[32], number[16];

    (void)arg;
    for (int i = atoi(text(s, "/last")) + 1;; i++) {
        snprintf(left, sizeof left, "/left/%08d", i);
        snprintf(right, sizeof right, "/right/%08d", i);
        snprintf(number, sizeof number, "%d", i);
        struct store_op ops[] = {
            {.type = STORE_CREATE, .path = left, .flags = STORE_PARENTS},
            {.type = STORE_PUT, .path = "/last", .data = number, .size = strlen(number)},
            {.type = STORE_CREATE, .path = right, .flags = STORE_PARENTS},
            {.type = STORE_CREATE, .path = "/alive", .flags = STORE_EPHEMERAL},
            {.type = STORE_DELETE, .path = "/alive", .version = STORE_ANY},
        };
        if (store_commit(s, ops, ARRAY_SIZE(ops), NULL, NULL) || write(1, &i, sizeof i) < 0)
            return 1;
    }
}

static const struct role file_roles[] = {{"write", role_write}, {0}};

/* The last number that the writer said was committed, 0 for none. */
static int last_acknowledged(int out)
{
    int number[1024], last = 0;
    ssize_t n;

    while ((n = read(out, number, sizeof number)) > 0)
        last = number[n / (ssize_t)sizeof(int) - 1];
    return last;
}

static int count(struct store *s, const char *path)
{
    struct store_names names;

    if (store_children(s, path, &names, NULL))
        return 0;
    int n = (int)names.n;
    for (int i = 0; i < n; i++)
        assert_int_equal(atoi(names.names[i]), i + 1);
    store_names_free(&names);
    return n;
}

/* 'kill -9' in the middle of commits, many times.  Nothing acknowledged is lost, nothing half done,
 * and a reader that reads only after events knows the last number all the same. */
static void a_killed_writer_does_no_harm(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    int acknowledged = 0, known = 0;
    unsigned seed = 7;

    (void)state;
    ok(store_watch(s, "/last", STORE_WATCH_DATA, 0, e));
    for (int round = 0; round < 60; round++) {
        int out;
        pid_t pid = start("write", url, "", &out);
        struct pollfd p = {.fd = out, .events = POLLIN};
        poll(&p, 1, -1);
        usleep((unsigned)rand_r(&seed) % 3000);
        kill_hard(pid);
        int last = last_acknowledged(out);
        acknowledged = MAX(acknowledged, last);
        close(out);

        for (struct store_event ev;;) {
            while (store_next_event(s, &ev))
                known = atoi(text(s, "/last"));
            if (known >= acknowledged && known == atoi(text(s, "/last")))
                break;
            ev = next_event(s);
            known = atoi(text(s, "/last"));
        }
        struct store *after = open_store(url);
        int n = count(after, "/left");
        assert_int_equal(count(after, "/right"), n);
        assert_int_equal(atoi(text(after, "/last")), n);
        assert_int_equal(store_exists(after, "/alive"), 0);
        assert_true(n >= acknowledged);
        store_close(after);
    }
    assert_true(acknowledged > 60);
    store_close(s);
}

/* Files */

static void write_file(const char *path, const char *data, size_t size)
{
    FILE *f = fopen(path, "w");

    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void other_files_are_refused(void **state)
{
    char url[200], *path = url + strlen("file:");
    struct store *s;
    struct error err;
    sqlite3 *db;

    (void)state;
    assert_int_equal(store_open("file:", NULL, &s, &err), -EINVAL);
    snprintf(url, sizeof url, "file:%s/none/x.db", folder);
    assert_int_equal(store_open(url, NULL, &s, &err), -ENOENT);
    assert_true(err.message[0]);
    snprintf(url, sizeof url, "file:%s", folder);
    assert_true(store_open(url, NULL, &s, NULL) < 0);

    fresh_url(url, sizeof url);
    char text_file[2000];
    memset(text_file, '#', sizeof text_file);
    write_file(path, text_file, sizeof text_file);
    assert_int_equal(store_open(url, NULL, &s, &err), -EINVAL);

    static const char *const foreign[] = {
        "CREATE TABLE t(x)", "PRAGMA application_id=1835955060; PRAGMA user_version=99",
        "PRAGMA user_version=1"};
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
        fresh_url(url, sizeof url);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, foreign[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_int_equal(store_open(url, NULL, &s, &err), -EINVAL);
        assert_non_null(strstr(err.message, "another program"));
    }
}

/* Whatever is in the file: an error or old data, no crash. */
static void a_damaged_file_does_no_harm(void **state)
{
    char url[200], *path = url + strlen("file:"), name[64];
    unsigned seed = 3;

    (void)state;
    for (int round = 0; round < 40; round++) {
        struct store *s = open_fresh(url, sizeof url);
        for (int i = 0; i < 300; i++) {
            snprintf(name, sizeof name, "/a/%d/%d", i % 7, i);
            assert_int_equal(create(s, name, "some data", STORE_PARENTS), 0);
        }
        store_close(s);
        sqlite3 *db;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
        sqlite3_close(db);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        off_t size = lseek(fd, 0, SEEK_END);
        for (int i = 0; i < 30; i++) {
            char junk = (char)rand_r(&seed);
            assert_int_equal(pwrite(fd, &junk, 1, 100 + rand_r(&seed) % (size - 100)), 1);
        }
        close(fd);

        struct store_options opts = {.timeout_ms = 100};
        if (store_open(url, &opts, &s, NULL))
            continue;
        struct store_names names;
        if (!store_children(s, "/a", &names, NULL))
            store_names_free(&names);
        store_watch(s, "/a", STORE_WATCH_CHILDREN, 0, NULL);
        create(s, "/a/new", "", STORE_PARENTS);
        create(s, "/e", "", STORE_EPHEMERAL);
        store_delete_tree(s, "/a", NULL);
        drain_events(s);
        store_close(s);
    }
}

/* The log of changes is bounded: who sleeps through more than it holds hears of everything. */
static void a_reader_that_slept_is_told(void **state)
{
    char url[200], name[151];
    struct store *s = open_fresh(url, sizeof url), *w = open_store(url);
    struct store_op *ops = NEW_ARRAY(STORE_COMMIT_OPS, struct store_op);

    (void)state;
    memset(name, 'n', 150);
    name[150] = '\0';
    ok(store_watch(s, "/changed", STORE_WATCH_DATA, 1, e));
    ok(store_watch(s, "/unchanged", STORE_WATCH_DATA, 2, e));
    assert_int_equal(create(w, "/changed", "", 0), 0);
    assert_int_equal(create(w, "/d", "", 0), 0);
    for (int i = 0; i < STORE_COMMIT_OPS; i++)
        ops[i] = (struct store_op){.type = STORE_PUT, .path = mem_printf("/d/%s%04d", name, i)};
    for (int i = 0; i < 16; i++)
        ok(store_commit(w, ops, STORE_COMMIT_OPS, NULL, e));
    unsigned seen = 0;
    while (seen != 3)
        seen |= 1u << (next_event(s).tag - 1);
    /* And from then on what changes, no more. */
    drain_events(s);
    assert_int_equal(set(w, "/changed", "2", STORE_ANY), 0);
    assert_string_equal(next_event(s).path, "/changed");
    for (int i = 0; i < STORE_COMMIT_OPS; i++)
        free((char *)ops[i].path);
    free(ops);
    store_close(w);
    store_close(s);
}

/* Many processes come at once to a file that isn't there yet. */
static void the_first_users_may_come_together(void **state)
{
    char url[200], byte;
    pid_t pids[12];
    int out[12];

    (void)state;
    fresh_url(url, sizeof url);
    for (int i = 0; i < 12; i++) {
        char path[16];
        snprintf(path, sizeof path, "/%d", i);
        pids[i] = start("hold", url, path, &out[i]);
    }
    for (int i = 0; i < 12; i++)
        assert_int_equal(read(out[i], &byte, 1), 1);
    struct store *s = open_store(url);
    struct store_names names;
    ok(store_children(s, "/", &names, e));
    assert_int_equal(names.n, 12);
    store_names_free(&names);
    ok(store_watch(s, "/", STORE_WATCH_CHILDREN, 0, e));
    for (int i = 0; i < 12; i++) {
        kill_hard(pids[i]);
        close(out[i]);
    }
    for (size_t n = 12; n;) {
        expect_event(s, "/", STORE_WATCH_CHILDREN);
        ok(store_children(s, "/", &names, e));
        n = names.n;
        store_names_free(&names);
    }
    store_close(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_TESTS,
        PROCESS_TESTS,
        cmocka_unit_test(a_killed_writer_does_no_harm),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(a_damaged_file_does_no_harm),
        cmocka_unit_test(a_reader_that_slept_is_told),
        cmocka_unit_test(the_first_users_may_come_together),
    };
    int rc = run_role(conformance_roles, argc, argv);

    if (rc < 0)
        rc = run_role(file_roles, argc, argv);
    if (rc >= 0)
        return rc;
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
