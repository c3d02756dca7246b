#include "cli/coll.h"

#include <string.h>

/* A binding is two attributes of a port; "portId" stands for the port's own id. */
static const struct schema_attr binding_rows[] = {
    {.name = "host",
     .json = "hostId",
     .value = SV_REF,
     .ref = ST_HOST,
     .flags = SA_READONLY,
     .help = "The host"},
    {.name = "interface",
     .json = "interfaceName",
     .value = SV_STRING,
     .flags = SA_REQUIRED,
     .min = 1,
     .max = 15,
     .help = "Interface on that host",
     .example = "tap0"},
    {.name = "port",
     .json = "portId",
     .value = SV_REF,
     .ref = ST_PORT,
     .flags = SA_REQUIRED | SA_CREATE,
     .help = "Port bound to it"},
    {.name = NULL},
};

typedef bool coll_fn(const struct coll *, void *);

static bool refers_to(const struct schema_type *t, enum schema_type_id target)
{
    for (const struct schema_attr *a = t->attrs; a->name; a++)
        if (a->value == SV_REF && a->ref == target)
            return true;
    return false;
}

static bool each_top(coll_fn *fn, void *aux)
{
    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *t = &schema_types[i];

        if (t->alias && !fn(&(struct coll){t->name, COLL_TOP, t, t->attrs}, aux))
            return false;
    }
    return true;
}

static bool each_child(const struct schema_type *ctx, coll_fn *fn, void *aux)
{
    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *t = &schema_types[i];
        const struct schema_attr *parent = schema_parent_attr(t, ctx->id);

        if (parent && !fn(&(struct coll){t->name, COLL_CHILD, t, t->attrs, .parent = parent}, aux))
            return false;
    }
    return true;
}

static bool each_related(const struct schema_type *ctx, coll_fn *fn, void *aux)
{
    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *t = &schema_types[i];

        if (t->alias && !schema_parent_attr(t, ctx->id) && refers_to(t, ctx->id) &&
            !fn(&(struct coll){t->name, COLL_RELATED, t, t->attrs}, aux))
            return false;
    }
    return true;
}

static bool each_embedded(const struct schema_type *ctx, coll_fn *fn, void *aux)
{
    for (const struct schema_attr *a = ctx->attrs; a->name; a++)
        if (a->collection &&
            !fn(&(struct coll){a->collection, COLL_LIST, ctx, a->sub, .list = a}, aux))
            return false;
    if (ctx->id != ST_HOST)
        return true;
    return fn(&(struct coll){"binding", COLL_BINDING, &schema_types[ST_PORT], binding_rows}, aux);
}

void coll_each(const struct schema_type *ctx, coll_fn *fn, void *aux)
{
    if (!ctx)
        each_top(fn, aux);
    else
        (void)(each_child(ctx, fn, aux) && each_embedded(ctx, fn, aux) &&
               each_related(ctx, fn, aux));
}

struct finding {
    const char *word;
    struct coll *out;
    bool found;
};

static bool is_it(const struct coll *c, void *aux)
{
    struct finding *f = aux;

    if (strcmp(c->word, f->word))
        return true;
    *f->out = *c;
    f->found = true;
    return false;
}

bool coll_find(const struct schema_type *ctx, const char *word, struct coll *out)
{
    struct finding f = {word, out, false};

    coll_each(ctx, is_it, &f);
    return f.found;
}

bool coll_creatable(const struct coll *c)
{
    switch (c->kind) {
    case COLL_TOP:
        return !c->type->read_only;
    case COLL_CHILD:
        return !(c->parent->flags & SA_READONLY);
    case COLL_LIST:
        return !(c->list->flags & SA_READONLY);
    case COLL_BINDING:
        return true;
    case COLL_RELATED:
        break;
    }
    return false;
}

const struct schema_attr coll_id_row[] = {
    {.name = "id", .json = "id", .value = SV_UUID, .flags = SA_READONLY | SA_HIDDEN},
    {.name = NULL},
};

const struct schema_attr *coll_field(const struct schema_attr *rows, const char *name)
{
    for (const struct schema_attr *a = rows; a->name; a++)
        if (!strcmp(a->name, name))
            return a;
    return NULL;
}
