#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/rulelog_impl.h"
#include "base/log.h"
#include "topology/policy.h"

#define PATH_SIZE 512

struct rulelog_file {
    struct uuid resource; /* zero: rules.log */
    int fd;               /* -1: to be opened */
    uint64_t size;
    uint32_t n; /* records in 'out' */
    struct strbuf out;
    UT_hash_handle hh;
};

/* The chain may be gone by now, or have another logger: then the record goes to rules.log. */
static const struct topo_logger *logger_of(const struct topo_chain *c, const struct uuid *id)
{
    for (uint32_t i = 0; c && i < c->n_loggers; i++)
        if (uuid_equal(&c->loggers[i].id, id))
            return &c->loggers[i];
    return NULL;
}

static struct rulelog_file *file_of(struct rulelog *l, const struct uuid *resource)
{
    struct rulelog_file *f;

    HASH_FIND(hh, l->files, resource, sizeof *resource, f);
    if (!f) {
        f = NEW(struct rulelog_file);
        f->resource = *resource;
        f->fd = -1;
        HASH_ADD(hh, l->files, resource, sizeof f->resource, f);
    }
    return f;
}

static const char *result_word(const struct rulelog_record *r)
{
    return uuid_is_zero(&r->logger) ? "LOG" : r->dropped ? "DROP" : "ACCEPT";
}

/* "2026-11-26T12:00:00.123Z" */
static char *time_text(uint64_t ms, char buf[32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;

    gmtime_r(&s, &tm);
    size_t n = strftime(buf, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + n, 32 - n, ".%03uZ", (unsigned)(ms % 1000));
    return buf;
}

static void add_words(struct strbuf *sb, const struct rulelog_record *r,
                      const struct topo_chain *chain)
{
    char logger[UUID_STRLEN], rule[UUID_STRLEN], id[UUID_STRLEN], t[32];
    char src[IP_STRLEN], dst[IP_STRLEN];

    sb_printf(sb, "LOGGER=%s TIME=%s SRC=%s DST=%s SPT=%u DPT=%u PROTO=%u CHAIN=%s RULE=%s",
              uuid_format(&r->logger, logger), time_text(r->wall_ms, t), ip_format(&r->src, src),
              ip_format(&r->dst, dst), r->sport, r->dport, r->proto, uuid_format(&r->chain, id),
              uuid_format(&r->rule, rule));
    sb_printf(sb, " MD=[%s]", chain && chain->labels ? chain->labels : "");
    if (r->suppressed)
        sb_printf(sb, " SUPPRESSED=%u", r->suppressed);
    sb_printf(sb, " %s\n", result_word(r));
}

static void set_uuid(json_t *o, const char *name, const struct uuid *id)
{
    char buf[UUID_STRLEN];

    if (!uuid_is_zero(id))
        json_object_set_new(o, name, json_string(uuid_format(id, buf)));
}

static void set_ip(json_t *o, const char *name, const struct ip *ip)
{
    char buf[IP_STRLEN];

    if (!ip_is_none(ip))
        json_object_set_new(o, name, json_string(ip_format(ip, buf)));
}

static void add_json(struct strbuf *sb, const struct rulelog *l, const struct rulelog_record *r,
                     const struct topo_chain *chain)
{
    json_t *o = json_object();
    char t[32];

    json_object_set_new(o, "time", json_string(time_text(r->wall_ms, t)));
    json_object_set_new(o, "result", json_string(result_word(r)));
    set_uuid(o, "logger", &r->logger);
    set_uuid(o, "chain", &r->chain);
    if (chain && *chain->obj.name)
        json_object_set_new(o, "chain_name", json_string(chain->obj.name));
    set_uuid(o, "rule", &r->rule);
    set_uuid(o, "in_port", topo_id(l->topo, r->in_port));
    set_uuid(o, "out_port", topo_id(l->topo, r->out_port));
    json_object_set_new(o, "ethertype", json_integer(r->eth_type));
    set_ip(o, "src", &r->src);
    set_ip(o, "dst", &r->dst);
    json_object_set_new(o, "protocol", json_integer(r->proto));
    json_object_set_new(o, "src_port", json_integer(r->sport));
    json_object_set_new(o, "dst_port", json_integer(r->dport));
    if (chain && chain->labels)
        json_object_set_new(o, "metadata", json_string(chain->labels));
    if (r->suppressed)
        json_object_set_new(o, "suppressed", json_integer(r->suppressed));
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (text)
        sb_printf(sb, "%s\n", text);
    free(text);
}

void rulelog_write(struct rulelog *l, const struct rulelog_record *r)
{
    static const struct uuid none;
    const struct topo_chain *chain = topo_chain(l->topo, topo_find(l->topo, &r->chain));

    if (!l->opts.dir)
        return;
    if (chain && chain->obj.missing)
        chain = NULL;
    const struct topo_logger *logger = logger_of(chain, &r->logger);
    struct rulelog_file *f = file_of(l, logger ? &logger->resource : &none);
    if (l->opts.words)
        add_words(&f->out, r, chain);
    else
        add_json(&f->out, l, r, chain);
    f->n++;
}

/* Files. */

static void path_of(const struct rulelog *l, const struct rulelog_file *f, unsigned n,
                    char path[PATH_SIZE])
{
    char id[UUID_STRLEN], suffix[16] = "";

    if (n)
        snprintf(suffix, sizeof suffix, ".%u", n);
    snprintf(path, PATH_SIZE, "%.400s/%s.log%s", l->opts.dir,
             uuid_is_zero(&f->resource) ? "rules" : uuid_format(&f->resource, id), suffix);
}

/* NAME.1 becomes NAME.2, and so on; the oldest goes. */
static void rotate(const struct rulelog *l, struct rulelog_file *f)
{
    char from[PATH_SIZE], to[PATH_SIZE];

    close(f->fd);
    f->fd = -1;
    for (unsigned n = l->opts.max_files; n; n--) {
        path_of(l, f, n - 1, from);
        path_of(l, f, n, to);
        rename(from, to); /* of those that are there */
    }
}

static int open_file(const struct rulelog *l, struct rulelog_file *f)
{
    char path[PATH_SIZE];
    struct stat st;

    path_of(l, f, 0, path);
    if (mkdir(l->opts.dir, 0750) && errno != EEXIST)
        return -errno;
    f->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (f->fd < 0)
        return -errno;
    f->size = fstat(f->fd, &st) ? 0 : (uint64_t)st.st_size;
    return 0;
}

static int write_all(int fd, const char *p, size_t size)
{
    while (size) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

static int flush(const struct rulelog *l, struct rulelog_file *f)
{
    int rc = 0;

    if (f->fd >= 0 && f->size && f->size + f->out.size > l->opts.max_size)
        rotate(l, f);
    if (f->fd < 0)
        rc = open_file(l, f);
    if (!rc)
        rc = write_all(f->fd, f->out.data, f->out.size);
    f->size += rc ? 0 : f->out.size;
    return rc;
}

void rulelog_flush_files(struct rulelog *l)
{
    for (struct rulelog_file *f = l->files; f; f = f->hh.next) {
        if (!f->n)
            continue;
        int rc = flush(l, f);
        if (rc)
            log_limited(LOG_LVL_WARN, "agent", "rule log in %s: %s", l->opts.dir, strerror(-rc));
        __atomic_fetch_add(rc ? &l->counters.failed : &l->counters.written, f->n, __ATOMIC_RELAXED);
        f->n = 0;
        f->out.size = 0;
    }
}

void rulelog_close_files(struct rulelog *l)
{
    struct rulelog_file *f, *next;

    HASH_ITER (hh, l->files, f, next) {
        HASH_DEL(l->files, f);
        if (f->fd >= 0)
            close(f->fd);
        sb_free(&f->out);
        free(f);
    }
}
