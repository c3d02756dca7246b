/* What an agent answers to "why" (core/agent/report.h), for people. */
#ifndef MN_CLI_WHY_H
#define MN_CLI_WHY_H

#include "cli/print.h"

void why_print(struct print *p, const json_t *answer);

#endif
