/* What a port may send.  The module's own meters see only what matches a flow, so that a machine
 * could still flood upcalls, and like tc's police they never pass a merged packet larger than the
 * burst.  So it is the eBPF datapath's bucket, as a program in front of the port; one program and
 * one map for all ports, loaded when the first limit is asked for.
 *
 * The filter holds the program and the program the map: a limit outlives the process.  The next one
 * puts its own program in that one's place when it is told the limit, or removes it. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netlink/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/ebpf_abi.h"
#include "datapath/ebpf_tc.h"
#include "datapath/ovs_internal.h"

#define PROGRAM "mn_limit"

__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "limit_bpf_object: .incbin \"limit.bpf.o\"\n"
        "limit_bpf_object_end:\n"
        ".popsection\n");
extern const char limit_bpf_object[], limit_bpf_object_end[];

static int load(struct ovs_dp *d)
{
    DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "mn");

    if (d->limits)
        return 0;
    d->limits = bpf_object__open_mem(limit_bpf_object,
                                     (size_t)(limit_bpf_object_end - limit_bpf_object), &opts);
    int rc = d->limits ? bpf_object__load(d->limits) : -errno;

    if (!rc)
        return 0;
    log_limited(LOG_LVL_WARN, "datapath",
                "ports can't be limited: this kernel, or our rights in it (CAP_BPF), don't allow "
                "eBPF programs: %s",
                strerror(-rc));
    ovs_limits_close(d);
    return -ENOTSUP;
}

void ovs_limits_close(struct ovs_dp *d)
{
    if (d->limits)
        bpf_object__close(d->limits);
    d->limits = NULL;
}

static int limits_map(const struct ovs_dp *d)
{
    return bpf_object__find_map_fd_by_name(d->limits, "mn_limited");
}

enum filter { NONE, OURS, FOREIGN };

/* Whose program is on the interface, under our priority. */
static enum filter filter_of(int ifindex)
{
    ebpf_quiet();
    uint32_t id = ebpf_tc_program(ifindex);
    int fd = id ? bpf_prog_get_fd_by_id(id) : -1;
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof info;

    if (fd < 0)
        return id ? FOREIGN : NONE;
    int rc = bpf_obj_get_info_by_fd(fd, &info, &size);

    close(fd);
    return !rc && !strcmp(info.name, PROGRAM) ? OURS : FOREIGN;
}

static uint64_t dropped(struct ovs_dp *d, const struct ovs_port *p)
{
    uint32_t ifindex = (uint32_t)p->limited_if;
    struct fp_limited l = {0};

    if (ifindex)
        bpf_map_lookup_elem(limits_map(d), &ifindex, &l);
    return l.dropped;
}

uint64_t ovs_limit_dropped(struct ovs_dp *d, const struct ovs_port *p)
{
    return p->limited + dropped(d, p);
}

/* The map's entry is the interface's it was made for, which may be there no longer. */
static void forget(struct ovs_dp *d, struct ovs_port *p)
{
    uint32_t ifindex = (uint32_t)p->limited_if;

    p->limited += dropped(d, p);
    if (ifindex)
        bpf_map_delete_elem(limits_map(d), &ifindex);
    p->limited_if = 0;
}

void ovs_limit_lift(struct ovs_dp *d, struct ovs_port *p)
{
    struct nl_sock *rtnl;

    forget(d, p);
    if (!p->ifindex || filter_of(p->ifindex) != OURS || !(rtnl = ebpf_rtnl_open()))
        return;
    ebpf_tc_detach(rtnl, p->ifindex, true);
    nl_socket_free(rtnl);
}

static int set_limit(struct ovs_dp *d, struct ovs_port *p, const struct dp_bucket *b)
{
    uint32_t ifindex = (uint32_t)p->ifindex;
    struct fp_limited l = {.limit = {.cost = b->cost, .depth_ns = b->depth_ns}};
    bool made;
    int rc = filter_of(p->ifindex) == FOREIGN ? -EBUSY : load(d);

    if (rc)
        return rc;
    forget(d, p);
    rc = bpf_map_update_elem(limits_map(d), &ifindex, &l, BPF_ANY);
    if (rc)
        return rc;
    p->limited_if = p->ifindex;
    struct bpf_program *prog = bpf_object__find_program_by_name(d->limits, PROGRAM);

    rc = ebpf_tc_attach(p->ifindex, bpf_program__fd(prog), &made);
    if (rc)
        forget(d, p);
    return rc;
}

int ovs_port_limit(struct dp *dp, uint32_t port_no, uint32_t kbps, uint32_t burst_kb)
{
    struct ovs_dp *d = ovs_of(dp);
    struct dp_bucket b = dp_bucket_of(kbps, burst_kb);

    if (!ovs_port_exists(d, port_no))
        return -ENOENT;
    struct ovs_port *p = d->ports[port_no];

    if (kbps && p->ifindex)
        return set_limit(d, p, &b);
    ovs_limit_lift(d, p);
    return kbps ? -ENODEV : 0;
}
