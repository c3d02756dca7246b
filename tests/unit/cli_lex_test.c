#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/lex.h"

/* Words joined by '|', quoted ones marked by a leading '*'. */
static char *words_of(const char *line, bool partial)
{
    static char out[512];
    struct lex l;

    out[0] = '\0';
    assert_int_equal(lex_line(line, partial, &l, NULL), 0);
    for (size_t i = 0; i < l.n; i++) {
        strcat(out, i ? "|" : "");
        strcat(out, l.words[i].quoted ? "*" : "");
        strcat(out, l.words[i].text);
    }
    lex_free(&l);
    return out;
}

static void test_words(void **state)
{
    (void)state;
    assert_string_equal(words_of("", false), "");
    assert_string_equal(words_of(" \t list  router\n", false), "list|router");
    assert_string_equal(words_of("a 'b c' \"d e\" f\\ g", false), "a|*b c|*d e|*f g");
    assert_string_equal(words_of("x'y z'w", false), "*xy zw");
    assert_string_equal(words_of("''", false), "*");
    assert_string_equal(words_of("\"a\\\"b\\\\c\\d\"", false), "*a\"b\\c\\d");
    assert_string_equal(words_of("'a\\b'", false), "*a\\b");
    assert_string_equal(words_of("name x # the rest", false), "name|x");
    assert_string_equal(words_of("name x#y", false), "name|x#y");
}

static void test_unmatched_quote(void **state)
{
    struct error e = {0};
    struct lex l;

    (void)state;
    assert_int_equal(lex_line("create bridge name \"x", false, &l, &e), -EINVAL);
    assert_string_equal(e.message, "Syntax error: unmatched quote");
    lex_free(&l);
    assert_int_equal(lex_line("create bridge name x\\", false, &l, &e), -EINVAL);
    assert_string_equal(e.message, "Syntax error: nothing follows the backslash");
    lex_free(&l);
    assert_int_equal(lex_line("x 'y", false, &l, &e), -EINVAL);
    lex_free(&l);
}

static void test_limits(void **state)
{
    struct error e = {0};
    struct lex l;
    char *line = malloc(LEX_LINE_MAX + 2);

    (void)state;
    memset(line, 'x', LEX_LINE_MAX + 1);
    line[LEX_LINE_MAX + 1] = '\0';
    assert_int_equal(lex_line(line, false, &l, &e), -EINVAL);
    lex_free(&l);
    for (unsigned i = 0; i < LEX_LINE_MAX; i++)
        line[i] = i % 2 ? 'x' : ' ';
    line[LEX_LINE_MAX] = '\0';
    assert_int_equal(lex_line(line, false, &l, &e), -EINVAL);
    assert_int_equal(l.n, LEX_WORDS_MAX);
    lex_free(&l);
    free(line);
}

static void test_partial(void **state)
{
    (void)state;
    assert_string_equal(words_of("", true), "");
    assert_string_equal(words_of("list ", true), "list|");
    assert_string_equal(words_of("list ro", true), "list|ro");
    assert_string_equal(words_of("bridge 'my br", true), "bridge|*my br");
}

static void check_quote(const char *text, const char *expected)
{
    char *q = lex_quote(text);

    assert_string_equal(q, expected);
    free(q);
}

static void test_quote(void **state)
{
    (void)state;
    check_quote("web", "web");
    check_quote("", "\"\"");
    check_quote("a b", "\"a b\"");
    check_quote("#1", "\"#1\"");
    check_quote("a\"b\\c", "\"a\\\"b\\\\c\"");
    check_quote("Zürich", "Zürich");
}

/* Names come from other people; a terminal obeys what it is sent. */
static void test_clean(void **state)
{
    (void)state;
    check_quote("a\x1b[31mb", "a?[31mb");
    check_quote("a\nb", "a?b");
    check_quote("\xc2\x9b"
                "1m",
                "??1m");                /* C1 control */
    check_quote("\xff\xc0\xaf", "???"); /* not UTF-8, overlong */
    check_quote("\xed\xa0\x80", "???"); /* surrogate */
    check_quote("\xe2\x82", "??");      /* cut short */
    check_quote("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
}

/* What is printed can be typed. */
static void test_round_trip(void **state)
{
    static const char *const texts[] = {"web", "my bridge", "it's", "\"", "a\\", "", "#", "--json"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *q = lex_quote(texts[i]);
        struct lex l;
        assert_int_equal(lex_line(q, false, &l, NULL), 0);
        assert_int_equal(l.n, 1);
        assert_string_equal(l.words[0].text, texts[i]);
        lex_free(&l);
        free(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),      cmocka_unit_test(test_unmatched_quote),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_partial),
        cmocka_unit_test(test_quote),      cmocka_unit_test(test_clean),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
