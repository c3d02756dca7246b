/* A bridge that is bound to a hardware VTEP has one port towards it, however many bindings there
 * are, and a VXLAN network number from the first binding on. */
#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

enum { VNI_FIRST = 10000, VNI_LAST = 0xffffff, VNI_TRIES = 64 };

static int choose_vni(struct plan *p, struct object *bridge)
{
    char key[32], path[STORE_PATH_MAX];
    struct node *n;
    struct uuid r;
    uint32_t vni;

    if (json_object_get(bridge->after, "vni"))
        return 0;
    for (unsigned i = 0; i < VNI_TRIES; i++) {
        uuid_random(&r);
        memcpy(&vni, r.b, sizeof vni);
        vni = VNI_FIRST + vni % (VNI_LAST - VNI_FIRST + 1);
        snprintf(key, sizeof key, "vni=%u", vni);
        path_unique(ST_BRIDGE, key, path);
        int rc = view_load(&p->view, path, &n, p->e);
        if (rc)
            return rc;
        if (n->base == BASE_ABSENT && !n->busy) {
            n->busy = true;
            json_object_set_new(bridge->after, "vni", json_integer(vni));
            return 0;
        }
    }
    return plan_error(p, -EBUSY, bridge, "vni", "no VXLAN network number is free");
}

static void vxlan_port_id(const json_t *binding, struct uuid *id)
{
    char key[2 * UUID_STRLEN + 16];

    snprintf(key, sizeof key, "vxlan %s %s", json_str(binding, "networkId"),
             json_str(binding, "vtepId"));
    generated_id(key, id);
}

static int add_port(struct plan *p, const json_t *binding)
{
    struct object *bridge, *port;
    struct uuid id, network;

    vxlan_port_id(binding, &id);
    int rc = plan_load(p, ST_PORT, &id, &port);
    if (rc != -ENOENT)
        return rc;
    if (!json_uuid(binding, "networkId", &network))
        return 0;
    rc = plan_load(p, ST_BRIDGE, &network, &bridge);
    if (!rc)
        rc = choose_vni(p, bridge);
    if (rc)
        return rc;
    json_t *attrs = json_pack("{s:s,s:s,s:b}", "bridgeId", json_str(binding, "networkId"), "vtepId",
                              json_str(binding, "vtepId"), "adminStateUp", 1);
    return plan_create(p, ST_PORT, &id, attrs, 0, NULL);
}

static int drop_port(struct plan *p, const json_t *binding)
{
    struct uuid id, network, *others;
    struct object *other;
    bool needed = false;
    size_t n;

    if (!json_uuid(binding, "networkId", &network))
        return 0;
    int rc = plan_referrers(p, ST_BRIDGE, &network, ST_VTEP_BINDING, "networkId", &others, &n);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = plan_load(p, ST_VTEP_BINDING, &others[i], &other);
        if (!rc && !strcmp(json_str(other->after, "vtepId"), json_str(binding, "vtepId")))
            needed = true;
        rc = rc == -ENOENT ? 0 : rc;
    }
    free(others);
    if (rc || needed)
        return rc;
    vxlan_port_id(binding, &id);
    rc = plan_delete(p, ST_PORT, &id);
    return rc == -ENOENT ? 0 : rc;
}

int hook_vtep_binding(struct plan *p, struct object *o, const json_t *before)
{
    if (!o->after)
        return drop_port(p, before);
    return before ? 0 : add_port(p, o->after);
}
