/* A topology as one JSON document, out of a store and into one. */
#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_local_route(enum schema_type_id type, const json_t *obj)
{
    const char *kind = json_string_value(json_object_get(obj, "type"));

    return type == ST_ROUTE && kind && !strcmp(kind, "Local");
}

/* Export */

struct exporting {
    enum schema_type_id type;
    json_t *list;
};

static int export_one(json_t *obj, void *aux)
{
    struct exporting *x = aux;

    if (!is_local_route(x->type, obj)) /* follow from the ports */
        json_array_append(x->list, obj);
    return 0;
}

int objects_export(struct objects *db, json_t **out, struct error *e)
{
    json_t *all = json_object();
    int rc = 0;

    for (unsigned i = 0; !rc && i < ST_N_TYPES; i++) {
        struct exporting x = {(enum schema_type_id)i, json_array()};
        rc = bodies_each(db, x.type, export_one, &x, e);
        if (!rc && json_array_size(x.list))
            json_object_set(all, schema_types[i].plural, x.list);
        json_decref(x.list);
    }
    if (rc) {
        json_decref(all);
        return rc;
    }
    *out = json_pack("{s:i,s:o}", "version", 1, "objects", all);
    return 0;
}

/* Import */

/* Whom a type requires comes before it.  Optional references may point forward: they are set when
 * all objects are there. */
static const enum schema_type_id import_order[] = {
    ST_HOST,
    ST_TUNNEL_ZONE,
    ST_TUNNEL_ZONE_HOST,
    ST_CHAIN,
    ST_QOS_POLICY,
    ST_QOS_BW_RULE,
    ST_QOS_DSCP_RULE,
    ST_IP_ADDR_GROUP,
    ST_IP_ADDR,
    ST_PORT_GROUP,
    ST_HOST_GROUP,
    ST_HEALTH_MONITOR,
    ST_LOAD_BALANCER,
    ST_BRIDGE,
    ST_ROUTER,
    ST_VTEP,
    ST_PORT,
    ST_VTEP_BINDING,
    ST_PORT_GROUP_PORT,
    ST_MIRROR,
    ST_MAC_PORT,
    ST_IP_MAC,
    ST_REMOTE_PEER,
    ST_DHCP,
    ST_DHCP_HOST,
    ST_DHCPV6,
    ST_DHCPV6_HOST,
    ST_BGP_PEER,
    ST_BGP_NETWORK,
    ST_POOL,
    ST_POOL_MEMBER,
    ST_VIP,
    ST_L2INSERTION,
    ST_SERVICE_CONTAINER_GROUP,
    ST_SERVICE_CONTAINER,
    ST_VPN_SERVICE,
    ST_IPSEC_CONNECTION,
    ST_ROUTE,
    ST_TRACE_REQUEST,
    ST_RULE,
    ST_LOGGING_RESOURCE,
    ST_RULE_LOGGER,
};
_Static_assert(ARRAY_SIZE(import_order) == ST_N_TYPES, "every type is imported");

enum { BATCH_OBJECTS = 150, BATCH_BYTES = 200 * 1000 };

struct known {
    UT_hash_handle hh;
    struct uuid id;
    bool made;
    int64_t children; /* chain: rules so far */
};

struct later { /* references to set at the end */
    enum schema_type_id type;
    struct uuid id;
    json_t *attrs;
};

struct import {
    struct objects *db;
    struct objects_txn *txn;
    size_t bytes;
    struct known *known; /* ids in the document */
    struct later *later;
    size_t n_later;
    struct error *e;
};

static struct known *know(struct import *im, const struct uuid *id)
{
    struct known *k;

    HASH_FIND(hh, im->known, id, sizeof *id, k);
    return k;
}

static int flush(struct import *im)
{
    int rc = im->txn ? objects_commit(im->txn, im->e) : 0;

    objects_abort(im->txn);
    im->txn = NULL;
    im->bytes = 0;
    return rc;
}

static int room(struct import *im, const json_t *obj)
{
    size_t size = json_dumpb(obj, NULL, 0, JSON_COMPACT);
    int rc = 0;

    if (im->txn && (im->txn->n_ops >= BATCH_OBJECTS || im->bytes + size > BATCH_BYTES))
        rc = flush(im);
    if (!im->txn) {
        im->txn = objects_begin(im->db);
        im->txn->system = im->txn->dangling = true;
    }
    im->bytes += size;
    return rc;
}

static bool points_forward(struct import *im, const json_t *v)
{
    struct uuid id;
    struct known *k;

    for (size_t i = 0; i < json_array_size(v); i++)
        if (points_forward(im, json_array_get(v, i)))
            return true;
    if (!json_is_string(v) || uuid_parse(json_string_value(v), &id))
        return false;
    k = know(im, &id);
    return k && !k->made;
}

/* Takes the references that can't be set yet out of 'obj'. */
static json_t *put_off(struct import *im, enum schema_type_id type, json_t *obj)
{
    json_t *put = NULL;

    for (const struct schema_attr *a = schema_types[type].attrs; a->name; a++) {
        json_t *v = json_object_get(obj, a->json);
        if (a->value != SV_REF || (a->flags & SA_REQUIRED) || !points_forward(im, v))
            continue;
        put = put ? put : json_object();
        json_object_set(put, a->json, v);
        json_object_del(obj, a->json);
    }
    return put;
}

static void remember(struct import *im, enum schema_type_id type, const struct uuid *id,
                     json_t *attrs)
{
    if (!attrs)
        return;
    im->later = mem_resize(im->later, (im->n_later + 1) * sizeof *im->later);
    im->later[im->n_later++] = (struct later){type, *id, attrs};
}

static void set_position(struct import *im, json_t *rule)
{
    struct uuid chain;
    struct known *k = json_uuid(rule, "chainId", &chain) ? know(im, &chain) : NULL;

    if (k)
        json_object_set_new(rule, "position", json_integer(++k->children));
}

static int import_one(struct import *im, enum schema_type_id type, const json_t *given)
{
    json_t *obj = json_deep_copy(given), *put;
    struct uuid id;

    if (is_local_route(type, obj)) {
        json_decref(obj);
        return 0;
    }
    put = put_off(im, type, obj);
    if (type == ST_RULE)
        set_position(im, obj);
    int rc = room(im, obj);
    if (!rc)
        rc = objects_create(im->txn, type, obj, &id, im->e);
    json_decref(obj);
    if (rc) {
        json_decref(put);
        return rc;
    }
    struct known *k = know(im, &id);
    if (k)
        k->made = true;
    remember(im, type, &id, put);
    return 0;
}

static int64_t position_of(const json_t *rule)
{
    return json_integer_value(json_object_get(rule, "position"));
}

struct placed_rule {
    size_t index; /* sorting is stable: rules without positions stay as they are */
    json_t *rule;
};

static int by_position(const void *a, const void *b)
{
    const struct placed_rule *x = a, *y = b;
    int64_t px = position_of(x->rule), py = position_of(y->rule);

    return px != py ? (px < py ? -1 : 1) : x->index < y->index ? -1 : 1;
}

static int import_rules(struct import *im, const json_t *list)
{
    size_t n = json_array_size(list);
    struct placed_rule *rules = NEW_ARRAY(n, struct placed_rule);
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        rules[i] = (struct placed_rule){i, json_array_get(list, i)};
    qsort(rules, n, sizeof *rules, by_position);
    for (size_t i = 0; !rc && i < n; i++)
        rc = import_one(im, ST_RULE, rules[i].rule);
    free(rules);
    return rc;
}

static int import_type(struct import *im, enum schema_type_id type, const json_t *list)
{
    size_t i;
    json_t *obj;
    int rc = 0;

    if (type == ST_RULE)
        return import_rules(im, list);
    json_array_foreach (list, i, obj)
        if (!rc)
            rc = import_one(im, type, obj);
    return rc;
}

/* A document that isn't well formed changes nothing. */
static int check_list(struct import *im, const char *key, const json_t *list)
{
    const struct schema_type *t = schema_type_by_name(key);
    size_t i;
    json_t *obj;

    if (!t || strcmp(t->plural, key) || !json_is_array(list))
        return error_set(im->e, -EINVAL, key, NULL, "is not a list of a known type");
    json_array_foreach (list, i, obj) {
        json_t *copy = json_deep_copy(obj);
        struct uuid id;
        int rc = schema_validate(t, copy, false, false, im->e);
        json_decref(copy);
        if (rc) {
            if (im->e)
                snprintf(im->e->object, sizeof im->e->object, "%.64s[%zu]", key, i);
            return rc;
        }
        if (!json_uuid(obj, "id", &id) || know(im, &id))
            continue;
        struct known *k = NEW(struct known);
        k->id = id;
        HASH_ADD(hh, im->known, id, sizeof k->id, k);
    }
    return 0;
}

static int check_document(struct import *im, const json_t *doc, const json_t *all)
{
    const char *key;
    json_t *list;
    int rc = 0;

    if (json_integer_value(json_object_get(doc, "version")) != 1 || !json_is_object(all))
        return error_set(im->e, -EINVAL, NULL, NULL,
                         "not a topology: {\"version\":1,\"objects\":{...}} is expected");
    json_object_foreach ((json_t *)all, key, list)
        if (!rc)
            rc = check_list(im, key, list);
    return rc;
}

static int set_later(struct import *im)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < im->n_later; i++) {
        const struct later *l = &im->later[i];
        rc = room(im, l->attrs);
        if (!rc)
            rc = objects_update(im->txn, l->type, &l->id, l->attrs, STORE_ANY, im->e);
    }
    return rc ? rc : flush(im);
}

int objects_import(struct objects *db, const json_t *doc, struct error *e)
{
    const json_t *all = json_object_get(doc, "objects");
    struct import im = {.db = db, .e = e};
    struct known *k, *next;
    int rc = check_document(&im, doc, all);

    for (unsigned i = 0; !rc && i < ARRAY_SIZE(import_order); i++)
        rc = import_type(&im, import_order[i],
                         json_object_get(all, schema_types[import_order[i]].plural));
    if (!rc)
        rc = flush(&im);
    if (!rc)
        rc = set_later(&im);
    objects_abort(im.txn);
    for (size_t i = 0; i < im.n_later; i++)
        json_decref(im.later[i].attrs);
    free(im.later);
    HASH_ITER (hh, im.known, k, next) {
        HASH_DEL(im.known, k);
        free(k);
    }
    return rc;
}
