#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "state/ports_impl.h"

static const char *const state_words[] = {
    [USED_HELD] = "held", [USED_RELEASED] = "released", [USED_LOST] = "lost"};

enum { NODE_SIZE = 192 };

static void folder_of(const struct uuid *device, const struct ip *ip, char path[STORE_PATH_MAX])
{
    char id[UUID_STRLEN], text[IP_STRLEN];

    uuid_format(device, id);
    snprintf(path, STORE_PATH_MAX, "/nat/%.2s/%s/%s", id, id, ip_format(ip, text));
}

static void node_of(const char *folder, const char *what, unsigned block, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "%.300s/%s/%u", folder, what, block);
}

static struct store_op operation(enum store_op_type type, unsigned flags, const char *path,
                                 const char *data, int64_t version)
{
    return (struct store_op){.type = type,
                             .flags = flags,
                             .path = path,
                             .data = data,
                             .size = data ? strlen(data) : 0,
                             .version = version};
}

static const char *lessee(const struct ports *p, char out[NODE_SIZE])
{
    char id[UUID_STRLEN];

    snprintf(out, NODE_SIZE, "{\"host\":\"%s\",\"inc\":\"%016" PRIx64 "\"}",
             uuid_format(&p->opt.host, id), p->inc);
    return out;
}

static const char *used_text(const struct uuid *host, enum used_state state, uint64_t at_ms,
                             char out[NODE_SIZE])
{
    char id[UUID_STRLEN];

    snprintf(out, NODE_SIZE, "{\"host\":\"%s\",\"state\":\"%s\",\"at\":%" PRIu64 "}",
             uuid_format(host, id), state_words[state], at_ms);
    return out;
}

/* Whatever another process wrote there: what isn't understood counts as held by nobody known, and
 * so has to rest before it is used. */
static struct uuid parse_host(const json_t *j)
{
    const char *host = json_string_value(json_object_get(j, "host"));
    struct uuid id = uuid_zero;

    if (host)
        uuid_parse(host, &id);
    return id;
}

static struct used parse_used(const struct ports *p, unsigned block, const struct store_value *v)
{
    json_t *j = json_loadb(v->data, v->size, 0, NULL);
    const char *state = json_string_value(json_object_get(j, "state"));
    json_int_t at = json_integer_value(json_object_get(j, "at"));
    struct uuid host = parse_host(j);
    struct used u = {.block = (uint16_t)block,
                     .own = uuid_equal(&host, &p->opt.host),
                     .host = host,
                     .at_ms = at > 0 ? (uint64_t)at : 0,
                     .version = v->version};

    for (unsigned i = 0; state && i < ARRAY_SIZE(state_words); i++) {
        if (!strcmp(state, state_words[i]))
            u.state = (uint8_t)i;
    }
    json_decref(j);
    return u;
}

/* A node "taken": whether it is this host's, and of this life. */
static void parse_taken(const struct ports *p, const struct store_value *v, bool *own, bool *now)
{
    json_t *j = json_loadb(v->data, v->size, 0, NULL);
    const char *inc = json_string_value(json_object_get(j, "inc"));
    struct uuid host = parse_host(j);

    *own = uuid_equal(&host, &p->opt.host);
    *now = *own && inc && strtoull(inc, NULL, 16) == p->inc;
    json_decref(j);
}

static void add_names(const struct store_names *names, struct blocks *out)
{
    for (size_t i = 0; i < names->n; i++) {
        char *end;
        unsigned long b = strtoul(names->names[i], &end, 10);
        if (!*end && b < STATE_BLOCKS)
            blocks_set(out, (unsigned)b, true);
    }
}

/* The blocks that are leased, and those that ever were: out[0] and out[1]. */
int ports_list(struct ports *p, const char *folder, struct blocks *out, bool *some)
{
    char paths[2][STORE_PATH_MAX];
    const char *const list[] = {paths[0], paths[1]};
    struct store_names names[2];
    int rcs[2];

    memset(out, 0, 2 * sizeof *out);
    snprintf(paths[0], sizeof paths[0], "%.300s/taken", folder);
    snprintf(paths[1], sizeof paths[1], "%.300s/used", folder);
    int rc = store_children_many(p->store, list, 2, names, rcs, NULL);
    if (rc)
        return rc;
    *some = names[0].n || names[1].n;
    for (unsigned i = 0; i < 2; i++) {
        add_names(&names[i], &out[i]);
        store_names_free(&names[i]);
    }
    return 0;
}

/* Reads PREFIX/BLOCK of all in 'which'. */
static int read_blocks(struct ports *p, const char *folder, const char *what,
                       const struct blocks *which, uint16_t *blocks, struct store_value **values,
                       unsigned *n)
{
    const char *paths[STATE_BLOCKS];
    int rc = 0;

    *n = 0;
    *values = NULL;
    for (unsigned b = 0; b < STATE_BLOCKS; b++) {
        if (!blocks_has(which, b))
            continue;
        blocks[*n] = (uint16_t)b;
        paths[(*n)++] = mem_printf("%s/%s/%u", folder, what, b);
    }
    if (*n) {
        *values = NEW_ARRAY(*n, struct store_value);
        rc = store_get_many(p->store, paths, *n, *values, NULL);
    }
    for (unsigned i = 0; i < *n; i++)
        free((char *)(uintptr_t)paths[i]);
    if (rc) {
        free(*values);
        *values = NULL;
        *n = 0;
    }
    return rc;
}

static void free_values(struct store_value *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!values[i].rc)
            store_value_free(&values[i]);
    }
    free(values);
}

int ports_read_used(struct ports *p, const char *folder, const struct blocks *which,
                    struct used *out, unsigned *n)
{
    uint16_t blocks[STATE_BLOCKS];
    struct store_value *values;
    unsigned n_values;
    int rc = read_blocks(p, folder, "used", which, blocks, &values, &n_values);

    *n = 0;
    for (unsigned i = 0; i < n_values; i++) {
        if (!values[i].rc)
            out[(*n)++] = parse_used(p, blocks[i], &values[i]);
    }
    free_values(values, n_values);
    return rc;
}

/* Sets a mark on a block that nobody has: whether that is so is checked by the same commit (by a
 * node made and unmade), for the lists that were read are of two moments, and a mark on a block
 * that is in use would be old when its lessee dies. */
static int set_mark(struct ports *p, const char *folder, const struct used *u, const char *data)
{
    char taken[STORE_PATH_MAX], used[STORE_PATH_MAX];

    node_of(folder, "taken", u->block, taken);
    node_of(folder, "used", u->block, used);
    const struct store_op ops[] = {
        operation(STORE_CREATE, STORE_PARENTS, taken, "", STORE_ANY),
        operation(STORE_DELETE, 0, taken, NULL, STORE_ANY),
        operation(STORE_SET, 0, used, data, u->version),
    };
    return store_commit(p->store, ops, ARRAY_SIZE(ops), NULL, NULL);
}

/* The free block that says "held" was: from now on it rests.  Somebody else's mark is as good. */
int ports_mark_lost(struct ports *p, const char *folder, struct used *u, unsigned n,
                    uint64_t wall_ms)
{
    char data[NODE_SIZE];

    for (unsigned i = 0; i < n; i++) {
        bool ahead =
            u[i].state == USED_LOST && u[i].at_ms > wall_ms + p->opt.quarantine_ns / 1000000;
        if (u[i].state != USED_HELD && !ahead)
            continue;
        used_text(&u[i].host, USED_LOST, wall_ms, data);
        int rc = set_mark(p, folder, &u[i], data);
        if (rc && rc != -ESTALE && rc != -ENOENT && rc != -EEXIST)
            return rc;
        u[i].state = USED_LOST;
        u[i].at_ms = wall_ms;
    }
    return 0;
}

static const struct used *used_of(const struct used *used, unsigned n, unsigned block)
{
    for (unsigned i = 0; i < n; i++) {
        if (used[i].block == block)
            return &used[i];
    }
    return NULL;
}

/* All of them, or none with -EEXIST: also when one isn't any more what used[] says, or was never
 * used and is by now, by somebody who may have died since. */
static int take(struct ports *p, const char *folder, const uint16_t *blocks, unsigned n,
                const struct used *before, unsigned n_before, uint64_t wall_ms)
{
    char taken[MOST_AT_ONCE][STORE_PATH_MAX], used[MOST_AT_ONCE][STORE_PATH_MAX];
    char who[NODE_SIZE], what[NODE_SIZE];
    struct store_op ops[2 * MOST_AT_ONCE];

    lessee(p, who);
    used_text(&p->opt.host, USED_HELD, wall_ms, what);
    for (unsigned i = 0; i < n; i++) {
        node_of(folder, "taken", blocks[i], taken[i]);
        node_of(folder, "used", blocks[i], used[i]);
        ops[2 * i] =
            operation(STORE_CREATE, STORE_EPHEMERAL | STORE_PARENTS, taken[i], who, STORE_ANY);
        const struct used *u = used_of(before, n_before, blocks[i]);
        ops[2 * i + 1] = u ? operation(STORE_SET, 0, used[i], what, u->version)
                           : operation(STORE_CREATE, STORE_PARENTS, used[i], what, STORE_ANY);
    }
    int rc = store_commit(p->store, ops, 2 * n, NULL, NULL);
    return rc == -ESTALE || rc == -ENOENT ? -EEXIST : rc;
}

/* After a commit of unknown outcome: nodes of this life that we don't count as ours are. */
static int claim_unsure(struct ports *p, struct address *a, const char *folder,
                        const struct blocks *taken, uint64_t now)
{
    uint16_t blocks[STATE_BLOCKS];
    struct blocks others = *taken;
    struct store_value *values;
    unsigned n;

    for (unsigned i = 0; i < a->n; i++)
        blocks_set(&others, a->leases[i].block, false);
    int rc = read_blocks(p, folder, "taken", &others, blocks, &values, &n);
    for (unsigned i = 0; i < n; i++) {
        bool own = false, this_life = false;
        if (!values[i].rc)
            parse_taken(p, &values[i], &own, &this_life);
        if (this_life)
            address_add(p, a, blocks[i], now);
    }
    free_values(values, n);
    a->unsure = rc != 0;
    return rc;
}

static unsigned how_many(struct address *a, uint64_t now)
{
    bool again = a->last_ns && now - a->last_ns < 1000000000ull;

    return again ? MIN(MAX(a->burst, 1u) * 2, (unsigned)MOST_AT_ONCE) : 1;
}

static int try_once(struct ports *p, struct address *a, const struct need *n, uint64_t now,
                    uint64_t wall_ms, unsigned want, unsigned *n_got)
{
    unsigned first = n->port / STATE_BLOCK, last = n->port_to / STATE_BLOCK, n_used = 0, k;
    struct used used[STATE_BLOCKS];
    uint16_t chosen[MOST_AT_ONCE];
    char folder[STORE_PATH_MAX];
    struct blocks b[2];
    bool some;

    folder_of(&a->device_id, &a->key.ip, folder);
    int rc = ports_list(p, folder, b, &some);
    if (!rc && a->unsure)
        rc = claim_unsure(p, a, folder, &b[0], now);
    if (rc)
        return rc;
    uint64_t quarantine = p->opt.quarantine_ns / 1000000;
    k = ports_choose(&b[0], &b[1], NULL, 0, first, last, wall_ms, quarantine, ++p->dice, want,
                     chosen);
    if (!k) {
        struct blocks free_ones;
        for (unsigned i = 0; i < BLOCK_WORDS; i++)
            free_ones.w[i] = b[1].w[i] & ~b[0].w[i];
        rc = ports_read_used(p, folder, &free_ones, used, &n_used);
        if (!rc)
            rc = ports_mark_lost(p, folder, used, n_used, wall_ms);
        if (rc)
            return rc;
        k = ports_choose(&b[0], &b[1], used, n_used, first, last, wall_ms, quarantine, p->dice, 1,
                         chosen);
    }
    if (!k)
        return -ENOSPC;
    rc = take(p, folder, chosen, k, used, n_used, wall_ms);
    for (unsigned i = 0; i < k && !rc; i++)
        address_add(p, a, chosen[i], now);
    *n_got = rc ? 0 : k;
    a->unsure |= rc == -ENOTCONN || rc == -ETIMEDOUT;
    return rc;
}

int ports_lease(struct ports *p, const struct need *n, uint64_t now, uint64_t wall_ms,
                unsigned *n_got)
{
    struct address *a = ports_address(p, n->device, &n->ip, true);
    unsigned want = how_many(a, now);
    int rc = -EEXIST;

    *n_got = 0;
    for (unsigned i = 0; i < TRIES && rc == -EEXIST; i++) {
        rc = try_once(p, a, n, now, wall_ms, want, n_got);
        p->status.races += rc == -EEXIST;
        want = 1; /* of many, one is always likely to be gone meanwhile */
    }
    if (rc)
        return rc;
    a->burst = *n_got;
    a->last_ns = now;
    return 0;
}

int ports_retake(struct ports *p, struct address *a, unsigned block, uint64_t wall_ms)
{
    char folder[STORE_PATH_MAX], taken[STORE_PATH_MAX], used[STORE_PATH_MAX];
    char who[NODE_SIZE], what[NODE_SIZE];
    const char *const paths[] = {taken, used};
    bool own = false, this_life = false;
    struct used before = {.state = USED_LOST};
    struct store_value v[2];
    struct store_op ops[3];
    unsigned n = 0;

    folder_of(&a->device_id, &a->key.ip, folder);
    node_of(folder, "taken", block, taken);
    node_of(folder, "used", block, used);
    int rc = store_get_many(p->store, paths, 2, v, NULL);
    if (rc)
        return rc;
    if (!v[1].rc)
        before = parse_used(p, block, &v[1]);
    own = before.own;
    if (!v[0].rc)
        parse_taken(p, &v[0], &own, &this_life);
    if (!v[0].rc && own && !this_life)
        ops[n++] = operation(STORE_DELETE, 0, taken, NULL, v[0].version);
    if (v[0].rc || !this_life)
        ops[n++] = operation(STORE_CREATE, STORE_EPHEMERAL | STORE_PARENTS, taken, lessee(p, who),
                             STORE_ANY);
    if (!before.own || before.state != USED_HELD)
        ops[n++] = operation(STORE_PUT, STORE_PARENTS, used,
                             used_text(&p->opt.host, USED_HELD, wall_ms, what), STORE_ANY);
    for (unsigned i = 0; i < 2; i++) {
        if (!v[i].rc)
            store_value_free(&v[i]);
    }
    if (!own)
        return -ENOENT;
    return n ? store_commit(p->store, ops, n, NULL, NULL) : 0;
}

int ports_release(struct ports *p, struct address *a, unsigned block, uint64_t wall_ms)
{
    char folder[STORE_PATH_MAX], taken[STORE_PATH_MAX], used[STORE_PATH_MAX], what[NODE_SIZE];
    bool own = false, this_life = false;
    struct store_value v;

    folder_of(&a->device_id, &a->key.ip, folder);
    node_of(folder, "taken", block, taken);
    node_of(folder, "used", block, used);
    int rc = store_get(p->store, taken, &v, NULL);
    if (rc)
        return rc;
    parse_taken(p, &v, &own, &this_life);
    const struct store_op ops[] = {
        operation(STORE_DELETE, 0, taken, NULL, v.version),
        operation(STORE_PUT, STORE_PARENTS, used,
                  used_text(&p->opt.host, USED_RELEASED, wall_ms, what), STORE_ANY),
    };
    store_value_free(&v);
    return this_life ? store_commit(p->store, ops, 2, NULL, NULL) : -ENOENT;
}

int ports_verify(struct ports *p, struct address *a, uint64_t wall_ms, struct blocks *lost)
{
    struct blocks held = {0};

    memset(lost, 0, sizeof *lost);
    for (unsigned i = 0; i < a->n; i++)
        blocks_set(&held, a->leases[i].block, true);
    for (unsigned b = 0; b < STATE_BLOCKS; b++) {
        if (!blocks_has(&held, b))
            continue;
        /* Also takes away the mark that somebody may have set meanwhile. */
        int rc = ports_retake(p, a, b, wall_ms);
        if (rc == -ENOENT || rc == -EEXIST || rc == -ESTALE)
            blocks_set(lost, b, true);
        else if (rc)
            return rc;
    }
    return 0;
}
