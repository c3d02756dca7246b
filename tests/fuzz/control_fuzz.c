/* What anybody may write to the agent's control socket: a real server on a real socket, in front of
 * an agent with its threads.  The first byte says in how many pieces the rest arrives.  Each line
 * that comes back is JSON, and a client that behaves is served afterwards. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../mn-agent/server.h"
#include "agent/control.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fuzz_life.h"

static struct {
    uv_loop_t loop;
    struct agent *agent;
    struct server *server;
    char path[64];
    unsigned n_stops;
} lab;

static void on_stop(void *aux, bool keep)
{
    (void)aux;
    (void)keep;
    lab.n_stops++;
}

static void lab_open(void)
{
    struct dp_options dpo = {.name = "fuzz"};
    struct agent_options ao = {.name = "h1", .keep_mtu = true, .host = {{1, 2, 3}}};
    struct server_host host = {.test_clock = true, .stop = on_stop};
    struct error e = {0};

    log_level = LOG_LVL_ERROR;
    CHECK(!store_open("memory:control-fuzz", NULL, &ao.store, &e));
    CHECK(!dp_open("memory", &dpo, &ao.dp, &e));
    rcu_register_thread();
    CHECK(!agent_open(&ao, &lab.agent, &e));
    CHECK(!agent_threads_start(lab.agent, 0, &host.threads, &e));
    host.agent = lab.agent;
    snprintf(lab.path, sizeof lab.path, "/tmp/mn-control-fuzz-%d.sock", (int)getpid());
    CHECK(!uv_loop_init(&lab.loop));
    CHECK(!server_open(&lab.loop, lab.path, &host, &lab.server, &e));
}

/* As the daemon's loop does it. */
static void turn(void)
{
    uv_run(&lab.loop, UV_RUN_NOWAIT);
    inbox_awake(agent_control_inbox(lab.agent), true);
    uint64_t now = agent_now(lab.agent);

    agent_run_control(lab.agent, now);
    server_run(lab.server, now);
    rcu_quiescent_state();
}

static int client(void)
{
    int fd = control_connect(lab.path, NULL);

    CHECK(fd >= 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Takes what has come; false when the server has closed. */
static bool take(int fd, struct strbuf *sb)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(fd, buf, sizeof buf - 1)) > 0) {
        buf[n] = '\0';
        sb_add(sb, buf);
    }
    return n < 0 && errno == EAGAIN;
}

static void check_lines(const char *text)
{
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);

        CHECK(json_is_object(line));
        json_decref(line);
    }
}

static void check_served(void)
{
    struct strbuf sb = {0};
    int fd = client();

    CHECK(write(fd, "status\n", 7) == 7);
    for (unsigned i = 0; i < 1000 && !strchr(sb_str(&sb), '\n'); i++) {
        turn();
        CHECK(take(fd, &sb));
    }
    CHECK(strstr(sb_str(&sb), "\"ready\""));
    close(fd);
    sb_free(&sb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct strbuf sb = {0};

    if (!lab.server)
        lab_open();
    if (!size)
        return 0;
    size_t n_pieces = *data++ % 4 + 1u, piece = --size / n_pieces + 1, sent = 0;
    int fd = client();
    bool open = true;

    for (unsigned i = 0; i < 8 + n_pieces && open; i++) {
        size_t n = size - sent < piece ? size - sent : piece;
        ssize_t done = n ? send(fd, data + sent, n, MSG_NOSIGNAL) : 0;

        sent += done > 0 ? (size_t)done : 0;
        turn();
        open = take(fd, &sb);
    }
    check_lines(sb_str(&sb));
    close(fd); /* perhaps in the middle of a line, a listing or a wait */
    sb_free(&sb);
    turn();
    check_served();
    return 0;
}
