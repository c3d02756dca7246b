/* Values of DHCP options: text to bytes and back, by the option's kind.
 *
 * Both directions know the same text, so that what is printed can be set: what isn't a value of its
 * kind prints as "0x..." and that is taken for any option.  Thread: pure functions. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "packet/dhcp.h"
#include "packet/dhcp_kind.h"
#include "packet/wire.h"

/* Encoding: each element of a list, separated by commas or spaces, by a function of its own. */

struct out {
    uint8_t *p;
    size_t n, room;
};

static bool put(struct out *o, const void *p, size_t n)
{
    if (o->room - o->n < n)
        return false;
    memcpy(o->p + o->n, p, n);
    o->n += n;
    return true;
}

static bool put_number(struct out *o, const char *text, unsigned bytes, bool sign)
{
    long long max = bytes == 4 ? UINT32_MAX : bytes == 2 ? UINT16_MAX : UINT8_MAX, min = 0;
    uint8_t b[4];
    char *end;

    if (sign) {
        max = INT32_MAX;
        min = INT32_MIN;
    }
    if (!*text || isspace((unsigned char)*text))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 0);
    if (*end || errno || v < min || v > max)
        return false;
    put32(b, (uint32_t)v);
    return put(o, b + 4 - bytes, bytes);
}

static bool put_ip(struct out *o, const char *text)
{
    struct ip ip;

    return !ip_parse(text, &ip) && ip_is4(&ip) && put(o, &ip.w[3], 4);
}

static bool put_bool(struct out *o, const char *text)
{
    static const char *const yes[] = {"1", "true", "yes", "on"},
                             *no[] = {"0", "false", "no", "off"};

    for (unsigned i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!strcmp(text, yes[i]))
            return put(o, &(uint8_t){1}, 1);
        if (!strcmp(text, no[i]))
            return put(o, &(uint8_t){0}, 1);
    }
    return false;
}

/* "0a1b", "0a:1b", "0x0a1b" */
static bool put_hex(struct out *o, const char *text)
{
    unsigned byte;

    if (text[0] == '0' && text[1] == 'x')
        text += 2;
    if (!*text)
        return false;
    for (; *text; text += 2) {
        if (*text == ':')
            text++;
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
            sscanf(text, "%2x", &byte) != 1 || !put(o, &(uint8_t){(uint8_t)byte}, 1))
            return false;
    }
    return true;
}

static bool put_name(struct out *o, const char *text)
{
    size_t start = o->n;

    for (const char *label = text;;) {
        size_t n = strcspn(label, ".");
        if (!n && !*label && label != text)
            break; /* ended with a dot */
        if (!n || n > 63 || !put(o, &(uint8_t){(uint8_t)n}, 1) || !put(o, label, n))
            return false;
        label += n;
        if (!*label)
            break;
        label++;
    }
    return put(o, "", 1) && o->n - start <= 255;
}

static bool put_cidr(struct out *o, const char *text)
{
    struct cidr c;

    if (cidr_parse(text, &c) || !ip_is4(&c.addr))
        return false;
    struct ip net = cidr_network(&c);
    return put(o, &c.len, 1) && put(o, &net.w[3], (c.len + 7u) / 8u);
}

static bool put_element(struct out *o, enum dhcp_kind kind, unsigned at, const char *text)
{
    switch (kind) {
    case K_IP:
    case K_IPS:
    case K_PAIRS:
    case K_SIP:
        return put_ip(o, text);
    case K_U16S:
        return put_number(o, text, 2, false);
    case K_ROUTES:
        return at % 2 ? put_ip(o, text) : put_cidr(o, text);
    default:
        return put_name(o, text);
    }
}

static bool put_list(struct out *o, enum dhcp_kind kind, const char *text)
{
    static const char separators[] = ", \t";
    char word[256];
    unsigned n = 0;

    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        size_t size = strcspn(text, separators);
        if (size >= sizeof word)
            return false;
        memcpy(word, text, size);
        word[size] = '\0';
        if (!put_element(o, kind, n++, word))
            return false;
        text += size;
    }
    if (kind == K_PAIRS || kind == K_ROUTES)
        return n && n % 2 == 0;
    return kind == K_IP ? n == 1 : n > 0;
}

static bool put_sip(struct out *o, const char *text)
{
    struct out before = *o;

    if (put(o, &(uint8_t){1}, 1) && put_list(o, K_SIP, text))
        return true;
    *o = before;
    return put(o, &(uint8_t){0}, 1) && put_list(o, K_NAMES, text);
}

int dhcp_option_encode(uint8_t code, const char *text, uint8_t *buf, size_t room)
{
    struct out o = {buf, 0, room};
    enum dhcp_kind kind = dhcp_option_kind(code);
    bool good;

    if (!strncmp(text, "0x", 2)) /* bytes as they are, for any option */
        kind = K_BYTES;
    switch (kind) {
    case K_BYTES:
        good = put_hex(&o, text);
        break;
    case K_STRING:
        good = *text && put(&o, text, strlen(text));
        break;
    case K_FLAG:
        good = !*text;
        break;
    case K_BOOL:
        good = put_bool(&o, text);
        break;
    case K_U8:
    case K_U16:
    case K_U32:
    case K_I32:
        good = put_number(&o, text, kind == K_U8 ? 1 : kind == K_U16 ? 2 : 4, kind == K_I32);
        break;
    case K_SIP:
        good = put_sip(&o, text);
        break;
    default:
        good = put_list(&o, kind, text);
    }
    return good ? (int)o.n : -1;
}

/* Printing; false: the bytes aren't a value of the kind. */

static const char *comma(const struct strbuf *sb)
{
    return sb->size ? "," : "";
}

static void add_ip(struct strbuf *sb, const uint8_t *p)
{
    sb_printf(sb, "%s%u.%u.%u.%u", comma(sb), p[0], p[1], p[2], p[3]);
}

static bool format_routes(struct strbuf *sb, const uint8_t *p, size_t n)
{
    while (n) {
        uint8_t net[4] = {0};
        size_t bytes = (p[0] + 7u) / 8u;
        if (p[0] > 32 || n < 1 + bytes + 4)
            return false;
        memcpy(net, p + 1, bytes);
        add_ip(sb, net);
        sb_printf(sb, "/%u", p[0]);
        add_ip(sb, p + 1 + bytes);
        p += 1 + bytes + 4;
        n -= 1 + bytes + 4;
    }
    return true;
}

static bool printable(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isgraph(p[i]) && p[i] != ' ')
            return false;
    return true;
}

static bool format_names(struct strbuf *sb, const uint8_t *p, size_t n)
{
    while (n) {
        const char *before = comma(sb);
        for (; n && *p; n -= 1u + *p, p += 1u + *p) {
            if (*p > 63 || *p >= n || !printable(p + 1, *p) || memchr(p + 1, ' ', *p) ||
                memchr(p + 1, ',', *p) || memchr(p + 1, '.', *p))
                return false;
            sb_add(sb, before);
            sb_add_bytes(sb, p + 1, *p);
            before = ".";
        }
        if (!n)
            return false;
        p++;
        n--;
    }
    return true;
}

static bool format_ips(struct strbuf *sb, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 4 <= n; i += 4)
        add_ip(sb, p + i);
    return n && n % 4 == 0;
}

static bool format_value(struct strbuf *sb, enum dhcp_kind kind, const uint8_t *p, size_t n)
{
    switch (kind) {
    case K_STRING:
        sb_add_bytes(sb, p, n);
        return n && printable(p, n);
    case K_FLAG:
        return !n;
    case K_BOOL:
    case K_U8:
        sb_printf(sb, "%u", n ? p[0] : 0);
        return n == 1 && (kind == K_U8 || p[0] < 2);
    case K_U16:
    case K_U16S:
        for (size_t i = 0; i + 2 <= n; i += 2)
            sb_printf(sb, "%s%u", comma(sb), get16(p + i));
        return kind == K_U16 ? n == 2 : n && n % 2 == 0;
    case K_U32:
    case K_I32:
        if (n == 4)
            sb_printf(sb, kind == K_U32 ? "%u" : "%d", get32(p));
        return n == 4;
    case K_IP:
        return n == 4 && format_ips(sb, p, n);
    case K_IPS:
        return format_ips(sb, p, n);
    case K_PAIRS:
        return n % 8 == 0 && format_ips(sb, p, n);
    case K_ROUTES:
        return n && format_routes(sb, p, n);
    case K_NAMES:
        return n && format_names(sb, p, n);
    case K_SIP:
        return n > 1 && p[0] < 2 &&
               (p[0] ? format_ips(sb, p + 1, n - 1) : format_names(sb, p + 1, n - 1));
    default:
        return false;
    }
}

char *dhcp_option_format(uint8_t code, const uint8_t *data, size_t n, char *buf, size_t size)
{
    struct strbuf sb = {0};
    enum dhcp_kind kind = dhcp_option_kind(code);

    /* "0x" means bytes, so it can't begin anything else */
    if (!format_value(&sb, kind, data, n) || !strncmp(sb_str(&sb), "0x", 2)) {
        sb_free(&sb);
        sb = (struct strbuf){0};
        sb_add(&sb, "0x");
        for (size_t i = 0; i < n; i++)
            sb_printf(&sb, "%02x", data[i]);
    }
    snprintf(buf, size, "%s", sb_str(&sb));
    sb_free(&sb);
    return buf;
}
