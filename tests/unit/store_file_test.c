#include "store_conformance.h"

static const bool other_processes = true;
static char folder[] = "/tmp/mn-store-XXXXXX";

static void fresh_url(char *url, size_t size)
{
    static int n;

    snprintf(url, size, "file:%s/%d.db", folder, n++);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char *command = mem_printf("rm -rf %s", folder);
    int rc = system(command);

    (void)state;
    free(command);
    return rc;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_TESTS,
        PROCESS_TESTS,
    };
    int rc = run_role(conformance_roles, argc, argv);

    return rc >= 0 ? rc : cmocka_run_group_tests(tests, make_folder, remove_folder);
}
