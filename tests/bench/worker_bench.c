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
    struct world *w = NEW(struct world);
    struct null_dp *d = NEW(struct null_dp);
    struct worker_options opts = {.flows.max_flows = N};

    rcu_register_thread();
    world_init(w);
    struct dev *left = bridge(w, "left"), *right = bridge(w, "right"), *rt = router(w, "rt");
    struct prt *a = vm(left, "a"), *z = vm(right, "z");
    struct prt *lr = rport(rt, "lr", "10.0.1.1/24"), *rr = rport(rt, "rr", "10.0.2.1/24");
    plug(port(left, "lp"), lr);
    plug(port(right, "rp"), rr);
    add_route(rt, "twin", "10.0.2.0/24", TOPO_HOP_PORT, rr, NULL); /* so that ports are read */
    publish(w);
    knows(rr, "10.0.2.10", "02:00:00:00:00:0c");
    mac_behind(a, 0, "02:00:00:00:00:0a");
    mac_behind(z, 0, "02:00:00:00:00:0c");

    d->dp.ops = &null_ops;
    struct portmap_entry entries[] = {{a->ref, 1}, {z->ref, 2}};
    struct portmap *map = portmap_new(entries, 2);
    struct worker_host host = {.topo = w->topo,
                               .dp = &d->dp,
                               .local_host = w->local,
                               .ports = &map,
                               .need = need,
                               .learn = learn};
    struct worker *worker;
    if (worker_new(&host, &opts, &worker))
        return 1;
    d->port_no = 1;
    struct flow_key k = {.eth_src = MAC("02:00:00:00:00:0a"),
                         .eth_dst = lr->mac,
                         .eth_type = ETH_TYPE_IP,
                         .ip_src = IP("10.0.1.10"),
                         .ip_dst = IP("10.0.2.10"),
                         .ip_proto = 17,
                         .ip_ttl = 64};
    null_frames(d, &k);

    size_t empty = ft_memory(worker_flows(worker));
    d->wanted = N;
    uint64_t t0 = cpu_ns();
    run(worker);
    uint64_t t1 = cpu_ns();
    size_t full = ft_memory(worker_flows(worker));
    if (ft_n_flows(worker_flows(worker)) != N)
        fprintf(stderr, "only %u flows\n", ft_n_flows(worker_flows(worker)));
    worker_announce(worker, &(struct tag_change){.tag = tag_object(z->ref)}, 1);
    uint64_t t2 = cpu_ns();
    run(worker);
    uint64_t t3 = cpu_ns();
    struct worker_removal removal = {.port = a->ref, .port_no = 1, .done = removed};
    worker_remove_port(worker, &removal);
    run(worker);
    uint64_t t4 = cpu_ns();
    printf("{\"worker_setup_ns\": %.0f, \"worker_again_ns\": %.0f, \"worker_remove_ns\": %.0f, "
           "\"worker_flow_bytes\": %.0f}\n",
           (double)(t1 - t0) / N, (double)(t3 - t2) / N, (double)(t4 - t3) / N,
           (double)(full - empty) / N);
    return 0;
}
