/* The reference page of all types and attributes, as Markdown. */
#include "schema/rows.h"

#include <string.h>

#include "base/mem.h"

static void add_words(struct strbuf *sb, const char *const *words)
{
    for (unsigned i = 0; words[i]; i++)
        sb_printf(sb, "%s`%s`", i ? ", " : "", words[i]);
}

static void add_bounds(struct strbuf *sb, const struct schema_attr *a, const char *unit)
{
    bool top = a->max >= INT32_MAX && a->max != UINT32_MAX;

    if (top || !a->max)
        sb_printf(sb, " from %lld%s", (long long)a->min, unit);
    else
        sb_printf(sb, " %lld to %lld%s", (long long)a->min, (long long)a->max, unit);
}

static void add_value(struct strbuf *sb, const struct schema_attr *a)
{
    static const char *const nouns[] = {
        [SV_STRING] = "text",
        [SV_BOOL] = "true or false",
        [SV_INT] = "number",
        [SV_ENUM] = "",
        [SV_IP] = "address",
        [SV_CIDR] = "prefix",
        [SV_MAC] = "MAC",
        [SV_MAC_MASK] = "MAC mask",
        [SV_UUID] = "uuid",
        [SV_REF] = "",
        [SV_RANGE] = "range",
        [SV_OBJECT] = "object",
        [SV_NAT] = "`ip[-ip][:port[-port]]`",
    };

    sb_add(sb, a->flags & SA_LIST ? "list of " : "");
    sb_add(sb, a->flags & SA_V4 ? "IPv4 " : a->flags & SA_V6 ? "IPv6 " : "");
    sb_add(sb, nouns[a->value]);
    if (a->value == SV_ENUM)
        add_words(sb, a->cli_words ? a->cli_words : a->words);
    else if (a->value == SV_REF)
        sb_add(sb, schema_types[a->ref].name);
    else if (a->value == SV_BOOL && a->cli_words)
        sb_printf(sb, ": `%s`", a->cli_words[0]);
    else if (a->value == SV_BOOL && (a->flags & (SA_UPDOWN | SA_YESNO)))
        sb_add(sb, a->flags & SA_UPDOWN ? " (up, down)" : " (yes, no)");
    else if (a->value == SV_INT || a->value == SV_RANGE)
        add_bounds(sb, a, "");
    else if (a->value == SV_STRING)
        add_bounds(sb, a, " bytes");
    if (a->flags & SA_INVERT)
        sb_add(sb, ", `!` inverts");
}

static void add_rules(struct strbuf *sb, const struct schema_attr *a)
{
    static const char *const deletions[] = {[SD_CLEAR] = "cleared",
                                            [SD_CASCADE] = "goes too",
                                            [SD_REFUSE] = "refused",
                                            [SD_KEEP] = "keeps the name"};
    const struct {
        unsigned flag;
        const char *word;
    } words[] = {
        {SA_REQUIRED, "required"},      {SA_STATE, "run-time state"}, {SA_READONLY, "read-only"},
        {SA_CREATE, "fixed once made"}, {SA_SECRET, "secret"},
    };
    const char *gap = "";

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        if (a->flags & words[i].flag) {
            sb_printf(sb, "%s%s", gap, words[i].word);
            gap = ", ";
        }
    if (a->def) {
        sb_printf(sb, "%sdefault `%s`", gap, a->def);
        gap = ", ";
    }
    if (a->value == SV_REF)
        sb_printf(sb, "%swhen that is deleted: %s", gap, deletions[a->on_delete]);
}

static void add_rows(struct strbuf *sb, const struct schema_attr *rows, const char *prefix)
{
    for (const struct schema_attr *a = rows; a->name; a++) {
        sb_printf(sb, "| %s%s | `%s%s` | ", prefix[0] ? "&nbsp;&nbsp;" : "", a->name, prefix,
                  a->json);
        add_value(sb, a);
        sb_add(sb, " | ");
        add_rules(sb, a);
        sb_printf(sb, " | %s |\n", a->help);
        /* The rows of a condition are listed once, with rules. */
        if (a->sub && !(a->sub->flags & SA_MATCH)) {
            char *inner = mem_printf("%s%s.", prefix, a->json);
            add_rows(sb, a->sub, inner);
            free(inner);
        }
    }
}

static void add_type(struct strbuf *sb, const struct schema_type *t)
{
    const char *const parents[] = {t->parent_attr, t->parent_attr2};

    sb_printf(sb, "\n## %s\n\n%s.  Collection `%s`", t->name, t->help, t->plural);
    for (unsigned i = 0; i < 2; i++)
        if (parents[i])
            sb_printf(sb, "%s%s", i ? " or " : ", below ",
                      schema_types[schema_attr_by_json(t->attrs, parents[i])->ref].name);
    sb_add(sb, ".");
    if (t->read_only)
        sb_add(sb, "  Made by the system only.");
    if (t->id_from)
        sb_printf(sb, "  Its id follows from `%s`: there is one of each.", t->id_from);
    if (t->unique)
        sb_printf(sb, "  Unique: `%s`.", t->unique);
    sb_add(sb, "\n\n| Attribute | JSON | Value | Rules | Meaning |\n|---|---|---|---|---|\n");
    add_rows(sb, t->attrs, "");
}

char *schema_reference(void)
{
    struct strbuf sb = {0};

    sb_add(&sb, "# Objects and attributes\n\n"
                "Made from the tables in `core/schema`; `mn-cli describe` says the same on the "
                "command line, `mn-cli schema` as JSON Schema.\n");
    for (unsigned i = 0; i < ST_N_TYPES; i++)
        add_type(&sb, &schema_types[i]);
    return sb_steal(&sb);
}
