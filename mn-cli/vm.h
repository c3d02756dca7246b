/* The virtual machine a scenario imagines behind an interface: it answers ARP, neighbour
 * solicitations and echo requests for its addresses, takes what routers advertise to all, and knows
 * its neighbours and gateway, so that scenarios can say "ping a b" and mean all of it.
 * Deterministic; no timers.  Thread: one. */
#ifndef MN_CLI_VM_H
#define MN_CLI_VM_H

#include <stddef.h>
#include <stdint.h>

#include "base/types.h"

#define VM_ADDRS  8
#define VM_NEIGHS 32

struct vm {
    bool present; /* an interface without a VM answers nothing */
    struct mac mac;
    unsigned n_addrs, n_gateways, n_neighs;
    struct cidr addrs[VM_ADDRS];
    struct ip gateways[VM_ADDRS];
    struct vm_neigh {
        struct ip ip;
        struct mac mac;
    } neighs[VM_NEIGHS];
};

/* Looks at a received frame.  True when the VM's own stack takes it (ARP, ND, echo request); then
 * *reply_size is the size of the answer in 'reply', 0 for none. */
bool vm_receive(struct vm *vm, const uint8_t *frame, size_t size, uint8_t *reply, size_t reply_room,
                size_t *reply_size);

/* Which address 'dst' is reached from and through; false when the VM has no such family. */
bool vm_route(const struct vm *vm, const struct ip *dst, struct ip *src, struct ip *next_hop);
/* The MAC of a neighbour, or null: then send the request that vm_ask() builds. */
const struct mac *vm_neighbour(const struct vm *vm, const struct ip *ip);
size_t vm_ask(const struct vm *vm, const struct ip *src, const struct ip *ip, uint8_t *buf,
              size_t size);
void vm_forget(struct vm *vm); /* its neighbours */

#endif
