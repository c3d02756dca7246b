/* The durable copy: what is there after a restart, a crash, damage. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/backup.h"
#include "state_util.h"

enum { WALL = 1000000 };

static char folder[64];

static int begin(void **arg)
{
    (void)arg;
    snprintf(folder, sizeof folder, "/tmp/mn-backup-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **arg)
{
    char command[128];

    (void)arg;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct state_backup *open_backup(uint64_t max_bytes)
{
    const struct state_backup_file_options opts = {.max_bytes = max_bytes};
    struct state_backup *b;
    struct error e;

    assert_int_equal(state_backup_file(folder, &opts, &b, &e), 0);
    return b;
}

/* Connection i, through port i % 4 of device i % 2. */
static struct wire_record nth(unsigned i)
{
    struct wire_record r = {.n_ports = 1};

    r.rec = state_record(STATE_SNAT, 0, tuple("10.0.0.1", i & 0xffff, "8.8.8.8", i >> 16),
                         "1.2.3.4", i & 0xffff);
    r.device.b[0] = (uint8_t)(1 + i % 2);
    r.ports[0].b[1] = (uint8_t)(1 + i % 4);
    return r;
}

static unsigned number(const struct wire_record *r)
{
    unsigned i = (unsigned)r->rec.fwd.dport << 16 | r->rec.fwd.sport;
    struct wire_record expected = nth(i);

    assert_memory_equal(&r->rec, &expected.rec, sizeof r->rec);
    assert_memory_equal(&r->device, &expected.device, sizeof r->device);
    return i;
}

static void write_some(struct state_backup *b, unsigned from, unsigned to, uint64_t wall_ms)
{
    for (unsigned i = from; i < to; i++) {
        struct wire_record r = nth(i);
        b->ops->write(b, &r, 1, wall_ms);
        if (i % 10000 == 9999)
            b->ops->flush(b);
    }
}

struct seen {
    unsigned n, highest, first, times;
    uint32_t idle_ms;
    bool again[100000];
};

static int see(const struct wire_record *r, void *aux)
{
    struct seen *s = aux;
    unsigned i = number(r);

    if (!s->n++)
        s->first = i;
    s->highest = MAX(s->highest, i);
    s->idle_ms = r->idle_ms;
    s->times += s->again[i % 100000];
    s->again[i % 100000] = true;
    return 0;
}

static struct seen *read_all(struct state_backup *b, const struct uuid *ids, unsigned n_ids,
                             uint64_t wall_ms)
{
    static struct seen s;

    memset(&s, 0, sizeof s);
    assert_int_equal(b->ops->read(b, ids, n_ids, wall_ms, 0, see, &s), 0);
    return &s;
}

static void the_next_life_reads_what_was_written(void **arg)
{
    struct uuid port2 = {{[1] = 2}}, device2 = {{[0] = 2}};
    struct state_backup_status st;
    struct state_backup *b = open_backup(0);

    (void)arg;
    write_some(b, 0, 1000, WALL);
    assert_int_equal(read_all(b, NULL, 0, WALL)->n, 1000);
    b->ops->close(b);
    b = open_backup(0);
    struct seen *s = read_all(b, NULL, 0, WALL + 500);
    assert_int_equal(s->n, 1000);
    assert_int_equal(s->first, 999); /* the latest first */
    assert_int_equal(s->idle_ms, 500);
    assert_int_equal(read_all(b, &port2, 1, WALL)->n, 250);
    assert_int_equal(read_all(b, &device2, 1, WALL)->n, 500);
    write_some(b, 0, 10, WALL + 600);
    s = read_all(b, NULL, 0, WALL + 600);
    assert_int_equal(s->n, 1010);
    assert_int_equal(s->first, 9);
    b->ops->status(b, &st);
    assert_int_equal(st.written, 10);
    assert_int_equal(st.dropped, 0);
    assert_int_equal(st.damaged, 0);
    b->ops->close(b);
}

static void expired_entries_are_skipped(void **arg)
{
    struct state_backup *b = open_backup(0);

    (void)arg;
    write_some(b, 0, 10, WALL);
    b->ops->flush(b);
    write_some(b, 10, 30, WALL + 60000);
    assert_int_equal(read_all(b, NULL, 0, WALL + 119999)->n, 30);
    assert_int_equal(read_all(b, NULL, 0, WALL + 120000)->n, 20);
    assert_int_equal(read_all(b, NULL, 0, WALL + 180000)->n, 0);
    assert_int_equal(read_all(b, NULL, 0, WALL - 200000)->n, 0); /* a clock that went back */
    b->ops->close(b);
}

static uint64_t bytes_in_folder(unsigned *n)
{
    uint64_t bytes = 0;
    char path[400];
    struct dirent *d;
    struct stat st;
    DIR *dir = opendir(folder);

    *n = 0;
    while ((d = readdir(dir))) {
        snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
        if (stat(path, &st) || !S_ISREG(st.st_mode))
            continue;
        bytes += (uint64_t)st.st_size;
        (*n)++;
    }
    closedir(dir);
    return bytes;
}

static void the_oldest_make_room(void **arg)
{
    enum { MAX_BYTES = 400000, N = 60000 };
    struct state_backup *b = open_backup(MAX_BYTES);
    unsigned n_files;

    (void)arg;
    for (unsigned i = 0; i < N; i += 500) {
        write_some(b, i, i + 500, WALL);
        b->ops->flush(b);
        assert_true(bytes_in_folder(&n_files) <= MAX_BYTES);
        assert_true(n_files <= 8);
    }
    struct seen *s = read_all(b, NULL, 0, WALL);
    assert_int_equal(s->first, N - 1);
    assert_in_range(s->n, 5000, N - 1);
    for (unsigned i = N - s->n; i < N; i++)
        assert_true(s->again[i]);
    b->ops->close(b);
    b = open_backup(MAX_BYTES);
    unsigned before = s->n;
    assert_int_equal(read_all(b, NULL, 0, WALL)->n, before);
    /* all of it expires: a segment of new ones replaces the others */
    write_some(b, 0, 2000, WALL + 200000);
    b->ops->flush(b);
    bytes_in_folder(&n_files);
    assert_in_range(n_files, 1, 2);
    b->ops->close(b);
}

static void what_the_medium_cannot_take_is_dropped(void **arg)
{
    const struct state_backup_file_options opts = {.queue_size = 16384};
    struct state_backup_status st;
    struct state_backup *b;

    (void)arg;
    assert_int_equal(state_backup_file(folder, &opts, &b, NULL), 0);
    for (unsigned i = 0; i < 90000; i++) {
        struct wire_record r = nth(i);
        b->ops->write(b, &r, 1, WALL);
    }
    b->ops->flush(b);
    b->ops->status(b, &st);
    assert_int_equal(st.written + st.dropped, 90000);
    assert_true(st.dropped > 0);
    assert_int_equal(read_all(b, NULL, 0, WALL)->n, st.written);
    b->ops->close(b);
}

static void killed_while_it_writes(void **arg)
{
    char ready;
    int pipes[2];

    (void)arg;
    for (unsigned round = 0; round < 5; round++) {
        assert_int_equal(pipe(pipes), 0);
        pid_t pid = fork();
        if (!pid) {
            struct state_backup *b = open_backup(0);
            for (unsigned i = 0;; i++) {
                struct wire_record r = nth(i % 50000);
                b->ops->write(b, &r, 1, WALL);
                if (i % 1000 == 0)
                    b->ops->flush(b);
                if (i == 20000u + round * 777u && write(pipes[1], "", 1) != 1)
                    _exit(1);
            }
        }
        close(pipes[1]);
        assert_int_equal(read(pipes[0], &ready, 1), 1);
        close(pipes[0]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        struct state_backup *b = open_backup(0);
        assert_true(read_all(b, NULL, 0, WALL)->n >= 20000);
        write_some(b, 70000, 70001, WALL);
        assert_int_equal(read_all(b, NULL, 0, WALL)->first, 70000);
        b->ops->close(b);
    }
}

static void damage_costs_what_it_hits(void **arg)
{
    char path[100];
    struct state_backup *b = open_backup(0);
    struct stat st;

    (void)arg;
    for (unsigned i = 0; i < 1000; i += 50) {
        write_some(b, i, i + 50, WALL);
        b->ops->flush(b);
    }
    b->ops->close(b);
    snprintf(path, sizeof path, "%s/0000000000000001.log", folder);
    int fd = open(path, O_RDWR);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 0; at < st.st_size; at += 97) {
        char was, turned;
        struct state_backup_status status;
        assert_int_equal(pread(fd, &was, 1, at), 1);
        turned = (char)~was;
        assert_int_equal(pwrite(fd, &turned, 1, at), 1);
        b = open_backup(0);
        assert_int_equal(read_all(b, NULL, 0, WALL)->n, 950); /* see() knows each of them */
        b->ops->status(b, &status);
        assert_int_equal(status.damaged, 1);
        b->ops->close(b);
        assert_int_equal(pwrite(fd, &was, 1, at), 1);
    }
    for (off_t size = st.st_size - 1; size > 0; size -= 1009) {
        assert_int_equal(ftruncate(fd, size), 0);
        b = open_backup(0);
        assert_true(read_all(b, NULL, 0, WALL)->n < 1000);
        b->ops->close(b);
    }
    close(fd);
}

static void a_bad_folder_is_an_error(void **arg)
{
    struct state_backup *b;
    struct error e = {0};

    (void)arg;
    assert_int_equal(state_backup_file("/proc/nowhere/backup", NULL, &b, &e), -ENOENT);
    assert_non_null(strstr(e.message, "/proc/nowhere/backup"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_next_life_reads_what_was_written),
        TEST(expired_entries_are_skipped),
        TEST(the_oldest_make_room),
        TEST(what_the_medium_cannot_take_is_dropped),
        TEST(killed_while_it_writes),
        TEST(damage_costs_what_it_hits),
        TEST(a_bad_folder_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
