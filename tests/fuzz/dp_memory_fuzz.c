/* The memory datapath under hostile frames and arbitrary flows: nothing is read or written out of
 * bounds, every frame that leaves has a sane size, flows put are flows found.  The input is a list
 * of steps: a byte that says what, then what it needs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/datapath.h"
#include "datapath/memory.h"
#include "packet/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t left;
};

static void take(struct input *in, void *to, size_t size)
{
    size_t n = size < in->left ? size : in->left;

    memset(to, 0, size);
    memcpy(to, in->p, n);
    in->p += n;
    in->left -= n;
}

static uint8_t take8(struct input *in)
{
    uint8_t v;

    take(in, &v, 1);
    return v;
}

static void put_flow(struct dp *dp, struct input *in, const uint32_t ports[2])
{
    struct flow_out outs[3];
    struct dp_flow flow = {.outs = outs, .n_outs = take8(in) % 4};
    struct dp_flow_stats stats;
    struct flow_key mask = {0};

    take(in, &flow.key, sizeof flow.key);
    take(in, &mask, 4);
    flow.key.in_port = ports[0];
    flow.mask = (struct flow_key){.in_port = ~0u, .eth_type = mask.in_port & 1 ? 0xffff : 0};
    flow.mask.ip_proto = mask.in_port & 2 ? 0xff : 0;
    for (unsigned i = 0; i < flow.n_outs; i++) {
        take(in, &outs[i], sizeof outs[i]);
        outs[i].kind = take8(in) % 2;
        outs[i].port = ports[i % 2];
    }
    if (take8(in) % 8)
        dp_flow_put(dp, 0, &flow, 1, NULL);
    else
        dp_flow_del(dp, 0, &flow, 1, &stats);
}

static void send_frame(struct dp *dp, struct input *in, bool tunnel)
{
    size_t size = take8(in);
    uint8_t *frame = malloc(size ? size : 1);

    take(in, frame, size);
    if (tunnel)
        memory_inject_tunnel(dp, take8(in) % 4, frame, size);
    else
        memory_inject(dp, "a", frame, size);
    free(frame);
}

static void serve(struct dp *dp, uint32_t port)
{
    struct flow_out out = {.kind = FLOW_OUT_PORT, .port = port, .set = FLOW_DEC_TTL, .ttl_dec = 1};
    struct dp_upcall ups[4];
    uint8_t buf[512];
    int n;

    while ((n = dp_recv(dp, 0, ups, 4)) > 0)
        for (int i = 0; i < n; i++)
            dp_execute(dp, 0,
                       &(struct dp_exec){
                           .packet = ups[i].packet, .size = ups[i].size, .outs = &out, .n_outs = 1},
                       1);
    while ((n = memory_take(dp, "b", buf, sizeof buf)) > 0)
        if (n > 255 + 4)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct error e;
    uint32_t ports[2];
    struct dp *dp;

    if (dp_open("memory", &(struct dp_options){.name = "fuzz", .max_flows = 50}, &dp, &e))
        abort();
    memory_if_add(dp, "a");
    memory_if_add(dp, "b");
    if (dp_port_add(dp, "a", &ports[0], &e) || dp_port_add(dp, "b", &ports[1], &e))
        abort();
    dp_tunnel_bind(dp, 1, ports[1], &e);
    while (in.left) {
        switch (take8(&in) % 4) {
        case 0:
            put_flow(dp, &in, ports);
            break;
        case 1:
            send_frame(dp, &in, true);
            break;
        default:
            send_frame(dp, &in, false);
        }
        serve(dp, ports[1]);
    }
    dp_close(dp, false);
    return 0;
}
