#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ATTEMPTS = 10 };

struct objects *objects_open(struct store *s)
{
    struct objects *db = NEW(struct objects);

    db->store = s;
    return db;
}

void objects_close(struct objects *db)
{
    free(db);
}

const struct objects_stats *objects_stats(const struct objects *db)
{
    return &db->stats;
}

struct objects_txn *objects_begin(struct objects *db)
{
    struct objects_txn *t = NEW(struct objects_txn);

    t->db = db;
    return t;
}

void objects_abort(struct objects_txn *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_ops; i++)
        json_decref(t->ops[i].attrs);
    free(t->ops);
    free(t);
}

void objects_system(struct objects_txn *t)
{
    t->system = true;
}

static struct op *add_op(struct objects_txn *t, enum op_kind kind, enum schema_type_id type,
                         const struct uuid *id)
{
    if (t->n_ops == t->capacity) {
        t->capacity = t->capacity ? t->capacity * 2 : 8;
        t->ops = mem_resize(t->ops, t->capacity * sizeof *t->ops);
    }
    struct op *op = &t->ops[t->n_ops++];
    *op = (struct op){.kind = kind, .type = type, .id = *id, .rev = STORE_ANY};
    return op;
}

/* Takes "id", "rev" and the position, which are not part of a body, out of 'attrs'. */
static int64_t take_outside(enum schema_type_id type, json_t *attrs)
{
    int64_t position = 0;

    json_object_del(attrs, "id");
    json_object_del(attrs, "rev");
    for (const struct schema_attr *a = schema_types[type].attrs; a->name; a++)
        if (a->flags & SA_ORDER) {
            position = json_integer_value(json_object_get(attrs, a->json));
            json_object_del(attrs, a->json);
        }
    return position;
}

static int check_given(const struct objects_txn *t, enum schema_type_id type, const json_t *attrs,
                       struct error *e)
{
    const struct schema_type *st = &schema_types[type];
    const char *key;
    json_t *v;

    json_object_foreach ((json_t *)attrs, key, v) {
        const struct schema_attr *a = schema_attr_by_json(st->attrs, key);
        if (!a || json_is_null(v))
            continue;
        if ((a->flags & SA_STATE) ||
            ((a->flags & SA_READONLY) && !t->system && !st->read_only && !a->def))
            return error_set(e, -EINVAL, st->name, a->name, "is a read-only attribute");
        if (type == ST_ROUTE && !t->system && !strcmp(key, "type") && json_is_string(v) &&
            (!strcmp(json_string_value(v), "Local") || !strcmp(json_string_value(v), "Fip64")))
            return error_set(e, -EINVAL, st->name, a->name,
                             "routes of type %s are made by the system only", json_string_value(v));
    }
    return 0;
}

static int choose_id(const struct schema_type *st, const json_t *given, const json_t *attrs,
                     struct uuid *id, struct error *e)
{
    struct uuid wanted;
    bool has = json_is_string(given) && !uuid_parse(json_string_value(given), &wanted);

    if (!st->id_from) {
        if (has)
            *id = wanted;
        else
            uuid_random(id);
        return 0;
    }
    int rc = schema_derived_id(st, attrs, id);
    if (rc)
        return error_set(e, rc, st->name, NULL, "its id can't be made");
    if (has && !uuid_equal(&wanted, id))
        return error_set(e, -EINVAL, st->name, "id", "follows from the other attributes");
    return 0;
}

/* A full object is validated without its id, which then needs no place in the rows. */
int objects_create(struct objects_txn *t, enum schema_type_id type, const json_t *attrs,
                   struct uuid *id, struct error *e)
{
    const struct schema_type *st = &schema_types[type];
    json_t *given = json_incref(json_object_get(attrs, "id"));
    json_t *copy = json_deep_copy(attrs);
    struct uuid chosen;
    int rc = check_given(t, type, attrs, e);

    if (!rc)
        rc = schema_validate(st, copy, false, false, e);
    if (!rc)
        rc = choose_id(st, given, copy, &chosen, e);
    json_decref(given);
    if (rc) {
        json_decref(copy);
        return rc;
    }
    int64_t position = take_outside(type, copy);
    struct op *op = add_op(t, OP_CREATE, type, &chosen);
    op->attrs = copy;
    op->position = position;
    if (id)
        *id = chosen;
    return 0;
}

int objects_update(struct objects_txn *t, enum schema_type_id type, const struct uuid *id,
                   const json_t *attrs, int64_t rev, struct error *e)
{
    json_t *copy = json_deep_copy(attrs);
    struct uuid same;
    int rc = schema_validate(&schema_types[type], copy, true, false, e);

    if (!rc && json_uuid(attrs, "id", &same) && !uuid_equal(&same, id))
        rc = error_set(e, -EINVAL, schema_types[type].name, "id", "can't be changed");
    if (rc) {
        json_decref(copy);
        return rc;
    }
    int64_t position = take_outside(type, copy);
    struct op *op = add_op(t, OP_UPDATE, type, id);
    op->attrs = copy;
    op->position = position;
    op->rev = rev;
    return 0;
}

int objects_delete(struct objects_txn *t, enum schema_type_id type, const struct uuid *id,
                   int64_t rev, struct error *e)
{
    (void)e;
    add_op(t, OP_DELETE, type, id)->rev = rev;
    return 0;
}

int objects_unref(struct objects_txn *t, enum schema_type_id type, const struct uuid *id,
                  enum schema_type_id target_type, const struct uuid *target)
{
    struct op *op = add_op(t, OP_UNREF, type, id);

    op->target_type = target_type;
    op->target = *target;
    return 0;
}

static int run_delete(struct plan *p, const struct op *op)
{
    struct object *o;
    int rc = plan_load(p, op->type, &op->id, &o);

    if (rc == -ENOENT && op->if_exists)
        return 0;
    if (rc == -EBADMSG)
        rc = plan_load_broken(p, op->type, &op->id, &o);
    if (rc)
        return rc;
    if (op->rev != STORE_ANY && op->rev != o->rev)
        return plan_error(p, -ESTALE, o, NULL, "has been changed: it is at revision %lld, not %lld",
                          (long long)o->rev, (long long)op->rev);
    const char *type = json_string_value(json_object_get(o->after, "type"));
    if (op->type == ST_ROUTE && !p->system && type && !strcmp(type, "Local")) {
        plan_error(p, -EBUSY, o, NULL,
                   "a local route can't be deleted: it follows its port's addresses");
        error_hint(p->e, "change the addresses of the port");
        return -EBUSY;
    }
    if (op->type == ST_PORT && !p->system && json_object_get(o->after, "vtepId"))
        return plan_error(p, -EBUSY, o, NULL,
                          "the port of a VTEP goes with the last binding of its bridge");
    return plan_delete(p, op->type, &op->id);
}

static int run_op(struct plan *p, const struct op *op)
{
    switch (op->kind) {
    case OP_CREATE:
        return plan_create(p, op->type, &op->id, json_deep_copy(op->attrs), op->position, NULL);
    case OP_UPDATE:
        return plan_update(p, op);
    case OP_DELETE:
        return run_delete(p, op);
    case OP_UNREF:
        return plan_unref(p, op);
    }
    return -EINVAL;
}

/* State of deleted objects belongs to nobody; agents' own nodes in it are gone as soon as they see
 * the deletion, what they miss goes here. */
static void sweep_state(struct plan *p)
{
    char(*paths)[STORE_PATH_MAX] = mem_array(p->n_objects, STORE_PATH_MAX);
    struct store_value *values;
    struct object *o, *next;
    size_t n = 0;

    HASH_ITER (hh, p->objects, o, next)
        if (o->before && !o->after)
            objects_state_path(object_type(o), &o->key.id, "", paths[n++]);
    values = NEW_ARRAY(n, struct store_value);
    if (n && !read_many(p->db, paths, n, values, NULL))
        for (size_t i = 0; i < n; i++)
            if (!values[i].rc)
                store_delete_tree(p->db->store, paths[i], NULL);
    values_free(values, n);
    free(paths);
}

/* One plan and its commit.  *big is the deletion that is too big for one, if that is what's
 * wrong. */
static int attempt(struct objects_txn *t, bool careful, const struct op **big, struct error *e)
{
    struct plan p = {.db = t->db,
                     .view = {.db = t->db, .careful = careful},
                     .e = e,
                     .system = t->system,
                     .dangling = t->dangling};
    int rc = prefetch(&p, t);

    *big = NULL;
    for (size_t i = 0; !rc && i < t->n_ops; i++) {
        size_t before = p.n_objects;
        rc = run_op(&p, &t->ops[i]);
        if (rc == -EFBIG && t->ops[i].kind == OP_DELETE && before <= PLAN_OBJECTS_MAX / 2)
            *big = &t->ops[i];
    }
    if (!rc)
        rc = plan_finish(&p);
    if (!rc && careful)
        rc = view_load_all(&p.view, e);
    bool planned = !rc;
    if (!rc && !t->dry_run)
        rc = view_commit(&p.view, e);
    /* What the store says to a plan that was right when it was made is a race. */
    if (planned && (rc == -EEXIST || rc == -ENOENT || rc == -ESTALE || rc == -ENOTEMPTY))
        rc = -EAGAIN;
    if (planned && rc == -E2BIG)
        for (size_t i = 0; !*big && i < t->n_ops; i++)
            if (t->ops[i].kind == OP_DELETE && t->n_ops == 1)
                *big = &t->ops[i];
    if (!rc && !t->dry_run)
        sweep_state(&p);
    plan_free(&p);
    return rc;
}

/* Writers that met once would meet again if they came back in step. */
static void back_off(unsigned tries)
{
    struct uuid r;
    uint32_t us;

    if (tries < 2)
        return;
    uuid_random(&r);
    memcpy(&us, r.b, sizeof us);
    us %= 500u << MIN(tries, 7u);
    const struct timespec wait = {.tv_nsec = (long)us * 1000};
    nanosleep(&wait, NULL);
}

static int too_big(struct error *e)
{
    int rc = error_set(e, -E2BIG, NULL, NULL, "the transaction is too big for one commit");

    error_hint(e, "do it in several");
    return rc;
}

int objects_commit(struct objects_txn *t, struct error *e)
{
    const struct op *big;
    unsigned tries = 0, drains = 0;
    int rc = -EAGAIN;

    while (rc == -EAGAIN && tries < ATTEMPTS) {
        rc = attempt(t, tries > 0, &big, e);
        if (rc == -EAGAIN) {
            t->db->stats.conflicts++;
            back_off(++tries);
        }
        if ((rc == -EFBIG || rc == -E2BIG) && big && drains++ < ATTEMPTS) {
            rc = plan_refuses(t->db, big->type, &big->id, e);
            if (!rc)
                rc = drain(t->db, big->type, &big->id, e);
            if (!rc)
                rc = -EAGAIN;
        }
    }
    if (rc == -EAGAIN)
        return error_set(e, -EBUSY, NULL, NULL,
                         "other writers kept changing the same objects (%u tries)", tries);
    return rc == -EFBIG ? too_big(e) : rc;
}

int objects_check(struct objects_txn *t, struct error *e)
{
    const struct op *big;

    t->dry_run = true;
    int rc = attempt(t, false, &big, e);
    t->dry_run = false;
    if (rc == -EFBIG && big)
        rc = plan_refuses(t->db, big->type, &big->id, e);
    return rc == -EFBIG ? too_big(e) : rc;
}

static int finish1(struct objects_txn *t, int rc, struct error *e)
{
    if (!rc)
        rc = objects_commit(t, e);
    objects_abort(t);
    return rc;
}

int objects_create1(struct objects *db, enum schema_type_id type, const json_t *attrs,
                    struct uuid *id, struct error *e)
{
    struct objects_txn *t = objects_begin(db);

    return finish1(t, objects_create(t, type, attrs, id, e), e);
}

int objects_update1(struct objects *db, enum schema_type_id type, const struct uuid *id,
                    const json_t *attrs, int64_t rev, struct error *e)
{
    struct objects_txn *t = objects_begin(db);

    return finish1(t, objects_update(t, type, id, attrs, rev, e), e);
}

int objects_delete1(struct objects *db, enum schema_type_id type, const struct uuid *id,
                    int64_t rev, struct error *e)
{
    struct objects_txn *t = objects_begin(db);

    return finish1(t, objects_delete(t, type, id, rev, e), e);
}
