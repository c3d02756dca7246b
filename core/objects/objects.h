/* Objects: the schema's types kept in a store.
 *
 * Each object is a JSON node at  /PLURAL/xx/UUID  (xx: the uuid's first two hex digits).  A
 * reference from object R's attribute to object T leaves an empty back-reference node below T,
 * written in the same commit, so that adding port 10,001 to a bridge writes O(1) data, listing a
 * bridge's ports reads only them, and a commit that would leave a dangling reference is refused by
 * the store itself.  Every change of an object also bumps the change node of the device, chain or
 * group that it belongs to (objects_change_path), in the same commit: agents watch those.
 *
 * A transaction collects creates, updates and deletes, validates the lot, and commits at once.
 * Nothing is changed when it is refused.  Names are not unique in general; see objects_resolve().
 *
 * Objects handed out are jansson objects with "id" and "rev" (the store's version of the body)
 * beside the schema's attributes; the caller owns the reference.
 * Thread: one 'struct objects' per thread (they may share a store). */
#ifndef MN_OBJECTS_OBJECTS_H
#define MN_OBJECTS_OBJECTS_H

#include <jansson.h>

#include "base/error.h"
#include "base/types.h"
#include "schema/schema.h"
#include "store/store.h"

struct objects;

/* Borrows 's', which must outlive the result. */
struct objects *objects_open(struct store *s);
void objects_close(struct objects *db);
struct store *objects_store(struct objects *db);

/* One object, or -ENOENT with an error that names type and id. */
int objects_get(struct objects *db, enum schema_type_id type, const struct uuid *id, json_t **out,
                struct error *e);

/* Calls 'fn' with each object of the type (parent null) or of the type below 'parent' (any object
 * that the type refers to by its parent attributes), in uuid order; stops when fn returns non-zero
 * and returns that.  'obj' is borrowed.  Reads in pipelined batches, so 100,000 objects stream. */
typedef int objects_fn(json_t *obj, void *aux);
int objects_each(struct objects *db, enum schema_type_id type, const struct uuid *parent,
                 objects_fn *fn, void *aux, struct error *e);

/* Ids of the objects of 'type' whose reference 'attr_json' names 'target' (free()).  Any reference,
 * not only the parent's: the rules that jump to a chain, the ports that use it as infilter. */
int objects_referrers(struct objects *db, enum schema_type_id type, const char *attr_json,
                      const struct uuid *target, struct uuid **ids, size_t *n, struct error *e);

/* Which object 'text' means: a uuid, or a name unique in the type (within 'parent' unless null).
 * -ENOENT, or -EINVAL with a hint that lists candidates when several bear it.  Through an index
 * node by name: cost does not grow with the number of objects. */
int objects_resolve(struct objects *db, enum schema_type_id type, const struct uuid *parent,
                    const char *text, struct uuid *id, struct error *e);

struct objects_txn;

struct objects_txn *objects_begin(struct objects *db);
void objects_abort(struct objects_txn *t); /* also after a failed commit; null is fine */

/* 'attrs' (borrowed) has JSON names; "id" may be given.  The new id is in *id. */
int objects_create(struct objects_txn *t, enum schema_type_id type, const json_t *attrs,
                   struct uuid *id, struct error *e);
/* Merge: members present are set, null unsets, absent stay.  rev >= 0: only if the object still has
 * that revision (-ESTALE otherwise); STORE_ANY: whatever it is, retried inside on a race. */
int objects_update(struct objects_txn *t, enum schema_type_id type, const struct uuid *id,
                   const json_t *attrs, int64_t rev, struct error *e);
/* With everything that delete semantics say (schema_on_delete). */
int objects_delete(struct objects_txn *t, enum schema_type_id type, const struct uuid *id,
                   int64_t rev, struct error *e);
/* Writes it all.  A conflict with another writer is retried from the start (the operations are
 * replayed against what is there now) up to 10 times, unless a given revision is what conflicts. */
int objects_commit(struct objects_txn *t, struct error *e);

/* One-operation shorthands (begin, do, commit). */
int objects_create1(struct objects *db, enum schema_type_id type, const json_t *attrs,
                    struct uuid *id, struct error *e);
int objects_update1(struct objects *db, enum schema_type_id type, const struct uuid *id,
                    const json_t *attrs, int64_t rev, struct error *e);
int objects_delete1(struct objects *db, enum schema_type_id type, const struct uuid *id,
                    int64_t rev, struct error *e);

/* Store paths. */
void objects_path(enum schema_type_id type, const struct uuid *id, char path[STORE_PATH_MAX]);
/* The change node of a device, chain or group: JSON
 *   {"rev":N,"log":[[N,"port","UUID","c"|"u"|"d"],...]}
 * 'rev' counts commits that touched the device or anything in it; 'log' has the last 32 of them,
 * newest first, so that a watcher who is not further behind reads just what changed, and one who is
 * re-reads the device. */
void objects_change_path(enum schema_type_id type, const struct uuid *id,
                         char path[STORE_PATH_MAX]);

/* Run-time state lives beside the configuration, in nodes that only agents write:
 *   /state/hosts/xx/UUID/alive            ephemeral  {"since":..,"version":..}
 *   /state/hosts/xx/UUID/interfaces       ephemeral  [{"name":..,"mac":..,"up":..,"link":..},...]
 *   /state/ports/xx/UUID/active           ephemeral  {"host":UUID,"key":N}
 *   /state/bridges/xx/UUID/mac/...        ephemeral, see topology/tables.h
 *   /state/routers/xx/UUID/arp/...
 * Attributes with SA_STATE are filled from there on read. */
void objects_state_path(enum schema_type_id type, const struct uuid *id, const char *key,
                        char path[STORE_PATH_MAX]);

/* Whole topology as JSON {"version":1,"objects":{"bridges":[...],...}} without state (new
 * reference), and the reverse onto an empty store, in commits of bounded size. */
int objects_export(struct objects *db, json_t **out, struct error *e);
int objects_import(struct objects *db, const json_t *doc, struct error *e);

#endif
