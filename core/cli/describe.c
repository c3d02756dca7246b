/* describe: which collections and fields there are, out of the schema. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/describe.h"

static void add_words(struct strbuf *sb, const struct schema_attr *a)
{
    const char *const *words = a->cli_words ? a->cli_words : a->words;

    for (unsigned i = 0; words[i]; i++)
        sb_printf(sb, "%s%.*s", i ? "|" : "", (int)strcspn(words[i], "="), words[i]);
}

char *describe_value(const struct schema_attr *a)
{
    static const char *const names[] = {
        [SV_STRING] = "text",
        [SV_BOOL] = "true|false",
        [SV_INT] = "number",
        [SV_ENUM] = "",
        [SV_IP] = "address",
        [SV_CIDR] = "address/len",
        [SV_MAC] = "mac",
        [SV_MAC_MASK] = "mask",
        [SV_UUID] = "uuid",
        [SV_REF] = "",
        [SV_RANGE] = "number[-number]",
        [SV_OBJECT] = "json",
        [SV_NAT] = "ip[-ip][:port[-port]]",
    };
    struct strbuf sb = {0};

    if (a->flags & SA_INVERT)
        sb_add(&sb, "[!]");
    if (a->value == SV_ENUM || (a->value == SV_BOOL && a->cli_words))
        add_words(&sb, a);
    else if (a->value == SV_BOOL && a->flags & (SA_UPDOWN | SA_YESNO))
        sb_add(&sb, a->flags & SA_UPDOWN ? "up|down" : "yes|no");
    else if (a->value == SV_REF)
        sb_add(&sb, schema_types[a->ref].name);
    else
        sb_add(&sb, names[a->value]);
    if (a->value == SV_INT && a->max)
        sb_printf(&sb, " %lld..%lld", (long long)a->min, (long long)a->max);
    if (a->value == SV_INT && a->words) {
        sb_add(&sb, " ");
        add_words(&sb, a);
    }
    if (a->flags & SA_LIST)
        sb_add(&sb, ",...");
    return sb_steal(&sb);
}

const char *describe_access(const struct schema_attr *a)
{
    if (a->flags & SA_READONLY)
        return "read-only";
    if (a->flags & SA_REQUIRED)
        return "required";
    if (a->flags & SA_CREATE)
        return "at creation";
    return a->flags & SA_CLEARABLE ? "clearable" : "";
}

static json_t *field_json(const struct schema_attr *a)
{
    char *value = describe_value(a);
    json_t *f = json_pack(
        "{s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:b,s:s,s:s?}", "name", a->name, "json", a->json, "value",
        value, "required", !!(a->flags & SA_REQUIRED), "readOnly", !!(a->flags & SA_READONLY),
        "clearable", !!(a->flags & SA_CLEARABLE), "creationOnly", !!(a->flags & SA_CREATE),
        "hidden", !!(a->flags & SA_HIDDEN), "help", a->help ? a->help : "", "example", a->example);

    free(value);
    return f;
}

struct block {
    struct cli *cli;
    json_t *names;
    bool any;
};

static bool add_coll(const struct coll *c, void *aux)
{
    struct block *b = aux;

    /* What merely refers to the object is listed from here, not part of it. */
    print_line(&b->cli->out, "  %-22s %s%s", c->word,
               c->kind == COLL_LIST      ? c->list->help
               : c->kind == COLL_BINDING ? "Ports bound to interfaces of this host"
                                         : c->type->help,
               c->kind == COLL_RELATED ? " (those that refer to this)" : "");
    json_array_append_new(b->names, json_string(c->word));
    b->any = true;
    return true;
}

static json_t *collections(struct cli *cli, const struct schema_type *ctx, bool none)
{
    struct block b = {cli, json_array(), false};

    print_line(&cli->out, "Object collections:");
    if (!none)
        coll_each(ctx, add_coll, &b);
    if (!b.any)
        print_line(&cli->out, "  <NONE>");
    return b.names;
}

static json_t *fields(struct cli *cli, const struct schema_attr *rows)
{
    json_t *list = json_array();

    print_line(&cli->out, "Fields:");
    for (const struct schema_attr *a = rows; a && a->name; a++) {
        char *value = describe_value(a);
        if (!a->collection) {
            print_line(&cli->out, "  %-22s %-24s %-11s %s", a->name, value, describe_access(a),
                       a->help ? a->help : "");
            json_array_append_new(list, field_json(a));
        }
        free(value);
    }
    if (!json_array_size(list))
        print_line(&cli->out, "  <NONE>");
    return list;
}

void describe_coll(struct cli *cli, const struct coll *c)
{
    bool leaf = c && (c->kind == COLL_LIST || c->kind == COLL_BINDING);
    json_t *doc = json_object();

    if (c)
        json_object_set_new(doc, "type", json_string(leaf ? c->word : c->type->name));
    json_object_set_new(doc, "collections", collections(cli, c ? c->type : NULL, leaf));
    json_object_set_new(doc, "fields", fields(cli, c ? c->rows : NULL));
    if (print_is_json(&cli->out))
        print_document(&cli->out, doc);
    json_decref(doc);
}

int cmd_describe(struct cli *cli, const struct command *c, struct error *e)
{
    (void)e;
    describe_coll(cli, c->n_steps ? &c->steps[c->n_steps - 1].coll : NULL);
    return 0;
}
