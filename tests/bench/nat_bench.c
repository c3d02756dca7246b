/* New connections through connection tracking and a dynamic translation of the source, one core,
 * without a datapath (null_dp.h).  Each has two records, one at the bridge where it is tracked and
 * one at the router.  One JSON line:
 *
 *   nat_conn_per_s   connections set up a second: parse, simulate, pick a port, commit, flow
 *   nat_conn_bytes   of the table of records, of a size for as many, without the flows
 */
#include "null_dp.h"

enum { N = 150000 };

int main(void)
{
    struct null_net *n = null_routed();
    struct state *state;

    if (state_new(&(struct state_limits){.max_records = 2 * N}, &state))
        return 1;
    state_ports_all(state, true);
    struct chn *track = chain(n->w, "track"), *post = chain(n->w, "post");
    rule(track, "accept fwd-flow");
    rule(track, "accept return-flow");
    n->left->infilter = track->ref;
    rule(post, "snat out-ports rr target 10.0.2.240-10.0.2.243:1024-65535");
    n->rt->outfilter = post->ref;
    struct worker *worker = null_worker(n, state, N);
    n->d->wanted = N;
    uint64_t t0 = cpu_ns();
    run(worker);
    uint64_t t1 = cpu_ns();
    if (state_size(state) != 2 * N)
        fprintf(stderr, "only %u records\n", state_size(state));
    printf("{\"nat_conn_per_s\": %.0f, \"nat_conn_bytes\": %.0f}\n", N * 1e9 / (double)(t1 - t0),
           (double)state_memory(state) / N);
    return 0;
}
