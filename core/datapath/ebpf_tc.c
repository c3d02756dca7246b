#include "datapath/ebpf_tc.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "datapath/ebpf_internal.h"

/* Before what others usually install, behind what insists on being first. */
#define TC_PRIORITY 10
#define TC_HANDLE   1

int ebpf_tc_attach(int ifindex, int prog_fd, bool *made_clsact)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY,
                        .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);
    int rc = bpf_tc_hook_create(&hook);

    if (rc && rc != -EEXIST)
        return rc;
    if (!rc)
        *made_clsact = true;
    return bpf_tc_attach(&hook, &opts);
}

uint32_t ebpf_tc_program(int ifindex)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

    return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

bool ebpf_tc_is(int ifindex, int prog_fd)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof info;

    return !bpf_obj_get_info_by_fd(prog_fd, &info, &size) && info.id == ebpf_tc_program(ifindex);
}

void ebpf_tc_detach(struct nl_sock *sk, int ifindex, bool made_clsact)
{
    DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

    bpf_tc_detach(&hook, &opts);
    if (!made_clsact || ebpf_rtnl_has_filters(sk, ifindex))
        return;
    hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* both: the qdisc itself */
    bpf_tc_hook_destroy(&hook);
}

static int print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
    char line[512];

    if (level == LIBBPF_DEBUG || log_level < LOG_LVL_DEBUG)
        return 0;
    int n = vsnprintf(line, sizeof line, fmt, ap);
    while (n > 0 && n < (int)sizeof line && line[n - 1] == '\n')
        line[--n] = '\0';
    log_debug("datapath", "%s", line);
    return n;
}

void ebpf_quiet(void)
{
    libbpf_set_print(print);
}
