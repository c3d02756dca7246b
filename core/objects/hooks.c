#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

/* Mutual references */

static int busy(struct plan *p, const struct object *o, const struct schema_attr *a,
                const char *whose)
{
    if (o->key.type == ST_PORT && a->ref == ST_PORT)
        return plan_error(p, -EBUSY, o, a->json,
                          "Ports are not linkable: it is already linked to %s", whose);
    return plan_error(p, -EBUSY, o, a->json, "is already taken by %s %s", schema_types[a->ref].name,
                      whose);
}

/* The other side forgets 'o'. */
static int unlink_peer(struct plan *p, const struct object *o, const struct schema_attr *a,
                       const char *peer_id)
{
    struct object *peer;
    struct uuid id;
    char text[UUID_STRLEN];

    if (uuid_parse(peer_id, &id))
        return 0;
    int rc = plan_load(p, a->ref, &id, &peer);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    if (same(json_str(peer->after, a->peer_json), uuid_format(&o->key.id, text)))
        json_object_del(peer->after, a->peer_json);
    return 0;
}

static int link_peer(struct plan *p, const struct object *o, const struct schema_attr *a,
                     const char *peer_id)
{
    const struct schema_attr *back = schema_attr_by_json(schema_types[a->ref].attrs, a->peer_json);
    char text[UUID_STRLEN];
    struct object *peer;
    struct uuid id;

    uuid_format(&o->key.id, text);
    if (uuid_parse(peer_id, &id))
        return 0;
    if (uuid_equal(&id, &o->key.id))
        return plan_error(p, -EINVAL, o, a->json, "can't be itself");
    int rc = plan_load(p, a->ref, &id, &peer);
    if (rc)
        return rc;
    const char *taken = json_str(peer->after, a->peer_json);
    if (same(taken, text))
        return 0;
    if (taken)
        return busy(p, peer, back, taken);
    json_object_set_new(peer->after, a->peer_json, json_string(text));
    return plan_recheck(p, peer);
}

static int mutual(struct plan *p, const struct object *o, const json_t *before)
{
    int rc = 0;

    for (const struct schema_attr *a = schema_types[o->key.type].attrs; !rc && a->name; a++) {
        if (!a->peer_json)
            continue;
        const char *was = json_str(before, a->json), *is = json_str(o->after, a->json);
        if (same(was, is))
            continue;
        if (was && is)
            rc = busy(p, o, a, was);
        if (!rc && was)
            rc = unlink_peer(p, o, a, was);
        if (!rc && is)
            rc = link_peer(p, o, a, is);
    }
    return rc;
}

/* Ports */

enum { TUNNEL_KEY_FIRST = 1, TUNNEL_KEY_LAST = 0xffeff, TUNNEL_KEY_TRIES = 64 };

uint32_t tunnel_key_candidate(char path[STORE_PATH_MAX])
{
    char key[48];
    struct uuid u;
    uint32_t n;

    uuid_random(&u);
    memcpy(&n, u.b, sizeof n);
    n = TUNNEL_KEY_FIRST + n % (TUNNEL_KEY_LAST - TUNNEL_KEY_FIRST + 1);
    snprintf(key, sizeof key, "tunnelKey=%u", n);
    path_unique(ST_PORT, key, path);
    return n;
}

/* At random: no counter that all writers meet at, and a key given back is not soon used again.
 * Four in five keys would have to be in use before the tries run out once in a million. */
static int choose_tunnel_key(struct plan *p, struct object *o)
{
    char path[STORE_PATH_MAX], key[48];
    struct node *n;
    uint32_t r;

    for (unsigned i = 0; i < TUNNEL_KEY_TRIES; i++) {
        if (p->n_tunnel_keys) {
            r = p->tunnel_keys[--p->n_tunnel_keys];
            snprintf(key, sizeof key, "tunnelKey=%u", r);
            path_unique(ST_PORT, key, path);
        } else
            r = tunnel_key_candidate(path);
        int rc = view_load(&p->view, path, &n, p->e);
        if (rc)
            return rc;
        if (n->base == BASE_ABSENT && !n->busy) {
            n->busy = true; /* not again in this plan */
            json_object_set_new(o->after, "tunnelKey", json_integer(r));
            return 0;
        }
    }
    return plan_error(p, -EBUSY, o, "tunnelKey", "all %d tunnel keys are in use", TUNNEL_KEY_LAST);
}

/* Address without the length: "10.0.0.1" of "10.0.0.1/24". */
static bool address_of(const json_t *v, char text[CIDR_STRLEN])
{
    const char *s = json_string_value(v);

    if (!s || strlen(s) >= CIDR_STRLEN)
        return false;
    snprintf(text, CIDR_STRLEN, "%.*s", (int)strcspn(s, "/"), s);
    return true;
}

static bool has_address(const json_t *port, const char *address)
{
    char text[CIDR_STRLEN];
    size_t i;
    json_t *v;

    json_array_foreach (port ? json_object_get(port, "portSubnet") : NULL, i, v)
        if (address_of(v, text) && !strcmp(text, address))
            return true;
    return false;
}

static void local_route_id(const struct object *port, const char *address, struct uuid *id)
{
    char key[UUID_STRLEN + CIDR_STRLEN + 8], text[UUID_STRLEN];

    snprintf(key, sizeof key, "local %s %s", uuid_format(&port->key.id, text), address);
    generated_id(key, id);
}

static int add_local_route(struct plan *p, const struct object *port, const char *address)
{
    bool six = strchr(address, ':');
    char port_id[UUID_STRLEN], dst[CIDR_STRLEN + 4];
    struct uuid id;

    local_route_id(port, address, &id);
    snprintf(dst, sizeof dst, "%s/%d", address, six ? 128 : 32);
    json_t *route = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i}", "type", "Local", "routerId",
                              json_str(port->after, "routerId"), "nextHopPort",
                              uuid_format(&port->key.id, port_id), "dstNetworkAddr", dst,
                              "srcNetworkAddr", six ? "::/0" : "0.0.0.0/0", "weight", 0);
    return plan_create(p, ST_ROUTE, &id, route, 0, NULL);
}

/* Routes of type Local follow the addresses.  (Those of a deleted port go by cascade.) */
static int sync_local_routes(struct plan *p, const struct object *o, const json_t *before)
{
    char text[CIDR_STRLEN];
    struct uuid id;
    size_t i, j;
    json_t *v;
    int rc = 0;

    json_array_foreach (before ? json_object_get(before, "portSubnet") : NULL, i, v)
        if (!rc && address_of(v, text) && !has_address(o->after, text)) {
            local_route_id(o, text, &id);
            rc = plan_delete(p, ST_ROUTE, &id);
            rc = rc == -ENOENT ? 0 : rc;
        }
    json_array_foreach (json_object_get(o->after, "portSubnet"), i, v) {
        if (rc || !address_of(v, text) || has_address(before, text))
            continue;
        bool earlier = false; /* the same address with another length */
        char other[CIDR_STRLEN];
        for (j = 0; j < i; j++)
            earlier =
                earlier ||
                (address_of(json_array_get(json_object_get(o->after, "portSubnet"), j), other) &&
                 !strcmp(other, text));
        if (!earlier)
            rc = add_local_route(p, o, text);
    }
    return rc;
}

static int port_changed(struct plan *p, struct object *o, const json_t *before)
{
    const char *was = json_str(before, "hostId");
    int rc = 0;

    if (!before && json_str(o->after, "routerId") && !json_str(o->after, "portMac")) {
        char text[MAC_STRLEN];
        struct mac mac;
        mac_random(&mac);
        json_object_set_new(o->after, "portMac", json_string(mac_format(&mac, text)));
    }
    if (!before && !json_object_get(o->after, "tunnelKey"))
        rc = choose_tunnel_key(p, o);
    if (was && !same(was, json_str(o->after, "hostId")))
        json_object_set_new(o->after, "previousHostId", json_string(was));
    return rc ? rc : sync_local_routes(p, o, before);
}

/* Others */

static int vip_changed(struct plan *p, struct object *o)
{
    struct object *pool;
    struct uuid id;

    if (!json_uuid(o->after, "poolId", &id))
        return 0;
    int rc = plan_load(p, ST_POOL, &id, &pool);
    if (!rc)
        json_object_set(o->after, "loadBalancerId", json_object_get(pool->after, "loadBalancerId"));
    return rc;
}

static void trace_created(struct object *o)
{
    struct timespec now;

    if (json_object_get(o->after, "creationTimestampMs"))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    json_object_set_new(o->after, "creationTimestampMs",
                        json_integer((json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000));
}

int hook_changed(struct plan *p, struct object *o, const json_t *before)
{
    int rc = mutual(p, o, before);

    if (!rc)
        rc = hook_lists(p, o, before);
    if (!rc && o->key.type == ST_VTEP_BINDING)
        return hook_vtep_binding(p, o, before);
    if (rc || !o->after)
        return rc;
    switch (object_type(o)) {
    case ST_PORT:
        return port_changed(p, o, before);
    case ST_VIP:
        return vip_changed(p, o);
    case ST_TRACE_REQUEST:
        if (!before)
            trace_created(o);
        return 0;
    default:
        return 0;
    }
}
