/* Completion: what the grammar expects at the cursor, spelled out. */
#include <stdlib.h>
#include <string.h>

#include "cli/builtin.h"
#include "cli/commands.h"
#include "cli/ref.h"

#define CANDIDATES_MAX 1000 /* of one kind: a person reads them */

struct completion {
    struct cli *cli;
    const char *prefix;
    bool first_word;
    struct candidates *out;
    size_t n_objects;
};

static void offer(struct completion *x, const char *word)
{
    struct candidates *out = x->out;

    if (!*word || strncmp(word, x->prefix, strlen(x->prefix)))
        return;
    if (out->n % 64 == 0)
        out->words = mem_resize(out->words, (out->n + 64) * sizeof *out->words);
    out->words[out->n++] = mem_strdup(word);
}

static void offer_alias(const char *name, void *aux)
{
    offer(aux, name);
}

/* How an element is called in commands: its name if it has one. */
static int offer_element(const struct element *el, void *aux)
{
    struct completion *x = aux;
    const struct schema_attr *a = el->coll.rows;
    const char *name = json_string_value(json_object_get(el->obj, "name"));
    char *text = NULL;

    if (name && *name) {
        offer(x, name);
    } else {
        if (el->coll.kind == COLL_LIST || el->coll.kind == COLL_BINDING || !el->coll.type->alias) {
            while (a->name && (a->flags & (SA_HIDDEN | SA_READONLY) || a->value == SV_REF ||
                               !json_object_get(el->obj, a->json)))
                a++;
            text = a->name ? value_text(x->cli, a, el->obj) : NULL;
        } else if (el->coll.kind == COLL_CHILD) {
            text = ref_short(x->cli, el->coll.type->id, &el->id, el->obj);
        } else {
            text = ref_text(x->cli, el->coll.type->id, &el->id, el->obj);
        }
        if (text)
            offer(x, text);
        free(text);
    }
    return ++x->n_objects >= CANDIDATES_MAX;
}

static void offer_ids(struct completion *x, const struct coll *c, const struct command *so_far)
{
    struct element parent = {0};
    bool below = c->kind != COLL_TOP;

    if (cli_connect(x->cli, NULL) ||
        (below && element_path(x->cli, so_far, so_far->n_steps - 1, &parent, NULL)))
        return;
    if (x->cli->aliases && c->kind != COLL_LIST)
        alias_each(x->cli->aliases, below ? &parent.id : &uuid_zero, c->type->id, offer_alias, x);
    x->n_objects = 0;
    element_each(x->cli, c, below ? &parent : NULL, offer_element, x, NULL);
    element_free(&parent);
}

static void offer_words(struct completion *x, const struct schema_attr *a)
{
    const char *const *words = a->cli_words ? a->cli_words : a->words;

    for (; words && *words; words++) {
        char *word = mem_printf("%.*s", (int)strcspn(*words, "="), *words);
        offer(x, word);
        free(word);
    }
    if (a->value == SV_BOOL && !a->cli_words) {
        bool up = a->flags & SA_UPDOWN, yes = a->flags & SA_YESNO;
        offer(x, up ? "up" : yes ? "yes" : "true");
        offer(x, up ? "down" : yes ? "no" : "false");
    }
}

/* Values of one field, and of its namesakes. */
static void offer_values(struct completion *x, const struct schema_attr *first,
                         const struct command *so_far)
{
    for (const struct schema_attr *a = first; a; a = schema_attr_next(a)) {
        offer_words(x, a);
        if (a->value == SV_REF) {
            const struct schema_type *t = &schema_types[a->ref];
            struct coll c = {t->name, COLL_TOP, t, t->attrs};
            offer_ids(x, &c, so_far);
        }
    }
}

static void take(const struct expect *e, const struct command *so_far, void *aux)
{
    struct completion *x = aux;

    switch (e->kind) {
    case EXPECT_ID:
        offer_ids(x, e->coll, so_far);
        break;
    case EXPECT_VALUE:
        offer_values(x, e->attr, so_far);
        break;
    case EXPECT_OPTION:
        if (*x->prefix == '-')
            offer(x, e->word);
        break;
    default:
        offer(x, e->word);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_unique(struct candidates *out)
{
    size_t n = 0;

    if (out->n)
        qsort(out->words, out->n, sizeof *out->words, compare);
    for (size_t i = 0; i < out->n; i++) {
        if (n && !strcmp(out->words[n - 1], out->words[i]))
            free(out->words[i]);
        else
            out->words[n++] = out->words[i];
    }
    out->n = n;
}

void candidates_free(struct candidates *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->words[i]);
    free(c->words);
    *c = (struct candidates){0};
}

void cli_complete(struct cli *cli, const struct lex *l, struct candidates *out)
{
    struct completion x = {.cli = cli, .out = out};

    *out = (struct candidates){0};
    if (!l->n)
        return;
    x.prefix = l->words[l->n - 1].text;
    const struct subcommand *own = l->n > 1 ? builtin_find(cli, &l->words[0]) : NULL;
    if (own && strcmp(own->name, "help"))
        return;
    if (l->n == 1 || (own && l->n == 2))
        builtin_each(cli, offer_alias, &x);
    if (own) { /* "help WORD": the verbs and collections that could start a line */
        struct lex rest = {&l->words[1], l->n - 1};
        if (l->n == 2)
            cmd_expect(&rest, take, &x);
    } else {
        cmd_expect(l, take, &x);
    }
    sort_unique(out);
}
