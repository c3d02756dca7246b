#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "topology/sync_impl.h"

/* Who is there, of all hosts that anybody here has to do with.
 *
 *     /state/alive/GG/UUID.INC        ephemeral, empty
 *
 * A host's agent makes this name beside the host's "alive" in one commit, and takes away what
 * another life left under its id.  A listing of a folder tells which hosts of a 64th of the cloud
 * are there and in which life, and one watch on it that one of them has come or gone: a thousand
 * agents that know a thousand hosts have 64 watches and listings each, not a thousand.  Who waits
 * for one host is woken for the few that share its folder, too; that costs it a listing of these.
 *
 * When many come at once, changes are gathered: the first is looked at immediately, those that
 * follow within GATHER_NS together. */

#define GATHER_NS (50 * NSEC_PER_MSEC)
enum { INC_TEXT = 16 };

/* "UUID.INC" */
static bool parse_name(const char *name, struct uuid *host, uint64_t *inc)
{
    char id[UUID_STRLEN];

    if (strlen(name) != UUID_STRLEN + INC_TEXT || name[UUID_STRLEN - 1] != '.' ||
        strspn(name + UUID_STRLEN, "0123456789abcdef") != INC_TEXT)
        return false;
    memcpy(id, name, UUID_STRLEN - 1);
    id[UUID_STRLEN - 1] = '\0';
    *inc = sync_parse_hex(name + UUID_STRLEN);
    return !uuid_parse(id, host);
}

/* The host of a name that is new, or has gone, looks whether that is news. */
static void look_at(struct sync *s, const char *name)
{
    struct uuid host;
    uint64_t inc;

    if (!parse_name(name, &host, &inc)) {
        s->st.broken++;
        log_limited(LOG_LVL_WARN, "topology", "no host is called %.64s", name);
        return;
    }
    struct host_item *h = sync_host_item(s, topo_find(s->topo, &host));
    if (h && h->item.loaded)
        sync_due_first(s, &h->item, DUE_ALIVE); /* what its ports say hangs on it */
}

/* Both are sorted. */
static void compare(struct sync *s, const struct store_names *old, const struct store_names *new)
{
    size_t i = 0, j = 0;

    while (i < old->n || j < new->n) {
        int c = i == old->n ? 1 : j == new->n ? -1 : strcmp(old->names[i], new->names[j]);
        if (c)
            look_at(s, c < 0 ? old->names[i] : new->names[j]);
        i += c <= 0;
        j += c >= 0;
    }
}

/* Lists these groups, all in one round. */
static int list(struct sync *s, const unsigned *groups, size_t n)
{
    char(*texts)[STORE_PATH_MAX] = mem_array(n, STORE_PATH_MAX);
    const char **paths = NEW_ARRAY(n, const char *);
    struct store_names *names = NEW_ARRAY(n, struct store_names);
    int *rcs = NEW_ARRAY(n, int);

    for (size_t i = 0; i < n; i++) {
        objects_alive_folder(groups[i], texts[i]);
        paths[i] = texts[i];
    }
    int rc = store_children_many(s->store, paths, n, names, rcs, NULL);
    for (size_t i = 0; i < n && !rc; i++) {
        struct alive_group *g = &s->alive[groups[i]];
        compare(s, &g->names, &names[i]);
        store_names_free(&g->names);
        g->names = names[i];
        g->listed = true;
        g->due = false;
    }
    s->st.reads += rc ? 0 : n;
    free(rcs);
    free(names);
    free(paths);
    free(texts);
    return rc;
}

int sync_alive_know(struct sync *s, const topo_ref *hosts, size_t n, bool again)
{
    bool wanted[ALIVE_GROUPS] = {0};
    unsigned groups[ALIVE_GROUPS];
    char path[STORE_PATH_MAX];
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        wanted[objects_alive_group(topo_id(s->topo, hosts[i]))] = true;
    for (unsigned i = 0; i < ALIVE_GROUPS && !rc; i++) {
        struct alive_group *g = &s->alive[i];
        if (!wanted[i] || (!again && g->watched && g->listed))
            continue;
        objects_alive_folder(i, path);
        if (!g->watched)
            rc = sync_watch(s, path, WATCH_GROUP, i);
        g->watched |= !rc;
        groups[count++] = i;
    }
    return rc || !count ? rc : list(s, groups, count);
}

int sync_alive_again(struct sync *s, const struct uuid *host)
{
    unsigned group = objects_alive_group(host);

    return list(s, &group, 1);
}

void sync_alive_due(struct sync *s, unsigned group)
{
    if (group < ALIVE_GROUPS && s->alive[group].listed) {
        s->alive[group].due = true;
        s->alive_due = true;
    }
}

int sync_alive_flush(struct sync *s)
{
    unsigned groups[ALIVE_GROUPS];
    size_t n = 0;
    int rc = 0;

    if (s->alive_due && s->now >= s->alive_at) {
        for (unsigned i = 0; i < ALIVE_GROUPS; i++) {
            if (s->alive[i].due)
                groups[n++] = i;
        }
        rc = list(s, groups, n);
        s->alive_due = rc != 0;
        s->alive_at = s->now + GATHER_NS;
    }
    if (rc && !sync_store_away(rc)) { /* refused: what else there is to read is read */
        s->alive_at = s->now + NSEC_PER_SEC;
        rc = 0;
    }
    if (s->alive_due)
        sync_wants_run(s, s->alive_at);
    return rc;
}

int sync_alive_node(struct sync *s, const struct uuid *host, bool *alive, uint64_t *inc)
{
    char path[STORE_PATH_MAX];
    struct store_value v;

    objects_state_path(ST_HOST, host, "alive", path);
    int rc = sync_get(s, path, &v);
    if (rc)
        return rc;
    json_t *j = sync_json(s, "an alive node", &v);
    *alive = !v.rc;
    *inc = sync_parse_hex(sync_body_string(j, "inc"));
    json_decref(j);
    store_value_free(&v);
    return 0;
}

static int by_host(const void *id, const void *name)
{
    return strncmp(id, *(char *const *)name, UUID_STRLEN - 1);
}

static size_t first_life(const struct store_names *names, const char *id)
{
    return search_place(id, names->names, names->n, sizeof *names->names, by_host);
}

static bool begins_so(const struct store_names *names, size_t i, const char *id)
{
    return i < names->n && !strncmp(names->names[i], id, UUID_STRLEN - 1);
}

int sync_alive_lives(struct sync *s, struct sync_lives *out)
{
    const struct store_names *names = &s->alive[objects_alive_group(&s->opt.host)].names;
    int rc = sync_alive_again(s, &s->opt.host);
    char id[UUID_STRLEN];
    struct uuid named;
    uint64_t life;

    out->n = 0;
    uuid_format(&s->opt.host, id);
    for (size_t i = first_life(names, id); begins_so(names, i, id) && out->n < LIVES_MAX; i++) {
        if (parse_name(names->names[i], &named, &life))
            objects_alive_path(&named, life, out->paths[out->n++]);
    }
    return rc;
}

int sync_alive_find(struct sync *s, const struct uuid *host, bool *alive, uint64_t *inc)
{
    const struct store_names *names = &s->alive[objects_alive_group(host)].names;
    char id[UUID_STRLEN];
    unsigned n_lives = 0;
    struct uuid named;
    uint64_t life;

    uuid_format(host, id);
    *inc = 0;
    for (size_t i = first_life(names, id); begins_so(names, i, id); i++) {
        if (!parse_name(names->names[i], &named, &life))
            continue;
        *inc = life;
        n_lives++;
    }
    *alive = n_lives > 0;
    return n_lives > 1 ? sync_alive_node(s, host, alive, inc) : 0;
}

void sync_alive_free(struct sync *s)
{
    for (unsigned i = 0; i < ALIVE_GROUPS; i++)
        store_names_free(&s->alive[i].names);
}
