/* The one binary.  Each tool is a row here; a symlink or the first word picks it. */
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "applets.h"

static const struct applet {
    const char *name; /* without "mn-" */
    int (*main)(int argc, char **argv);
    const char *help;
} applets[] = {
    {"agent", mn_agent_main, "run on every host: bind ports, simulate, program the datapath"},
    {"cli", mn_cli_main, "look at and change the virtual topology; trace, test"},
    {"tunnelzone", mn_tunnelzone_main, "tunnel zones: members and mesh check"},
};

static int usage(FILE *f, int status)
{
    fprintf(f, "usage: mn TOOL [ARGUMENT...]\n\nTools (each also runs as mn-TOOL):\n");
    for (size_t i = 0; i < sizeof applets / sizeof *applets; i++)
        fprintf(f, "  %-12s %s\n", applets[i].name, applets[i].help);
    fprintf(f, "\n\"mn TOOL --help\" describes one. Version %s.\n", MN_VERSION);
    return status;
}

static const struct applet *find(const char *name)
{
    for (size_t i = 0; i < sizeof applets / sizeof *applets; i++)
        if (!strcmp(name, applets[i].name))
            return &applets[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *name = argc ? basename(argv[0]) : "mn";
    const struct applet *a = !strncmp(name, "mn-", 3) ? find(name + 3) : NULL;

    if (a)
        return a->main(argc, argv);
    if (argc < 2)
        return usage(stderr, 2);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help") || !strcmp(argv[1], "-h"))
        return usage(stdout, 0);
    if (!strcmp(argv[1], "--version")) {
        printf("mn %s\n", MN_VERSION);
        return 0;
    }
    a = find(!strncmp(argv[1], "mn-", 3) ? argv[1] + 3 : argv[1]);
    if (!a) {
        fprintf(stderr, "mn: no tool '%s'\n", argv[1]);
        return usage(stderr, 2);
    }
    return a->main(argc - 1, argv + 1);
}
