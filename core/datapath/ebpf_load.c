#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"

/* The compiled programs, part of this binary. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "mn_bpf_object: .incbin \"mn.bpf.o\"\n"
        "mn_bpf_object_end:\n"
        ".popsection\n");
extern const char mn_bpf_object[], mn_bpf_object_end[];

static const char *const map_names[N_MAPS] = {
    [EM_SHARED] = "mn_shared",   [EM_PORTS] = "mn_ports",     [EM_PORT_STATS] = "mn_port_stats",
    [EM_NARROW] = "mn_narrow",   [EM_WIDE] = "mn_wide",       [EM_MEMBERS] = "mn_members",
    [EM_TUNNELS] = "mn_tunnels", [EM_BINDS] = "mn_binds",     [EM_COUNTERS] = "mn_counters",
    [EM_HINTS] = "mn_hints",     [EM_PENDING] = "mn_pending", [EM_SLOTS] = "mn_slots",
    [EM_RINGS] = "mn_rings",     [EM_SCRATCH] = "mn_scratch", [EM_BATCHES] = "mn_batches",
};

static const char *const prog_names[N_PROGS] = {
    [PROG_PORT] = "mn_port",     [PROG_UNDERLAY] = "mn_underlay", [PROG_VXLAN] = "mn_vxlan",
    [PROG_INJECT] = "mn_inject", [PROG_BATCH] = "mn_batch",
};

/* Of no use to the next process, or sized by its options. */
static bool is_own(int map)
{
    return map == EM_SLOTS || map == EM_BATCHES || map == EM_SCRATCH || map == EM_HINTS;
}

static size_t map_size(const struct ebpf_dp *d, int map)
{
    size_t size = map == EM_SHARED    ? sizeof(struct fp_shared)
                  : map == EM_PORTS   ? FP_MAX_PORTS * sizeof(struct fp_port)
                  : map == EM_TUNNELS ? FP_MAX_TUNNELS * sizeof(struct fp_tunnel)
                  : map == EM_BATCHES ? d->opts.n_queues * sizeof(struct fp_batch)
                                      : d->opts.n_queues * sizeof(struct fp_slot);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

static int map_by_name(const char *name)
{
    for (int i = 0; i < N_MAPS; i++)
        if (!strcmp(name, map_names[i]))
            return i;
    return -1;
}

/* Opens the maps of a program into found[] where there is none yet. */
static void collect_maps(int prog_fd, uint32_t n, int found[N_MAPS])
{
    uint32_t ids[64] = {0};
    struct bpf_prog_info info = {.nr_map_ids = MIN(n, 64u), .map_ids = (uintptr_t)ids};
    uint32_t size = sizeof info;

    if (bpf_obj_get_info_by_fd(prog_fd, &info, &size))
        return;
    for (uint32_t i = 0; i < info.nr_map_ids && i < 64; i++) {
        struct bpf_map_info m = {0};
        uint32_t m_size = sizeof m;
        int fd = bpf_map_get_fd_by_id(ids[i]);

        if (fd < 0)
            continue;
        int which = bpf_obj_get_info_by_fd(fd, &m, &m_size) ? -1 : map_by_name(m.name);

        if (which < 0 || found[which] >= 0)
            close(fd);
        else
            found[which] = fd;
    }
}

static void close_found(int found[N_MAPS])
{
    for (int i = 0; i < N_MAPS; i++) {
        if (found[i] >= 0)
            close(found[i]);
        found[i] = -1;
    }
}

static void clear_found(int found[N_MAPS])
{
    for (int i = 0; i < N_MAPS; i++)
        found[i] = -1;
}

/* The start of 'mn_shared', which never changes its layout. */
static bool read_identity(int fd, struct fp_shared *head)
{
    struct bpf_map_info m = {0};
    uint32_t size = sizeof m, zero = 0;

    if (bpf_obj_get_info_by_fd(fd, &m, &size) || m.value_size < 64)
        return false;
    char *value = mem_alloc(m.value_size);
    bool ok = !bpf_map_lookup_elem(fd, &zero, value);

    if (ok)
        memcpy(head, value, offsetof(struct fp_shared, upcalls_per_port));
    free(value);
    return ok;
}

/* Is the filter on this interface one of instance 'd'?  Gives the maps it holds. */
static bool is_ours(const struct ebpf_dp *d, int ifindex, int maps[N_MAPS], uint32_t *abi)
{
    uint32_t id = ebpf_tc_program(ifindex);
    int fd = id ? bpf_prog_get_fd_by_id(id) : -1;
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof info;
    struct fp_shared *head = NULL;
    bool ours = false;

    clear_found(maps);
    if (fd < 0)
        return false;
    if (!bpf_obj_get_info_by_fd(fd, &info, &size) && !strncmp(info.name, "mn_", 3)) {
        collect_maps(fd, info.nr_map_ids, maps);
        head = NEW(struct fp_shared);
        ours = maps[EM_SHARED] >= 0 && read_identity(maps[EM_SHARED], head) &&
               !strncmp(head->name, d->name, sizeof head->name);
        *abi = head->abi;
    }
    close(fd);
    free(head);
    if (!ours)
        close_found(maps);
    return ours;
}

/* Collects the maps of an instance that can be taken over, or removes its filters; returns how many
 * of its filters there are, or an error. */
static int walk_kept(struct ebpf_dp *d, int found[N_MAPS], bool remove)
{
    struct if_nameindex *list = if_nameindex();
    int n = 0;

    if (!list)
        return -errno;
    for (struct if_nameindex *i = list; i->if_index; i++) {
        int maps[N_MAPS];
        uint32_t abi;

        if (!is_ours(d, (int)i->if_index, maps, &abi))
            continue;
        n++;
        for (int m = 0; m < N_MAPS && abi == FP_ABI && !remove; m++)
            if (found[m] < 0) {
                found[m] = maps[m];
                maps[m] = -1;
            }
        close_found(maps);
        if (remove)
            ebpf_tc_detach(d->rtnl, (int)i->if_index, true);
    }
    if_freenameindex(list);
    return n;
}

int ebpf_find_kept(struct ebpf_dp *d, int found[N_MAPS], struct error *e)
{
    ebpf_quiet();
    clear_found(found);
    int n = walk_kept(d, found, false);

    if (n > 0 && (found[EM_PORTS] < 0 || found[EM_NARROW] < 0)) {
        close_found(found);
        n = walk_kept(d, found, true);
        log_warn("datapath",
                 "removed what was left of another version or without ports, which can't be taken "
                 "over name=%s interfaces=%d",
                 d->name, n);
    }
    return n < 0 ? error_set(e, n, NULL, NULL, "can't list interfaces: %s", strerror(-n)) : 0;
}

static int set_up_maps(struct ebpf_dp *d, int found[N_MAPS])
{
    uint32_t cores = (uint32_t)d->opts.n_queues;

    for (int i = 0; i < N_MAPS; i++) {
        struct bpf_map *map = bpf_object__find_map_by_name(d->obj, map_names[i]);
        int rc = 0;

        if (!map)
            return -ENOENT;
        if (i == EM_NARROW || i == EM_WIDE)
            rc = bpf_map__set_max_entries(map, d->opts.max_flows);
        else if (i == EM_SLOTS || i == EM_BATCHES)
            rc = bpf_map__set_max_entries(map, cores);
        if (!rc && found[i] >= 0 && !is_own(i))
            rc = bpf_map__reuse_fd(map, found[i]);
        if (rc)
            return rc;
    }
    return 0;
}

static void *map_memory(struct ebpf_dp *d, int map)
{
    void *p = mmap(NULL, map_size(d, map), PROT_READ | PROT_WRITE, MAP_SHARED, d->maps[map], 0);

    return p == MAP_FAILED ? NULL : p;
}

static int open_parts(struct ebpf_dp *d)
{
    for (int i = 0; i < N_MAPS; i++)
        d->maps[i] = bpf_object__find_map_fd_by_name(d->obj, map_names[i]);
    for (int i = 0; i < N_PROGS; i++)
        d->progs[i] = bpf_program__fd(bpf_object__find_program_by_name(d->obj, prog_names[i]));
    d->shared = map_memory(d, EM_SHARED);
    d->ports = map_memory(d, EM_PORTS);
    d->tunnels = map_memory(d, EM_TUNNELS);
    d->slots = map_memory(d, EM_SLOTS);
    d->batches = map_memory(d, EM_BATCHES);
    d->n_cpus = libbpf_num_possible_cpus();
    return d->shared && d->ports && d->tunnels && d->slots && d->batches && d->n_cpus > 0 ? 0
                                                                                          : -errno;
}

int ebpf_load(struct ebpf_dp *d, int found[N_MAPS], struct error *e)
{
    DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "mn");
    int rc;

    d->obj =
        bpf_object__open_mem(mn_bpf_object, (size_t)(mn_bpf_object_end - mn_bpf_object), &opts);
    rc = d->obj ? set_up_maps(d, found) : -errno;
    if (!rc)
        rc = bpf_object__load(d->obj);
    if (!rc)
        rc = open_parts(d);
    close_found(found);
    if (!rc)
        return 0;
    ebpf_unload(d);
    error_set(e, -ENOTSUP, NULL, "datapath", "this kernel doesn't take the eBPF programs: %s",
              strerror(-rc));
    if (rc == -EPERM)
        error_hint(e, "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN");
    else
        error_hint(e, "Linux 5.15 or later is needed, with CONFIG_BPF_JIT and CONFIG_NET_CLS_BPF");
    return -ENOTSUP;
}

static void unmap(struct ebpf_dp *d, void *p, int map)
{
    if (p)
        munmap(p, map_size(d, map));
}

void ebpf_unload(struct ebpf_dp *d)
{
    unmap(d, d->shared, EM_SHARED);
    unmap(d, d->ports, EM_PORTS);
    unmap(d, d->tunnels, EM_TUNNELS);
    unmap(d, d->slots, EM_SLOTS);
    unmap(d, d->batches, EM_BATCHES);
    d->shared = NULL;
    d->ports = NULL;
    d->tunnels = NULL;
    d->slots = NULL;
    d->batches = NULL;
    if (d->obj)
        bpf_object__close(d->obj);
    d->obj = NULL;
}
