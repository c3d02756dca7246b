/* What the daemon does once: who this host is, telling the service manager, giving up privileges.
 */
#ifndef MN_AGENT_STARTUP_H
#define MN_AGENT_STARTUP_H

#include "base/error.h"
#include "base/types.h"

#define HOST_ID_FILE "/var/lib/mn/host-id"

/* From 'text' (may be null), else from the file, which is made with a new id when it isn't there.
 */
int startup_host_id(const char *text, struct uuid *id, struct error *e);

/* sd_notify(3): a line like "READY=1" to $NOTIFY_SOCKET; nothing without one. */
void startup_notify(const char *line);

/* Keeps CAP_NET_ADMIN, CAP_BPF and CAP_SYS_ADMIN, for good, and gives up the rest.  Without effect
 * for who isn't root. */
void startup_drop_privileges(void);

/* Makes the directory of a file, mode 0755; its parent must exist. */
int startup_make_dir_of(const char *path, struct error *e);

#endif
