/* Some of what hangs on a port or device is listed in its body as well, so that whoever reads 5,000
 * ports has it without looking below each of them, and hears of it as of any change of the port. */
#include "objects/impl.h"

static const struct listed {
    enum schema_type_id type; /* what is listed; it never moves to another holder */
    const char *attr;         /* names the holder */
    enum schema_type_id holder;
    const char *list;
    const char *value; /* what is listed of it; null: itself */
} listed[] = {
    {ST_PORT_GROUP_PORT, "portId", ST_PORT, "portGroupIds", "portGroupId"},
    {ST_L2INSERTION, "portId", ST_PORT, "insertionIds", NULL},
    {ST_L2INSERTION, "srvPortId", ST_PORT, "srvInsertionIds", NULL},
    {ST_TRACE_REQUEST, "portId", ST_PORT, "traceRequestIds", NULL},
    {ST_TRACE_REQUEST, "bridgeId", ST_BRIDGE, "traceRequestIds", NULL},
    {ST_TRACE_REQUEST, "routerId", ST_ROUTER, "traceRequestIds", NULL},
};

static void list_add(json_t *holder, const char *key, const char *text)
{
    json_t *list = json_object_get(holder, key), *v;
    size_t i;

    if (!list) {
        list = json_array();
        json_object_set_new(holder, key, list);
    }
    json_array_foreach (list, i, v)
        if (!strcmp(json_string_value(v), text))
            return;
    json_array_append_new(list, json_string(text));
}

static int enlist(struct plan *p, const struct object *o, const json_t *body,
                  const struct listed *l, bool add)
{
    struct uuid id, value = o->key.id;
    struct object *holder;
    char text[UUID_STRLEN];

    if (!json_uuid(body, l->attr, &id) || (l->value && !json_uuid(body, l->value, &value)))
        return 0;
    int rc = plan_load(p, l->holder, &id, &holder);
    if (rc)
        return rc == -ENOENT ? 0 : rc; /* it goes too; or the reference is refused later */
    if (add)
        list_add(holder->after, l->list, uuid_format(&value, text));
    else
        refs_remove(l->holder, holder->after, l->list, &value);
    return 0;
}

int hook_lists(struct plan *p, const struct object *o, const json_t *before)
{
    int rc = 0;

    if (before && o->after)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(listed) && !rc; i++)
        if (listed[i].type == object_type(o))
            rc = enlist(p, o, before ? before : o->after, &listed[i], !before);
    return rc;
}
