/* Objects: the schema's types kept in a store.
 *
 *   /PLURAL/xx/UUID                     an object: JSON (xx: the uuid's first two hex digits)
 *   /PLURAL/xx/UUID/REFS.ATTR.s/UUID2   object UUID2 of collection REFS names UUID in its ATTR
 *                                       (s: first digit of UUID2); data empty, see below for rules
 *   /PLURAL/xx/UUID/change              change node of a device, chain or group
 *   /chains/xx/UUID/order[/CHUNK]       the chain's rules in order
 *   /names/PLURAL/xx/HASH/UUID          objects by name
 *   /unique/PLURAL/xx/HASH              who holds a value that must be unique
 *   /state/PLURAL/xx/UUID/KEY           run-time state, not ours
 *
 * A back reference is written in the same commit as the reference and checks that its target is
 * there, so that adding port 10,001 to a bridge writes O(1) data, listing a bridge's ports reads
 * only them, and no two writers together can leave a dangling reference.  Every change of an object
 * also bumps the change node of the device, chain or group that it belongs to, in the same commit:
 * agents watch those.
 *
 * The order of a chain is a list of chunks of at most 256 rule ids and, in "order", the names and
 * sizes of the chunks: putting a rule anywhere among 50,000 rewrites one chunk and that list.  The
 * back reference of a rule names its chunk.  "position" is computed when a rule is read.
 *
 * A transaction collects creates, updates and deletes; each is checked by itself when it is added,
 * and all of them against what is in the store, and against each other in the order they were
 * added, at commit.  Nothing is changed when it is refused.  The one exception to "at once": when a
 * deletion takes more with it than fits one commit (a bridge with 20,000 ports), the parts go
 * first, in commits of their own, after it has been checked that nothing refuses; interrupted, it
 * leaves a smaller bridge, and repeating it goes on.
 *
 * Names are not unique in general; see objects_resolve().  Members that a newer version has added
 * are kept untouched by updates.  An object whose JSON is broken is an error when asked for by id;
 * lists go on without it, log it and count it (objects_stats).
 *
 * What the system adds by itself: a router port's MAC; a port's tunnel key; a route of type Local
 * for each address of a router port, kept equal to the addresses; the other side of a mutual
 * reference (a port's peer, a router's load balancer); previousHostId; a VIP's load balancer; in a
 * port the port groups, service insertions and trace requests it has, in bridges and routers the
 * trace requests.
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

/* One object, or -ENOENT with an error that names type and id. */
int objects_get(struct objects *db, enum schema_type_id type, const struct uuid *id, json_t **out,
                struct error *e);

/* Calls 'fn' with each object of the type (parent null) or of the type below 'parent' (any object
 * that the type refers to by its parent attributes), in uuid order, the rules of a chain in theirs;
 * stops when fn returns non-zero and returns that.  'obj' is borrowed.  Reads in pipelined batches,
 * so 100,000 objects stream. */
typedef int objects_fn(json_t *obj, void *aux);
int objects_each(struct objects *db, enum schema_type_id type, const struct uuid *parent,
                 objects_fn *fn, void *aux, struct error *e);

/* Ids of the objects of 'type' whose reference 'attr_json' names 'target' (free()), sorted.  Any
 * reference, not only the parent's: the rules that jump to a chain, the ports that use it as
 * infilter; of embedded objects "conditions.inPorts". */
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

/* The transaction speaks for the system: read-only attributes may be given. */
void objects_system(struct objects_txn *t);

/* 'attrs' (borrowed) has JSON names; "id" may be given.  The new id is in *id. */
int objects_create(struct objects_txn *t, enum schema_type_id type, const json_t *attrs,
                   struct uuid *id, struct error *e);
/* Merge: members present are set, null unsets, absent stay.  rev >= 0: only if the object still has
 * that revision (-ESTALE otherwise); STORE_ANY: whatever it is, retried inside on a race.  That the
 * object exists is found out at commit.  What changes nothing writes nothing. */
int objects_update(struct objects_txn *t, enum schema_type_id type, const struct uuid *id,
                   const json_t *attrs, int64_t rev, struct error *e);
/* With everything that delete semantics say (schema_on_delete). */
int objects_delete(struct objects_txn *t, enum schema_type_id type, const struct uuid *id,
                   int64_t rev, struct error *e);
/* Writes it all.  A conflict with another writer is retried from the start (the operations are
 * replayed against what is there now) up to 10 times, unless a given revision is what conflicts. */
int objects_commit(struct objects_txn *t, struct error *e);
/* Everything that commit would check, against what is there now; writes nothing. */
int objects_check(struct objects_txn *t, struct error *e);

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
 *   {"rev":N,"from":M,"log":[[N,"ports","UUID","c"|"u"|"d"],...]}
 * 'rev' counts commits that touched the device or anything in it; 'log' names what those after M
 * touched (collection, uuid, created, updated or deleted), newest first, each object once: at most
 * 64 entries, which then move to a node beside it, "earlier", with 2048: who has slept through a
 * few hundred commits reads these two and what has changed, not the whole device.  Of a port whose
 * run-time state has changed the entry says the state too, [N,"ports","UUID","s","HOST",KEY,"INC"]
 * ("" for HOST: nobody serves it), so that a thousand hosts that hear of it don't all read it;
 * without it the node has to be read. Both go with their device. */
void objects_change_path(enum schema_type_id type, const struct uuid *id,
                         char path[STORE_PATH_MAX]);

/* What a port's "active" node says. */
struct objects_active {
    bool told; /* of a change: known from the log alone, the node need not be read */
    bool there;
    struct uuid host;
    uint32_t key;
    uint64_t inc; /* which life of the host's agent says so */
};

struct objects_change {
    enum schema_type_id type; /* ST_NONE: of a type that this version doesn't know */
    struct uuid id;
    char what;                    /* 'c', 'u' or 'd'; 's': its run-time state */
    struct objects_active active; /* 's' of a port */
};
/* What changed after revision 'since' (-1: everything is new), oldest first; *rev is the revision
 * now.  Returns the number of changes in *out (free()), or
 * -EOVERFLOW when the log doesn't reach back that far: read the device again.  -ENOENT: the device
 * is gone. */
int objects_changes(struct objects *db, enum schema_type_id type, const struct uuid *id,
                    int64_t since, int64_t *rev, struct objects_change **out, struct error *e);

/* A snapshot: objects that belong to a device, copied into a few nodes beside its log by somebody
 * who has read them one by one, for those who come after.
 *   /PLURAL/xx/UUID/snapshot.K
 *       {"format":1,"rev":N,"parts":P,"objects":[["UUID",{BODY},["HOST",KEY,"INC"]],...],
 *        "names":{"HOST":"NAME",...}}
 * Part K of P (1, 2, 4, 8 or 16) has those whose ids begin so, as they were when the change node
 * was at N or later; a port's third member says who serves it ([]: nobody), and where it is left
 * out its "active" node has to be read.  "names", of hosts, is in part 0.
 *
 * It is a cache and proves nothing: who reads it asks the log what has changed since N, and if the
 * log doesn't reach back so far, or anything is strange, does without.  It goes with the device and
 * is in no export. */
struct objects_copy {
    struct uuid id;
    json_t *body;                 /* not validated */
    struct objects_active active; /* of a port */
};
struct objects_snapshot {
    int64_t rev;                 /* -1: there is none, or none that makes sense */
    struct objects_copy *copies; /* sorted by id when read */
    size_t n, room;
    json_t *names; /* null: none */
};
void objects_snapshot_add(struct objects_snapshot *s, const struct objects_copy *copy);
/* 0, also when there is none.  To be freed. */
int objects_snapshot_read(struct objects *db, enum schema_type_id type, const struct uuid *id,
                          struct objects_snapshot *out, struct error *e);
/* -ESTALE, -EEXIST: somebody else is writing one; -ENOENT: the device is gone; -E2BIG. */
int objects_snapshot_write(struct objects *db, enum schema_type_id type, const struct uuid *id,
                           const struct objects_snapshot *s, struct error *e);
void objects_snapshot_free(struct objects_snapshot *s); /* its contents */

/* The rules of a chain in their order, for who follows it: after a change only what has changed of
 * the order is read again, a few nodes however long the chain. */
struct objects_order;
/* Brings *o (null: nothing is known yet) up to what is there; 'touched' are the rules that have
 * been made, changed or moved since.  Rules of commits made meanwhile may be in it already: the
 * change log will name them. */
int objects_order_follow(struct objects *db, const struct uuid *chain, const struct uuid *touched,
                         size_t n_touched, struct objects_order **o, struct error *e);
size_t objects_order_size(const struct objects_order *o);
void objects_order_ids(const struct objects_order *o, struct uuid *ids); /* room for the size */
void objects_order_free(struct objects_order *o);                        /* null is fine */

/* An entry for objects_bump_make(): what the port's "active" node says from that commit on. */
json_t *objects_active_entry(const struct uuid *port, const struct objects_active *a);
/* For who writes run-time state and wants the device's watchers to look at it ('s'): the
 * operations, to be put into the same commit, that add 'entries', [["ports","UUID","s",...],...],
 * to the log of a device whose change node says 'now'. */
struct objects_bump {
    struct store_op ops[2];
    size_t n;
    char *texts[2], paths[2][STORE_PATH_MAX];
};
int objects_bump_make(struct objects *db, enum schema_type_id type, const struct uuid *id,
                      const struct store_value *now, const json_t *entries,
                      struct objects_bump *out);
void objects_bump_free(struct objects_bump *b);

/* Run-time state lives beside the configuration, in nodes that only agents write:
 *   /state/hosts/xx/UUID/alive            ephemeral  {"since":..,"version":..}
 *   /state/alive/GG/UUID.INC              ephemeral, see topology/sync_alive.c
 *   /state/hosts/xx/UUID/interfaces       ephemeral  [{"name":..,"mac":..,"up":..,"link":..},...]
 *   /state/ports/xx/UUID/active           ephemeral  {"host":UUID,"key":N,"inc":HEX}
 *   /state/bridges/xx/UUID/mac/...        ephemeral, see topology/tables.h
 *   /state/routers/xx/UUID/arp/...
 * Attributes with SA_STATE are filled from there on read. */
void objects_state_path(enum schema_type_id type, const struct uuid *id, const char *key,
                        char path[STORE_PATH_MAX]);
/* The name of a host's agent in this life, and the folder of those whose hosts' ids begin alike:
 * one of OBJECTS_ALIVE_GROUPS. */
enum { OBJECTS_ALIVE_GROUPS = 64 };
unsigned objects_alive_group(const struct uuid *host);
void objects_alive_folder(unsigned group, char path[STORE_PATH_MAX]);
void objects_alive_path(const struct uuid *host, uint64_t inc, char path[STORE_PATH_MAX]);

/* What this handle has cost and met so far. */
struct objects_stats {
    uint64_t reads;      /* nodes and folders read */
    uint64_t rounds;     /* round trips for reading */
    uint64_t commits;    /* that succeeded */
    uint64_t ops, bytes; /* written by them */
    uint64_t conflicts;  /* with other writers, tried again */
    uint64_t broken;     /* objects met whose JSON can't be understood */
};
const struct objects_stats *objects_stats(const struct objects *db);

/* Whole topology as JSON {"version":1,"objects":{"bridges":[...],...}} without state, revisions and
 * routes of type Local (new reference; sorted by id), and the reverse, in commits of bounded size.
 * A document written by hand may leave out ids, tunnel keys and MACs. */
int objects_export(struct objects *db, json_t **out, struct error *e);
int objects_import(struct objects *db, const json_t *doc, struct error *e);

#endif
