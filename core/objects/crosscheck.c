#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

static bool same(const char *a, const char *b)
{
    return a && b && !strcmp(a, b);
}

/* Loads what 'key' of 'obj' refers to; *out stays null when it isn't set or isn't there (which is
 * found out elsewhere). */
static int follow(struct plan *p, const json_t *obj, const char *key, enum schema_type_id type,
                  struct object **out)
{
    struct uuid id;

    *out = NULL;
    if (!json_uuid(obj, key, &id))
        return 0;
    int rc = plan_load(p, type, &id, out);
    if (rc)
        *out = NULL;
    return rc == -ENOENT ? 0 : rc;
}

/* Links */

static bool has_vlan(const json_t *port)
{
    return json_object_get(port, "vlanId") != NULL;
}

static int check_link(struct plan *p, const struct object *o)
{
    struct object *peer;
    int rc = follow(p, o->after, "peerId", ST_PORT, &peer);

    if (rc || !peer ||
        same(json_str(o->before ? o->before : NULL, "peerId"), json_str(o->after, "peerId")))
        return rc;
    const char *bridge = json_str(o->after, "bridgeId"), *other = json_str(peer->after, "bridgeId");
    if (same(bridge, other) ||
        same(json_str(o->after, "routerId"), json_str(peer->after, "routerId")))
        return plan_error(p, -EBUSY, o, "peerId",
                          "Ports are not linkable: both are of the same device");
    if (bridge && other && has_vlan(o->after) == has_vlan(peer->after))
        return plan_error(p, -EBUSY, o, "peerId",
                          "Ports are not linkable: of two bridges exactly one has a VLAN tag on "
                          "its port");
    return 0;
}

/* The body of what 'key' refers to, as it is or, if this plan deletes it, as it was; or null.  A
 * key that is given up must come out the same as when it was taken. */
static int follow_body(struct plan *p, const json_t *obj, const char *key, enum schema_type_id type,
                       const json_t **body)
{
    struct object_key k = {.type = type};
    struct object *o;

    *body = NULL;
    if (!json_uuid(obj, key, &k.id))
        return 0;
    int rc = plan_load(p, type, &k.id, &o);
    if (rc && rc != -ENOENT)
        return rc;
    HASH_FIND(hh, p->objects, &k, sizeof k, o);
    if (o)
        *body = o->after ? o->after : o->before;
    return 0;
}

/* An untagged bridge has at most one VLAN-aware bridge above it. */
static int vlan_uplink_key(struct plan *p, const json_t *port, char **key)
{
    const json_t *peer;
    int rc = follow_body(p, port, "peerId", ST_PORT, &peer);

    if (!rc && peer && json_str(port, "bridgeId") && !has_vlan(port) &&
        json_str(peer, "bridgeId") && has_vlan(peer))
        *key = mem_printf("bridgeId,peerId=%s", json_str(port, "bridgeId"));
    return rc;
}

/* Bindings */

static int check_bound_host(struct plan *p, const struct object *o)
{
    struct uuid host, *members;
    char path[STORE_PATH_MAX];
    size_t n;

    if (!json_uuid(o->after, "hostId", &host) ||
        (o->before && same(json_str(o->before, "hostId"), json_str(o->after, "hostId"))))
        return 0;
    int rc = plan_referrers(p, ST_HOST, &host, ST_TUNNEL_ZONE_HOST, "hostId", &members, &n);
    if (!rc && !n) {
        plan_error(p, -EBUSY, o, "hostId", "The specified host is not in any tunnel zone");
        error_hint(p->e, "tunnel-zone ZONE add member host HOST address ADDRESS");
        rc = -EBUSY;
    } else if (!rc) {
        struct object_key key = {.type = ST_TUNNEL_ZONE_HOST, .id = members[0]};
        struct object *member;
        HASH_FIND(hh, p->objects, &key, sizeof key, member);
        objects_path(ST_TUNNEL_ZONE_HOST, &members[0], path);
        if (!member || member->before)
            view_require(&p->view, path);
    }
    free(members);
    return rc;
}

/* Devices */

static int check_same_device(struct plan *p, const struct object *o, const char *port_attr,
                             const char *device_attr, const char *message)
{
    struct object *port;
    int rc = follow(p, o->after, port_attr, ST_PORT, &port);

    if (rc || !port || same(json_str(port->after, device_attr), json_str(o->after, device_attr)))
        return rc;
    return plan_error(p, -EINVAL, o, port_attr, "%s", message);
}

static int check_router_port(struct plan *p, const struct object *o, const char *attr)
{
    struct object *port;
    int rc = follow(p, o->after, attr, ST_PORT, &port);

    if (rc || !port || json_str(port->after, "routerId"))
        return rc;
    return plan_error(p, -EINVAL, o, attr, "is not a port of a router");
}

static int check_zone_type(struct plan *p, const struct object *o)
{
    struct object *zone;
    int rc = follow(p, o->after, "tunnelZoneId", ST_TUNNEL_ZONE, &zone);

    if (rc || !zone || same(json_str(zone->after, "type"), "vtep"))
        return rc;
    return plan_error(p, -EINVAL, o, "tunnelZoneId", "Tunnel zone is not of type VTEP");
}

/* A host is in one overlay zone at most; zones of VTEPs come beside it. */
static int overlay_key(struct plan *p, const json_t *member, char **key)
{
    const json_t *zone;
    int rc = follow_body(p, member, "tunnelZoneId", ST_TUNNEL_ZONE, &zone);

    if (!rc && zone && !same(json_str(zone, "type"), "vtep"))
        *key = mem_printf("hostId=%s", json_str(member, "hostId"));
    return rc;
}

struct host_search {
    const char *address;
    bool found;
};

static int compare_host(json_t *obj, void *aux)
{
    struct host_search *s = aux;
    size_t i;
    json_t *v;

    json_array_foreach (json_object_get(obj, "addresses"), i, v)
        if (same(json_string_value(v), s->address))
            s->found = true;
    if (same(json_str(obj, "ipAddress"), s->address))
        s->found = true;
    return s->found;
}

/* VTEPs are few and made by hand: all hosts are looked at. */
static int check_vtep_address(struct plan *p, const struct object *o)
{
    struct host_search s = {json_str(o->after, "managementIp"), false};

    if (o->before)
        return 0;
    int rc = objects_each(p->db, ST_HOST, NULL, compare_host, &s, p->e);
    if (rc >= 0 && !s.found)
        rc = objects_each(p->db, ST_TUNNEL_ZONE_HOST, NULL, compare_host, &s, p->e);
    if (s.found)
        return plan_error(p, -EBUSY, o, "managementIp",
                          "VTEP conflicts with an existing host with IP address %s", s.address);
    return rc;
}

/* Service insertions */

static int check_insertion(struct plan *p, const struct object *o)
{
    static const struct {
        const char *attr, *taken, *what;
    } ends[] = {{"portId", "srvInsertionIds", "has a service behind it and can't be inspected"},
                {"srvPortId", "insertionIds", "is inspected itself and can't be a service's"}};

    if (same(json_str(o->after, "portId"), json_str(o->after, "srvPortId")))
        return plan_error(p, -EINVAL, o, "srvPortId", "is the inspected port itself");
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        struct object *port;
        int rc = follow(p, o->after, ends[i].attr, ST_PORT, &port);
        if (rc || !port)
            return rc;
        if (!json_str(port->after, "bridgeId"))
            return plan_error(p, -EINVAL, o, ends[i].attr, "is not a port of a bridge");
        if (json_array_size(json_object_get(port->after, ends[i].taken)))
            return plan_error(p, -EBUSY, o, ends[i].attr, "%s", ends[i].what);
    }
    return 0;
}

static int64_t vlan_of(const json_t *insertion)
{
    return json_integer_value(json_object_get(insertion, "vlan"));
}

/* Between two stations behind one service a frame passes it twice; only the tag tells which time
 * it is coming back from.  (Whoever adds another writes to the service's port: no race.) */
static int check_shared_service(struct plan *p, const struct object *o)
{
    struct uuid port, *others;
    struct object *other;
    size_t n;

    if (!json_uuid(o->after, "srvPortId", &port))
        return 0;
    int rc = plan_referrers(p, ST_PORT, &port, ST_L2INSERTION, "srvPortId", &others, &n);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = plan_load(p, ST_L2INSERTION, &others[i], &other);
        if (!rc && !same(json_str(other->after, "mac"), json_str(o->after, "mac")) &&
            (!vlan_of(o->after) || !vlan_of(other->after)))
            rc = plan_error(p, -EBUSY, o, "vlan",
                            "the service inspects %s too: each needs a VLAN on its way there",
                            json_str(other->after, "mac"));
        rc = rc == -ENOENT ? 0 : rc;
    }
    free(others);
    return rc;
}

int crosscheck(struct plan *p, struct object *o)
{
    int rc;

    switch (object_type(o)) {
    case ST_PORT:
        rc = check_link(p, o);
        return rc ? rc : check_bound_host(p, o);
    case ST_ROUTE:
        return check_same_device(p, o, "nextHopPort", "routerId",
                                 "This type of route requires a next hop port that is a port on "
                                 "the same router");
    case ST_MAC_PORT:
        return check_same_device(p, o, "portId", "bridgeId", "is not a port of the bridge");
    case ST_VIP:
        return check_router_port(p, o, "gatewayPortId");
    case ST_REMOTE_PEER:
        return check_router_port(p, o, "portId");
    case ST_VTEP:
        rc = check_zone_type(p, o);
        return rc ? rc : check_vtep_address(p, o);
    case ST_L2INSERTION:
        rc = check_insertion(p, o);
        return rc ? rc : check_shared_service(p, o);
    default:
        return 0;
    }
}

int crosscheck_key(struct plan *p, const struct object *o, const json_t *obj, char **key)
{
    *key = NULL;
    switch (object_type(o)) {
    case ST_PORT:
        return vlan_uplink_key(p, obj, key);
    case ST_TUNNEL_ZONE_HOST:
        return overlay_key(p, obj, key);
    default:
        return 0;
    }
}
