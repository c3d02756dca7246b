#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/control.h"
#include "agent/report.h"
#include "barrier.h"
#include "base/log.h"
#include "startup.h"

#define CLIENTS_MAX 64
#define WORDS_MAX   8

struct client {
    uv_pipe_t pipe;
    struct server *server;
    struct client *prev, *next;
    char line[CONTROL_LINE_MAX];
    size_t size;
    bool asking;  /* a whole line waits for server_run() */
    bool writing; /* an answer is on its way */
    bool closing;
    struct listing *listing;
    struct barrier *barrier;
};

struct server {
    uv_pipe_t pipe;
    char path[CONTROL_PATH_MAX];
    struct server_host host;
    struct client *clients;
    unsigned n_clients;
    bool closing;
};

struct answer {
    uv_write_t req;
    char *text;
};

static void free_when_done(struct server *s)
{
    if (s->closing && !s->clients && uv_is_closing((uv_handle_t *)&s->pipe) && !s->pipe.loop)
        free(s);
}

static void on_client_closed(uv_handle_t *h)
{
    struct client *c = h->data;
    struct server *s = c->server;

    DL_DELETE(s->clients, c);
    s->n_clients--;
    free(c);
    free_when_done(s);
}

static void drop_client(struct client *c)
{
    if (c->closing)
        return;
    c->closing = true;
    listing_free(c->listing);
    barrier_free(c->barrier);
    c->listing = NULL;
    c->barrier = NULL;
    uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

static void on_written(uv_write_t *req, int status)
{
    struct answer *a = (struct answer *)req;
    struct client *c = req->data;

    free(a->text);
    free(a);
    c->writing = false;
    if (status)
        drop_client(c);
    else if (c->listing || c->asking) /* the next page at once, not when the loop wakes anyway */
        inbox_wake(agent_control_inbox(c->server->host.agent));
}

/* Takes the reference. */
static void answer(struct client *c, json_t *doc)
{
    struct answer *a = NEW(struct answer);
    char *text = json_dumps(doc, JSON_COMPACT);

    json_decref(doc);
    a->text = mem_printf("%s\n", text ? text : "{}");
    free(text);
    a->req.data = c;
    c->writing = true;
    uv_buf_t buf = uv_buf_init(a->text, (unsigned)strlen(a->text));
    if (uv_write(&a->req, (uv_stream_t *)&c->pipe, &buf, 1, on_written)) {
        free(a->text);
        free(a);
        drop_client(c);
    }
}

static void refuse(struct client *c, int code, const char *message)
{
    answer(c, json_pack("{s:{s:s,s:s}}", "error", "code", error_word(code), "message", message));
}

/* The commands.  Each answers, or leaves something that will. */

static void do_status(struct client *c, char **words, uint64_t now)
{
    (void)words;
    answer(c, report_status(c->server->host.agent, now));
}

static void do_ports(struct client *c, char **words, uint64_t now)
{
    (void)words;
    (void)now;
    answer(c, report_ports(c->server->host.agent));
}

static void do_drops(struct client *c, char **words, uint64_t now)
{
    (void)words;
    answer(c, report_drops(c->server->host.agent, now));
}

static void do_memory(struct client *c, char **words, uint64_t now)
{
    (void)words;
    (void)now;
    answer(c, report_memory(c->server->host.agent));
}

static void do_counters(struct client *c, char **words, uint64_t now)
{
    (void)words;
    (void)now;
    answer(c, report_counters(c->server->host.agent));
}

static void do_flows(struct client *c, char **words, uint64_t now)
{
    (void)now;
    c->listing = report_flows(c->server->host.agent, words[1] && !strcmp(words[1], "why"));
}

static void do_connections(struct client *c, char **words, uint64_t now)
{
    struct ip ip;

    (void)now;
    if (words[1] && ip_parse(words[1], &ip))
        refuse(c, -EINVAL, "connections [ADDRESS]");
    else
        c->listing = report_connections(c->server->host.agent, words[1] ? &ip : NULL);
}

static void do_why(struct client *c, char **words, uint64_t now)
{
    json_t *o = words[1] ? report_why(c->server->host.agent, words[1], now) : NULL;

    if (o)
        answer(c, o);
    else if (words[1])
        refuse(c, -ENOENT, "no such port is bound to this host");
    else
        refuse(c, -EINVAL, "why PORT");
}

static void do_stop(struct client *c, char **words, uint64_t now)
{
    (void)now;
    answer(c, json_pack("{s:b}", "stopping", 1));
    c->server->host.stop(c->server->host.aux, words[1] && !strcmp(words[1], "keep-flows"));
}

static void do_sync(struct client *c, char **words, uint64_t now)
{
    (void)words;
    (void)now;
    c->barrier = barrier_new(&c->server->host, 0);
}

static void do_clock(struct client *c, char **words, uint64_t now)
{
    char *end = "";
    uint64_t ns = words[1] ? strtoull(words[1], &end, 10) : 0;

    (void)now;
    if (!c->server->host.test_clock)
        refuse(c, -EACCES, "time is real: the agent was started without --test-clock");
    else if (!words[1] || *end)
        refuse(c, -EINVAL, "clock NANOSECONDS");
    else
        c->barrier = barrier_new(&c->server->host, ns);
}

static const struct command {
    const char *name;
    void (*fn)(struct client *c, char **words, uint64_t now);
} commands[] = {
    {"status", do_status},     {"ports", do_ports},
    {"flows", do_flows},       {"drops", do_drops},
    {"memory", do_memory},     {"sync", do_sync},
    {"clock", do_clock},       {"stop", do_stop},
    {"counters", do_counters}, {"connections", do_connections},
    {"why", do_why},
};

static void run_line(struct client *c, uint64_t now)
{
    char *words[WORDS_MAX + 1] = {0}, *save = NULL;
    size_t n = 0;

    for (char *w = strtok_r(c->line, " \t\r", &save); w && n < WORDS_MAX;
         w = strtok_r(NULL, " \t\r", &save))
        words[n++] = w;
    for (size_t i = 0; n && i < ARRAY_SIZE(commands); i++) {
        if (!strcmp(commands[i].name, words[0])) {
            commands[i].fn(c, words, now);
            return;
        }
    }
    refuse(c, -EINVAL, "no such request");
}

static void continue_client(struct client *c, uint64_t now)
{
    if (c->listing) {
        json_t *page = listing_page(c->listing, now);
        if (!json_is_true(json_object_get(page, "more"))) {
            listing_free(c->listing);
            c->listing = NULL;
        }
        answer(c, page);
    } else if (c->barrier) {
        json_t *done = barrier_run(c->barrier, now);
        if (!done)
            return;
        barrier_free(c->barrier);
        c->barrier = NULL;
        answer(c, done);
    } else if (c->asking) {
        char *end = memchr(c->line, '\n', c->size);
        size_t used = (size_t)(end - c->line) + 1;
        *end = '\0';
        run_line(c, now);
        c->size -= used;
        memmove(c->line, c->line + used, c->size);
        c->asking = c->size && memchr(c->line, '\n', c->size);
    }
}

bool server_run(struct server *s, uint64_t now)
{
    struct client *c, *next;
    bool more = false;

    DL_FOREACH_SAFE(s->clients, c, next)
    {
        if (!c->closing && !c->writing)
            continue_client(c, now);
        more |= !c->closing && !c->writing &&
                (c->listing || c->asking || (c->barrier && !barrier_begun(c->barrier)));
    }
    return more;
}

/* Coming in. */

static void give_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct client *c = h->data;

    (void)suggested;
    *buf = uv_buf_init(c->line + c->size, (unsigned)(sizeof c->line - c->size));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *c = stream->data;

    (void)buf;
    if (n < 0) { /* the other end has gone, or its line is longer than there is room */
        drop_client(c);
        return;
    }
    c->size += (size_t)n;
    c->asking = c->size && memchr(c->line, '\n', c->size);
    if (!c->asking && c->size == sizeof c->line)
        drop_client(c);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct server *s = stream->data;
    struct client *c;

    if (status)
        return;
    c = NEW(struct client);
    c->server = s;
    uv_pipe_init(stream->loop, &c->pipe, 0);
    c->pipe.data = c;
    DL_APPEND(s->clients, c);
    if (++s->n_clients > CLIENTS_MAX || uv_accept(stream, (uv_stream_t *)&c->pipe) ||
        uv_read_start((uv_stream_t *)&c->pipe, give_room, on_read))
        drop_client(c);
}

/* A socket nobody listens on is left over from a process that was killed. */
static int clear_path(const char *path, struct error *e)
{
    struct stat st;
    int fd = control_connect(path, NULL);

    if (fd >= 0) {
        close(fd);
        return error_set(e, -EBUSY, path, NULL, "an agent is running there already");
    }
    if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
        unlink(path);
    return startup_make_dir_of(path, e);
}

int server_open(uv_loop_t *loop, const char *path, const struct server_host *host,
                struct server **out, struct error *e)
{
    struct server *s = NEW(struct server);
    int rc = clear_path(path, e);

    if (rc) {
        free(s);
        return rc;
    }
    s->host = *host;
    strncpy(s->path, path, sizeof s->path - 1);
    uv_pipe_init(loop, &s->pipe, 0);
    s->pipe.data = s;
    mode_t mask = umask(0177);
    rc = uv_pipe_bind(&s->pipe, path);
    umask(mask);
    if (!rc)
        rc = uv_listen((uv_stream_t *)&s->pipe, 16, on_connection);
    if (rc) {
        server_close(s);
        return error_set(e, rc, path, NULL, "can't listen: %s", uv_strerror(rc));
    }
    *out = s;
    return 0;
}

static void on_server_closed(uv_handle_t *h)
{
    struct server *s = h->data;

    s->pipe.loop = NULL;
    free_when_done(s);
}

void server_close(struct server *s)
{
    struct client *c, *next;

    if (!s)
        return;
    s->closing = true;
    DL_FOREACH_SAFE(s->clients, c, next)
    {
        drop_client(c);
    }
    uv_close((uv_handle_t *)&s->pipe, on_server_closed);
}
