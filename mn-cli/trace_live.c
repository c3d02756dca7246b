/* Connections that the agent of this machine has, for "trace --live". */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control.h"
#include "base/clock.h"
#include "trace.h"

struct live {
    struct topo *topo;
    struct state *state;
    uint64_t now;
    size_t n;
};

static const char *text(const json_t *row, const char *name)
{
    const char *s = json_string_value(json_object_get(row, name));

    return s ? s : "";
}

/* "10.0.0.1:80", "[fd00::1]:80" */
static bool endpoint(const char *s, struct ip *ip, uint16_t *port)
{
    const char *colon = strrchr(s, ':');
    char addr[IP_STRLEN + 2];
    size_t n = colon ? (size_t)(colon - s) : 0;
    bool v6 = *s == '[';

    if (n < 2 || n >= sizeof addr || (v6 && s[n - 1] != ']'))
        return false;
    memcpy(addr, s, n);
    addr[v6 ? n - 1 : n] = '\0';
    *port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return !ip_parse(addr + v6, ip);
}

static uint8_t proto_of(const char *s)
{
    static const struct {
        const char *name;
        uint8_t proto;
    } names[] = {{"tcp", IPPROTO_TCP},
                 {"udp", IPPROTO_UDP},
                 {"icmp", IPPROTO_ICMP},
                 {"icmpv6", IPPROTO_ICMPV6},
                 {"sctp", IPPROTO_SCTP}};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(s, names[i].name))
            return names[i].proto;
    return (uint8_t)strtoul(s, NULL, 10);
}

static bool record_of(struct live *l, const json_t *row, struct state_rec *r)
{
    struct uuid device;

    *r = (struct state_rec){.fwd.proto = proto_of(text(row, "protocol"))};
    for (unsigned k = STATE_NONE + 1; k < STATE_N_KINDS; k++)
        if (!strcmp(text(row, "kind"), state_kind_name((enum state_kind)k)))
            r->kind = (uint8_t)k;
    if (!r->kind || uuid_parse(text(row, "device_id"), &device) ||
        !endpoint(text(row, "source"), &r->fwd.src, &r->fwd.sport) ||
        !endpoint(text(row, "destination"), &r->fwd.dst, &r->fwd.dport) ||
        (r->kind != STATE_CONN && !endpoint(text(row, "translated"), &r->to, &r->to_port)))
        return false;
    r->device = topo_intern(l->topo, TOPO_NONE, &device);
    return true;
}

static int take_page(json_t *line, void *aux)
{
    struct live *l = aux;
    struct state_rec r;
    json_t *row;
    size_t i;

    json_array_foreach (json_object_get(line, "connections"), i, row)
        if (record_of(l, row, &r) && !state_commit(l->state, &r, 1, l->now, STATE_LOADED, NULL))
            l->n++;
    return 0;
}

int trace_live(const char *control, struct topo *topo, struct state *state, size_t *n,
               struct error *e)
{
    struct live l = {.topo = topo, .state = state, .now = clock_ns()};
    int rc = control_each(control, "connections", take_page, &l, e);

    *n = l.n;
    return rc;
}
