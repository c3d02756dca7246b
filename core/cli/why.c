#include "cli/why.h"

#include <inttypes.h>
#include <string.h>

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

static int64_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

/* "  300 it sent: rule-drop, rule 3 of chain sg-in (type drop, dst-port 23); last 2 s ago: udp ..."
 */
static void print_drop(struct print *p, const json_t *d, int64_t packets)
{
    struct strbuf sb = {0};

    sb_printf(&sb, "  %" PRId64 " %s: %s", packets,
              !strcmp(text(d, "direction"), "to") ? "sent to it" : "it sent", text(d, "reason"));
    if (*text(d, "object"))
        sb_printf(&sb, ", %s", text(d, "object"));
    if (*text(d, "rule"))
        sb_printf(&sb, " (%s)", text(d, "rule"));
    sb_printf(&sb, "; last %" PRId64 " s ago", number(d, "ago"));
    if (*text(d, "packet"))
        sb_printf(&sb, ": %s", text(d, "packet"));
    print_line(p, "%s", sb_str(&sb));
    sb_free(&sb);
}

static void print_drops(struct print *p, const json_t *drops)
{
    int64_t minute = 0, ever = 0;
    const json_t *d;
    size_t i;

    json_array_foreach (drops, i, d) {
        minute += number(d, "last_minute");
        ever += number(d, "packets");
    }
    if (!ever) {
        print_line(p, "nothing was dropped here");
        return;
    }
    print_line(p, "%" PRId64 " packets dropped in the last minute%s", minute, minute ? ":" : "");
    json_array_foreach (drops, i, d)
        if (number(d, "last_minute"))
            print_drop(p, d, number(d, "last_minute"));
    if (ever == minute)
        return;
    print_line(p, "%" PRId64 " before:", ever - minute);
    json_array_foreach (drops, i, d)
        if (number(d, "packets") > number(d, "last_minute"))
            print_drop(p, d, number(d, "packets") - number(d, "last_minute"));
}

void why_print(struct print *p, const json_t *a)
{
    const char *name = *text(a, "port") ? text(a, "port") : text(a, "id");

    if (print_is_json(p)) {
        print_document(p, (json_t *)a);
        return;
    }
    print_line(p, "port %s (interface %s of host %s): %s", name, text(a, "interface"),
               text(a, "host"), text(a, "state"));
    if (json_object_get(a, "sent"))
        print_line(p, "%" PRId64 " packets sent by it, %" PRId64 " received", number(a, "sent"),
                   number(a, "received"));
    print_drops(p, json_object_get(a, "drops"));
    if (number(a, "over_limit"))
        print_line(p, "%" PRId64 " it sent beyond its limit of %" PRId64 " kb/s",
                   number(a, "over_limit"), number(a, "limit_kbps"));
    if (number(a, "first_packets_lost"))
        print_line(p, "%" PRId64 " first packets lost: it opened too many connections at once",
                   number(a, "first_packets_lost"));
}
