#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "topology/sync_impl.h"
#include "topology/sync_table.h"

enum { ENTRIES_MAX = 4096 /* believed of one chunk */ };

/* Chunks of other hosts */

static bool parse_name(const char *name, struct uuid *host, uint64_t *inc)
{
    char text[UUID_STRLEN], hex[17] = "";

    if (strlen(name) >= CHUNK_NAME || strlen(name) < 40 || name[36] != '.')
        return false;
    memcpy(text, name, 36);
    text[36] = '\0';
    size_t size = strcspn(name + 37, ".");
    if (size > 16)
        return false;
    memcpy(hex, name + 37, size);
    *inc = sync_parse_hex(hex);
    return !uuid_parse(text, host);
}

static void drop_chunk(struct sync *s, struct table *t, struct chunk *c)
{
    struct claim *claim, *next;

    DL_FOREACH_SAFE(c->claims, claim, next)
    sync_claim_drop(s, t, claim);
    HASH_DEL(t->chunks, c);
    free(c);
}

/* What an entry of a chunk says. */
struct entry {
    struct claim_key key;
    int64_t seq;
    topo_ref port;
    struct mac mac;
    uint64_t at;
};

static bool parse_mac_entry(struct sync *s, const json_t *j, struct entry *e)
{
    const char *mac = json_string_value(json_array_get(j, 1));
    const char *port = json_string_value(json_array_get(j, 2));
    json_int_t vlan = json_integer_value(json_array_get(j, 0));
    struct uuid id;
    struct mac m;

    if (!mac || !port || vlan < 0 || vlan > 4095 || mac_parse(mac, &m) || uuid_parse(port, &id))
        return false;
    e->key = sync_mac_key((uint16_t)vlan, &m);
    e->port = topo_intern(s->topo, TOPO_PORT, &id);
    e->seq = json_integer_value(json_array_get(j, 3));
    return e->seq >= 0;
}

static bool parse_neigh_entry(struct sync *s, const json_t *j, struct entry *e)
{
    const char *port = json_string_value(json_array_get(j, 0));
    const char *ip = json_string_value(json_array_get(j, 1));
    const char *mac = json_string_value(json_array_get(j, 2));
    int64_t learned_ms = MAX(json_integer_value(json_array_get(j, 3)), 0);
    struct uuid id;
    struct ip addr;

    if (!port || !ip || !mac || uuid_parse(port, &id) || ip_parse(ip, &addr) ||
        mac_parse(mac, &e->mac))
        return false;
    e->key = sync_neigh_key(topo_intern(s->topo, TOPO_PORT, &id), &addr);
    e->seq = json_integer_value(json_array_get(j, 4));
    /* Learned so long ago by the wall clock; clocks that disagree can't make it older than it may
     * get, nor younger than now. */
    int64_t wall_ms = ((int64_t)s->now + s->wall_offset) / (int64_t)NSEC_PER_MSEC;
    int64_t age = wall_ms > learned_ms ? wall_ms - learned_ms : 0;
    uint64_t age_ns = MIN((uint64_t)age, s->opt.neigh_expire_ns / NSEC_PER_MSEC) * NSEC_PER_MSEC;
    e->at = s->now - MIN(age_ns, s->now);
    return e->seq >= 0;
}

/* Whether a claim by revision 'seq' of another host comes after 'c'. */
static bool later(const struct claim *c, int64_t seq)
{
    return seq > (c->seq < 0 ? -c->seq - 1 : c->seq);
}

static void apply_entry(struct sync *s, struct table *t, struct chunk *chunk, const struct entry *e)
{
    struct claim *c = sync_claim_find(t, &e->key);

    if (c && c->chunk != chunk) {
        if (!later(c, e->seq))
            return;
        if (c->chunk->own)
            sync_share_lost(s, t, c->chunk);
    }
    c = sync_claim_take(t, &e->key, chunk);
    c->gen = chunk->gen;
    if (c->seq == e->seq && c->port == e->port && mac_equal(&c->mac, &e->mac))
        return;
    c->seq = e->seq;
    c->port = e->port;
    c->mac = e->mac;
    c->at = e->at;
    sync_table_set(s, t, &c->key, c);
}

static void apply_chunk(struct sync *s, struct table *t, struct chunk *chunk, const json_t *entries)
{
    struct claim *c, *next;

    chunk->gen++;
    for (size_t i = 0; i < MIN(json_array_size(entries), (size_t)ENTRIES_MAX); i++) {
        const json_t *j = json_array_get(entries, i);
        struct entry e = {0};
        if (t->macs ? parse_mac_entry(s, j, &e) : parse_neigh_entry(s, j, &e))
            apply_entry(s, t, chunk, &e);
        else
            s->st.broken++;
    }
    DL_FOREACH_SAFE(chunk->claims, c, next)
    {
        if (c->gen != chunk->gen)
            sync_claim_drop(s, t, c);
    }
}

static void set_chunk(struct sync *s, struct table *t, const char *name,
                      const struct store_value *v)
{
    struct chunk *c;
    struct uuid host;
    uint64_t inc;

    HASH_FIND_STR(t->chunks, name, c);
    if (!parse_name(name, &host, &inc) ||
        (inc == s->inc && uuid_equal(&host, &s->opt.host))) /* own */
        return;
    const struct host_item *h = sync_host_item(s, topo_find(s->topo, &host));
    if (h && sync_host_silent(s, h->item.ref))
        return; /* what it said last counts */
    if (v->rc || !h || !h->alive || h->inc != inc) {
        if (c)
            drop_chunk(s, t, c);
        return;
    }
    if (!c) {
        c = NEW(struct chunk);
        memcpy(c->name, name, strlen(name) + 1);
        c->host = h->item.ref;
        c->inc = inc;
        HASH_ADD_STR(t->chunks, name, c);
    }
    json_t *entries = sync_json(s, "a learned table", v);
    apply_chunk(s, t, c, entries);
    json_decref(entries);
}

typedef VEC(const char *) names;

/* The hosts that wrote them must be known before their chunks count. */
static int know_hosts(struct sync *s, const names *chunks)
{
    refs hosts = {0};
    struct uuid id;
    uint64_t inc;

    for (size_t i = 0; i < chunks->n; i++) {
        if (!parse_name(chunks->v[i], &id, &inc))
            continue;
        struct item *it = sync_item_new(s, topo_intern(s->topo, TOPO_HOST, &id), TOPO_HOST,
                                        sizeof(struct host_item));
        if (it && !it->loaded && !it->listed) {
            it->listed = true;
            vec_add(&hosts, it->ref);
        }
    }
    int rc = sync_load_hosts(s, hosts.v, hosts.n, NULL);
    for (size_t i = 0; i < hosts.n; i++)
        sync_item(s, hosts.v[i])->listed = false;
    free(hosts.v);
    return rc;
}

static int read_chunks(struct sync *s, struct table *t, const names *chunks)
{
    char path[STORE_PATH_MAX];
    struct batch b;
    int rc = know_hosts(s, chunks);

    sync_batch_init(&b, s);
    for (size_t i = 0; i < chunks->n; i++) {
        sync_table_path(s, t->device, chunks->v[i], path);
        sync_batch_add(&b, path);
    }
    if (!rc)
        rc = sync_batch_run(&b);
    for (size_t i = 0; i < chunks->n && !rc; i++)
        set_chunk(s, t, chunks->v[i], &b.values[i]);
    sync_batch_free(&b);
    return rc;
}

static int list_chunks(struct sync *s, struct table *t, struct store_names *out)
{
    char path[STORE_PATH_MAX];
    const char *p = path;
    int missing;

    sync_table_path(s, t->device, NULL, path);
    s->st.reads++;
    return store_children_many(s->store, &p, 1, out, &missing, NULL);
}

static int read_all_chunks(struct sync *s, struct table *t)
{
    struct store_names listed;
    struct chunk *c, *next;
    names wanted = {0};
    int rc = list_chunks(s, t, &listed);

    if (rc)
        return rc;
    for (size_t i = 0; i < listed.n; i++)
        vec_add(&wanted, listed.names[i]);
    rc = read_chunks(s, t, &wanted);
    HASH_ITER (hh, t->chunks, c, next) {
        bool there = c->own || rc || sync_host_silent(s, c->host);
        for (size_t i = 0; i < listed.n && !there; i++)
            there = !strcmp(listed.names[i], c->name);
        if (!there)
            drop_chunk(s, t, c);
    }
    free(wanted.v);
    store_names_free(&listed);
    return rc;
}

/* The log */

/* A log node's content; what makes no sense in it is left out. */
static void parse_log(struct sync *s, const char *path, const struct store_value *v,
                      struct table_log *out)
{
    json_t *j = sync_json(s, path, v), *log = json_object_get(j, "log");

    *out = (struct table_log){.rev = sync_body_int(j, "rev", 0, 0, INT64_MAX / 2),
                              .version = v->rc ? -1 : v->version};
    for (size_t i = 0; i < json_array_size(log) && out->n < LOG_MAX; i++) {
        const json_t *e = json_array_get(log, i);
        const char *name = json_string_value(json_array_get(e, 1));
        if (!name || strlen(name) >= CHUNK_NAME)
            continue;
        out->entries[out->n].rev = json_integer_value(json_array_get(e, 0));
        memcpy(out->entries[out->n++].name, name, strlen(name) + 1);
    }
    json_decref(j);
}

/* The chunks written after 'since'; false when the log doesn't reach back so far. */
static bool since(const struct table_log *log, int64_t rev, names *out)
{
    int64_t reached = log->rev + 1;

    for (unsigned i = 0; i < log->n && log->entries[i].rev > rev; i++) {
        bool twice = false;
        reached = log->entries[i].rev;
        for (size_t j = 0; j < out->n && !twice; j++)
            twice = !strcmp(out->v[j], log->entries[i].name);
        if (!twice)
            vec_add(out, log->entries[i].name);
    }
    return reached <= rev + 1;
}

int sync_table_catch_up(struct sync *s, struct table *t)
{
    char path[STORE_PATH_MAX];
    struct table_log log;
    struct store_value v;
    names changed = {0};

    sync_table_path(s, t->device, NULL, path);
    int rc = sync_get(s, path, &v);
    if (rc)
        return rc;
    parse_log(s, path, &v, &log);
    store_value_free(&v);
    if (!t->loaded || log.rev < t->log.rev || !since(&log, t->log.rev, &changed))
        rc = read_all_chunks(s, t);
    else
        rc = read_chunks(s, t, &changed);
    free(changed.v);
    if (!rc) {
        t->log = log;
        t->loaded = true;
    }
    return rc;
}

/* Of a host that has come since the chunks were listed last, in this life. */
static bool is_news(struct sync *s, const char *name)
{
    const struct host_item *h;
    struct uuid host;
    uint64_t inc;

    if (!parse_name(name, &host, &inc))
        return false;
    h = sync_host_item(s, topo_find(s->topo, &host));
    return h && h->item.listed && inc == h->inc;
}

static void mark(struct sync *s, const struct table *t, bool on)
{
    for (size_t i = 0; i < t->came.n; i++) {
        if (sync_item(s, t->came.v[i]))
            sync_item(s, t->came.v[i])->listed = on;
    }
}

/* Reads what hosts, back or new, have learned; what they don't say any more goes. */
static int read_news(struct sync *s, struct table *t)
{
    struct store_names listed;
    struct chunk *c, *next;
    names wanted = {0};
    int rc = list_chunks(s, t, &listed);

    if (rc)
        return rc;
    mark(s, t, true);
    for (size_t n = 0; n < listed.n; n++) {
        if (is_news(s, listed.names[n]))
            vec_add(&wanted, listed.names[n]);
    }
    HASH_ITER (hh, t->chunks, c, next) {
        bool there = c->own || !sync_item(s, c->host)->listed;
        for (size_t i = 0; i < wanted.n && !there; i++)
            there = !strcmp(wanted.v[i], c->name);
        if (!there)
            drop_chunk(s, t, c);
    }
    mark(s, t, false);
    rc = read_chunks(s, t, &wanted);
    t->came.n = rc ? t->came.n : 0;
    free(wanted.v);
    store_names_free(&listed);
    return rc;
}

int sync_refresh_table(struct sync *s, struct device_item *d)
{
    struct table *t = sync_table(s, d);
    char path[STORE_PATH_MAX];
    int rc = 0;

    if (!t->watched) {
        sync_table_path(s, d, NULL, path);
        rc = sync_watch(s, path, WATCH_TABLE, d->item.ref);
        t->watched = !rc;
    }
    if (!rc)
        rc = sync_table_catch_up(s, t);
    return rc || !t->came.n ? rc : read_news(s, t);
}

void sync_tables_of_host(struct sync *s, const struct host_item *h)
{
    if (!h->alive || h->item.ref == s->host)
        return;
    for (size_t i = 0; i < s->tables.n; i++) {
        struct table *t = sync_device(s, s->tables.v[i])->table;
        if (!t->loaded || t->log.version < 0) /* nobody has learned anything yet */
            continue;
        vec_add(&t->came, h->item.ref);
        sync_due(s, &t->device->item, DUE_TABLE);
    }
}
