/* What this host says about itself: that it is there, its name, its interfaces.
 *
 * All but the name are ephemeral, so they go when this life of the agent does.  A host that comes
 * back says so in one commit with the ports it serves (sync_serve.c), as many as go into it: in
 * between, everybody would take them for dead. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "topology/sync_state.h"

enum { TRIES = 6 };

void sync_state_free(struct sync *s)
{
    sync_serve_free(s);
    json_decref(s->interfaces);
    free(s->host_name);
}

void sync_host(struct sync *s, const char *name, const json_t *interfaces)
{
    bool first = !s->host_name;

    if (first || strcmp(s->host_name, name)) {
        free(s->host_name);
        s->host_name = mem_strdup(name);
        s->host_due |= STATE_HOST;
    }
    if (first)
        s->host_due |= STATE_ALIVE;
    if (!s->interfaces || !json_equal(s->interfaces, interfaces)) {
        json_decref(s->interfaces);
        s->interfaces = json_deep_copy(interfaces);
        s->host_due |= STATE_INTERFACES;
    }
}

/* Somebody else's "alive" where ours should be, or none. */
void sync_state_host_seen(struct sync *s, bool alive, uint64_t inc)
{
    if (!s->host_name || (s->host_due & STATE_ALIVE) || (alive && inc == s->inc))
        return;
    if (alive)
        log_error("topology", "another agent says it is this host: two with one host id?");
    else
        s->host_due |= STATE_ALIVE | STATE_INTERFACES;
}

static int write_host(struct sync *s)
{
    char text[UUID_STRLEN];
    struct error e = {0};
    json_t *old, *attrs = json_pack("{s:s}", "name", s->host_name);
    struct objects_txn *t = objects_begin(s->db);
    struct uuid id;
    int rc = objects_get(s->db, ST_HOST, &s->opt.host, &old, &e);

    objects_system(t);
    if (rc == -ENOENT) {
        json_object_set_new(attrs, "id", json_string(uuid_format(&s->opt.host, text)));
        rc = objects_create(t, ST_HOST, attrs, &id, &e);
    } else if (!rc) {
        rc = objects_update(t, ST_HOST, &s->opt.host, attrs, STORE_ANY, &e);
        json_decref(old);
    }
    if (!rc)
        rc = objects_commit(t, &e);
    objects_abort(t);
    json_decref(attrs);
    if (rc)
        log_limited(LOG_LVL_WARN, "topology", "this host is not registered: %s", e.message);
    return rc;
}

/* The operations that make the node say 'text' as an ephemeral of ours, whatever life left one
 * there before: two at most. */
static int add_ephemeral(struct sync *s, const char *path, const char *text, struct store_op *ops,
                         size_t *n)
{
    struct store_value v;
    int rc = sync_get(s, path, &v);

    if (rc)
        return rc;
    if (!v.rc)
        ops[(*n)++] = (struct store_op){.type = STORE_DELETE, .path = path, .version = v.version};
    ops[(*n)++] = (struct store_op){.type = STORE_CREATE,
                                    .flags = STORE_EPHEMERAL | STORE_PARENTS,
                                    .path = path,
                                    .data = text,
                                    .size = strlen(text)};
    store_value_free(&v);
    return 0;
}

static bool again(struct sync *s, int rc, int *tries)
{
    bool forestalled = sync_forestalled(rc);

    s->st.conflicts += forestalled;
    return forestalled && ++*tries < TRIES;
}

static int write_ephemeral(struct sync *s, const char *path, const char *text)
{
    int rc, tries = 0;

    do {
        struct store_op ops[2];
        size_t n = 0;
        rc = add_ephemeral(s, path, text, ops, &n);
        rc = rc ? rc : sync_commit(s, ops, n);
    } while (again(s, rc, &tries));
    return rc;
}

int sync_state_add_alive(struct sync *s, struct alive_commit *a)
{
    int64_t since = ((int64_t)s->now + s->wall_offset) / (int64_t)NSEC_PER_SEC;
    int rc = sync_alive_lives(s, &a->lives);

    if (rc)
        return rc;
    for (a->n = 0; a->n < a->lives.n; a->n++)
        a->ops[a->n] = (struct store_op){
            .type = STORE_DELETE, .path = a->lives.paths[a->n], .version = STORE_ANY};
    objects_alive_path(&s->opt.host, s->inc, a->name);
    objects_state_path(ST_HOST, &s->opt.host, "alive", a->path);
    snprintf(a->text, sizeof a->text,
             "{\"inc\":\"%016" PRIx64 "\",\"since\":%" PRId64 ",\"version\":\"%s\"}", s->inc, since,
             MN_VERSION);
    a->ops[a->n++] = (struct store_op){.type = STORE_CREATE,
                                       .flags = STORE_EPHEMERAL | STORE_PARENTS,
                                       .path = a->name,
                                       .data = ""};
    return add_ephemeral(s, a->path, a->text, a->ops, &a->n);
}

static int write_alive(struct sync *s)
{
    struct alive_commit a;
    int rc, tries = 0;

    do {
        rc = sync_state_add_alive(s, &a);
        rc = rc ? rc : sync_commit(s, a.ops, a.n);
    } while (again(s, rc, &tries));
    return rc;
}

static int write_interfaces(struct sync *s)
{
    char path[STORE_PATH_MAX];
    char *text = json_dumps(s->interfaces, JSON_COMPACT | JSON_ENCODE_ANY);

    objects_state_path(ST_HOST, &s->opt.host, "interfaces", path);
    int rc = write_ephemeral(s, path, text);
    free(text);
    return rc;
}

/* A host that comes back says so together with its ports: in between, nobody would serve them. */
static bool waits_for_ports(struct sync *s)
{
    bool waits = !s->ports_told;

    if (!s->alone_at)
        s->alone_at = s->now + s->opt.ports_ns;
    if (s->now >= s->alone_at)
        return false;
    for (const struct own_port *p = s->own_ports; p && !waits; p = p->hh.next)
        waits = p->due && !p->moving && !topo_get(s->topo, p->port);
    if (waits)
        sync_wants_run(s, s->alone_at);
    return waits;
}

/* With the ports that are due, as many as go into one commit. */
static int come_alive(struct sync *s)
{
    int rc = s->n_own_due ? sync_serve_flush(s) : 0;

    if (rc || !(s->host_due & STATE_ALIVE) || (s->own_at > s->now && s->now < s->alone_at))
        return rc;
    rc = write_alive(s);
    if (!rc)
        s->host_due &= ~(unsigned)STATE_ALIVE;
    return rc;
}

static int flush(struct sync *s)
{
    int rc = 0;

    if (s->host_due & STATE_HOST && !(rc = write_host(s)))
        s->host_due &= ~(unsigned)STATE_HOST;
    if (!rc && s->host_due & STATE_ALIVE && !waits_for_ports(s))
        rc = come_alive(s);
    if (rc || s->host_due & STATE_ALIVE)
        return rc;
    if (s->host_due & STATE_INTERFACES && !(rc = write_interfaces(s)))
        s->host_due &= ~(unsigned)STATE_INTERFACES;
    return rc || !s->n_own_due || s->own_at > s->now ? rc : sync_serve_flush(s);
}

int sync_state_flush(struct sync *s)
{
    int rc = 0;

    if (!s->host || !s->host_name || (!s->host_due && !s->n_own_due))
        return 0;
    if (s->now >= s->own_at)
        rc = flush(s);
    if (rc && !sync_store_away(rc)) { /* refused: reading goes on */
        s->own_at = s->now + NSEC_PER_SEC;
        rc = 0;
    }
    if (s->own_at > s->now)
        sync_wants_run(s, s->own_at);
    return rc;
}
