/* Where the store is: the option --store, else $MN_STORE, else "store = URL" of /etc/mn/mn.conf
 * (or the file $MN_CONF names), else the embedded default.
 *
 * The file has lines "NAME = VALUE"; '#' starts a comment; names this tool doesn't know are other
 * tools' business.  Thread: any, at start. */
#ifndef MN_CLI_CONF_H
#define MN_CLI_CONF_H

#include "base/error.h"

#define CONF_DEFAULT_STORE "file:/var/lib/mn/mn.db"

/* The value of 'name' in the file (malloc'd), null in *value when it isn't there.  -EINVAL names
 * file and line. */
int conf_get(const char *name, char **value, struct error *e);
/* 'option' (may be null) is the value of --store.  Malloc'd. */
int conf_store_url(const char *option, char **url, struct error *e);

#endif
