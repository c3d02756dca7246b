#include "agent/flowname.h"

#include <stddef.h>

#include "base/hash.h"
#include "base/mem.h"
#include "packet/packet.h"

#define MASKS_MAX 65535 /* a flow record names its mask by 16 bits */

#define WORD(field) (offsetof(struct flow_key, field) / 4)

/* The words of IPv4 addresses that always hold the mapped prefix. */
static bool is_prefix_word(unsigned w)
{
    return (w >= WORD(ip_src) && w < WORD(ip_src) + 3) ||
           (w >= WORD(ip_dst) && w < WORD(ip_dst) + 3);
}

/* Who looks behind a header looks at which header that is: what kernels' flow tables need. */
static void complete(struct flow_key *mask)
{
    bool l4 = mask->tp_src || mask->tp_dst || mask->tcp_flags;

    if (l4)
        mask->ip_proto = UINT8_MAX;
    if (l4 || mask->ip_proto || mask->ip_tos || mask->ip_frag || !ip_is_none(&mask->ip_src) ||
        !ip_is_none(&mask->ip_dst))
        mask->eth_type = UINT16_MAX;
}

void flow_name_clean(struct flow_key *key, struct flow_key *mask)
{
    complete(mask);
    mask->in_port = UINT32_MAX;
    mask->ip_ttl = 0;
    mask->icmp_id = 0;
    mask->malformed = 0;
    mask->n_vlans = 0;
    memset(mask->pad, 0, sizeof mask->pad);
    flow_key_and(key, key, mask);
}

uint64_t flow_mask_hash(const struct flow_key *mask)
{
    return hash_stable(mask, sizeof *mask, 0);
}

uint64_t flow_name_hash(const struct flow_key *key, uint64_t mask_hash)
{
    return hash_stable(key, sizeof *key, mask_hash);
}

static bool foldable_ip4(const struct flow_key *key, const struct flow_key *mask)
{
    return mask->eth_type == UINT16_MAX &&
           (key->eth_type == ETH_TYPE_IP || key->eth_type == ETH_TYPE_ARP);
}

/* Folding is right only where the address is a mapped one or wholly unmatched. */
static bool folds_back(const struct ip *ip, const struct ip *mask)
{
    return !(mask->w[3] | mask->w[2] | mask->q[0]) ||
           (!(ip->q[0] & mask->q[0]) && ip->w[2] == (__builtin_bswap32(0xffff) & mask->w[2]));
}

static void mask_init(struct flow_mask *m, const struct flow_key *mask, bool ip4, uint64_t hash)
{
    const uint32_t *words = (const uint32_t *)mask;

    *m = (struct flow_mask){.mask = *mask, .hash = hash, .ip4 = ip4};
    for (unsigned w = 0; w < FLOW_WORDS; w++)
        if (words[w] && !(ip4 && is_prefix_word(w)))
            m->words[m->n_words++] = (uint8_t)w;
}

uint32_t flow_masks_find(struct flow_masks *m, const struct flow_key *key,
                         const struct flow_key *mask, bool add)
{
    bool ip4 = foldable_ip4(key, mask) && folds_back(&key->ip_src, &mask->ip_src) &&
               folds_back(&key->ip_dst, &mask->ip_dst);
    uint64_t hash = flow_mask_hash(mask);
    uint32_t unused = 0;

    for (uint32_t i = 1; i < m->n; i++) {
        const struct flow_mask *have = &m->masks[i];
        if (!have->n_flows)
            unused = i;
        else if (have->hash == hash && have->ip4 == ip4 && !memcmp(&have->mask, mask, sizeof *mask))
            return i;
    }
    if (!add || (!unused && m->n > MASKS_MAX))
        return 0;
    if (!unused) {
        unused = MAX(m->n, 1u);
        if (unused >= m->room) {
            m->room = MAX(16u, 2 * m->room);
            m->masks = mem_resize(m->masks, m->room * sizeof *m->masks);
        }
        m->n = unused + 1;
    }
    mask_init(&m->masks[unused], mask, ip4, hash);
    return unused;
}

void flow_masks_free(struct flow_masks *m)
{
    free(m->masks);
    *m = (struct flow_masks){0};
}

void flow_name_fold(const struct flow_mask *m, const struct flow_key *key, uint32_t *words)
{
    const uint32_t *k = (const uint32_t *)key;

    for (unsigned i = 0; i < m->n_words; i++)
        words[i] = k[m->words[i]];
}

void flow_name_unfold(const struct flow_mask *m, const uint32_t *words, struct flow_key *key)
{
    uint32_t *k = (uint32_t *)key;

    memset(key, 0, sizeof *key);
    for (unsigned i = 0; i < m->n_words; i++)
        k[m->words[i]] = words[i];
    if (m->ip4) {
        key->ip_src.w[2] = __builtin_bswap32(0xffff) & m->mask.ip_src.w[2];
        key->ip_dst.w[2] = __builtin_bswap32(0xffff) & m->mask.ip_dst.w[2];
    }
}
