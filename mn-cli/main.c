#include "applets.h"

#include <stdio.h>

int mn_cli_main(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "%s: not built yet\n", argv[0]);
    return 1;
}
