/* Inside core/objects: how a transaction is made.
 *
 * A commit is planned against a view of the store: nodes are read through it and written into it,
 * and what remains written at the end becomes one store commit that compares versions.  A first
 * plan is hopeful: nodes that are surely absent (a new object, its back references) are not read
 * before they are created.  When the store refuses, another writer was there or the user asked for
 * the impossible; the plan is made anew, carefully, reading every node it writes, and then either
 * says what is wrong or commits. */
#ifndef MN_OBJECTS_IMPL_H
#define MN_OBJECTS_IMPL_H

#include <uthash.h>

#include "base/mem.h"
#include "objects/objects.h"

struct objects {
    struct store *store;
    struct objects_stats stats;
};

/* paths.c */
enum { SHARDS = 16 }; /* folders of back references per attribute */
void path_refs(enum schema_type_id target, const struct uuid *id, enum schema_type_id from,
               const char *attr, unsigned shard, char path[STORE_PATH_MAX]);
void path_ref(enum schema_type_id target, const struct uuid *id, enum schema_type_id from,
              const char *attr, const struct uuid *referrer, char path[STORE_PATH_MAX]);
/* "REFS.ATTR.s": false when it is no such folder, or of a collection that isn't known here. */
bool path_parse_refs(const char *folder, enum schema_type_id *from, char attr[64]);
void path_order(const struct uuid *chain, const char *chunk, char path[STORE_PATH_MAX]);
void path_names(enum schema_type_id type, const char *name, char path[STORE_PATH_MAX]);
void path_unique(enum schema_type_id type, const char *key, char path[STORE_PATH_MAX]);
void path_child(const char *parent, const char *name, char path[STORE_PATH_MAX]);
/* The id of an object that the system makes: the same each time it is made. */
void generated_id(const char *key, struct uuid *id);
/* "port 5b1c..." for messages. */
char *object_label(enum schema_type_id type, const struct uuid *id, char buf[96]);

/* refs.c: the references in an object, embedded ones too */
struct ref {
    const struct schema_attr *attr;
    char path[64]; /* "peerId", "conditions.inPorts" */
    struct uuid target;
};
struct refs {
    struct ref *v;
    size_t n, capacity;
};
void refs_collect(enum schema_type_id type, const json_t *obj, struct refs *out); /* sorted */
void refs_free(struct refs *r);
/* The reference "peerId" or "conditions.inPorts", or null. */
const struct schema_attr *attr_by_path(enum schema_type_id type, const char *path);
int ref_compare(const void *a, const void *b);
/* Takes 'target' out of every reference at 'path'. */
void refs_remove(enum schema_type_id type, json_t *obj, const char *path,
                 const struct uuid *target);
bool json_uuid(const json_t *obj, const char *key, struct uuid *id); /* false: absent */
/* The text of a member, borrowed; null: it is none, or there is no object. */
static inline const char *json_str(const json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

/* read.c */
bool name_indexed(const struct schema_type *t);
/* Parses and validates a body; the error names the path. */
int body_parse(struct objects *db, enum schema_type_id type, const struct uuid *id,
               const struct store_value *v, json_t **out, struct error *e);
/* Ids in the back reference folders of one attribute, sorted; appended to *ids. */
int refs_list(struct objects *db, enum schema_type_id target, const struct uuid *id,
              enum schema_type_id from, const char *attr, struct uuid **ids, size_t *n,
              struct error *e);
int read_many(struct objects *db, char (*paths)[STORE_PATH_MAX], size_t n, struct store_value *out,
              struct error *e);
int list_many(struct objects *db, char (*paths)[STORE_PATH_MAX], size_t n, struct store_names *out,
              struct error *e);
void values_free(struct store_value *v, size_t n);
void names_free(struct store_names *v, size_t n);
/* Bodies of the whole type as stored, no state, for export. */
int bodies_each(struct objects *db, enum schema_type_id type, objects_fn *fn, void *aux,
                struct error *e);
int ids_of_type(struct objects *db, enum schema_type_id type, struct uuid **ids, size_t *n,
                struct error *e);
void ids_add(struct uuid **ids, size_t *n, const struct uuid *id);

/* state.c: SA_STATE attributes */
unsigned state_paths(enum schema_type_id type, const struct uuid *id,
                     char (*paths)[STORE_PATH_MAX]); /* at most STATE_KEYS */
void state_fill(enum schema_type_id type, json_t *obj, const struct store_value *values);
enum { STATE_KEYS = 4 };

/* view.c: nodes of the store as the plan sees them */
enum node_base { BASE_UNREAD, BASE_ABSENT, BASE_PRESENT };
enum node_write { WRITE_NONE, WRITE_PUT, WRITE_DELETE };

struct node {
    UT_hash_handle hh;
    enum node_base base;
    enum node_write write;
    bool require; /* must be there at commit, whatever its version */
    bool any;     /* the write goes over whatever version is there */
    bool busy;    /* a folder that this plan puts something into */
    int64_t version;
    char *data; /* as in the store */
    size_t size;
    char *written; /* WRITE_PUT */
    size_t written_size;
    char path[];
};

struct view {
    struct objects *db;
    struct node *nodes;
    bool careful;
};

void view_free(struct view *v);
struct node *view_node(struct view *v, const char *path);
/* Reads it unless that has been done.  0 or a failure of the store; absence is in node->base. */
int view_load(struct view *v, const char *path, struct node **out, struct error *e);
/* The content the plan sees: 0, or -ENOENT. */
int view_get(struct view *v, const char *path, const char **data, size_t *size, struct error *e);
void view_put(struct view *v, const char *path, const char *data, size_t size);
void view_put_text(struct view *v, const char *path, char *text); /* takes 'text' */
void view_delete(struct view *v, const char *path);
void view_require(struct view *v, const char *path);
int view_load_many(struct view *v, const char *const *paths, size_t n, struct error *e);
/* Reads every node that is going to be written without having been read. */
int view_load_all(struct view *v, struct error *e);
int view_commit(struct view *v, struct error *e);

/* order.c: the rules of chains in their order */
enum { ORDER_CHUNK_MAX = 256 };
struct order_chunk {
    char name[12];
    struct uuid *ids; /* room for ORDER_CHUNK_MAX */
    size_t n;
    bool dirty, loaded;
};
struct order {
    struct order *next_order; /* of another chain in the plan */
    struct uuid chain;
    struct order_chunk *chunks;
    size_t n_chunks;
    int64_t next;        /* chunk name */
    struct uuid *placed; /* rules whose chunk this plan has chosen */
    size_t n_placed;
    bool dirty;
};
struct order *order_new(const struct uuid *chain);
void order_free(struct order *o);
struct order_chunk *order_add_chunk(struct order *o, size_t at, const char *name);
int order_parse(struct order *o, const char *data, size_t size, struct error *e);
int order_mismatch(struct objects *db, const struct uuid *chain, int64_t version, struct error *e);
bool order_parse_chunk(struct order_chunk *c, const char *data, size_t size);
int order_ids(struct objects *db, const struct uuid *chain, struct uuid **ids, size_t *n,
              struct error *e);
int order_position(struct objects *db, const struct uuid *chain, const struct uuid *rule,
                   int64_t *position, struct error *e);

/* plan.c: objects as the transaction sees them */
struct object {
    UT_hash_handle hh;
    struct object_key {
        uint32_t type;
        struct uuid id;
    } key;
    json_t *before; /* in the store; null: it wasn't there */
    json_t *after;  /* null: it is gone */
    int64_t rev;
    bool moved;     /* its place among its siblings has changed */
    char **folders; /* deleted: what is below it */
    size_t n_folders;
};

enum op_kind { OP_CREATE, OP_UPDATE, OP_DELETE, OP_UNREF };

struct op {
    enum op_kind kind;
    enum schema_type_id type;
    struct uuid id;
    json_t *attrs;    /* create, update */
    int64_t position; /* 0: not given */
    int64_t rev;
    enum schema_type_id target_type; /* unref: whom to forget */
    struct uuid target;
    bool if_exists; /* delete: absence is fine */
};

struct objects_txn {
    struct objects *db;
    struct op *ops;
    size_t n_ops, capacity;
    bool system;   /* read-only attributes may be given */
    bool dangling; /* references that may dangle are not checked (import) */
    bool dry_run;  /* plan, and stop before the commit */
};

struct plan {
    struct objects *db;
    struct view view;
    struct object *objects;
    struct order *orders;
    struct listing *listings;
    uint32_t *tunnel_keys; /* candidates that have been looked up */
    size_t n_tunnel_keys;
    bool system, dangling;
    char **emptied; /* name folders that something was taken out of */
    size_t n_emptied;
    size_t n_objects;
    struct error *e;
};

#define object_type(o) ((enum schema_type_id)(o)->key.type)

int plan_load(struct plan *p, enum schema_type_id type, const struct uuid *id, struct object **out);
int plan_load_broken(struct plan *p, enum schema_type_id type, const struct uuid *id,
                     struct object **out);
int plan_create(struct plan *p, enum schema_type_id type, const struct uuid *id, json_t *attrs,
                int64_t position, struct object **out); /* takes 'attrs' */
int plan_update(struct plan *p, const struct op *op);
int plan_delete(struct plan *p, enum schema_type_id type, const struct uuid *id);
int plan_unref(struct plan *p, const struct op *op);
/* A change made by the system itself: 'after' is edited in place by the caller and checked here. */
int plan_recheck(struct plan *p, struct object *o);
void plan_free(struct plan *p);
int plan_error(struct plan *p, int code, const struct object *o, const char *json, const char *fmt,
               ...) __attribute__((format(printf, 5, 6)));
/* Ids that refer to 'target' through 'attr' as the plan sees it (free()). */
int plan_referrers(struct plan *p, enum schema_type_id target, const struct uuid *id,
                   enum schema_type_id from, const char *attr, struct uuid **ids, size_t *n);

/* prefetch.c */
int prefetch(struct plan *p, const struct objects_txn *t);
/* Children of a folder, as they were when the plan first looked; none when it doesn't exist. */
int listing_get(struct plan *p, const char *path, const struct store_names **out);
int listings_get(struct plan *p, char *const *paths, size_t n); /* in one round */
void listings_free(struct plan *p);

/* delete.c */
int in_use(enum schema_type_id type, const struct uuid *id, const char *what, const char *referrer,
           struct error *e);

/* drain.c */
/* Whether something refuses the deletion of an object or of anything that goes with it. */
int plan_refuses(struct objects *db, enum schema_type_id type, const struct uuid *id,
                 struct error *e);
/* Deletes or clears all that refers to it, in commits of bounded size. */
int drain(struct objects *db, enum schema_type_id type, const struct uuid *id, struct error *e);
enum { PLAN_OBJECTS_MAX = 500 }; /* more at once: -EFBIG, the parts go first */

/* hook_vtep.c: the VXLAN port of a bridge bound to a VTEP */
int hook_vtep_binding(struct plan *p, struct object *o, const json_t *before);

/* hook_lists.c: what hangs on a port or device is listed in it */
int hook_lists(struct plan *p, const struct object *o, const json_t *before);

/* hooks.c: what the system does when an object comes, changes or goes */
/* A random tunnel key and the path that would be taken by it. */
uint32_t tunnel_key_candidate(char path[STORE_PATH_MAX]);
int hook_changed(struct plan *p, struct object *o, const json_t *before);

/* crosscheck.c: rules that need to see other objects */
int crosscheck(struct plan *p, struct object *o);
/* A key like those of schema_type.unique that depends on other objects (malloc'd), or null. */
int crosscheck_key(struct plan *p, const struct object *o, const json_t *obj, char **key);

/* orders within a plan */
int plan_order_insert(struct plan *p, const struct uuid *chain, const struct uuid *rule,
                      int64_t position);
int plan_order_remove(struct plan *p, const struct uuid *chain, const struct uuid *rule);
void plan_order_flush(struct plan *p);
void plan_order_free(struct plan *p);

/* finish.c: from objects to nodes */
int plan_finish(struct plan *p);

/* change.c: the log of a device's change node, and of the one with its earlier part */
struct change_log {
    int64_t rev, from; /* after 'from' nothing is missing */
    json_t *entries;   /* newest first; [REV,"ports","UUID","c"] */
};
void change_log_parse(const char *data, size_t size, struct change_log *out);
void change_tail_path(enum schema_type_id type, const struct uuid *id, char path[STORE_PATH_MAX]);
int change_bump(struct plan *p);

/* Takes one reference to 'target' out of an object, for drain(). */
int objects_unref(struct objects_txn *t, enum schema_type_id type, const struct uuid *id,
                  enum schema_type_id target_type, const struct uuid *target);

#endif
