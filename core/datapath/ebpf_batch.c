/* One run of a program for a whole batch: a system call has a price, and what a packet wakes up
 * runs behind the last one.
 *
 * Batch operations on maps (BPF_MAP_UPDATE_BATCH) can't say which entries were there before; a
 * program can.  It is run on a packet of ours that leads nowhere (see the kernel's
 * Documentation/bpf/bpf_prog_run.rst) and sees the interfaces of the calling thread's network
 * namespace. */
#include "datapath/ebpf_internal.h"

int ebpf_batch_run(struct ebpf_dp *d, unsigned queue, unsigned what, unsigned n, uint16_t eth_type)
{
    struct fp_request r = {.eth_type = eth_type, .what = (uint16_t)what, .queue = queue, .n = n};
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &r, .data_size_in = sizeof r);
    int rc = bpf_prog_test_run_opts(d->progs[PROG_BATCH], &opts);

    return rc ? rc : (int)opts.retval;
}
