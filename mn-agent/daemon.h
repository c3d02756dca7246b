/* The daemon: everything opened, the loop run until it is told to end. */
#ifndef MN_AGENT_DAEMON_H
#define MN_AGENT_DAEMON_H

#include "base/error.h"
#include "options.h"

int daemon_run(const struct options *o, struct error *e);

#endif
