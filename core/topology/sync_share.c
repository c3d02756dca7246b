#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "topology/sync_impl.h"
#include "topology/sync_table.h"

enum {
    CHUNK_FULL = 64,       /* entries of a chunk: what one change rewrites */
    CHUNKS_PER_COMMIT = 16 /* whole commits must fit the log */
};

static struct chunk *open_chunk(struct sync *s, struct table *t)
{
    char host[UUID_STRLEN];

    if (t->open && t->open->n < CHUNK_FULL)
        return t->open;
    struct chunk *c = NEW(struct chunk);
    snprintf(c->name, sizeof c->name, "%s.%016" PRIx64 ".%u", uuid_format(&s->opt.host, host),
             s->inc, s->next_chunk++);
    c->host = s->host;
    c->inc = s->inc;
    c->own = true;
    HASH_ADD_STR(t->chunks, name, c);
    return t->open = c;
}

static void chunk_due(struct sync *s, struct table *t, struct chunk *c)
{
    c->due = true;
    if (!t->due) {
        t->due = true; /* the first of a burst at once: somebody's first packet waits for it */
        t->flush_at = MAX(s->now, t->flushed_at + s->opt.flush_ns);
    }
    sync_wants_run(s, t->flush_at);
}

void sync_share_lost(struct sync *s, struct table *t, struct chunk *own)
{
    chunk_due(s, t, own);
    if (own->n < CHUNK_FULL / 4 && t->open != own && (!t->open || t->open->n > own->n))
        t->open = own;
}

void sync_share_forget(struct sync *s, struct table *t, struct claim *c)
{
    struct chunk *own = c->chunk;

    sync_claim_drop(s, t, c);
    sync_share_lost(s, t, own);
}

/* Makes the key this host's claim, to be written with the next flush. */
static struct claim *claim_own(struct sync *s, struct table *t, const struct claim_key *key,
                               uint64_t at)
{
    struct claim *c = sync_claim_find(t, key);
    bool own = c && c->chunk->own;

    if (!own)
        c = sync_claim_take(t, key, open_chunk(s, t));
    t->n_unwritten += !own || c->seq >= 0;
    c->seq = -t->log.rev - 1;
    c->at = at;
    chunk_due(s, t, c->chunk);
    return c;
}

static struct table *table_of(struct sync *s, topo_ref device, uint8_t kind)
{
    struct device_item *d = sync_device(s, device);

    return d && d->item.kind == kind && d->item.loaded && s->host ? d->table : NULL;
}

void sync_share_mac(struct sync *s, const struct said *w)
{
    struct table *t = table_of(s, w->device, TOPO_BRIDGE);
    struct claim_key key = sync_mac_key(w->vlan, &w->mac);

    if (w->news)
        sync_changed(s, tag_bridge_mac(w->device, w->vlan, &w->mac));
    if (!t)
        return;
    struct claim *c = sync_claim_find(t, &key);
    if (c && c->chunk->own && c->port == w->port) {
        c->at = w->at;
        return;
    }
    c = claim_own(s, t, &key, w->at);
    c->port = w->port;
    sync_table_set(s, t, &key, c);
}

void sync_share_neigh(struct sync *s, const struct said *w)
{
    struct table *t = table_of(s, w->device, TOPO_ROUTER);
    struct claim_key key = sync_neigh_key(w->port, &w->ip);

    if (w->news)
        sync_changed(s, tag_neigh(w->port, &w->ip));
    if (!t)
        return;
    struct claim *c = sync_claim_find(t, &key);
    if (c && mac_equal(&c->mac, &w->mac) && w->at < c->at + s->opt.neigh_stale_ns) {
        sync_table_set(s, t, &key, c);
        return;
    }
    c = claim_own(s, t, &key, w->at);
    c->mac = w->mac;
    sync_table_set(s, t, &key, c);
}

void sync_share_forget_port(struct sync *s, topo_ref port)
{
    const struct port_item *p = sync_port(s, port);
    struct table *t = p ? table_of(s, p->device, TOPO_BRIDGE) : NULL;
    struct claim *c, *next;

    if (!t)
        return;
    HASH_ITER (hh, t->claims, c, next) {
        if (c->chunk->own && c->port == port)
            sync_share_forget(s, t, c);
    }
}

/* The host that claims it can't say whether it is still so.  A neighbour is kept, but stale:
 * whoever uses it asks, and its host, which gets the answer, keeps it too.  What is behind a port
 * that isn't anywhere any more goes. */
static void keep_unheard(struct sync *s, struct table *t, struct claim *c)
{
    topo_ref ref = t->macs ? c->port : (topo_ref)c->key.port;
    const struct topo_port *port = topo_port(s->topo, ref);

    if (port && (port->obj.missing || (t->macs && !topo_port_exterior(port)))) {
        sync_claim_drop(s, t, c);
    } else if (t->neighs && s->now >= s->opt.neigh_stale_ns) {
        c->at = MAX(c->at, s->now - s->opt.neigh_stale_ns);
        sync_table_set(s, t, &c->key, c);
    }
}

static bool unheard(struct sync *s, const struct chunk *c)
{
    return !c->own && (!s->connected || sync_host_silent(s, c->host));
}

static bool any_unheard(struct sync *s, const struct table *t)
{
    for (const struct chunk *c = t->chunks; c; c = c->hh.next)
        if (unheard(s, c))
            return true;
    return false;
}

static void expire(struct sync *s, struct table *t)
{
    uint64_t life = t->macs ? s->opt.mac_idle_ns : s->opt.neigh_expire_ns;
    struct claim *c, *next;

    if (!t->n_own && !any_unheard(s, t))
        return;
    HASH_ITER (hh, t->claims, c, next) {
        if (c->chunk->own && c->at + life <= s->now)
            sync_share_forget(s, t, c);
        else if (unheard(s, c->chunk))
            keep_unheard(s, t, c);
    }
}

void sync_share_sweep(struct sync *s)
{
    if (s->now >= s->sweep_at) {
        s->sweep_at = s->now + MIN(s->opt.mac_idle_ns, s->opt.neigh_expire_ns) / 8;
        for (size_t i = 0; i < s->tables.n; i++)
            expire(s, sync_device(s, s->tables.v[i])->table);
    }
    if (s->tables.n)
        sync_wants_run(s, s->sweep_at);
}

/* Writing */

struct commit {
    struct chunk *chunks[CHUNKS_PER_COMMIT];
    struct strbuf texts[CHUNKS_PER_COMMIT];
    struct store_op ops[1 + CHUNKS_PER_COMMIT];
    char paths[1 + CHUNKS_PER_COMMIT][STORE_PATH_MAX];
    unsigned n;
    struct table_log log;
    struct strbuf log_text;
};

static void write_chunk(struct sync *s, const struct table *t, const struct chunk *chunk,
                        int64_t rev, struct strbuf *sb)
{
    char port[UUID_STRLEN], mac[MAC_STRLEN], ip[IP_STRLEN];
    const struct claim *c;
    const char *comma = "";

    sb_add(sb, "[");
    DL_FOREACH (chunk->claims, c) {
        int64_t seq = c->seq < 0 ? rev : c->seq;
        if (t->macs) {
            struct mac m;
            for (unsigned i = 0; i < 6; i++)
                m.b[i] = (uint8_t)(c->key.a >> (56 - 8 * i));
            uuid_format(topo_id(s->topo, c->port), port);
            sb_printf(sb, "%s[%u,\"%s\",\"%s\",%" PRId64 "]", comma, (unsigned)(c->key.a & 0xffff),
                      mac_format(&m, mac), port, seq);
        } else {
            struct ip addr = {.q = {c->key.a, c->key.b}};
            int64_t ms = ((int64_t)c->at + s->wall_offset) / (int64_t)NSEC_PER_MSEC;
            uuid_format(topo_id(s->topo, (topo_ref)c->key.port), port);
            sb_printf(sb, "%s[\"%s\",\"%s\",\"%s\",%" PRId64 ",%" PRId64 "]", comma, port,
                      ip_format(&addr, ip), mac_format(&c->mac, mac), ms, seq);
        }
        comma = ",";
    }
    sb_add(sb, "]");
}

static void add_op(struct commit *co, enum store_op_type type, unsigned flags, int64_t version,
                   const struct strbuf *text)
{
    co->ops[co->n] = (struct store_op){.type = type,
                                       .flags = flags,
                                       .path = co->paths[co->n],
                                       .data = text ? sb_str(text) : NULL,
                                       .size = text ? text->size : 0,
                                       .version = version};
    co->n++;
}

/* The log as it will be: the new entries in front, the oldest commits cut off whole. */
static void next_log(struct commit *co, const struct table *t, unsigned n_chunks)
{
    const struct table_log *old = &t->log;
    struct table_log *log = &co->log;
    unsigned keep = 0;

    log->rev = old->rev + 1;
    log->version = old->version + 1;
    for (unsigned i = 0; i < n_chunks; i++) {
        log->entries[log->n].rev = log->rev;
        memcpy(log->entries[log->n++].name, co->chunks[i]->name, CHUNK_NAME);
    }
    for (unsigned i = 0; i < old->n; i++) {
        if (i + 1 == old->n || old->entries[i + 1].rev != old->entries[i].rev)
            keep = n_chunks + i + 1 <= LOG_MAX ? i + 1 : keep;
    }
    memcpy(log->entries + log->n, old->entries, keep * sizeof old->entries[0]);
    log->n += keep;
    sb_printf(&co->log_text, "{\"rev\":%" PRId64 ",\"log\":[", log->rev);
    for (unsigned i = 0; i < log->n; i++)
        sb_printf(&co->log_text, "%s[%" PRId64 ",\"%s\"]", i ? "," : "", log->entries[i].rev,
                  log->entries[i].name);
    sb_add(&co->log_text, "]}");
}

/* 0 chunks: nothing to write. */
static unsigned prepare(struct sync *s, struct table *t, struct commit *co)
{
    struct chunk *c, *next;
    unsigned n = 0;

    HASH_ITER (hh, t->chunks, c, next) {
        if (n == CHUNKS_PER_COMMIT || !c->own || !c->due)
            continue;
        if (!c->n && !c->created) { /* came and went between two flushes */
            if (t->open == c)
                t->open = NULL;
            HASH_DEL(t->chunks, c);
            free(c);
            continue;
        }
        co->chunks[n++] = c;
    }
    if (!n)
        return 0;
    next_log(co, t, n);
    sync_table_path(s, t->device, NULL, co->paths[0]);
    if (t->log.version < 0)
        add_op(co, STORE_CREATE, STORE_PARENTS, 0, &co->log_text);
    else
        add_op(co, STORE_SET, 0, t->log.version, &co->log_text);
    for (unsigned i = 0; i < n; i++) {
        c = co->chunks[i];
        sync_table_path(s, t->device, c->name, co->paths[co->n]);
        write_chunk(s, t, c, co->log.rev, &co->texts[i]);
        if (!c->n)
            add_op(co, STORE_DELETE, 0, STORE_ANY, NULL);
        else if (c->created)
            add_op(co, STORE_SET, 0, STORE_ANY, &co->texts[i]);
        else
            add_op(co, STORE_CREATE, STORE_EPHEMERAL, 0, &co->texts[i]);
    }
    return n;
}

static void written(struct table *t, struct commit *co, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct chunk *c = co->chunks[i];
        struct claim *claim;
        c->due = false;
        c->created = true;
        DL_FOREACH (c->claims, claim) {
            t->n_unwritten -= claim->seq < 0;
            claim->seq = claim->seq < 0 ? co->log.rev : claim->seq;
        }
        if (c->n)
            continue;
        if (t->open == c)
            t->open = NULL;
        HASH_DEL(t->chunks, c);
        free(c);
    }
    t->log = co->log;
    t->conflicts = 0;
}

/* Another writer was first, or a chunk is not what we thought: 0 to try again. */
static int refused(struct sync *s, struct table *t, struct commit *co, int rc, int failed)
{
    if (sync_store_away(rc))
        return rc;
    if (!sync_forestalled(rc)) {
        log_limited(LOG_LVL_WARN, "topology", "a learned table can't be written: %s",
                    strerror(-rc));
        t->flush_at = s->now + NSEC_PER_SEC;
        return 0;
    }
    s->st.conflicts++;
    if (failed > 0) {
        co->chunks[failed - 1]->created = rc == -EEXIST;
        if (t->conflicts++ < 4)
            return 0;
    }
    t->conflicts = MIN(t->conflicts + 1, 8u);
    t->flush_at = s->now + NSEC_PER_MSEC + sync_by_chance(s, 0, NSEC_PER_MSEC << t->conflicts);
    return sync_table_catch_up(s, t);
}

static int flush(struct sync *s, struct table *t)
{
    struct commit *co = NEW(struct commit);
    int failed = -1, rc = 0;
    unsigned n = prepare(s, t, co);

    t->flushed_at = s->now;
    if (n) {
        s->st.writes++;
        rc = store_commit(s->store, co->ops, co->n, &failed, NULL);
        if (!rc)
            written(t, co, n);
        else
            rc = refused(s, t, co, rc, failed);
    } else {
        t->due = false;
    }
    for (unsigned i = 0; i < n; i++)
        sb_free(&co->texts[i]);
    sb_free(&co->log_text);
    free(co);
    return rc;
}

void sync_share_spread(struct sync *s, uint64_t ns)
{
    for (size_t i = 0; i < s->tables.n; i++) {
        struct table *t = sync_device(s, s->tables.v[i])->table;
        if (t->due)
            t->flush_at = s->now + sync_by_chance(s, s->tables.v[i] + 1, ns);
    }
    s->own_at = s->now + (s->n_own_due ? sync_by_chance(s, 0, ns) : 0);
}

int sync_share_flush(struct sync *s)
{
    int rc = 0;

    for (size_t i = 0; i < s->tables.n && !rc; i++) {
        struct table *t = sync_device(s, s->tables.v[i])->table;
        if (s->host_due || !t->loaded)
            continue;
        while (t->due && t->flush_at <= s->now && !rc)
            rc = flush(s, t);
        if (t->due)
            sync_wants_run(s, t->flush_at);
    }
    return rc;
}
