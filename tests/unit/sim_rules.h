/* Chains, address groups and mirrors in a line each; part of sim_world.h.
 *
 *     struct chn *c = chain(&w, "web");
 *     rule(c, "accept proto 6 dst-port 80-90 !src 10.0.0.0/8");
 *     rule(c, "dnat target 10.0.0.5:1000-2000 action continue dst 192.0.2.1");
 *     rule(c, "drop");
 *     port->infilter = c->ref;
 *
 * Words are those of the command line (cond_field_name()), "!" before a field inverts it, other
 * objects go by their names.  The third rule of chain "web" has the id "web:3". */
#ifndef MN_TESTS_SIM_RULES_H
#define MN_TESTS_SIM_RULES_H

#include <stdlib.h>

#include "topology/policy.h"
#include "values.h"

struct rule_lists {
    topo_ref in[4], out[4];
    struct topo_nat_target targets[4];
};

struct chn {
    const char *name;
    struct topo *topo;
    struct topo_rule *rules;
    struct rule_lists **lists; /* of each rule */
    uint32_t n, room;
    struct topo_logger loggers[4];
    uint32_t n_loggers;
    const char *labels;
    bool unloaded, missing;
    topo_ref ref;
};

static inline struct uuid uuid_of(const char *name)
{
    struct uuid u = {{0}};

    memcpy(u.b, name, MIN(strlen(name), sizeof u.b));
    return u;
}

static inline topo_ref named(struct topo *t, enum topo_kind kind, const char *name)
{
    struct uuid id = uuid_of(name);

    return topo_intern(t, kind, &id);
}

static inline struct chn *chain_in(struct topo *t, const char *name)
{
    struct chn *c = NEW(struct chn);

    *c = (struct chn){.name = name, .topo = t, .ref = named(t, TOPO_CHAIN, name)};
    return c;
}

static inline void chain_clear(struct chn *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        free(c->lists[i]);
    free(c->lists);
    free(c->rules);
    c->lists = NULL;
    c->rules = NULL;
    c->n = c->room = 0;
}

static inline void chain_publish(struct chn *c)
{
    struct uuid id = uuid_of(c->name);

    if (c->unloaded)
        topo_unload(c->topo, c->ref);
    else if (c->missing) {
        struct topo_obj *o = topo_object(TOPO_CHAIN, sizeof *o, 0, &id, NULL);
        o->missing = true;
        topo_publish(c->topo, o);
    } else
        topo_publish(c->topo, &topo_chain_make(&id, c->name, c->rules, c->n, c->loggers,
                                               c->n_loggers, c->labels)
                                   ->obj);
}

static inline void parse_range(const char *s, uint16_t v[2])
{
    const char *dash = strchr(s, '-');

    v[0] = (uint16_t)strtoul(s, NULL, 0);
    v[1] = dash ? (uint16_t)strtoul(dash + 1, NULL, 0) : v[0];
}

static inline struct cidr network_of(const char *s)
{
    struct cidr c = CIDR(s);

    c.addr = cidr_network(&c);
    return c;
}

static inline void parse_mac(char *s, struct mac *mac, struct mac *mask)
{
    char *slash = strchr(s, '/');

    if (slash)
        *slash = '\0';
    *mac = MAC(s);
    *mask = slash ? MAC(slash + 1) : mac_broadcast;
}

static inline uint8_t parse_frags(const char *s)
{
    return !strcmp(s, "unfragmented") ? 1
           : !strcmp(s, "header")     ? 3
           : !strcmp(s, "nonheader")  ? 4
                                      : 7;
}

/* ADDRESS[-ADDRESS][:PORT[-PORT]]; an IPv6 address in brackets. */
static inline struct topo_nat_target parse_target(char *s)
{
    struct topo_nat_target t = {0};
    char *open = strchr(s, '['), *colon = strchr(open ? strrchr(s, ']') : s, ':'), *dash;
    uint16_t ports[2] = {0};

    if (colon) {
        parse_range(colon + 1, ports);
        *colon = '\0';
    }
    for (char *p = s; *p; p++)
        if (*p == '[' || *p == ']')
            memmove(p, p + 1, strlen(p)), p--;
    dash = strchr(s, '-');
    if (dash)
        *dash = '\0';
    t.from = IP(s);
    t.to = dash ? IP(dash + 1) : t.from;
    t.port_from = ports[0];
    t.port_to = ports[1];
    return t;
}

static inline enum cond_field cond_field_of(const char *word)
{
    for (unsigned f = 0; f < COND_N_FIELDS; f++)
        if (!strcmp(cond_field_name((enum cond_field)f), word))
            return (enum cond_field)f;
    return COND_N_FIELDS;
}

/* Value 'v' of field 'f'; false when the field has none. */
static inline bool cond_value(struct topo *t, struct topo_cond *c, struct rule_lists *l,
                              enum cond_field f, char *v)
{
    switch (f) {
    case COND_IN_PORTS:
        l->in[c->n_in_ports++] = named(t, TOPO_PORT, v);
        c->in_ports = l->in;
        return true;
    case COND_OUT_PORTS:
        l->out[c->n_out_ports++] = named(t, TOPO_PORT, v);
        c->out_ports = l->out;
        return true;
    case COND_PORT_GROUP:
        c->port_group = named(t, TOPO_PORT_GROUP, v);
        return true;
    case COND_IN_PORT_GROUP:
        c->in_port_group = named(t, TOPO_PORT_GROUP, v);
        return true;
    case COND_OUT_PORT_GROUP:
        c->out_port_group = named(t, TOPO_PORT_GROUP, v);
        return true;
    case COND_TRAVERSED:
        c->traversed = named(t, TOPO_PORT, v);
        return true;
    case COND_ETH_TYPE:
        c->eth_type = (uint16_t)strtoul(v, NULL, 0);
        return true;
    case COND_VLAN:
        c->vlan = (uint16_t)strtoul(v, NULL, 0);
        c->vlan_mask = 0x0fff;
        return true;
    case COND_PROTO:
        c->proto = (uint8_t)strtoul(v, NULL, 0);
        return true;
    case COND_FRAG:
        c->frags = parse_frags(v);
        return true;
    case COND_TOS:
        c->tos = (uint8_t)strtoul(v, NULL, 0);
        return true;
    case COND_SRC:
        c->src = network_of(v);
        return true;
    case COND_DST:
        c->dst = network_of(v);
        return true;
    case COND_ETH_SRC:
        parse_mac(v, &c->eth_src, &c->eth_src_mask);
        return true;
    case COND_ETH_DST:
        parse_mac(v, &c->eth_dst, &c->eth_dst_mask);
        return true;
    case COND_SRC_GROUP:
        c->src_group = named(t, TOPO_IP_GROUP, v);
        return true;
    case COND_DST_GROUP:
        c->dst_group = named(t, TOPO_IP_GROUP, v);
        return true;
    case COND_TP_SRC:
        parse_range(v, c->tp_src);
        return true;
    case COND_TP_DST:
        parse_range(v, c->tp_dst);
        return true;
    case COND_TCP_FLAGS:
        c->tcp_flags = (uint16_t)strtoul(v, NULL, 0);
        c->tcp_flags_mask = (uint16_t)strtoul(strchr(v, '/') + 1, NULL, 0);
        return true;
    case COND_ICMP_ID:
        c->icmp_id = (uint16_t)strtoul(v, NULL, 0);
        return true;
    case COND_ICMP_DATA_SRC:
        c->icmp_data_src = network_of(v);
        return true;
    case COND_ICMP_DATA_DST:
        c->icmp_data_dst = network_of(v);
        return true;
    default:
        return false;
    }
}

static inline uint8_t rule_type_of(const char *word)
{
    for (unsigned t = 0; t < RULE_N_TYPES; t++)
        if (!strcmp(topo_rule_type_name((enum topo_rule_type)t), word))
            return (uint8_t)t;
    abort();
}

/* A word of the rule that isn't about its condition; true when it took the next one. */
static inline bool rule_word(struct topo *t, struct topo_rule *r, struct rule_lists *l,
                             const char *word, char *v)
{
    if (!strcmp(word, "inverted"))
        r->cond.inverted = true;
    else if (!strcmp(word, "stateless"))
        r->stateless = true;
    else if (!strcmp(word, "ingress"))
        r->ingress = true;
    else if (!strcmp(word, "fail-open"))
        r->fail_open = true;
    else if (!strcmp(word, "pop-vlan"))
        r->pop_vlan = true;
    else {
        if (!v)
            abort();
        if (!strcmp(word, "jump-to"))
            r->jump = named(t, TOPO_CHAIN, v);
        else if (!strcmp(word, "target-port"))
            r->target_port = named(t, TOPO_PORT, v);
        else if (!strcmp(word, "action"))
            r->action = rule_type_of(v);
        else if (!strcmp(word, "limit"))
            r->limit = strtoul(v, NULL, 0);
        else if (!strcmp(word, "push-vlan")) {
            r->push = true;
            r->push_tci = (uint16_t)strtoul(v, NULL, 0);
        } else if (!strcmp(word, "target")) {
            l->targets[r->n_targets++] = parse_target(v);
            r->targets = l->targets;
        } else
            abort();
        return true;
    }
    return false;
}

static inline void rule_words(struct topo *t, struct topo_rule *r, struct rule_lists *l, char *text)
{
    char *save, *word = strtok_r(text, " ", &save);

    while (word) {
        char *v = strtok_r(NULL, " ", &save);
        bool inv = *word == '!';
        enum cond_field f = cond_field_of(word + inv);
        bool took;
        if (f == COND_N_FIELDS) {
            took = rule_word(t, r, l, word, v);
        } else {
            r->cond.has |= 1u << f;
            r->cond.inv |= (uint32_t)inv << f;
            took = cond_value(t, &r->cond, l, f, v);
        }
        word = took ? strtok_r(NULL, " ", &save) : v;
    }
}

/* Appends a rule; what it returns may be changed until the next one is added. */
static inline struct topo_rule *rule(struct chn *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static inline struct topo_rule *rule(struct chn *c, const char *fmt, ...)
{
    char text[400], id[60], *rest;
    struct rule_lists *l = NEW(struct rule_lists);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (c->n == c->room) {
        c->room = c->room ? c->room * 2 : 8;
        c->rules = mem_resize(c->rules, c->room * sizeof *c->rules);
        c->lists = mem_resize(c->lists, c->room * sizeof(struct rule_lists *));
    }
    c->lists[c->n] = l;
    struct topo_rule *r = &c->rules[c->n++];
    snprintf(id, sizeof id, "%.9s:%u", c->name, c->n);
    rest = strchr(text, ' ');
    if (rest)
        *rest++ = '\0';
    *r = (struct topo_rule){.id = uuid_of(id), .type = rule_type_of(text)};
    r->action = RULE_ACCEPT;
    if (rest)
        rule_words(c->topo, r, l, rest);
    return r;
}

static inline void logger(struct chn *c, const char *id, uint8_t events)
{
    c->loggers[c->n_loggers++] = (struct topo_logger){uuid_of(id), events};
}

/* Published at once; members are added to the set it returns. */
static inline struct topo_ip_set *ip_group(struct topo *t, const char *name)
{
    struct uuid id = uuid_of(name);
    struct topo_ip_group *g = topo_object(TOPO_IP_GROUP, sizeof *g, 0, &id, name);

    g->members = topo_ip_set_new();
    topo_publish(t, &g->obj);
    return g->members;
}

static inline void member(struct topo_ip_set *s, const char *ip)
{
    struct ip a = IP(ip);

    topo_ip_set_add(s, &a);
}

/* Published at once; what it copies in the words of a rule's condition ("" everything). */
static inline topo_ref mirror_to(struct topo *t, const char *name, const char *to_port,
                                 const char *condition)
{
    struct uuid id = uuid_of(name);
    struct rule_lists l = {0};
    struct topo_rule r = {0};
    char text[200];

    snprintf(text, sizeof text, "%s", condition);
    rule_words(t, &r, &l, text);
    return topo_publish(t, &topo_mirror_make(&id, named(t, TOPO_PORT, to_port), &r.cond, 1)->obj);
}

#endif
