/* The ports this host serves, and saying so.
 *
 * Each has a tunnel key of ours and an "active" node that names who serves it, and perhaps the host
 * it moves away from, which serves beside us for a while.  The nodes of a device's ports are
 * written in one commit with an entry in the device's log, by which all who use the device hear of
 * it; where many agents have something to say at once, the entry goes elsewhere first
 * (sync_tell.c). */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "topology/sync_state.h"
#include "topology/sync_table.h"

enum { PORTS_PER_COMMIT = 48 /* the change node of a device holds 64 entries */ };
enum { STATE_TEXT = 256, SERVER_TEXT = 112 }; /* what an active node says; of one server */
enum { KEY_TYPE = 1 << 20, KEY_MASK = (1 << 20) - 1 };

void sync_serve_free(struct sync *s)
{
    struct own_port *p, *next;

    HASH_ITER (hh, s->own_ports, p, next) {
        HASH_DEL(s->own_ports, p);
        free(p);
    }
}

static bool key_free(const struct sync *s, uint32_t key)
{
    for (const struct own_port *p = s->own_ports; p; p = p->hh.next) {
        if (p->key == key)
            return false;
    }
    return true;
}

/* From the port's id, so that the next life of the agent most likely finds the same. */
static uint32_t choose_key(const struct sync *s, topo_ref port, uint32_t preferred)
{
    uint64_t h = hash_stable(topo_id(s->topo, port), sizeof(struct uuid), 0);

    if (preferred >> 20 == KEY_TYPE >> 20 && key_free(s, preferred))
        return preferred;
    while (!key_free(s, KEY_TYPE | (h & KEY_MASK)))
        h++;
    return KEY_TYPE | (h & KEY_MASK);
}

static void own_due(struct sync *s, struct own_port *p)
{
    s->n_own_due += !p->due;
    p->due = true;
    sync_wants_run(s, s->now);
}

static void own_done(struct sync *s, struct own_port *p)
{
    s->n_own_due -= p->due;
    p->due = false;
    if (!p->up) {
        HASH_DEL(s->own_ports, p);
        free(p);
    }
}

uint32_t sync_port_up(struct sync *s, topo_ref port, uint32_t preferred)
{
    struct own_port *p;

    HASH_FIND(hh, s->own_ports, &port, sizeof port, p);
    if (p && p->up)
        return p->key;
    if (!p) {
        p = NEW(struct own_port);
        p->port = port;
        p->key = choose_key(s, port, preferred);
        HASH_ADD(hh, s->own_ports, port, sizeof p->port, p);
    }
    p->up = true;
    own_due(s, p);
    sync_need(s, port);
    sync_refresh_port(s, port);
    return p->key;
}

void sync_port_moving(struct sync *s, topo_ref port, bool moving)
{
    struct own_port *p;

    HASH_FIND(hh, s->own_ports, &port, sizeof port, p);
    if (!p || p->moving == moving)
        return;
    p->moving = moving;
    own_due(s, p);
    sync_refresh_port(s, port);
}

void sync_port_down(struct sync *s, topo_ref port)
{
    struct own_port *p;

    HASH_FIND(hh, s->own_ports, &port, sizeof port, p);
    if (!p || !p->up)
        return;
    p->up = false;
    own_due(s, p);
    sync_refresh_port(s, port);
    sync_share_forget_port(s, port);
}

/* Who was to serve it doesn't (any more), so this host, whose port it was before, says that it
 * still does. */
void sync_serve_again(struct sync *s, topo_ref port)
{
    struct own_port *p;

    HASH_FIND(hh, s->own_ports, &port, sizeof port, p);
    if (p && p->up)
        own_due(s, p);
}

struct port_commit {
    struct own_port *ports[PORTS_PER_COMMIT];
    char texts[PORTS_PER_COMMIT][STATE_TEXT];
    bool crowded;                 /* entries are left beside the log: sync_tell.c */
    char *told[PORTS_PER_COMMIT]; /* such an entry */
    struct alive_commit alive;    /* empty unless that is due */
    struct store_op ops[ALIVE_OPS + 2 + 3 * PORTS_PER_COMMIT];
    size_t n_ports, n_ops;
    json_t *entries;
};

/* The due ports of the first device that has any; those that aren't loaded yet wait, and those that
 * move here until what their packets need is there too (sync_warm.c). */
static struct device_item *gather(struct sync *s, struct port_commit *co)
{
    struct device_item *device = NULL;
    struct own_port *p, *next;

    HASH_ITER (hh, s->own_ports, p, next) {
        const struct topo_obj *o = topo_get(s->topo, p->port);
        if (!p->due || !o || (p->moving && s->n_warming))
            continue;
        struct device_item *d = o->missing ? NULL : sync_device(s, sync_port(s, p->port)->device);
        if (!d) { /* gone, and its state with it */
            own_done(s, p);
            continue;
        }
        device = device ? device : d;
        if (d == device && co->n_ports < PORTS_PER_COMMIT)
            co->ports[co->n_ports++] = p;
    }
    return device;
}

static const char *server_text(struct sync *s, const struct port_server *p, char text[SERVER_TEXT])
{
    char host[UUID_STRLEN];

    snprintf(text, SERVER_TEXT, "\"host\":\"%s\",\"key\":%u,\"inc\":\"%016" PRIx64 "\"",
             uuid_format(topo_id(s->topo, p->host), host), p->key, p->inc);
    return text;
}

static void write_state(struct sync *s, char *text, const struct port_state *st)
{
    char now[SERVER_TEXT], former[SERVER_TEXT];

    if (st->former.host)
        snprintf(text, STATE_TEXT, "{%s,\"former\":{%s}}", server_text(s, &st->now, now),
                 server_text(s, &st->former, former));
    else
        snprintf(text, STATE_TEXT, "{%s}", server_text(s, &st->now, now));
}

/* Bound to another host by now, which serves it. */
static bool handed_over(struct sync *s, const struct own_port *p, const struct port_state *old)
{
    const struct topo_port *port = topo_port(s->topo, p->port);

    return port->host != s->host && old->now.host == port->host && sync_serves(s, &old->now);
}

/* What the node shall say, in place of 'old'; false: it may stay as it is. */
static bool new_state(struct sync *s, const struct own_port *p, const struct port_state *old,
                      struct port_state *new)
{
    struct port_server other = old->now.host == s->host ? old->former : old->now;

    *new = (struct port_state){0};
    if (handed_over(s, p, old)) {
        new->now = old->now;
        return !p->up && old->former.host == s->host;
    }
    if (!p->up)
        return old->now.host == s->host;
    new->now = (struct port_server){s->host, p->key, s->inc};
    if (p->moving && other.host != s->host && sync_serves(s, &other))
        new->former = other;
    return true;
}

/* Says all of it, or (of a port that moves) that the node has to be read. */
static json_t *entry_of(struct sync *s, const struct own_port *p, const struct port_state *st)
{
    struct objects_active now = {
        .there = st->now.host != 0, .key = st->now.key, .inc = st->now.inc};
    char id[UUID_STRLEN];

    if (st->former.host || (now.there && st->now.host != topo_port(s->topo, p->port)->host))
        return json_pack("[s,s,s]", schema_types[ST_PORT].plural,
                         uuid_format(topo_id(s->topo, p->port), id), "s");
    if (now.there)
        now.host = *topo_id(s->topo, st->now.host);
    return objects_active_entry(topo_id(s->topo, p->port), &now);
}

/* What the port's last state has left to be told, perhaps, makes way for this one's. */
static void tell(struct port_commit *co, size_t i, const char *path, const struct store_value *v,
                 json_t *entry)
{
    struct store_op op = {.type = STORE_DELETE, .path = path, .version = v->version};

    if (co->crowded) {
        co->told[i] = json_dumps(entry, JSON_COMPACT);
        op.type = v->rc ? STORE_CREATE : STORE_SET;
        op.flags = v->rc ? STORE_PARENTS : 0;
        op.data = co->told[i];
        op.size = strlen(co->told[i]);
    }
    if (co->crowded || !v->rc)
        co->ops[co->n_ops++] = op;
    json_array_append_new(co->entries, entry);
}

/* An ephemeral node is its maker's: another host's is changed or makes way, so that it goes with
 * the host it names first. */
static void add_ops(struct sync *s, struct port_commit *co, size_t i, const struct batch *b)
{
    size_t at = 1 + 2 * i;
    const char *path = b->paths.v[at];
    const struct store_value *v = &b->values[at];
    const struct own_port *p = co->ports[i];
    char *text = co->texts[i];
    json_t *j = v->rc ? NULL : sync_json(s, "an active node", v);
    struct port_state old = sync_parse_port_state(s, j), new;
    bool change = new_state(s, p, &old, &new), set = new.now.host &&new.now.host != s->host;
    size_t before = co->n_ops;

    json_decref(j);
    if (!change)
        return;
    if (new.now.host)
        write_state(s, text, &new);
    if (!v->rc && (!new.now.host || strcmp(v->data, text) != 0))
        co->ops[co->n_ops++] = (struct store_op){.type = set ? STORE_SET : STORE_DELETE,
                                                 .path = path,
                                                 .version = v->version,
                                                 .data = text,
                                                 .size = strlen(text)};
    if (new.now.host && !set && (v->rc || co->n_ops > before))
        co->ops[co->n_ops++] = (struct store_op){.type = STORE_CREATE,
                                                 .flags = STORE_EPHEMERAL | STORE_PARENTS,
                                                 .path = path,
                                                 .data = text,
                                                 .size = strlen(text)};
    if (co->n_ops > before)
        tell(co, i, b->paths.v[at + 1], &b->values[at + 1], entry_of(s, p, &new));
}

static int try_ports(struct sync *s, struct port_commit *co, const struct device_item *d)
{
    char path[STORE_PATH_MAX];
    struct batch b;

    sync_batch_init(&b, s);
    objects_change_path(sync_type(&d->item), topo_id(s->topo, d->item.ref), path);
    sync_batch_add(&b, path);
    for (size_t i = 0; i < co->n_ports; i++) {
        const struct uuid *port = topo_id(s->topo, co->ports[i]->port);
        objects_state_path(ST_PORT, port, "active", path);
        sync_batch_add(&b, path);
        sync_tell_path(s, &d->item, port, path);
        sync_batch_add(&b, path);
    }
    co->entries = json_array();
    int rc = sync_batch_run(&b);
    /* In front: when a session has expired, its nodes are made again newest first. */
    if (!rc && s->host_due & STATE_ALIVE)
        rc = sync_state_add_alive(s, &co->alive);
    for (; co->n_ops < co->alive.n && !rc; co->n_ops++)
        co->ops[co->n_ops] = co->alive.ops[co->n_ops];
    for (size_t i = 0; i < co->n_ports && !rc && !b.values[0].rc; i++)
        add_ops(s, co, i, &b);
    if (!rc && co->n_ops > co->alive.n) {
        struct objects_bump bump = {0};
        if (!co->crowded)
            rc = objects_bump_make(s->db, sync_type(&d->item), topo_id(s->topo, d->item.ref),
                                   &b.values[0], co->entries, &bump);
        for (size_t i = 0; i < bump.n; i++)
            co->ops[co->n_ops++] = bump.ops[i];
        if (!rc)
            rc = sync_commit(s, co->ops, co->n_ops);
        if (!rc && co->alive.n)
            s->host_due &= ~(unsigned)STATE_ALIVE;
        objects_bump_free(&bump);
    }
    for (size_t i = 0; i < co->n_ports; i++) {
        if (!rc && co->told[i])
            sync_tell_later(s, d->item.ref, co->ports[i]->port);
        free(co->told[i]);
    }
    json_decref(co->entries);
    sync_batch_free(&b);
    return rc;
}

/* Who loses a race waits at random in a window that doubles, as Ethernet did; and then keeps out of
 * the way (is_crowded()). */
static void back_off(struct sync *s)
{
    s->own_conflicts = MIN(s->own_conflicts + 1, 9u);
    s->own_at =
        s->now + NSEC_PER_MSEC + sync_by_chance(s, 0, (4 * NSEC_PER_MSEC) << s->own_conflicts);
}

/* A device whose log others are writing, too.  But a host that comes back says that together with
 * its ports, in the log itself, as long as it waits for them. */
static int is_crowded(struct sync *s, const struct device_item *d)
{
    if (s->host_due & STATE_ALIVE)
        return 0;
    if (s->own_conflicts > 1 || (s->own_conflicts && d->n_ports >= SNAPSHOT_MIN))
        return 1;
    return d->n_ports >= SNAPSHOT_MIN ? sync_tell_crowded(s, &d->item) : 0;
}

int sync_serve_flush(struct sync *s)
{
    int rc = 0;

    while (s->n_own_due && !rc) {
        struct port_commit *co = NEW(struct port_commit);
        struct device_item *d = gather(s, co);
        if (d)
            rc = is_crowded(s, d);
        co->crowded = rc > 0;
        if (d && rc >= 0)
            rc = try_ports(s, co, d);
        for (size_t i = 0; i < co->n_ports && !rc; i++)
            own_done(s, co->ports[i]);
        free(co);
        if (!d)
            break;
    }
    if (sync_forestalled(rc)) {
        s->st.conflicts++;
        back_off(s);
        return 0;
    }
    s->own_conflicts = 0;
    return rc;
}

void sync_ports_told(struct sync *s)
{
    s->ports_told = true;
}
