#include "cli/ref.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define COMPONENTS_MAX 4 /* "lb:pool:vip" has three; more can't be meant */

static const char *word_of(enum schema_type_id type)
{
    return schema_types[type].name;
}

static int not_found(enum schema_type_id type, const char *text, struct error *e)
{
    char object[sizeof e->object];

    snprintf(object, sizeof object, "%s %.60s", word_of(type), text);
    return error_set(e, -ENOENT, object, NULL, "no such %s", word_of(type));
}

/* Follows "a:b:c" through the namespaces of the alias table. */
static bool by_alias(struct cli *cli, enum schema_type_id type, const struct uuid *parent,
                     const char *text, struct uuid *id)
{
    struct uuid ns = parent ? *parent : uuid_zero;
    enum schema_type_id found = ST_NONE;
    char name[64];

    if (!cli->aliases)
        return false;
    for (const char *p = text; p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
        size_t size = strcspn(p, ":");
        if (size >= sizeof name)
            return false;
        memcpy(name, p, size);
        name[size] = '\0';
        if (!alias_find(cli->aliases, &ns, name, &found, id))
            return false;
        ns = *id;
    }
    return found == type;
}

/* "PARENT:NAME", split at any of its colons (names may have some of their own).  -ENOENT if none
 * fits; of several the first is kept and -EINVAL tells. */
static int by_parent(struct cli *cli, enum schema_type_id type, const char *text, struct uuid *id,
                     struct error *e)
{
    const struct schema_type *t = &schema_types[type];
    const char *const attrs[] = {t->parent_attr, t->parent_attr2};
    unsigned n_found = 0;

    for (const char *colon = strchr(text, ':'); colon; colon = strchr(colon + 1, ':')) {
        char *left = mem_printf("%.*s", (int)(colon - text), text);

        for (unsigned i = 0; i < ARRAY_SIZE(attrs) && *left; i++) {
            const struct schema_attr *a = attrs[i] ? schema_attr_by_json(t->attrs, attrs[i]) : NULL;
            struct uuid parent, child;

            if (!a || ref_resolve(cli, a->ref, left, &parent, NULL) ||
                ref_resolve_below(cli, type, &parent, colon + 1, &child, NULL))
                continue;
            if (!n_found || !uuid_equal(&child, id))
                n_found++;
            *id = child;
        }
        free(left);
    }
    if (n_found > 1) {
        error_set(e, -EINVAL, text, NULL, "names several objects");
        error_hint(e, "use a uuid");
        return -EINVAL;
    }
    return n_found ? 0 : -ENOENT;
}

static unsigned count_colons(const char *s)
{
    unsigned n = 0;

    for (; *s; s++)
        n += *s == ':';
    return n;
}

int ref_resolve_below(struct cli *cli, enum schema_type_id type, const struct uuid *parent,
                      const char *text, struct uuid *id, struct error *e)
{
    struct uuid named;

    if (by_alias(cli, type, parent, text, id)) {
        if (!objects_resolve(cli->db, type, parent, text, &named, NULL) &&
            !uuid_equal(&named, id)) {
            error_set(e, -EINVAL, text, NULL, "is an alias and the name of another object");
            error_hint(e, "use a uuid");
            return -EINVAL;
        }
        return 0;
    }
    if (!uuid_parse(text, id))
        return 0;
    if (!*text)
        return not_found(type, text, e);
    return objects_resolve(cli->db, type, parent, text, id, e);
}

int ref_resolve(struct cli *cli, enum schema_type_id type, const char *text, struct uuid *id,
                struct error *e)
{
    int rc = ref_resolve_below(cli, type, NULL, text, id, e);

    if (rc != -ENOENT || !strchr(text, ':') || count_colons(text) >= COMPONENTS_MAX)
        return rc;
    rc = by_parent(cli, type, text, id, e);
    return rc == -ENOENT ? not_found(type, text, e) : rc;
}

struct naming {
    struct cli *cli;
    enum schema_type_id type;
    const struct uuid *parent, *id;
};

/* An operator's object bears this name already. */
static bool is_taken(const char *name, void *aux)
{
    struct naming *n = aux;
    struct uuid other;

    if (!schema_attr_by_name(&schema_types[n->type], "name"))
        return false;
    int rc = objects_resolve(n->cli->db, n->type, n->parent, name, &other, NULL);

    return rc == -EINVAL || (!rc && !uuid_equal(&other, n->id)); /* -EINVAL: several bear it */
}

bool ref_home(enum schema_type_id type, const json_t *obj, enum schema_type_id *parent_type,
              struct uuid *parent)
{
    const struct schema_type *t = &schema_types[type];
    const char *const attrs[] = {t->parent_attr, t->parent_attr2};

    for (unsigned i = 0; i < ARRAY_SIZE(attrs); i++) {
        const char *text = attrs[i] ? json_string_value(json_object_get(obj, attrs[i])) : NULL;
        if (text && !uuid_parse(text, parent)) {
            *parent_type = schema_attr_by_json(t->attrs, attrs[i])->ref;
            return true;
        }
    }
    return false;
}

static char *uuid_text(const struct uuid *id)
{
    char buf[UUID_STRLEN];

    return mem_strdup(uuid_format(id, buf));
}

/* Gives the object its alias, which needs to know where it stands. */
static int give_alias(struct cli *cli, enum schema_type_id type, const struct uuid *id,
                      const json_t *obj)
{
    enum schema_type_id parent_type;
    struct uuid parent = uuid_zero;
    json_t *read = NULL;

    if (!obj && objects_get(cli->db, type, id, &read, NULL))
        return -ENOENT;
    bool below = ref_home(type, obj ? obj : read, &parent_type, &parent);
    struct naming n = {cli, type, below ? &parent : NULL, id};
    alias_give(cli->aliases, &parent, type, id, is_taken, &n);
    /* The parent gets its alias too, so that the chain is whole. */
    if (below && !alias_of(cli->aliases, &parent, &(struct uuid){{0}}) &&
        schema_types[parent_type].alias)
        give_alias(cli, parent_type, &parent, NULL);
    json_decref(read);
    return 0;
}

static char *aliased(struct cli *cli, enum schema_type_id type, const struct uuid *id,
                     const json_t *obj, bool chain)
{
    struct uuid parent;
    const char *name;
    char *all;

    if (!cli->aliases || !schema_types[type].alias ||
        (!alias_of(cli->aliases, id, &parent) && give_alias(cli, type, id, obj)))
        return uuid_text(id);
    all = mem_strdup(alias_of(cli->aliases, id, &parent));
    while (chain && (name = alias_of(cli->aliases, &parent, &parent))) {
        char *both = mem_printf("%s:%s", name, all);
        free(all);
        all = both;
    }
    return all;
}

char *ref_text(struct cli *cli, enum schema_type_id type, const struct uuid *id, const json_t *obj)
{
    return aliased(cli, type, id, obj, true);
}

char *ref_short(struct cli *cli, enum schema_type_id type, const struct uuid *id, const json_t *obj)
{
    return aliased(cli, type, id, obj, false);
}
