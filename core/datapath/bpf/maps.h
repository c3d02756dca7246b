/* The maps of one datapath.  Sizes marked 1 are set by the loader. */
#ifndef MN_BPF_MAPS_H
#define MN_BPF_MAPS_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "datapath/ebpf_abi.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct fp_shared);
} mn_shared SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, FP_MAX_PORTS);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct fp_port);
} mn_ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, FP_MAX_PORTS);
    __type(key, __u32);
    __type(value, struct fp_port_stats);
} mn_port_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct fp_narrow);
    __type(value, struct fp_flow);
} mn_narrow SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct fp_wide);
    __type(value, struct fp_flow);
} mn_wide SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, FP_MAX_GROUPED);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct fp_member);
    __type(value, struct fp_out);
} mn_members SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, FP_MAX_TUNNELS);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct fp_tunnel);
} mn_tunnels SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, FP_MAX_BINDS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32); /* tunnel key */
    __type(value, __u32);
} mn_binds SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, FP_N_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} mn_counters SEC(".maps");

struct hints {
    __u8 mask[FP_HINTS]; /* number + 1 */
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct hints);
} mn_hints SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, FP_PENDING);
    __type(key, __u32);
    __type(value, struct fp_pending);
} mn_pending SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct fp_slot);
} mn_slots SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct fp_batch);
} mn_batches SEC(".maps");

struct ring {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, FP_RING_SIZE);
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, FP_MAX_QUEUES);
    __type(key, __u32);
    __array(values, struct ring);
} mn_rings SEC(".maps");

static __always_inline struct fp_shared *shared(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&mn_shared, &zero);
}

static __always_inline void count(__u32 which)
{
    __u64 *c = bpf_map_lookup_elem(&mn_counters, &which);

    if (c)
        (*c)++;
}

#endif
