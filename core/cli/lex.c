#include "cli/lex.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies one word at *p to 'sb'.  What keeps it from being whole, or null. */
static const char *scan_word(const char **p, struct strbuf *sb, bool *quoted)
{
    const char *s = *p;
    char quote = '\0';

    for (; *s && (quote || !is_blank(*s)); s++) {
        if (quote && *s == quote) {
            quote = '\0';
        } else if (!quote && (*s == '\'' || *s == '"')) {
            quote = *s;
            *quoted = true;
        } else if (*s == '\\' && s[1] && quote != '\'' && (!quote || strchr("\"\\$`", s[1]))) {
            *quoted = true;
            sb_add_bytes(sb, ++s, 1);
        } else if (*s == '\\' && !s[1] && quote != '\'') {
            *p = s + 1;
            return "nothing follows the backslash";
        } else {
            sb_add_bytes(sb, s, 1);
        }
    }
    *p = s;
    return quote ? "unmatched quote" : NULL;
}

static void add_word(struct lex *l, char *text, size_t start, bool quoted)
{
    if (l->n % 16 == 0)
        l->words = mem_resize(l->words, (l->n + 16) * sizeof *l->words);
    l->words[l->n++] = (struct lex_word){text, start, quoted};
}

int lex_line(const char *line, bool partial, struct lex *out, struct error *e)
{
    const char *p = line;

    *out = (struct lex){0};
    if (strnlen(line, LEX_LINE_MAX + 1) > LEX_LINE_MAX)
        return error_set(e, -EINVAL, NULL, NULL, "line longer than %u bytes", LEX_LINE_MAX);
    for (;;) {
        struct strbuf sb = {0};
        bool quoted = false;

        while (is_blank(*p))
            p++;
        if (!*p || *p == '#')
            break;
        if (out->n == LEX_WORDS_MAX)
            return error_set(e, -EINVAL, NULL, NULL, "more than %u words", LEX_WORDS_MAX);
        const char *start = p;
        const char *missing = scan_word(&p, &sb, &quoted);
        add_word(out, sb_steal(&sb), (size_t)(start - line), quoted);
        if (missing && !partial)
            return error_set(e, -EINVAL, NULL, NULL, "Syntax error: %s", missing);
        if (missing)
            return 0;
    }
    if (partial && !*p && (p == line || is_blank(p[-1])))
        add_word(out, mem_strdup(""), (size_t)(p - line), false);
    return 0;
}

void lex_argv(int argc, char *const *argv, struct lex *out)
{
    *out = (struct lex){0};
    for (int i = 0; i < argc; i++)
        add_word(out, mem_strdup(argv[i]), 0, false);
}

void lex_free(struct lex *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->words[i].text);
    free(l->words);
    *l = (struct lex){0};
}

/* Bytes of the valid UTF-8 sequence at 's', 0 if it isn't one (RFC 3629: no surrogates, no overlong
 * forms) or is a C1 control. */
static unsigned utf8_size(const unsigned char *s)
{
    unsigned n = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    for (unsigned i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
        (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

char *lex_clean(const char *text)
{
    struct strbuf sb = {0};

    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        unsigned n = *s < 0x80 ? *s >= ' ' && *s < 0x7f : utf8_size(s);

        sb_add_bytes(&sb, n ? (const char *)s : "?", MAX(n, 1u));
        s += MAX(n, 1u) - 1;
    }
    return sb_steal(&sb);
}

char *lex_quote(const char *text)
{
    struct strbuf sb = {0};
    char *clean = lex_clean(text);

    if (*clean && *clean != '#' && !clean[strcspn(clean, " \"'\\")])
        return clean;
    sb_add(&sb, "\"");
    for (const char *s = clean; *s; s++) {
        if (strchr("\"\\", *s))
            sb_add(&sb, "\\");
        sb_add_bytes(&sb, s, 1);
    }
    sb_add(&sb, "\"");
    free(clean);
    return sb_steal(&sb);
}
