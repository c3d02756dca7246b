#include "base/types.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

const struct uuid uuid_zero;
const struct ip ip_none;
const struct mac mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static void random_bytes(void *p, size_t size)
{
    if (getrandom(p, size, 0) != (ssize_t)size)
        abort(); /* the kernel never refuses up to 256 bytes once seeded */
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void uuid_random(struct uuid *u)
{
    random_bytes(u, sizeof *u);
    u->b[6] = (u->b[6] & 0x0f) | 0x40;
    u->b[8] = (u->b[8] & 0x3f) | 0x80;
}

int uuid_parse(const char *s, struct uuid *u)
{
    struct uuid out;
    unsigned pos = 0;

    for (unsigned i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && s[pos++] != '-')
            return -EINVAL;
        int hi = hex_digit(s[pos]);
        int lo = hi < 0 ? -1 : hex_digit(s[pos + 1]);
        if (lo < 0)
            return -EINVAL;
        out.b[i] = (uint8_t)(hi << 4 | lo);
        pos += 2;
    }
    if (s[pos])
        return -EINVAL;
    *u = out;
    return 0;
}

char *uuid_format(const struct uuid *u, char buf[UUID_STRLEN])
{
    static const char digits[] = "0123456789abcdef";
    char *p = buf;

    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[u->b[i] >> 4];
        *p++ = digits[u->b[i] & 15];
    }
    *p = '\0';
    return buf;
}

int mac_parse(const char *s, struct mac *m)
{
    struct mac out;

    for (unsigned i = 0; i < 6; i++) {
        int hi = hex_digit(*s);
        if (hi < 0)
            return -EINVAL;
        s++;
        int lo = hex_digit(*s);
        if (lo >= 0)
            s++;
        out.b[i] = (uint8_t)(lo >= 0 ? hi << 4 | lo : hi);
        if (i < 5 && *s++ != ':')
            return -EINVAL;
    }
    if (*s)
        return -EINVAL;
    *m = out;
    return 0;
}

char *mac_format(const struct mac *m, char buf[MAC_STRLEN])
{
    snprintf(buf, MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2], m->b[3],
             m->b[4], m->b[5]);
    return buf;
}

void mac_random(struct mac *m)
{
    random_bytes(m, sizeof *m);
    m->b[0] = 0xae; /* ac:ca:ba with the locally-administered bit set */
    m->b[1] = 0xca;
    m->b[2] = 0xba;
}

int ip_parse(const char *s, struct ip *ip)
{
    uint32_t v4;
    struct ip out;

    if (inet_pton(AF_INET, s, &v4) == 1) {
        *ip = ip_from4(v4);
        return 0;
    }
    if (inet_pton(AF_INET6, s, out.b) != 1)
        return -EINVAL;
    *ip = out;
    return 0;
}

char *ip_format(const struct ip *ip, char buf[IP_STRLEN])
{
    if (ip_is4(ip))
        inet_ntop(AF_INET, &ip->w[3], buf, IP_STRLEN);
    else
        inet_ntop(AF_INET6, ip->b, buf, IP_STRLEN);
    return buf;
}

bool ip_is_multicast(const struct ip *ip)
{
    return ip_is4(ip) ? (ip->b[12] & 0xf0) == 0xe0 : ip->b[0] == 0xff;
}

bool ip_is_link_local(const struct ip *ip)
{
    if (ip_is4(ip))
        return ip->b[12] == 169 && ip->b[13] == 254;
    return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

bool ip_is_broadcast(const struct ip *ip)
{
    return ip_is4(ip) && ip->w[3] == 0xffffffffu;
}

struct ip ip_solicited_node(const struct ip *ip)
{
    struct ip out = {.b = {0xff, 2, [11] = 1, [12] = 0xff}};

    memcpy(&out.b[13], &ip->b[13], 3);
    return out;
}

struct mac mac_of_multicast_ip(const struct ip *ip)
{
    struct mac m;

    if (ip_is4(ip))
        m = (struct mac){{0x01, 0x00, 0x5e, ip->b[13] & 0x7f, ip->b[14], ip->b[15]}};
    else
        m = (struct mac){{0x33, 0x33, ip->b[12], ip->b[13], ip->b[14], ip->b[15]}};
    return m;
}

struct ip ip_link_local_of_mac(const struct mac *m)
{
    struct ip ip = {.b = {0xfe, 0x80, [8] = m->b[0] ^ 2, m->b[1], m->b[2], 0xff, 0xfe, m->b[3],
                          m->b[4], m->b[5]}};

    return ip;
}

int cidr_parse(const char *s, struct cidr *c)
{
    char text[IP_STRLEN];
    const char *slash = strchr(s, '/');
    size_t size = slash ? (size_t)(slash - s) : strlen(s);
    struct cidr out;

    if (size >= sizeof text)
        return -EINVAL;
    memcpy(text, s, size);
    text[size] = '\0';
    if (ip_parse(text, &out.addr))
        return -EINVAL;
    unsigned max = ip_is4(&out.addr) ? 32 : 128, len = max;
    if (slash) {
        size_t n = strlen(slash + 1);
        if (n < 1 || n > 3 || strspn(slash + 1, "0123456789") != n)
            return -EINVAL;
        len = (unsigned)atoi(slash + 1);
        if (len > max)
            return -EINVAL;
    }
    out.len = (uint8_t)len;
    *c = out;
    return 0;
}

char *cidr_format(const struct cidr *c, char buf[CIDR_STRLEN])
{
    char ip[IP_STRLEN];

    snprintf(buf, CIDR_STRLEN, "%s/%u", ip_format(&c->addr, ip), c->len);
    return buf;
}

bool ip_prefix_equal(const struct ip *a, const struct ip *b, unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;

    if (memcmp(a->b, b->b, bytes))
        return false;
    return !rest || !((a->b[bytes] ^ b->b[bytes]) >> (8 - rest));
}

bool cidr_contains(const struct cidr *c, const struct ip *ip)
{
    return ip_is4(&c->addr) == ip_is4(ip) && ip_prefix_equal(&c->addr, ip, cidr_len128(c));
}

static struct ip with_host_bits(const struct cidr *c, uint8_t value)
{
    struct ip ip = c->addr;

    for (unsigned bit = cidr_len128(c); bit < 128; bit++) {
        uint8_t m = (uint8_t)(0x80 >> bit % 8);
        ip.b[bit / 8] = (uint8_t)((ip.b[bit / 8] & ~m) | (value & m));
    }
    return ip;
}

struct ip cidr_network(const struct cidr *c)
{
    return with_host_bits(c, 0);
}

struct ip cidr_broadcast(const struct cidr *c)
{
    return with_host_bits(c, 0xff);
}
