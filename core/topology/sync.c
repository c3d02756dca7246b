/* The loader's frame: open and close, and a run, which is all that ever happens in it.
 *
 * A run takes what the store and other threads have said, does a bounded part of what is due, and
 * tells its callers what has changed.  What each kind of object needs is done elsewhere
 * (sync_impl.h has the list).  Thread: the one that runs it. */
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "topology/sync_policy.h"
#include "topology/sync_table.h"

enum {
    ITEMS_PER_RUN = 64,
    EVENTS_PER_RUN = 4096,
};
#define STUCK_NS (1 * NSEC_PER_SEC) /* until what the store refuses is tried again */

int sync_open(struct store *store, struct topo *t, const struct sync_options *opts,
              const struct sync_callbacks *cb, struct sync **out, struct error *e)
{
    struct sync *s = NEW(struct sync);
    struct uuid inc;

    *out = NULL;
    s->store = store;
    s->topo = t;
    s->opt = *opts;
    s->cb = *cb;
    s->opt.flush_ns = opts->flush_ns ? opts->flush_ns : 20 * NSEC_PER_MSEC;
    s->opt.mac_idle_ns = opts->mac_idle_ns ? opts->mac_idle_ns : 120 * NSEC_PER_SEC;
    s->opt.neigh_stale_ns = opts->neigh_stale_ns ? opts->neigh_stale_ns : 60 * NSEC_PER_SEC;
    s->opt.neigh_expire_ns = opts->neigh_expire_ns ? opts->neigh_expire_ns : 90 * NSEC_PER_SEC;
    s->opt.learned_max = opts->learned_max ? opts->learned_max : 1u << 17;
    s->opt.jitter_ns = opts->jitter_ns ? opts->jitter_ns : 5 * NSEC_PER_SEC;
    s->opt.doubt_ns = opts->doubt_ns ? opts->doubt_ns : 15 * NSEC_PER_SEC;
    uuid_random(&inc);
    memcpy(&s->inc, &inc, sizeof s->inc);
    memcpy(&s->secret, inc.b + sizeof s->inc, sizeof s->secret);
    s->connected = true;
    s->db = objects_open(store);
    sync_inbox_init(s);
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};
    if (s->wake < 0 || s->fd < 0 || epoll_ctl(s->fd, EPOLL_CTL_ADD, s->wake, &ev) ||
        epoll_ctl(s->fd, EPOLL_CTL_ADD, store_event_fd(store), &ev)) {
        int rc = -errno;
        sync_close(s);
        return error_set(e, rc, NULL, NULL, "no event descriptor: %s", strerror(-rc));
    }
    if (!uuid_is_zero(&s->opt.host)) {
        s->host = topo_intern(t, TOPO_HOST, &s->opt.host);
        sync_due(s, sync_item_new(s, s->host, TOPO_HOST, sizeof(struct host_item)), DUE_LOAD);
    }
    *out = s;
    return 0;
}

void sync_close(struct sync *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_items; i++) {
        if (s->items[i])
            sync_item_free(s, s->items[i]);
    }
    sync_state_free(s);
    sync_alive_free(s);
    sync_tell_free(s);
    sync_inbox_free(s);
    objects_close(s->db);
    if (s->fd >= 0)
        close(s->fd);
    if (s->wake >= 0)
        close(s->wake);
    free(s->items);
    free(s->work.v);
    free(s->builds.v);
    free(s->stuck.v);
    free(s->waiting.v);
    free(s->built.v);
    free(s->missing.v);
    free(s->changes.v);
    free(s->loaded.v);
    free(s->bindings.v);
    free(s->zones.v);
    free(s->tables.v);
    free(s);
}

int sync_fd(struct sync *s)
{
    return s->fd;
}

static void take_change(struct sync *s, const struct store_event *ev)
{
    struct item *it = sync_item(s, (topo_ref)ev->tag);

    if (ev->tag >> 32 == WATCH_GROUP)
        sync_alive_due(s, (unsigned)ev->tag);
    if (ev->tag >> 32 == WATCH_GROUP || !it)
        return;
    switch (ev->tag >> 32) {
    case WATCH_CHANGE:
        sync_due(s, it, DUE_CHANGE);
        break;
    case WATCH_OBJECT:
        if (topo_get(s->topo, it->ref) && topo_get(s->topo, it->ref)->missing)
            sync_due(s, it, DUE_LOAD);
        break;
    case WATCH_ALIVE:
        sync_due(s, it, DUE_ALIVE);
        break;
    case WATCH_TABLE:
        sync_due(s, it, DUE_TABLE);
        break;
    }
}

static void take_events(struct sync *s)
{
    struct store_event ev;

    for (int i = 0; i < EVENTS_PER_RUN && store_next_event(s->store, &ev) > 0; i++) {
        switch (ev.type) {
        case STORE_EV_CHANGED:
            take_change(s, &ev);
            break;
        case STORE_EV_DISCONNECTED:
            sync_connection(s, false);
            break;
        case STORE_EV_RECONNECTED:
            sync_reconnected(s);
            break;
        }
    }
}

static int work_device(struct sync *s, struct device_item *d, unsigned due)
{
    int rc = 0;

    if (due & DUE_LOAD || !d->item.loaded)
        rc = sync_load_device(s, d);
    else if (due & DUE_CHANGE)
        rc = sync_change_device(s, d);
    if (!rc && due & DUE_TABLE)
        rc = sync_refresh_table(s, d);
    return rc;
}

static int work_host(struct sync *s, struct host_item *h, unsigned due)
{
    int rc = 0;

    if (h->item.ref == s->host && due & DUE_LOAD)
        rc = sync_load_own_host(s);
    else if (h->item.ref == s->host && due & DUE_CHANGE)
        rc = sync_change_own_host(s);
    else if (due & (DUE_LOAD | DUE_CHANGE))
        rc = sync_load_hosts(s, &h->item.ref, 1, NULL);
    if (!rc && due & DUE_ALIVE)
        rc = sync_host_alive(s, h);
    return rc;
}

static int work_one(struct sync *s, struct item *it, unsigned due)
{
    switch (it->kind) {
    case TOPO_BRIDGE:
    case TOPO_ROUTER:
        return work_device(s, (struct device_item *)it, due);
    case TOPO_PORT:
        return sync_load_port(s, (struct port_item *)it);
    case TOPO_HOST:
        return work_host(s, (struct host_item *)it, due);
    case ITEM_ZONE:
        return it->loaded && !(due & DUE_LOAD) ? sync_change_zone(s, (struct zone_item *)it)
                                               : sync_load_zone(s, (struct zone_item *)it);
    case TOPO_CHAIN:
        return sync_work_chain(s, (struct chain_item *)it, due);
    case TOPO_IP_GROUP:
        return sync_work_group(s, (struct group_item *)it, due);
    case TOPO_PORT_GROUP:
        return sync_load_port_group(s, (struct port_group_item *)it);
    case TOPO_MIRROR:
        return sync_load_mirror(s, it);
    case ITEM_QOS:
        return sync_work_qos(s, (struct qos_item *)it, due);
    case ITEM_LOGGING:
        return sync_work_logging(s, (struct logging_item *)it, due);
    default:
        return sync_load_other(s, it);
    }
}

/* Publishes the devices whose ports have changed. */
static void build(struct sync *s)
{
    for (size_t i = 0; i < s->builds.n; i++) {
        struct device_item *d = sync_device(s, s->builds.v[i]);
        if (!d || !(d->item.due & DUE_BUILD))
            continue;
        const struct topo_obj *o = topo_get(s->topo, d->item.ref);
        d->item.due &= (uint8_t)~DUE_BUILD;
        if (!d->item.loaded || !o || o->missing)
            continue;
        if (d->item.kind == TOPO_BRIDGE)
            sync_build_bridge(s, d, NULL);
        else
            sync_build_router(s, d, NULL, NULL);
    }
    s->builds.n = 0;
}

/* The store refuses something about this one; the others go on. */
static void stuck(struct sync *s, struct item *it, int rc)
{
    char id[UUID_STRLEN];

    log_limited(LOG_LVL_WARN, "topology", "%s %s can't be read: %s",
                schema_types[sync_type(it)].name, uuid_format(topo_id(s->topo, it->ref), id),
                strerror(-rc));
    if (!s->stuck.n)
        s->stuck_at = s->now + STUCK_NS;
    it->queued = true;
    sync_warm_end(s, it);
    vec_add(&s->stuck, it->ref);
}

static void try_stuck(struct sync *s)
{
    if (s->stuck.n && s->now >= s->stuck_at) {
        for (size_t i = 0; i < s->stuck.n; i++)
            vec_add(&s->work, s->stuck.v[i]);
        s->stuck.n = 0;
    }
    if (s->stuck.n)
        sync_wants_run(s, s->stuck_at);
}

bool sync_store_away(int rc)
{
    return rc == -ENOTCONN || rc == -ETIMEDOUT;
}

bool sync_forestalled(int rc)
{
    return rc == -ESTALE || rc == -EEXIST || rc == -ENOENT;
}

int sync_commit(struct sync *s, const struct store_op *ops, size_t n)
{
    s->st.writes++;
    return store_commit(s->store, ops, n, NULL, NULL);
}

static int work(struct sync *s)
{
    int rc = 0;

    for (int n = 0; s->work_at < s->work.n && !rc; n++) {
        struct item *it = sync_item(s, s->work.v[s->work_at]);
        unsigned due = it ? it->due & ~(unsigned)DUE_BUILD : 0;
        if (n >= ITEMS_PER_RUN || s->bindings_changed) { /* who waits for that can begin now */
            sync_wants_run(s, s->now);
            break;
        }
        s->work_at++;
        if (!it)
            continue;
        it->queued = false;
        it->due &= DUE_BUILD;
        rc = due ? work_one(s, it, due) : 0;
        if (!rc && it->warm)
            sync_warm_on(s, it);
        build(s);
        if (!rc)
            continue;
        /* 'it' lives on: only placeholders go, and they are whole. */
        it->due |= (uint8_t)due;
        if (rc == -EALREADY) {
            sync_wait_for_snapshot(s, it);
            rc = 0;
            continue;
        }
        if (sync_store_away(rc)) {
            sync_due(s, it, 0);
            break;
        }
        stuck(s, it, rc);
        rc = 0;
    }
    if (s->work_at == s->work.n)
        s->work.n = s->work_at = 0;
    return rc;
}

/* The store doesn't answer: later again, less and less often, not all agents at once. */
static void failed(struct sync *s, int rc)
{
    uint64_t wait = 100 * NSEC_PER_MSEC << MIN(s->failures, 6u);

    s->failures++;
    s->retry_at = s->now + wait / 2 + sync_by_chance(s, 0, wait / 2);
    log_limited(LOG_LVL_WARN, "topology", "the store fails: %s", strerror(-rc));
}

static void tell(struct sync *s)
{
    if (s->changes.n && s->cb.changed)
        s->cb.changed(s->cb.aux, s->changes.v, s->changes.n);
    s->changes.n = 0;
    if (s->loaded.n && s->cb.loaded)
        s->cb.loaded(s->cb.aux, s->loaded.v, s->loaded.n);
    s->loaded.n = 0;
    if (!s->bindings_changed)
        return;
    s->bindings_changed = false;
    struct sync_binding *b = NEW_ARRAY(s->bindings.n, struct sync_binding);
    for (size_t i = 0; i < s->bindings.n; i++) {
        b[i].id = s->bindings.v[i].id;
        b[i].port = topo_intern(s->topo, TOPO_PORT, &b[i].id);
        memcpy(b[i].ifname, s->bindings.v[i].ifname, sizeof b[i].ifname);
        b[i].previous = s->bindings.v[i].previous;
    }
    if (s->cb.bound)
        s->cb.bound(s->cb.aux, b, s->bindings.n);
    free(b);
}

uint64_t sync_run(struct sync *s, uint64_t now_ns)
{
    struct timespec wall;
    int rc = 0;

    if (!s->now) {
        clock_gettime(CLOCK_REALTIME, &wall);
        s->wall_offset =
            (int64_t)wall.tv_sec * (int64_t)NSEC_PER_SEC + wall.tv_nsec - (int64_t)now_ns;
    }
    s->now = now_ns;
    s->n_runs++;
    s->next = UINT64_MAX;
    take_events(s);
    sync_take_inbox(s);
    sync_compare(s);
    sync_resolve_doubts(s);
    try_stuck(s);
    sync_look_for_snapshots(s);
    sync_share_sweep(s);
    sync_sweep(s);
    if (now_ns >= s->retry_at && !(rc = sync_state_flush(s)) && !(rc = sync_tell_flush(s)) &&
        !(rc = sync_alive_flush(s)) && !(rc = sync_snapshot_flush(s)) && !(rc = work(s)) &&
        !(rc = sync_share_flush(s)))
        s->failures = 0;
    build(s);
    tell(s);
    if (s->doubts)
        sync_wants_run(s, s->doubt_until);
    if (rc)
        failed(s, rc);
    if (s->retry_at > now_ns)
        sync_wants_run(s, s->retry_at);
    return s->next;
}

int sync_settle(struct sync *s, unsigned timeout_ms, struct error *e)
{
    uint64_t until = clock_ns() + timeout_ms * NSEC_PER_MSEC;

    for (;;) {
        uint64_t now = clock_ns(), next = sync_run(s, now);
        if (!s->st.n_needs && s->work_at == s->work.n)
            return 0;
        if (now >= until)
            return error_set(e, -ETIMEDOUT, NULL, NULL, "the store does not answer");
        uint64_t wait = (MIN(next, until) - MIN(now, MIN(next, until))) / NSEC_PER_MSEC;
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (next > now)
            poll(&p, 1, (int)MIN(wait + 1, 1000u));
    }
}

topo_ref sync_load(struct sync *s, enum topo_kind kind, const struct uuid *id)
{
    topo_ref ref = topo_intern(s->topo, kind, id);

    sync_need(s, ref);
    return ref;
}

/* Asked for each second by each agent: costs as much as there are devices, not objects. */
void sync_status(const struct sync *s, struct sync_status *out)
{
    const struct objects_stats *os = objects_stats(s->db);

    *out = s->st;
    out->connected = s->connected;
    out->reads += os->reads;
    out->writes += os->commits;
    out->broken += os->broken;
    out->n_unshared = s->n_own_due + (uint32_t)s->telling.n;
    for (unsigned k = TOPO_NONE + 1; k < TOPO_N_KINDS; k++)
        out->n_objects[k] = topo_count(s->topo, (enum topo_kind)k);
    out->memory = sizeof *s + s->n_items * sizeof(struct item *) + s->items_memory;
    for (size_t i = 0; i < s->tables.n; i++) {
        const struct device_item *d = (const struct device_item *)s->items[s->tables.v[i]];
        out->memory += d->room * sizeof(topo_ref) + sync_table_memory(d->table);
        *(d->table->macs ? &out->n_macs : &out->n_neighs) += d->table->n_own;
        out->n_unshared += d->table->n_unwritten;
    }
}
