/* Asking a running agent: the client's side of its control socket.
 *
 * A request is one line of words, the answer one or more lines of JSON; every line but the last has
 * "more": true.  A refusal is {"error":{"code","message","hint"}}, with codes as error_word()
 * gives.
 *
 *   status  ports  drops  memory  counters  flows [why]  connections [ADDRESS]  why PORT
 *   sync               answers when all that was committed before is applied, and nothing under way
 *   stop [keep-flows]  answers, then the agent ends
 *   clock NANOSECONDS  with --test-clock: lets time pass
 *
 * Thread: any. */
#ifndef MN_AGENT_CONTROL_H
#define MN_AGENT_CONTROL_H

#include <jansson.h>

#include "base/error.h"

#define CONTROL_LINE_MAX 4096 /* bytes of a request */
#define CONTROL_PATH_MAX 104  /* of a unix socket's name */

/* Where the agent of this instance listens ("mn" is the default one). */
void control_default_path(const char *name, char path[CONTROL_PATH_MAX]);

/* Sends the request and calls 'fn' with each line of the answer (borrowed); stops when fn returns
 * non-zero and returns that.  -ENOTCONN: no agent listens there; -ETIMEDOUT; or the refusal. */
typedef int control_fn(json_t *line, void *aux);
int control_each(const char *path, const char *request, control_fn *fn, void *aux, struct error *e);
/* For answers of one line (new reference). */
int control_ask(const char *path, const char *request, json_t **reply, struct error *e);

/* A connected descriptor, or a negative error. */
int control_connect(const char *path, struct error *e);

#endif
