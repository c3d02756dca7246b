#include "agent/control.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define PATIENCE_MS 30000
#define ANSWER_MAX  (64u << 20)

void control_default_path(const char *name, char path[CONTROL_PATH_MAX])
{
    if (!name || !strcmp(name, "mn"))
        snprintf(path, CONTROL_PATH_MAX, "/run/mn/agent.sock");
    else
        snprintf(path, CONTROL_PATH_MAX, "/run/mn/agent-%.60s.sock", name);
}

int control_connect(const char *path, struct error *e)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof sun.sun_path)
        return error_set(e, -EINVAL, path, NULL, "too long for the name of a socket");
    strcpy(sun.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !connect(fd, (struct sockaddr *)&sun, sizeof sun))
        return fd;
    int rc = -errno;
    if (fd >= 0)
        close(fd);
    if (rc == -EACCES || rc == -EPERM)
        return error_set(e, rc, path, NULL, "%s", strerror(-rc));
    error_set(e, -ENOTCONN, path, NULL, "no agent answers: %s", strerror(-rc));
    error_hint(e, "is mn-agent running, and with this --control or --name?");
    return -ENOTCONN;
}

static int send_all(int fd, const char *p, size_t size, struct error *e)
{
    while (size) {
        ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(e, -ENOTCONN, "mn-agent", NULL, "connection lost");
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Reads more; 0 when the other side has closed. */
static ssize_t read_more(int fd, struct strbuf *sb, struct error *e)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char buf[65536];
    ssize_t n;

    int rc = poll(&p, 1, PATIENCE_MS);
    if (!rc)
        return error_set(e, -ETIMEDOUT, "mn-agent", NULL, "no answer within %d s",
                         PATIENCE_MS / 1000);
    n = recv(fd, buf, sizeof buf, 0);
    if (n < 0)
        return errno == EINTR ? read_more(fd, sb, e)
                              : error_set(e, -ENOTCONN, "mn-agent", NULL, "connection lost");
    if (sb->size + (size_t)n > ANSWER_MAX)
        return error_set(e, -EMSGSIZE, "mn-agent", NULL, "the answer is too long");
    sb_add_bytes(sb, buf, (size_t)n);
    return n;
}

static int refusal(const json_t *error, struct error *e)
{
    static const int codes[] = {-EINVAL, -ENOENT, -EBUSY, -ENOTCONN, -EACCES};
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *hint = json_string_value(json_object_get(error, "hint"));
    int rc = -EIO;

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (code && !strcmp(code, error_word(codes[i])))
            rc = codes[i];
    error_set(e, rc, "mn-agent", NULL, "%s", message ? message : "refused");
    if (hint)
        error_hint(e, "%s", hint);
    return rc;
}

/* One line of the answer; *more says that another follows. */
static int take_line(const char *line, size_t size, control_fn *fn, void *aux, bool *more,
                     struct error *e)
{
    json_error_t je;
    json_t *doc = json_loadb(line, size, JSON_REJECT_DUPLICATES, &je);
    int rc;

    if (!json_is_object(doc)) {
        json_decref(doc);
        return error_set(e, -EIO, "mn-agent", NULL, "its answer isn't understood");
    }
    *more = json_is_true(json_object_get(doc, "more"));
    json_t *error = json_object_get(doc, "error");
    rc = error ? refusal(error, e) : fn(doc, aux);
    json_decref(doc);
    return rc;
}

int control_each(const char *path, const char *request, control_fn *fn, void *aux, struct error *e)
{
    struct strbuf in = {0};
    bool more = true;
    int fd = control_connect(path, e), rc;

    if (fd < 0)
        return fd;
    char *line = mem_printf("%s\n", request);
    rc = send_all(fd, line, strlen(line), e);
    free(line);
    while (!rc && more) {
        char *end = in.size ? memchr(in.data, '\n', in.size) : NULL;
        if (!end) {
            ssize_t n = read_more(fd, &in, e);
            if (!n)
                rc = error_set(e, -ENOTCONN, "mn-agent", NULL, "connection closed");
            else if (n < 0)
                rc = (int)n;
            continue;
        }
        rc = take_line(in.data, (size_t)(end - in.data), fn, aux, &more, e);
        in.size -= (size_t)(end + 1 - in.data);
        memmove(in.data, end + 1, in.size);
    }
    sb_free(&in);
    close(fd);
    return rc;
}

static int keep_line(json_t *line, void *aux)
{
    json_t **reply = aux;

    json_decref(*reply);
    *reply = json_incref(line);
    return 0;
}

int control_ask(const char *path, const char *request, json_t **reply, struct error *e)
{
    json_t *last = NULL;
    int rc = control_each(path, request, keep_line, &last, e);

    if (rc)
        json_decref(last);
    else
        *reply = last;
    return rc;
}
