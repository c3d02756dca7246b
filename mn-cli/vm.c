#include "vm.h"

#include <netinet/in.h>

#include "packet/packet.h"

static bool owns(const struct vm *vm, const struct ip *ip)
{
    struct ip ll = ip_link_local_of_mac(&vm->mac);

    for (unsigned i = 0; i < vm->n_addrs; i++)
        if (ip_equal(&vm->addrs[i].addr, ip))
            return true;
    return ip_equal(ip, &ll);
}

static void learn(struct vm *vm, const struct ip *ip, const struct mac *mac)
{
    for (unsigned i = 0; i < vm->n_neighs; i++) {
        if (ip_equal(&vm->neighs[i].ip, ip)) {
            vm->neighs[i].mac = *mac;
            return;
        }
    }
    if (vm->n_neighs < VM_NEIGHS)
        vm->neighs[vm->n_neighs++] = (struct vm_neigh){*ip, *mac};
}

static bool receive_arp(struct vm *vm, const struct flow_key *k, const uint8_t *frame, size_t size,
                        uint8_t *reply, size_t room, size_t *reply_size)
{
    struct mac sha, tha;

    if (packet_arp_macs(frame, size, &sha, &tha))
        return false;
    if (k->ip_proto == 2) {
        if (!owns(vm, &k->ip_dst))
            return false;
        learn(vm, &k->ip_src, &sha);
        return true;
    }
    if (k->ip_proto != 1)
        return false;
    if (!owns(vm, &k->ip_dst)) /* a flooded question that others may answer */
        return mac_is_broadcast(&k->eth_dst);
    learn(vm, &k->ip_src, &sha);
    *reply_size =
        packet_arp(reply, room, 2, &vm->mac, &sha, &vm->mac, &k->ip_dst, &sha, &k->ip_src);
    return true;
}

static bool receive_nd(struct vm *vm, const struct flow_key *k, const uint8_t *frame, size_t size,
                       uint8_t *reply, size_t room, size_t *reply_size)
{
    struct packet_nd nd;

    if (packet_nd_parse(frame, size, &nd))
        return false;
    if (k->tp_src == 136) {
        if (!owns(vm, &k->ip_dst))
            return false;
        learn(vm, &nd.target, &nd.lladdr);
        return true;
    }
    if (!owns(vm, &nd.target))
        return mac_is_multicast(&k->eth_dst);
    struct mac to = mac_is_zero(&nd.lladdr) ? k->eth_src : nd.lladdr;
    learn(vm, &k->ip_src, &to);
    *reply_size = packet_nd_advert(reply, room, &vm->mac, &nd.target, &to, &k->ip_src, &nd.target,
                                   false, true);
    return true;
}

bool vm_receive(struct vm *vm, const uint8_t *frame, size_t size, uint8_t *reply, size_t reply_room,
                size_t *reply_size)
{
    struct flow_key k;
    struct packet_layers l;

    *reply_size = 0;
    if (!vm->present)
        return false;
    packet_parse(frame, size, &k, &l);
    if (k.malformed || k.vlan_tci)
        return false;
    if (k.eth_type == ETH_TYPE_ARP)
        return receive_arp(vm, &k, frame, size, reply, reply_room, reply_size);
    bool icmp6 = k.eth_type == ETH_TYPE_IP6 && k.ip_proto == IPPROTO_ICMPV6;
    if (icmp6 && (k.tp_src == 135 || k.tp_src == 136))
        return receive_nd(vm, &k, frame, size, reply, reply_room, reply_size);
    if (icmp6 && k.tp_src == 134) /* routers say so every few minutes */
        return mac_is_multicast(&k.eth_dst);
    bool echo = (icmp6 && k.tp_src == 128) ||
                (k.eth_type == ETH_TYPE_IP && k.ip_proto == IPPROTO_ICMP && k.tp_src == 8);
    if (!echo || !owns(vm, &k.ip_dst) || !mac_equal(&k.eth_dst, &vm->mac) || k.ip_frag)
        return false;
    *reply_size = packet_echo_reply(reply, reply_room, frame, size);
    return true;
}

bool vm_route(const struct vm *vm, const struct ip *dst, struct ip *src, struct ip *next_hop)
{
    for (unsigned i = 0; i < vm->n_addrs; i++) {
        if (cidr_contains(&vm->addrs[i], dst)) {
            *src = vm->addrs[i].addr;
            *next_hop = *dst;
            return true;
        }
    }
    for (unsigned g = 0; g < vm->n_gateways; g++) {
        for (unsigned i = 0; i < vm->n_addrs; i++) {
            if (ip_is4(&vm->gateways[g]) != ip_is4(dst) ||
                ip_is4(&vm->addrs[i].addr) != ip_is4(dst))
                continue;
            *src = vm->addrs[i].addr;
            *next_hop = vm->gateways[g];
            return true;
        }
    }
    return false;
}

const struct mac *vm_neighbour(const struct vm *vm, const struct ip *ip)
{
    for (unsigned i = 0; i < vm->n_neighs; i++)
        if (ip_equal(&vm->neighs[i].ip, ip))
            return &vm->neighs[i].mac;
    return NULL;
}

size_t vm_ask(const struct vm *vm, const struct ip *src, const struct ip *ip, uint8_t *buf,
              size_t size)
{
    struct mac zero = {{0}};

    if (ip_is4(ip))
        return packet_arp(buf, size, 1, &vm->mac, &mac_broadcast, &vm->mac, src, &zero, ip);
    return packet_nd_solicit(buf, size, &vm->mac, src, NULL, NULL, ip);
}

void vm_forget(struct vm *vm)
{
    vm->n_neighs = 0;
}
