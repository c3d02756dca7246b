/* Command lines.  An input that begins with '!' is run line by line in an interactive session (so
 * that aliases are in play) over a small topology in memory, and each line completed at its end;
 * any other is only parsed, which is a hundred times as fast.  Nothing may crash, leak or hang;
 * what a line prints must be clean of control bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"

#define LINES_MAX 24

static const char *const setup[] = {
    "bridge create name web",
    "router create name edge",
    "bridge web add port name p0 vlan 7",
    "router edge add port name up addresses 10.0.0.1/24",
    "port web:p0 set peer edge:up",
    "chain create name c",
    "chain c add rule type drop src !10.0.0.0/8",
    "bridge web dhcp add subnet 10.0.0.0/24",
    "ip-address-group create name g",
    "ip-address-group g add ip address 10.0.0.9",
    "mirror create to-port web:p0",
    "list port",
};

static void complete(struct cli *cli, const char *line)
{
    struct candidates found;
    struct lex l;

    if (!lex_line(line, true, &l, NULL)) {
        cli_complete(cli, &l, &found);
        candidates_free(&found);
    }
    lex_free(&l);
}

static void check_clean(const char *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (((unsigned char)out[i] < ' ' && out[i] != '\n' && out[i] != '\t') || out[i] == 0x7f)
            abort();
}

static void run(char *text)
{
    char *out = NULL;
    size_t out_size = 0;
    struct cli cli;

    cli_init(&cli, "fuzz", "memory:", true);
    cli.out.out = open_memstream(&out, &out_size);
    cli.out.err = cli.out.out;
    for (size_t i = 0; i < ARRAY_SIZE(setup); i++)
        if (cli_line(&cli, setup[i]))
            abort();
    for (unsigned n = 0; text && n < LINES_MAX; n++) {
        char *line = strsep(&text, "\n");
        complete(&cli, line);
        if (strncmp(line, "debug", 5))
            cli_line(&cli, line);
    }
    FILE *stream = cli.out.out;
    cli_free(&cli);
    fclose(stream);
    check_clean(out, out_size);
    free(out);
}

static void ignore(const struct expect *x, const struct command *so_far, void *aux)
{
    (void)x;
    (void)so_far;
    (void)aux;
}

static void parse(char *text)
{
    while (text) {
        char *line = strsep(&text, "\n");
        struct error e = {0};
        struct command c;
        struct lex l;

        if (!lex_line(line, false, &l, &e)) {
            cmd_parse(&l, &c, &e);
            cmd_free(&c);
        }
        lex_free(&l);
        if (!lex_line(line, true, &l, NULL))
            cmd_expect(&l, ignore, NULL);
        lex_free(&l);
        free(lex_quote(line));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    log_set_level("error");
    if (*text == '!')
        run(text + 1);
    else
        parse(text);
    free(text);
    return 0;
}
