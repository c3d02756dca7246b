#include <stdio.h>
#include <string.h>

#include "agent/words.h"
#include "packet/text.h"
#include "trace.h"

/* "bridge web", "port 5b1c..." */
static char *name_of(const struct topo *t, topo_ref ref, char *buf, size_t size)
{
    const struct topo_obj *o = topo_get(t, ref);
    char id[UUID_STRLEN];

    snprintf(buf, size, "%s %s", topo_kind_name(topo_kind_of(t, ref)),
             o && o->name[0] ? o->name : uuid_format(topo_id(t, ref), id));
    return buf;
}

/* The step at which 'id' was named in words, before the one at which the way ended. */
static const struct sim_step *told(const struct trace *t, const struct uuid *id)
{
    for (uint32_t i = 0; i < t->result.n_steps; i++) {
        const struct sim_step *s = &t->result.steps[i];
        if (!s->reason && uuid_equal(&s->object, id))
            return s;
    }
    return NULL;
}

/* The object that decided: by its name when it is loaded; a route or rule as the trail tells it,
 * with the uuid to find it by. */
static char *decider(const struct trace *t, uint8_t kind, const struct uuid *id, char *buf,
                     size_t size)
{
    topo_ref ref = topo_find(t->topo, id);
    const struct sim_step *s = told(t, id);
    char text[UUID_STRLEN], device[96];

    if (ref)
        return name_of(t->topo, ref, buf, size);
    uuid_format(id, text);
    if (s && s->device)
        snprintf(buf, size, "%s of %s (%s)", s->text,
                 name_of(t->topo, s->device, device, sizeof device), text);
    else
        snprintf(buf, size, "%s %s", topo_kind_name(kind), text);
    return buf;
}

/* Who answered the packet itself; or null. */
static const struct sim_step *answerer(const struct trace *t)
{
    for (uint32_t i = 0; i < t->result.n_steps; i++)
        if (t->result.steps[i].reason == SIM_CONSUMED && t->result.verdict == SIM_ANSWERED)
            return &t->result.steps[i];
    return NULL;
}

static const char *verdict_word(const struct sim_result *r)
{
    static const char *const words[] = {[SIM_FORWARD] = "delivered",
                                        [SIM_DROP] = "dropped",
                                        [SIM_ANSWERED] = "answered",
                                        [SIM_NEED] = "waiting"};

    return words[r->verdict];
}

static json_t *object_json(const struct topo *t, topo_ref ref)
{
    const struct topo_obj *o = topo_get(t, ref);
    char id[UUID_STRLEN];

    if (!ref)
        return json_null();
    return json_pack("{s:s, s:s, s:s*}", "type", topo_kind_name(topo_kind_of(t, ref)), "id",
                     uuid_format(topo_id(t, ref), id), "name", o && o->name[0] ? o->name : NULL);
}

static json_t *decider_json(const struct topo *t, uint8_t kind, const struct uuid *id)
{
    topo_ref ref = topo_find(t, id);
    char text[UUID_STRLEN];

    if (ref)
        return object_json(t, ref);
    if (!kind)
        return json_null();
    return json_pack("{s:s, s:s}", "type", topo_kind_name(kind), "id", uuid_format(id, text));
}

/* What an output changes, in words: "from .. to .. ttl 63". */
static char *changes(const struct flow_key *from, const struct flow_key *to, char *buf, size_t size)
{
    struct flow_out out = {0};
    char mac[MAC_STRLEN], ip[IP_STRLEN];
    size_t at = 0;

    buf[0] = '\0';
    flow_out_diff(&out, from, to);
#define SAY(bit, ...)                                                                              \
    if (at < size && (out.set & (bit)))                                                            \
    at += (size_t)snprintf(buf + at, size - at, __VA_ARGS__)
    SAY(FLOW_SET_ETH_SRC, " from %s", mac_format(&to->eth_src, mac));
    SAY(FLOW_SET_ETH_DST, " to %s", mac_format(&to->eth_dst, mac));
    SAY(FLOW_POP_VLAN, " untagged");
    SAY(FLOW_PUSH_VLAN, " vlan %u", to->vlan_tci & FLOW_VLAN_VID);
    SAY(FLOW_SET_IP_SRC, " src %s", ip_format(&to->ip_src, ip));
    SAY(FLOW_SET_IP_DST, " dst %s", ip_format(&to->ip_dst, ip));
    SAY(FLOW_SET_TP_SRC, " src-port %u", to->tp_src);
    SAY(FLOW_SET_TP_DST, " dst-port %u", to->tp_dst);
    SAY(FLOW_SET_TOS, " tos 0x%02x", to->ip_tos);
    SAY(FLOW_DEC_TTL, " ttl %u", to->ip_ttl);
#undef SAY
    return buf;
}

static void print_out(struct print *p, const struct trace *t, const char *indent,
                      const struct sim_out *o, const struct flow_key *from)
{
    const struct topo_port *port = topo_port(t->topo, o->port);
    char name[96], host[96] = "no host", text[256];

    if (port && port->host)
        name_of(t->topo, port->host, host, sizeof host);
    changes(from, o->hdr, text, sizeof text);
    print_line(p, "%sout of %s, interface %s of %s%s%s", indent,
               name_of(t->topo, o->port, name, sizeof name), port ? port->ifname : "?", host,
               text[0] ? ", now" : "", text);
    if (o->packet)
        print_line(p, "%s  as %s", indent, packet_describe(o->packet, o->size, text, sizeof text));
}

static void print_emits(struct print *p, const struct trace *t)
{
    char text[320], name[96];

    for (uint32_t i = 0; i < t->result.n_emits; i++) {
        const struct sim_emit *m = &t->result.emits[i];
        print_line(p, "%s by %s: %s", m->kind == SIM_EMIT_SOLICIT ? "asked" : "sent",
                   name_of(t->topo, m->port, name, sizeof name),
                   packet_describe(m->packet, m->size, text, sizeof text));
        for (uint32_t o = 0; o < m->n_outs; o++)
            print_out(p, t, "  ", &m->outs[o], &m->key);
        if (!m->n_outs)
            print_line(p, "  which found no way out");
    }
}

static void print_end(struct print *p, const struct trace *t)
{
    const struct sim_result *r = &t->result;
    const struct sim_step *by = answerer(t);
    char name[320], ip[IP_STRLEN];

    switch (r->verdict) {
    case SIM_FORWARD:
        print_line(p, "delivered%s", r->n_outs > 1 ? ", in several copies" : "");
        for (uint32_t i = 0; i < r->n_outs; i++)
            print_out(p, t, "  ", &r->outs[i], &t->key);
        break;
    case SIM_DROP:
        print_line(p, "dropped: %s, %s", sim_reason_name(r->reason),
                   decider(t, r->reason_kind, &r->reason_id, name, sizeof name));
        break;
    case SIM_ANSWERED:
        print_line(p, "answered by %s", by ? name_of(t->topo, by->device, name, sizeof name) : "?");
        break;
    case SIM_NEED:
        for (uint32_t i = 0; i < r->n_needs; i++)
            print_line(p, "waiting: nobody has told %s the MAC of %s yet",
                       name_of(t->topo, r->needs[i].ref, name, sizeof name),
                       ip_format(&r->needs[i].ip, ip));
        break;
    }
}

/* What the outcome stands on: found, or made by such a packet. */
static void print_records(struct print *p, const struct trace *t)
{
    char text[WORDS_SIZE];

    for (uint32_t i = 0; i < t->result.n_states; i++)
        print_line(p, "remembered: %s", words_record(t->topo, &t->result.states[i], text));
}

static json_t *records_json(const struct trace *t)
{
    json_t *list = json_array();
    char text[WORDS_SIZE];

    for (uint32_t i = 0; i < t->result.n_states; i++)
        json_array_append_new(list, json_string(words_record(t->topo, &t->result.states[i], text)));
    return list;
}

static void print_step(struct print *p, const struct trace *t, const struct sim_step *s)
{
    char device[96];

    print_line(p, "%*s%-24s %s", 2 + 2 * s->depth, "",
               s->device ? name_of(t->topo, s->device, device, sizeof device) : "", s->text);
}

static void print_text(struct print *p, const struct trace *t)
{
    char text[320], name[96];

    print_line(p, "%s", packet_describe(t->packet, t->size, text, sizeof text));
    print_line(p, "enters at %s", name_of(t->topo, t->port, name, sizeof name));
    for (uint32_t i = 0; i < t->result.n_steps; i++)
        print_step(p, t, &t->result.steps[i]);
    print_emits(p, t);
    print_records(p, t);
    print_end(p, t);
}

static json_t *outs_json(const struct trace *t, const struct sim_out *outs, uint32_t n,
                         const struct flow_key *from)
{
    json_t *list = json_array();
    char text[256];

    for (uint32_t i = 0; i < n; i++) {
        const struct topo_port *port = topo_port(t->topo, outs[i].port);
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:s*, s:s}", "port", object_json(t->topo, outs[i].port),
                            "host", object_json(t->topo, port ? port->host : 0), "interface",
                            port && port->ifname[0] ? port->ifname : NULL, "changes",
                            changes(from, outs[i].hdr, text, sizeof text) + (text[0] == ' ')));
    }
    return list;
}

static json_t *steps_json(const struct trace *t)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < t->result.n_steps; i++) {
        const struct sim_step *s = &t->result.steps[i];
        json_t *o =
            json_pack("{s:i, s:o, s:o, s:o, s:s}", "depth", s->depth, "device",
                      object_json(t->topo, s->device), "port", object_json(t->topo, s->port),
                      "object", decider_json(t->topo, s->object_kind, &s->object), "text", s->text);
        if (s->reason)
            json_object_set_new(o, "reason", json_string(sim_reason_name(s->reason)));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *emits_json(const struct trace *t)
{
    json_t *list = json_array();
    char text[320];

    for (uint32_t i = 0; i < t->result.n_emits; i++) {
        const struct sim_emit *m = &t->result.emits[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:o, s:s, s:o}", "kind",
                                        m->kind == SIM_EMIT_SOLICIT ? "solicit" : "answer", "port",
                                        object_json(t->topo, m->port), "packet",
                                        packet_describe(m->packet, m->size, text, sizeof text),
                                        "outputs", outs_json(t, m->outs, m->n_outs, &m->key)));
    }
    return list;
}

static void print_json(struct print *p, const struct trace *t)
{
    const struct sim_result *r = &t->result;
    const struct sim_step *by = answerer(t);
    char text[320];
    json_t *doc = json_pack("{s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "type", "trace",
                            "packet", packet_describe(t->packet, t->size, text, sizeof text),
                            "port", object_json(t->topo, t->port), "verdict", verdict_word(r),
                            "reason", sim_reason_name(r->reason), "object",
                            by ? object_json(t->topo, by->device)
                               : decider_json(t->topo, r->reason_kind, &r->reason_id),
                            "steps", steps_json(t), "outputs",
                            outs_json(t, r->outs, r->n_outs, &t->key), "generated", emits_json(t));

    if (r->n_states)
        json_object_set_new(doc, "connections", records_json(t));
    print_document(p, doc);
    json_decref(doc);
}

void trace_print(struct print *p, const struct trace *t)
{
    if (print_is_json(p))
        print_json(p, t);
    else
        print_text(p, t);
}
