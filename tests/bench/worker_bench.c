/* What the agent's worker costs a new flow, without a datapath: upcalls come out of memory, flows
 * and packets go nowhere.  CPU time of the thread, so that others on the machine don't count. One
 * JSON line:
 *
 *   worker_setup_ns    a flow set up: parse, simulate, translate, record, hand over
 *   worker_again_ns    an installed flow simulated again, unchanged
 *   worker_remove_ns   a flow found by its tag and taken out
 *   worker_flow_bytes  memory of the record of a flow, with its share of tags and masks
 */
#include "null_dp.h"

enum { N = 150000 };

static void removed(struct worker *w, struct worker_removal *r)
{
    (void)w;
    (void)r;
}

int main(void)
{
    struct null_net *n = null_routed();

    /* so that ports are read */
    add_route(n->rt, "twin", "10.0.2.0/24", TOPO_HOP_PORT, n->rr, NULL);
    struct worker *worker = null_worker(n, NULL, N);
    size_t empty = ft_memory(worker_flows(worker));
    n->d->wanted = N;
    uint64_t t0 = cpu_ns();
    run(worker);
    uint64_t t1 = cpu_ns();
    size_t full = ft_memory(worker_flows(worker));
    if (ft_n_flows(worker_flows(worker)) != N)
        fprintf(stderr, "only %u flows\n", ft_n_flows(worker_flows(worker)));
    worker_announce(worker, &(struct tag_change){.tag = tag_object(n->z->ref)}, 1);
    uint64_t t2 = cpu_ns();
    run(worker);
    uint64_t t3 = cpu_ns();
    struct worker_removal removal = {.port = n->a->ref, .port_no = 1, .done = removed};
    worker_remove_port(worker, &removal);
    run(worker);
    uint64_t t4 = cpu_ns();
    printf("{\"worker_setup_ns\": %.0f, \"worker_again_ns\": %.0f, \"worker_remove_ns\": %.0f, "
           "\"worker_flow_bytes\": %.0f}\n",
           (double)(t1 - t0) / N, (double)(t3 - t2) / N, (double)(t4 - t3) / N,
           (double)(full - empty) / N);
    return 0;
}
