#include "cli/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CONF_FILE "/etc/mn/mn.conf"

static char *trim(char *s)
{
    s += strspn(s, " \t\r\n");
    for (size_t n = strlen(s); n && strchr(" \t\r\n", s[n - 1]); n--)
        s[n - 1] = '\0';
    return s;
}

/* 1 and *value when the line is "NAME = VALUE" with the name asked for, 0 if not. */
static int read_line(char *line, const char *name, char **value)
{
    char *text = trim(line), *equals = strchr(text, '=');

    if (!*text || *text == '#')
        return 0;
    if (!equals)
        return -EINVAL;
    *equals = '\0';
    if (strcmp(trim(text), name))
        return 0;
    char *v = trim(equals + 1), *comment = strstr(v, " #");
    if (comment)
        *comment = '\0';
    free(*value); /* the last one counts */
    *value = mem_strdup(trim(v));
    return 1;
}

int conf_get(const char *name, char **value, struct error *e)
{
    const char *path = getenv("MN_CONF");
    char line[4096];
    unsigned number = 0;
    int rc = 0;

    path = path && *path ? path : CONF_FILE;
    *value = NULL;
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT ? 0 : error_set(e, -errno, path, NULL, "%s", strerror(errno));
    while (rc >= 0 && fgets(line, sizeof line, f)) {
        number++;
        rc = read_line(line, name, value);
    }
    fclose(f);
    if (rc >= 0)
        return 0;
    free(*value);
    *value = NULL;
    return error_set(e, rc, path, NULL, "line %u isn't NAME = VALUE", number);
}

int conf_store_url(const char *option, char **url, struct error *e)
{
    const char *env = getenv("MN_STORE");

    *url = NULL;
    if (option || (env && *env)) {
        *url = mem_strdup(option ? option : env);
        return 0;
    }
    int rc = conf_get("store", url, e);
    if (!rc && !*url)
        *url = mem_strdup(CONF_DEFAULT_STORE);
    return rc;
}
