/* Policy from the store: chains, groups, mirrors, QoS, insertions, traces, and what goes when
 * nothing names it any more. */
#include <stdlib.h>

#include "packet/flow.h"
#include "topo_cloud.h"
#include "topology/policy.h"

struct rig {
    struct cloud c;
    struct agent *a;
    struct uuid bridge, port;
};

static void begin(struct rig *r)
{
    cloud_open(&r->c);
    r->a = agent_start(&r->c, "h1");
    settle(r->a);
    struct uuid zone = make(&r->c, ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    join(&r->c, &zone, r->a, "192.0.2.1");
    r->bridge = make(&r->c, ST_BRIDGE, "{'name':'b'}");
    r->port = bound_port(&r->c, &r->bridge, &r->a->host, "t0");
    load(r->a, TOPO_BRIDGE, &r->bridge);
}

static void end(struct rig *r)
{
    agent_stop(r->a);
    cloud_close(&r->c);
}

static const struct topo_chain *chain_of(struct rig *r, const struct uuid *id)
{
    return topo_chain(r->a->topo, ref_of(r->a, id));
}

static void again(struct rig *r)
{
    r->a->n_changes = 0;
    settle(r->a);
}

static void conditions(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid pg = make(&r.c, ST_PORT_GROUP, "{'name':'pg'}");
    struct uuid ig = make(&r.c, ST_IP_ADDR_GROUP, "{'name':'ig'}");
    struct uuid chain = make(&r.c, ST_CHAIN,
                             "{'name':'c','metadata':[{'key':'k','value':'v'},"
                             "{'key':'l','value':'w'}]}");
    make(&r.c, ST_RULE,
         "{'chainId':'%s','type':'drop','condInvert':true,'inPorts':['%s'],'invInPorts':true,"
         "'portGroup':'%s','dlType':2048,'nwProto':6,'nwTos':16,'nwSrcAddress':'10.1.2.3/8',"
         "'invNwSrc':true,'ipAddrGroupDst':'%s','tpSrc':{'start':80},'tpDst':{'start':1,'end':2},"
         "'dlSrc':'02:00:00:00:00:01','dlSrcMask':'ffff.0000.0001','vlan':7,'tcpFlags':2,"
         "'tcpFlagsMask':18,'fragmentPolicy':'unfragmented','matchReturnFlow':true}",
         text_of(&chain), text_of(&r.port), text_of(&pg), text_of(&ig));
    load(r.a, TOPO_CHAIN, &chain);
    const struct topo_chain *c = chain_of(&r, &chain);
    assert_string_equal(c->obj.name, "c");
    assert_string_equal(c->labels, "k=v l=w");
    assert_int_equal(c->n_rules, 1);
    assert_true(c->stateful);
    const struct topo_cond *k = &c->rules[0].cond;
    assert_int_equal(c->rules[0].type, RULE_DROP);
    assert_int_equal(k->has, COND_BIT(IN_PORTS) | COND_BIT(PORT_GROUP) | COND_BIT(ETH_TYPE) |
                                 COND_BIT(PROTO) | COND_BIT(TOS) | COND_BIT(SRC) |
                                 COND_BIT(DST_GROUP) | COND_BIT(TP_SRC) | COND_BIT(TP_DST) |
                                 COND_BIT(ETH_SRC) | COND_BIT(VLAN) | COND_BIT(TCP_FLAGS) |
                                 COND_BIT(FRAG) | COND_BIT(RETURN));
    assert_int_equal(k->inv, COND_BIT(IN_PORTS) | COND_BIT(SRC));
    assert_true(k->inverted);
    assert_int_equal(k->n_in_ports, 1);
    assert_int_equal(k->in_ports[0], ref_of(r.a, &r.port));
    assert_int_equal(k->port_group, ref_of(r.a, &pg));
    assert_int_equal(k->dst_group, ref_of(r.a, &ig));
    assert_int_equal(k->src.len, 8);
    struct cidr ten = cidr_of("10.0.0.0/8");
    assert_true(ip_equal(&k->src.addr, &ten.addr));
    assert_int_equal(k->tp_src[0], 80);
    assert_int_equal(k->tp_src[1], 65535);
    assert_int_equal(k->tp_dst[1], 2);
    assert_int_equal(mac_u64(&k->eth_src_mask), 0xffff00000001);
    assert_int_equal(k->vlan, 7);
    assert_int_equal(k->vlan_mask, FLOW_VLAN_VID);
    assert_int_equal(k->tcp_flags, 2);
    assert_int_equal(k->tcp_flags_mask, 18);
    assert_int_equal(k->frags, 1 << FLOW_FRAG_NONE);
    end(&r);
    (void)state;
}

static void targets(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid other = make(&r.c, ST_CHAIN, "{'name':'o'}");
    struct uuid chain = make(&r.c, ST_CHAIN, "{'name':'c'}");
    make(&r.c, ST_RULE,
         "{'chainId':'%s','type':'snat','natTargets':[{'addressFrom':'192.0.2.1','addressTo':"
         "'192.0.2.9','portFrom':1024,'portTo':2047}],'flowAction':'continue'}",
         text_of(&chain));
    make(&r.c, ST_RULE,
         "{'chainId':'%s','type':'dnat','natTargets':[{'addressFrom':'2001:db8::1'}]}",
         text_of(&chain));
    make(&r.c, ST_RULE, "{'chainId':'%s','type':'jump','jumpChainId':'%s'}", text_of(&chain),
         text_of(&other));
    make(&r.c, ST_RULE,
         "{'chainId':'%s','type':'l2_transform','popVlan':true,'pushVlan':8194,'flowAction':"
         "'redirect','targetPortId':'%s','ingress':true,'failOpen':true}",
         text_of(&chain), text_of(&r.port));
    load(r.a, TOPO_CHAIN, &chain);
    const struct topo_rule *rules = chain_of(&r, &chain)->rules;
    assert_int_equal(chain_of(&r, &chain)->n_rules, 4); /* the last first */
    assert_int_equal(rules[0].type, RULE_L2);
    assert_int_equal(rules[0].action, RULE_REDIRECT);
    assert_int_equal(rules[0].push_tci, 0x2002 | FLOW_VLAN_PRESENT);
    assert_true(rules[0].push && rules[0].pop_vlan && rules[0].ingress && rules[0].fail_open);
    assert_int_equal(rules[0].target_port, ref_of(r.a, &r.port));
    assert_int_equal(rules[1].jump, ref_of(r.a, &other));
    assert_true(rules[2].stateless);
    assert_int_equal(rules[2].action, RULE_ACCEPT);
    assert_false(rules[3].stateless);
    assert_int_equal(rules[3].action, RULE_CONTINUE);
    assert_int_equal(rules[3].targets[0].port_to, 2047);
    end(&r);
    (void)state;
}

static void order_of(struct rig *r, const struct uuid *chain, const struct uuid **ids, unsigned n)
{
    const struct topo_chain *c = chain_of(r, chain);

    assert_int_equal(c->n_rules, n);
    for (unsigned i = 0; i < n; i++)
        assert_true(uuid_equal(&c->rules[i].id, ids[i]));
}

static void rules_come_and_go(void **state)
{
    struct rig r;
    struct uuid x, y, z;

    begin(&r);
    struct uuid chain = make(&r.c, ST_CHAIN, "{'name':'c'}");
    topo_ref ref = load(r.a, TOPO_CHAIN, &chain);
    assert_int_equal(chain_of(&r, &chain)->n_rules, 0);
    y = make(&r.c, ST_RULE, "{'chainId':'%s','type':'drop'}", text_of(&chain));
    x = make(&r.c, ST_RULE, "{'chainId':'%s','type':'accept'}", text_of(&chain));
    z = make(&r.c, ST_RULE, "{'chainId':'%s','type':'log','position':3}", text_of(&chain));
    again(&r);
    assert_true(was_announced(r.a, tag_object(ref)));
    order_of(&r, &chain, (const struct uuid *[]){&x, &y, &z}, 3);
    change(&r.c, ST_RULE, &x, "{'position':3}");
    again(&r);
    order_of(&r, &chain, (const struct uuid *[]){&y, &z, &x}, 3);
    change(&r.c, ST_RULE, &z, "{'type':'reject'}");
    destroy(&r.c, ST_RULE, &y);
    again(&r);
    order_of(&r, &chain, (const struct uuid *[]){&z, &x}, 2);
    assert_int_equal(chain_of(&r, &chain)->rules[0].type, RULE_REJECT);
    destroy(&r.c, ST_CHAIN, &chain);
    again(&r);
    assert_true(was_announced(r.a, tag_object(ref)));
    assert_true(topo_get(r.a->topo, ref)->missing);
    end(&r);
    (void)state;
}

static void loggers(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid chain = make(&r.c, ST_CHAIN, "{'name':'c'}");
    struct uuid res = make(&r.c, ST_LOGGING_RESOURCE, "{'name':'f','enabled':false}");
    struct uuid logger =
        make(&r.c, ST_RULE_LOGGER, "{'chainId':'%s','loggingResourceId':'%s','event':'DROP'}",
             text_of(&chain), text_of(&res));
    load(r.a, TOPO_CHAIN, &chain);
    assert_int_equal(chain_of(&r, &chain)->n_loggers, 0);
    change(&r.c, ST_LOGGING_RESOURCE, &res, "{'enabled':true}");
    again(&r);
    assert_int_equal(chain_of(&r, &chain)->n_loggers, 1);
    assert_int_equal(chain_of(&r, &chain)->loggers[0].events, TOPO_LOG_DROP);
    destroy(&r.c, ST_RULE_LOGGER, &logger);
    again(&r);
    assert_int_equal(chain_of(&r, &chain)->n_loggers, 0);
    end(&r);
    (void)state;
}

static void overwrite(struct rig *r, enum schema_type_id type, const struct uuid *id,
                      enum schema_type_id owner, const struct uuid *owner_id, const char *text)
{
    char path[STORE_PATH_MAX], change[STORE_PATH_MAX];
    struct store_value v;
    struct error e;

    objects_path(type, id, path);
    objects_change_path(owner, owner_id, change);
    assert_int_equal(store_get(r->c.store, change, &v, &e), 0);
    json_t *entries = json_pack("[[s,s,s]]", schema_types[type].plural, text_of(id), "u");
    struct objects_bump bump;
    assert_int_equal(objects_bump_make(r->c.db, owner, owner_id, &v, entries, &bump), 0);
    struct store_op ops[3] = {{.type = STORE_PUT,
                               .path = path,
                               .data = text,
                               .size = strlen(text),
                               .version = STORE_ANY}};
    memcpy(&ops[1], bump.ops, bump.n * sizeof *ops);
    assert_int_equal(store_commit(r->c.store, ops, 1 + bump.n, NULL, &e), 0);
    json_decref(entries);
    store_value_free(&v);
    objects_bump_free(&bump);
}

/* What can't be understood refuses, whatever it may have meant. */
static void fails_closed(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid chain = make(&r.c, ST_CHAIN, "{'name':'c'}");
    struct uuid rule = make(&r.c, ST_RULE, "{'chainId':'%s','type':'accept'}", text_of(&chain));
    load(r.a, TOPO_CHAIN, &chain);
    const char *const bad[] = {"", "{", "[]", "{\"type\":\"teleport\"}",
                               "{\"chainId\":\"%s\",\"type\":\"accept\",\"moonPhase\":1}"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[256];
        uint64_t broken = status_of(r.a).broken;
        char *filled = mem_printf("%s", bad[i]);
        snprintf(text, sizeof text, "%s", filled);
        free(filled);
        if (strstr(text, "moonPhase"))
            snprintf(text, sizeof text, "{\"chainId\":\"%s\",\"type\":\"accept\",\"moonPhase\":1}",
                     text_of(&chain));
        overwrite(&r, ST_RULE, &rule, ST_CHAIN, &chain, text);
        again(&r);
        assert_int_equal(chain_of(&r, &chain)->n_rules, 1);
        assert_int_equal(chain_of(&r, &chain)->rules[0].type, RULE_BROKEN);
        assert_int_equal(chain_of(&r, &chain)->rules[0].cond.has, 0);
        assert_true(status_of(r.a).broken > broken);
    }
    overwrite(&r, ST_CHAIN, &chain, ST_CHAIN, &chain, "garbage");
    again(&r);
    assert_int_equal(chain_of(&r, &chain)->rules[0].type, RULE_BROKEN);
    overwrite(&r, ST_CHAIN, &chain, ST_CHAIN, &chain, "{\"name\":\"c\"}");
    char good[128];
    snprintf(good, sizeof good, "{\"chainId\":\"%s\",\"type\":\"accept\"}", text_of(&chain));
    overwrite(&r, ST_RULE, &rule, ST_CHAIN, &chain, good);
    again(&r);
    assert_int_equal(chain_of(&r, &chain)->rules[0].type, RULE_ACCEPT);
    end(&r);
    (void)state;
}

static bool member(struct rig *r, topo_ref group, const char *text)
{
    const struct topo_ip_group *g = topo_ip_group(r->a->topo, group);
    struct ip ip = ip_of(text);

    return g && !g->obj.missing && topo_ip_set_has(g->members, &ip);
}

static bool told_of(struct rig *r, topo_ref group, const char *text)
{
    struct ip ip = ip_of(text);

    return was_announced(r->a, tag_group_ip(group, &ip));
}

static void address_groups(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid g = make(&r.c, ST_IP_ADDR_GROUP, "{'name':'g'}");
    make(&r.c, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'10.0.0.1'}", text_of(&g));
    topo_ref ref = load(r.a, TOPO_IP_GROUP, &g);
    assert_true(member(&r, ref, "10.0.0.1"));
    struct uuid m =
        make(&r.c, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'2001:db8::5'}", text_of(&g));
    again(&r);
    assert_true(member(&r, ref, "2001:db8::5"));
    assert_true(told_of(&r, ref, "2001:db8::5"));
    assert_int_equal(r.a->n_changes, 1); /* and nothing else */
    destroy(&r.c, ST_IP_ADDR, &m);
    again(&r);
    assert_false(member(&r, ref, "2001:db8::5"));
    assert_int_equal(r.a->n_changes, 1);
    /* out and in again between two looks */
    m = make(&r.c, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'10.0.0.2'}", text_of(&g));
    destroy(&r.c, ST_IP_ADDR, &m);
    make(&r.c, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'10.0.0.2'}", text_of(&g));
    again(&r);
    assert_true(member(&r, ref, "10.0.0.2"));
    change(&r.c, ST_IP_ADDR_GROUP, &g, "{'name':'h'}");
    again(&r);
    assert_int_equal(r.a->n_changes, 0);
    assert_true(member(&r, ref, "10.0.0.1"));
    destroy(&r.c, ST_IP_ADDR_GROUP, &g);
    again(&r);
    assert_true(topo_get(r.a->topo, ref)->missing);
    assert_true(told_of(&r, ref, "10.0.0.1") && told_of(&r, ref, "10.0.0.2"));
    end(&r);
    (void)state;
}

static void port_groups(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid g = make(&r.c, ST_PORT_GROUP, "{'name':'g'}");
    struct uuid m = make(&r.c, ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}",
                         text_of(&g), text_of(&r.port));
    again(&r);
    assert_int_equal(port_of(r.a, &r.port)->groups.n, 1);
    assert_int_equal(port_of(r.a, &r.port)->groups.v[0], ref_of(r.a, &g));
    assert_true(was_announced(r.a, tag_object(ref_of(r.a, &r.port))));
    topo_ref ref = load(r.a, TOPO_PORT_GROUP, &g);
    assert_int_equal(topo_port_group(r.a->topo, ref)->ports.n, 1);
    assert_int_equal(topo_port_group(r.a->topo, ref)->ports.v[0], ref_of(r.a, &r.port));
    assert_false(topo_port_group(r.a->topo, ref)->stateful);
    change(&r.c, ST_PORT_GROUP, &g, "{'stateful':true}");
    destroy(&r.c, ST_PORT_GROUP_PORT, &m);
    again(&r);
    assert_int_equal(port_of(r.a, &r.port)->groups.n, 0);
    assert_int_equal(topo_port_group(r.a->topo, ref)->ports.n, 0);
    assert_true(topo_port_group(r.a->topo, ref)->stateful);
    assert_true(was_announced(r.a, tag_object(ref)));
    make(&r.c, ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", text_of(&g),
         text_of(&r.port));
    destroy(&r.c, ST_PORT_GROUP, &g);
    again(&r);
    assert_int_equal(port_of(r.a, &r.port)->groups.n, 0);
    end(&r);
    (void)state;
}

static void mirrors(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid to = make(&r.c, ST_PORT, "{'bridgeId':'%s'}", text_of(&r.bridge));
    struct uuid m =
        make(&r.c, ST_MIRROR, "{'toPortId':'%s','conditions':[{},{'nwProto':17}]}", text_of(&to));
    struct uuid n = make(&r.c, ST_MIRROR, "{'toPortId':'%s'}", text_of(&to));
    change(&r.c, ST_PORT, &r.port, "{'postInFilterMirrorIds':['%s','%s']}", text_of(&n),
           text_of(&m));
    change(&r.c, ST_BRIDGE, &r.bridge, "{'outboundMirrorIds':['%s']}", text_of(&m));
    again(&r);
    const struct topo_port *p = port_of(r.a, &r.port);
    assert_int_equal(p->mirrors[TOPO_HOOK_POST_IN_FILTER].n, 2);
    assert_int_equal(p->mirrors[TOPO_HOOK_POST_IN_FILTER].v[0], ref_of(r.a, &n));
    const struct topo_bridge *b = topo_bridge(r.a->topo, ref_of(r.a, &r.bridge));
    assert_int_equal(b->mirrors[TOPO_HOOK_OUT].v[0], ref_of(r.a, &m));
    topo_ref ref = load(r.a, TOPO_MIRROR, &m);
    assert_int_equal(topo_mirror(r.a->topo, ref)->n_conds, 2);
    assert_int_equal(topo_mirror(r.a->topo, ref)->to_port, ref_of(r.a, &to));
    change(&r.c, ST_MIRROR, &m, "{'conditions':[]}");
    again(&r);
    assert_int_equal(topo_mirror(r.a->topo, ref)->n_conds, 0);
    assert_true(was_announced(r.a, tag_object(ref)));
    destroy(&r.c, ST_PORT, &to); /* and with it the mirrors */
    again(&r);
    assert_int_equal(port_of(r.a, &r.port)->mirrors[TOPO_HOOK_POST_IN_FILTER].n, 0);
    assert_true(topo_get(r.a->topo, ref)->missing);
    end(&r);
    (void)state;
}

static void qos(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid gold = make(&r.c, ST_QOS_POLICY, "{'name':'gold'}");
    struct uuid tin = make(&r.c, ST_QOS_POLICY, "{'name':'tin'}");
    make(&r.c, ST_QOS_BW_RULE, "{'policyId':'%s','maxKbps':500}", text_of(&gold));
    struct uuid mark =
        make(&r.c, ST_QOS_DSCP_RULE, "{'policyId':'%s','dscpMark':22}", text_of(&gold));
    change(&r.c, ST_BRIDGE, &r.bridge, "{'qosPolicyId':'%s'}", text_of(&gold));
    again(&r);
    assert_true(port_of(r.a, &r.port)->mark);
    assert_int_equal(port_of(r.a, &r.port)->dscp, 22);
    assert_int_equal(port_of(r.a, &r.port)->max_kbps, 500);
    assert_int_equal(port_of(r.a, &r.port)->max_burst_kb, 400);
    struct uuid later = make(&r.c, ST_PORT, "{'bridgeId':'%s'}", text_of(&r.bridge));
    again(&r);
    assert_int_equal(port_of(r.a, &later)->dscp, 22);
    change(&r.c, ST_QOS_DSCP_RULE, &mark, "{'dscpMark':0}");
    again(&r);
    assert_true(port_of(r.a, &r.port)->mark);
    assert_int_equal(port_of(r.a, &r.port)->dscp, 0);
    change(&r.c, ST_PORT, &r.port, "{'qosPolicyId':'%s'}", text_of(&tin)); /* which says nothing */
    again(&r);
    assert_false(port_of(r.a, &r.port)->mark);
    assert_int_equal(port_of(r.a, &r.port)->max_kbps, 0);
    assert_true(port_of(r.a, &later)->mark);
    destroy(&r.c, ST_QOS_POLICY, &gold);
    again(&r);
    assert_false(port_of(r.a, &later)->mark);
    end(&r);
    (void)state;
}

static void insertions(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid s1 = make(&r.c, ST_PORT, "{'bridgeId':'%s'}", text_of(&r.bridge));
    struct uuid s2 = make(&r.c, ST_PORT, "{'bridgeId':'%s'}", text_of(&r.bridge));
    struct uuid second = make(&r.c, ST_L2INSERTION,
                              "{'portId':'%s','srvPortId':'%s','mac':'02:00:00:00:00:01',"
                              "'position':2,'failOpen':true}",
                              text_of(&r.port), text_of(&s2));
    struct uuid first = make(&r.c, ST_L2INSERTION,
                             "{'portId':'%s','srvPortId':'%s','mac':'02:00:00:00:00:01',"
                             "'position':1,'vlan':10}",
                             text_of(&r.port), text_of(&s1));
    again(&r);
    const struct topo_port *p = port_of(r.a, &r.port);
    const struct topo_chain *in = topo_chain(r.a->topo, p->insert_in);
    const struct topo_chain *out = topo_chain(r.a->topo, p->insert_out);
    assert_false(p->service);
    assert_int_equal(in->n_rules, 2);
    assert_true(uuid_equal(&in->rules[0].id, &first));
    assert_int_equal(in->rules[0].type, RULE_L2);
    assert_int_equal(in->rules[0].push_tci, 10 | 1 << 13 | FLOW_VLAN_PRESENT);
    assert_int_equal(in->rules[0].target_port, ref_of(r.a, &s1));
    assert_int_equal(in->rules[0].cond.has, COND_BIT(ETH_SRC));
    assert_int_equal(in->rules[1].type, RULE_REDIRECT);
    assert_true(in->rules[1].fail_open && !in->rules[0].fail_open);
    assert_int_equal(out->rules[0].push_tci, 10 | 2 << 13 | FLOW_VLAN_PRESENT);
    assert_int_equal(out->rules[0].cond.has, COND_BIT(ETH_DST));

    const struct topo_port *s = port_of(r.a, &s1);
    assert_true(s->service);
    const struct topo_chain *back = topo_chain(r.a->topo, s->insert_in);
    assert_int_equal(back->n_rules, 3);
    assert_true(uuid_equal(&back->rules[0].resume, &first));
    assert_true(back->rules[0].ingress && !back->rules[1].ingress && back->rules[0].pop_vlan);
    assert_int_equal(back->rules[0].cond.vlan, 10 | 1 << 13);
    assert_int_equal(back->rules[0].cond.vlan_mask, 0xefff);
    assert_int_equal(back->rules[2].type, RULE_DROP);
    assert_int_equal(back->rules[2].cond.has, 0);

    change(&r.c, ST_L2INSERTION, &second, "{'position':0}");
    again(&r);
    in = topo_chain(r.a->topo, port_of(r.a, &r.port)->insert_in);
    assert_true(uuid_equal(&in->rules[0].id, &second));
    destroy(&r.c, ST_PORT, &s1); /* its insertion goes too */
    again(&r);
    in = topo_chain(r.a->topo, port_of(r.a, &r.port)->insert_in);
    assert_int_equal(in->n_rules, 1);
    destroy(&r.c, ST_L2INSERTION, &second);
    again(&r);
    assert_int_equal(port_of(r.a, &r.port)->insert_in, 0);
    assert_false(port_of(r.a, &s2)->service);
    make(&r.c, ST_L2INSERTION, "{'portId':'%s','srvPortId':'%s','mac':'02:00:00:00:00:01'}",
         text_of(&r.port), text_of(&s2));
    again(&r);
    topo_ref chain = port_of(r.a, &r.port)->insert_in;
    assert_non_null(topo_get(r.a->topo, chain));
    destroy(&r.c, ST_PORT, &r.port);
    again(&r);
    assert_true(was_announced(r.a, tag_object(chain)));
    assert_int_equal(topo_chain(r.a->topo, chain)->rules[0].type, RULE_DROP); /* what is left */
    end(&r);
    (void)state;
}

static void traces(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid t = make(&r.c, ST_TRACE_REQUEST,
                         "{'portId':'%s','nwProto':1,'limit':5,'enabled':false}", text_of(&r.port));
    struct uuid u =
        make(&r.c, ST_TRACE_REQUEST, "{'bridgeId':'%s','enabled':true}", text_of(&r.bridge));
    again(&r);
    assert_int_equal(port_of(r.a, &r.port)->trace, 0);
    topo_ref bridge = ref_of(r.a, &r.bridge);
    const struct topo_chain *c = topo_chain(r.a->topo, topo_bridge(r.a->topo, bridge)->trace);
    assert_true(uuid_equal(&c->rules[0].request, &u));
    change(&r.c, ST_TRACE_REQUEST, &t, "{'enabled':true}");
    change(&r.c, ST_TRACE_REQUEST, &u, "{'enabled':false}");
    again(&r);
    c = topo_chain(r.a->topo, port_of(r.a, &r.port)->trace);
    assert_int_equal(c->n_rules, 1);
    assert_int_equal(c->rules[0].type, RULE_TRACE);
    assert_int_equal(c->rules[0].limit, 5);
    assert_int_equal(c->rules[0].cond.proto, 1);
    assert_int_equal(topo_bridge(r.a->topo, bridge)->trace, 0);
    destroy(&r.c, ST_TRACE_REQUEST, &t);
    again(&r);
    assert_int_equal(port_of(r.a, &r.port)->trace, 0);
    end(&r);
    (void)state;
}

/* Minutes pass. */
static void wait_minutes(struct rig *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        r->c.now += 60 * NSEC_PER_SEC;
        settle(r->a);
    }
}

static void unused_is_unloaded(void **state)
{
    struct rig r;

    begin(&r);
    struct uuid g = make(&r.c, ST_IP_ADDR_GROUP, "{'name':'g'}");
    struct uuid inner = make(&r.c, ST_CHAIN, "{'name':'i'}");
    struct uuid outer = make(&r.c, ST_CHAIN, "{'name':'o'}");
    make(&r.c, ST_RULE, "{'chainId':'%s','type':'jump','jumpChainId':'%s'}", text_of(&outer),
         text_of(&inner));
    make(&r.c, ST_RULE, "{'chainId':'%s','type':'drop','ipAddrGroupSrc':'%s'}", text_of(&inner),
         text_of(&g));
    change(&r.c, ST_PORT, &r.port, "{'inboundFilterId':'%s'}", text_of(&outer));
    uint32_t before = status_of(r.a).n_watches;
    topo_ref o = load(r.a, TOPO_CHAIN, &outer), i = ref_of(r.a, &inner), group = ref_of(r.a, &g);
    assert_int_equal(topo_chain(r.a->topo, i)->n_rules, 1); /* comes with it */
    wait_minutes(&r, 10);
    assert_non_null(topo_get(r.a->topo, o));
    assert_non_null(topo_get(r.a->topo, i));
    assert_non_null(topo_get(r.a->topo, group));
    assert_int_equal(status_of(r.a).n_watches, before + 3);
    change(&r.c, ST_PORT, &r.port, "{'inboundFilterId':null}");
    settle(r.a);
    r.a->n_changes = 0;
    wait_minutes(&r, 10);
    assert_null(topo_get(r.a->topo, o));
    assert_null(topo_get(r.a->topo, i));
    assert_null(topo_get(r.a->topo, group));
    assert_true(was_announced(r.a, tag_object(o)));
    assert_int_equal(status_of(r.a).n_watches, before);
    load(r.a, TOPO_CHAIN, &outer); /* and back when it is needed */
    assert_int_equal(topo_chain(r.a->topo, o)->n_rules, 1);
    end(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions),
        cmocka_unit_test(targets),
        cmocka_unit_test(rules_come_and_go),
        cmocka_unit_test(loggers),
        cmocka_unit_test(fails_closed),
        cmocka_unit_test(address_groups),
        cmocka_unit_test(port_groups),
        cmocka_unit_test(mirrors),
        cmocka_unit_test(qos),
        cmocka_unit_test(insertions),
        cmocka_unit_test(traces),
        cmocka_unit_test(unused_is_unloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
