/* Rule log: which connections a chain let pass or not, for who has to account for them.
 *
 * The simulator says what is to be recorded (sim_log): one record for a chain's decision about a
 * connection, because once a simulation.  Workers put them into rings, one each, and never wait: a
 * full ring loses records and counts them.  A logger may record so many a second; what goes beyond
 * is counted and told with its next record ("suppressed").  The writer empties the rings and
 * appends lines to a file for each LoggingResource, named by its id; rules of type log, which have
 * none, write to rules.log.  A file that grows too large is renamed NAME.1, and so on.
 *
 * A line is JSON, or words "KEY=VALUE" in the form that MidoNet's decoder prints.
 *
 * Threads: rulelog_put() in the worker of that ring; rulelog_run() in one thread, a registered
 * topology reader; the rest anywhere. */
#ifndef MN_AGENT_RULELOG_H
#define MN_AGENT_RULELOG_H

#include "base/error.h"
#include "sim/sim.h"

struct rulelog_options {
    const char *dir;    /* made when the first record comes; null: records are only counted */
    bool words;         /* not JSON */
    uint64_t max_size;  /* of a file; 0: 100 MB */
    unsigned max_files; /* old ones kept; 0: 14 */
    uint32_t rate;      /* records a second and logger, a second's worth at once; 0: 1000 */
};

struct rulelog;

struct rulelog *rulelog_new(const struct rulelog_options *opts, const struct topo *topo,
                            unsigned n_rings);
void rulelog_free(struct rulelog *l); /* null is fine; what is in the rings is lost */

/* 'now' is the agent's clock; the record's time is the wall's.  True when the writer has something
 * to do that it hadn't before. */
bool rulelog_put(struct rulelog *l, unsigned ring, const struct sim_log *log, uint64_t now);
/* Writes what there is; returns how many records. */
uint32_t rulelog_run(struct rulelog *l);

struct rulelog_counters {
    uint64_t written, suppressed, lost, failed;
};
void rulelog_counters(const struct rulelog *l, struct rulelog_counters *out);
size_t rulelog_memory(const struct rulelog *l);

#endif
