/* What the kernel's part of a set-up costs, without an agent, a simulator or another core: flows
 * put into the datapath and first packets sent, N at a time, in a network namespace of its own.
 *
 *   dp_flows_bench [-t] [BATCHES]       -t: out into a tunnel, else of a port
 *
 * Prints for batches of 1, 8 and 64: nanoseconds a flow put, a packet sent, a flow deleted; the
 * 10th percentile of the batches, which other work on the machine hardly moves. */
#include "bench.h"

#include "datapath/datapath.h"
#include "packet/packet.h"

enum { MAX = 64 };

static struct dp *dp;
static struct flow_out out;
static struct dp_flow flows[MAX + 1]; /* the last one stays, and with it the mask */
static struct dp_exec execs[MAX + 1];
static uint8_t frames[MAX + 1][64];

static void ok(int rc, const struct error *e)
{
    if (!rc)
        return;
    fprintf(stderr, "dp_flows_bench: %s (%s)\n", e->message, e->hint);
    exit(1);
}

static void shell(const char *command)
{
    if (system(command))
        die(command);
}

static struct ip ip4(const char *text)
{
    struct ip ip;

    if (ip_parse(text, &ip))
        die(text);
    return ip;
}

static void set_up(bool tunnel)
{
    struct dp_options opts = {.name = "flows"};
    struct error e = {0};
    uint32_t from, to;
    struct ip local = ip4("10.2.0.1");

    if (unshare(CLONE_NEWNET))
        die("a network namespace");
    shell("ip link set lo up && ip link add p0 type veth peer name v0 && "
          "ip link add p1 type veth peer name v1 && "
          "for i in p0 v0 p1 v1; do ip link set $i up; done && ip addr add 10.2.0.1/24 dev p1 && "
          "ip neigh add 10.2.0.2 lladdr 02:00:00:00:00:02 dev p1");
    ok(dp_open("ebpf", &opts, &dp, &e), &e);
    ok(dp_port_add(dp, "p0", &from, &e), &e);
    out = (struct flow_out){.set = FLOW_SET_ETH_SRC | FLOW_SET_ETH_DST | FLOW_DEC_TTL,
                            .eth_src = {{2, 0, 0, 0, 1, 1}},
                            .eth_dst = {{2, 0, 0, 0, 1, 2}},
                            .ttl_dec = 1};
    if (tunnel) {
        ok(dp_tunnel_local(dp, &local, FLOW_TUNNEL_VXLAN, &e), &e);
        out.kind = FLOW_OUT_TUNNEL;
        out.tun_local = local;
        out.tun_remote = ip4("10.2.0.2");
        out.tun_id = 42;
    } else {
        ok(dp_port_add(dp, "p1", &to, &e), &e);
        out.port = to;
    }
    for (unsigned i = 0; i <= MAX; i++) {
        struct flow_key key = {.in_port = from,
                               .eth_type = ETH_TYPE_IP,
                               .eth_src = {{2, 0, 0, 0, 0, 1}},
                               .eth_dst = {{2, 0, 0, 0, 0, 2}},
                               .ip_src = ip4("10.1.1.2"),
                               .ip_dst = ip4("10.1.2.2"),
                               .ip_proto = IPPROTO_UDP,
                               .ip_ttl = 64,
                               .tp_src = 9000,
                               .tp_dst = (uint16_t)(9000 + i)};
        char data[FRAME_64_PAYLOAD] = "";
        size_t size = packet_from_key(frames[i], sizeof frames[i], &key, data, sizeof data);

        flows[i] = (struct dp_flow){.key = key, .outs = &out, .n_outs = 1};
        memset(&flows[i].mask, 0xff, sizeof flows[i].mask);
        flows[i].mask.tun_id = 0;
        flows[i].mask.tun_src = ip_none;
        execs[i] = (struct dp_exec){.packet = frames[i],
                                    .size = (uint32_t)size,
                                    .in_port = from,
                                    .outs = &out,
                                    .n_outs = 1};
    }
}

static void measure(size_t batch, size_t n)
{
    uint64_t *put = calloc(n, sizeof *put), *sent = calloc(n, sizeof *sent),
             *gone = calloc(n, sizeof *gone);

    if (!put || !sent || !gone)
        die("memory");
    for (size_t i = 0; i < n; i++) {
        uint64_t start = now_ns();

        if (dp_flow_put(dp, 0, flows, batch, NULL))
            die("flows put");
        uint64_t at = now_ns();

        put[i] = at - start;
        if (dp_execute(dp, 0, execs, batch))
            die("packets sent");
        start = now_ns();
        sent[i] = start - at;
        if (dp_flow_del(dp, 0, flows, batch, NULL))
            die("flows deleted");
        gone[i] = now_ns() - start;
    }
    printf("batch %zu: put %lu ns, send %lu ns, delete %lu ns\n", batch,
           (unsigned long)(percentile(put, n, 10) / batch),
           (unsigned long)(percentile(sent, n, 10) / batch),
           (unsigned long)(percentile(gone, n, 10) / batch));
    free(put);
    free(sent);
    free(gone);
}

int main(int argc, char **argv)
{
    bool tunnel = argc > 1 && strcmp(argv[1], "-t") == 0;
    size_t n = argc > 1 + tunnel ? strtoul(argv[1 + tunnel], NULL, 10) : 2000;

    pin(1);
    set_up(tunnel);
    if (dp_flow_put(dp, 0, &flows[MAX], 1, NULL))
        die("a flow put");
    measure(1, n);
    measure(8, n);
    measure(64, n);
    dp_close(dp, false);
    return 0;
}
