#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "topology/sync_impl.h"

/* A thousand agents that start at once and use one bridge with two thousand ports would read four
 * thousand nodes each.  One of them does; it leaves a snapshot (objects.h), and the others read
 * that and what the log says has changed since.
 *
 *     /state/PLURAL/xx/UUID/building     ephemeral: the incarnation of the agent that is at it
 *
 * Who finds no snapshot of any use asks for this node.  Who doesn't get it waits and looks again;
 * when nothing has come of it for PATIENCE_NS the builder is taken to be stuck, and its place is
 * taken.  That two build at once does no harm. */

#define PATIENCE_NS (10 * NSEC_PER_SEC)
#define LOOK_NS     (100 * NSEC_PER_MSEC)

void sync_snapshot_free(struct snapshot *sn)
{
    objects_snapshot_free(&sn->copy);
    free(sn->changes);
    *sn = (struct snapshot){.copy.rev = -1};
}

int sync_snapshot_read(struct sync *s, const struct item *it, int64_t from, struct snapshot *out)
{
    enum schema_type_id type = sync_type(it);
    const struct uuid *id = topo_id(s->topo, it->ref);
    struct error e;

    *out = (struct snapshot){.copy.rev = -1};
    if (from <= 0)
        return 0;
    int rc = objects_snapshot_read(s->db, type, id, &out->copy, &e);
    if (rc || out->copy.rev < 0)
        return rc;
    int n = objects_changes(s->db, type, id, out->copy.rev, &out->rev, &out->changes, &e);
    if (n >= 0) {
        out->n_changes = (size_t)n;
        s->st.snapshots++;
        return 0;
    }
    sync_snapshot_free(out);
    return n == -ENOENT || n == -EOVERFLOW || n == -EINVAL ? 0 : n;
}

struct objects_copy *sync_snapshot_find(const struct snapshot *sn, const struct uuid *id)
{
    if (!sn->copy.n) /* and perhaps no array, which bsearch() wants */
        return NULL;
    return bsearch(id, sn->copy.copies, sn->copy.n, sizeof *sn->copy.copies, sync_by_id);
}

/* Whose turn it is */

static void building_path(struct sync *s, const struct item *it, char path[STORE_PATH_MAX])
{
    objects_state_path(sync_type(it), topo_id(s->topo, it->ref), "building", path);
}

static int take_place(struct sync *s, const char *path, const struct store_value *old)
{
    char text[17];
    struct store_op ops[2];
    size_t n = 0;

    snprintf(text, sizeof text, "%016" PRIx64, s->inc);
    if (!old->rc)
        ops[n++] = (struct store_op){.type = STORE_DELETE, .path = path, .version = old->version};
    ops[n++] = (struct store_op){.type = STORE_CREATE,
                                 .flags = STORE_EPHEMERAL | STORE_PARENTS,
                                 .path = path,
                                 .data = text,
                                 .size = strlen(text)};
    int rc = sync_commit(s, ops, n);
    return !rc ? 1 : sync_forestalled(rc) ? -EALREADY : rc;
}

int sync_snapshot_begin(struct sync *s, const struct item *it, struct snapshot_wait *w)
{
    char path[STORE_PATH_MAX];
    struct store_value v;

    if (!s->host)
        return 0;
    building_path(s, it, path);
    int rc = sync_get(s, path, &v);
    if (rc)
        return rc;
    uint64_t who = v.rc ? 0 : sync_parse_hex(v.data);
    if (!v.rc && who == s->inc) { /* ours: we didn't hear that we got it */
        rc = 1;
    } else if (v.rc) {
        rc = take_place(s, path, &v);
    } else if (!w->since || w->who != who) {
        *w = (struct snapshot_wait){.since = s->now, .who = who};
        rc = -EALREADY;
    } else {
        bool stuck = s->now - w->since > PATIENCE_NS + hash_u64(s->inc) % PATIENCE_NS;
        rc = stuck ? take_place(s, path, &v) : -EALREADY;
    }
    store_value_free(&v);
    if (rc == 1)
        w->since = 0;
    return rc;
}

void sync_snapshot_end(struct sync *s, const struct item *it)
{
    vec_add(&s->built, it->ref);
    sync_snapshot_flush(s);
}

/* Our session may be there for months: what it has left is taken away, if not now then later. */
int sync_snapshot_flush(struct sync *s)
{
    char path[STORE_PATH_MAX];
    int rc = 0;

    while (s->built.n && !rc) {
        const struct item *it = sync_item(s, s->built.v[s->built.n - 1]);
        struct store_value v = {0};
        if (it) {
            building_path(s, it, path);
            rc = sync_get(s, path, &v);
            if (!rc && !v.rc && sync_parse_hex(v.data) == s->inc)
                rc = store_delete(s->store, path, v.version, NULL);
            store_value_free(&v);
        }
        rc = sync_store_away(rc) ? rc : 0;
        s->built.n -= !rc;
    }
    return rc;
}

void sync_snapshot_write(struct sync *s, const struct item *it, const struct objects_snapshot *copy)
{
    char id[UUID_STRLEN];
    struct error e = {0};
    int rc = objects_snapshot_write(s->db, sync_type(it), topo_id(s->topo, it->ref), copy, &e);

    s->st.writes += !rc;
    log_debug("topology", "snapshot of %s %s, %zu objects: %s", schema_types[sync_type(it)].name,
              uuid_format(topo_id(s->topo, it->ref), id), copy->n, rc ? e.message : "written");
}

/* Items whose devices others are reading */

void sync_wait_for_snapshot(struct sync *s, struct item *it)
{
    uint64_t at = s->now + LOOK_NS + sync_by_chance(s, it->ref, LOOK_NS);

    it->queued = true;
    vec_add(&s->waiting, (struct waiting){it->ref, at});
}

void sync_look_for_snapshots(struct sync *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->waiting.n; i++) {
        struct waiting w = s->waiting.v[i];
        if (w.at <= s->now) {
            vec_add(&s->work, w.ref);
        } else {
            s->waiting.v[kept++] = w;
            sync_wants_run(s, w.at);
        }
    }
    s->waiting.n = kept;
}
