/* Chains, rule by rule (behaviour.md section 9). */
#include "sim/cond.h"
#include "sim/filter.h"
#include "sim/mask.h"
#include "sim/rule_find.h"

enum {
    MAX_JUMPS = 16384, /* of one packet at one stage */
    FEW_FRAMES = 2,
};

/* A chain being walked; those below it wait for it. */
struct frame {
    struct rule_find find;
    uint32_t changes; /* of the packet, when it was last looked at */
};

struct walk {
    struct frame *frames;
    uint32_t n, room, jumps;
    uint32_t changes; /* of the packet's headers so far */
};

enum step {
    STEP_NEXT,
    STEP_RETURN,
    STEP_ACCEPT,
    STEP_DROP,
    STEP_REJECT,
    STEP_REDIRECT,
    STEP_ENDED
};

static struct frame *top(const struct walk *w)
{
    return &w->frames[w->n - 1];
}

static const struct topo_chain *chain_of(const struct walk *w)
{
    return top(w)->find.chain;
}

#define TRAIL_RULE(r, c, rule, fmt, ...)                                                           \
    TRAIL(r, TOPO_RULE, &(rule)->id, "%s" fmt, rule_name(r, c, rule), ##__VA_ARGS__)

static void push(struct run *r, struct walk *w, const struct topo_chain *c)
{
    w->frames = grow_list(r, w->frames, w->n, &w->room, sizeof *w->frames);
    struct frame *f = &w->frames[w->n++];
    rule_find_begin(&f->find, c);
    f->changes = w->changes;
}

static const struct topo_rule *next_rule(struct run *r, struct walk *w, bool *ended)
{
    struct frame *f = top(w);

    if (f->changes != w->changes) {
        f->changes = w->changes;
        rule_find_again(&f->find);
    }
    return rule_find_next(r, &f->find, ended);
}

static void add_log(struct run *r, const struct topo_chain *c, const struct topo_rule *rule,
                    const struct uuid *logger, bool dropped)
{
    struct sim_result *res = r->res;

    if (r->hand.nested)
        return;
    res->logs = grow_list(r, res->logs, res->n_logs, &r->room_logs, sizeof *res->logs);
    res->logs[res->n_logs++] = (struct sim_log){
        .chain = c->obj.id,
        .rule = rule ? rule->id : uuid_zero,
        .logger = *logger,
        .dropped = dropped,
        .hdr = snapshot(r),
        .in_port = r->at.in_port,
        .out_port = r->at.out_port,
    };
}

/* The chain has decided, by 'rule' or by coming to its end. */
static void tell_loggers(struct run *r, const struct topo_chain *c, const struct topo_rule *rule,
                         bool dropped)
{
    for (uint32_t i = 0; i < c->n_loggers; i++)
        if (c->loggers[i].events & (dropped ? TOPO_LOG_DROP : TOPO_LOG_ACCEPT))
            add_log(r, c, rule, &c->loggers[i].id, dropped);
}

static void add_trace(struct run *r, const struct topo_rule *rule)
{
    struct sim_result *res = r->res;

    if (r->hand.nested)
        return;
    for (uint32_t i = 0; i < res->n_traces; i++)
        if (uuid_equal(&res->traces[i].request, &rule->request))
            return;
    res->traces = grow_list(r, res->traces, res->n_traces, &r->room_traces, sizeof *res->traces);
    res->traces[res->n_traces++] = (struct sim_trace){rule->request, rule->limit};
}

static bool walked(const struct walk *w, topo_ref chain)
{
    for (uint32_t i = w->n; i-- > 0;)
        if (w->frames[i].find.chain->obj.self == chain)
            return true;
    return false;
}

static enum step jump(struct run *r, struct walk *w, const struct topo_rule *rule)
{
    const struct topo_chain *c = chain_of(w);
    bool ended;

    if (walked(w, rule->jump)) {
        TRAIL_RULE(r, c, rule, ": %s is being walked already, no jump", name_of(r, rule->jump));
        return STEP_NEXT;
    }
    if (unlikely(++w->jumps > MAX_JUMPS)) {
        drop_by(r, SIM_LOOP, TOPO_RULE, &rule->id, false);
        return STEP_ENDED;
    }
    const struct topo_obj *to = find_object(r, rule->jump, TOPO_CHAIN, &ended);
    if (ended)
        return STEP_ENDED;
    if (!to) {
        TRAIL_RULE(r, c, rule, ": there is no such chain to jump to");
        return STEP_NEXT;
    }
    TRAIL_RULE(r, c, rule, " holds: jump to %s", name_of(r, rule->jump));
    push(r, w, (const struct topo_chain *)to);
    return STEP_NEXT;
}

/* What translating and tag-changing rules do next. */
static enum step action(const struct topo_rule *rule)
{
    switch (rule->action) {
    case RULE_CONTINUE:
        return STEP_NEXT;
    case RULE_RETURN:
        return STEP_RETURN;
    case RULE_REDIRECT:
        return STEP_REDIRECT;
    default:
        return STEP_ACCEPT;
    }
}

static enum step translate(struct run *r, struct walk *w, const struct topo_rule *rule)
{
    const struct topo_chain *c = chain_of(w);

    TRAIL_RULE(r, c, rule, " holds: %s", topo_rule_type_name((enum topo_rule_type)rule->type));
    switch (nat_apply(r, rule)) {
    case NAT_DONE:
        w->changes++;
        return action(rule);
    case NAT_ENDED:
        return STEP_ENDED;
    case NAT_NOT_APPLIED:
        break;
    }
    TRAIL_RULE(r, c, rule, ": nothing to translate");
    return STEP_NEXT;
}

static enum step change_tags(struct run *r, struct walk *w, const struct topo_rule *rule)
{
    const struct topo_chain *c = chain_of(w);
    bool pop = rule->pop_vlan && H(r, vlan_tci);

    TRAIL_RULE(r, c, rule, " holds: %s", topo_rule_type_name((enum topo_rule_type)rule->type));
    if (pop && !pop_vlan(r, &c->obj))
        return STEP_ENDED;
    if (rule->push && !push_vlan(r, &c->obj, rule->push_tci))
        return STEP_ENDED;
    w->changes++;
    if (!pop && !rule->push && rule->action != RULE_REDIRECT) {
        TRAIL_RULE(r, c, rule, ": nothing to change");
        return STEP_NEXT;
    }
    return action(rule);
}

static enum step apply(struct run *r, struct walk *w, const struct topo_rule *rule)
{
    const struct topo_chain *c = chain_of(w);

    switch ((enum topo_rule_type)rule->type) {
    case RULE_JUMP:
        return jump(r, w, rule);
    case RULE_DNAT:
    case RULE_SNAT:
    case RULE_REV_DNAT:
    case RULE_REV_SNAT:
        return translate(r, w, rule);
    case RULE_L2:
        return change_tags(r, w, rule);
    default:
        break;
    }
    TRAIL_RULE(r, c, rule, " holds: %s", topo_rule_type_name((enum topo_rule_type)rule->type));
    switch ((enum topo_rule_type)rule->type) {
    case RULE_ACCEPT:
        return STEP_ACCEPT;
    case RULE_DROP:
    case RULE_BROKEN:
        return STEP_DROP;
    case RULE_REJECT:
        return STEP_REJECT;
    case RULE_RETURN:
        return STEP_RETURN;
    case RULE_REDIRECT:
        return STEP_REDIRECT;
    case RULE_TRACE:
        add_trace(r, rule);
        return STEP_NEXT;
    case RULE_LOG:
        add_log(r, c, rule, &uuid_zero, false);
        return STEP_NEXT;
    default:
        return STEP_NEXT;
    }
}

/* All chains on the stack have come to a verdict. */
static enum filter_verdict decide(struct run *r, struct walk *w, const struct topo_rule *rule,
                                  enum step s)
{
    static const enum filter_verdict verdicts[] = {
        [STEP_ACCEPT] = FILTER_ACCEPT, [STEP_DROP] = FILTER_DROP,
        [STEP_REJECT] = FILTER_REJECT, [STEP_REDIRECT] = FILTER_REDIRECT,
        [STEP_ENDED] = FILTER_ENDED,
    };

    r->decided = rule;
    if (s != STEP_ENDED && s != STEP_REDIRECT)
        while (w->n) {
            tell_loggers(r, chain_of(w), rule, s != STEP_ACCEPT);
            w->n--;
        }
    return verdicts[s];
}

static enum filter_verdict walk(struct run *r, struct walk *w)
{
    bool ended;

    while (w->n) {
        const struct topo_rule *rule = next_rule(r, w, &ended);
        if (unlikely(ended))
            return FILTER_ENDED;
        enum step s = rule ? apply(r, w, rule) : STEP_RETURN;
        if (s == STEP_NEXT)
            continue;
        if (s != STEP_RETURN)
            return decide(r, w, rule, s);
        if (rule || w->n == 1)
            tell_loggers(r, chain_of(w), rule, false);
        w->n--;
    }
    return FILTER_ACCEPT;
}

/* Behind the rule; all of the chain if it hasn't that rule any more. */
static void skip(struct frame *f, const struct uuid *rule)
{
    const struct topo_chain *c = f->find.chain;

    for (uint32_t i = 0; i < c->n_rules; i++)
        if (uuid_equal(&c->rules[i].id, rule))
            f->find.next = i + 1;
}

enum filter_verdict filter_chain_behind(struct run *r, topo_ref ref, const struct uuid *rule)
{
    struct frame frames[FEW_FRAMES];
    struct walk w = {.frames = frames, .room = FEW_FRAMES};
    bool ended;
    const struct topo_obj *c = find_object(r, ref, TOPO_CHAIN, &ended);

    if (unlikely(!c))
        return ended ? FILTER_ENDED : FILTER_ACCEPT;
    push(r, &w, (const struct topo_chain *)c);
    if (unlikely(rule))
        skip(top(&w), rule);
    enum filter_verdict v = walk(r, &w);
    if (v == FILTER_ACCEPT)
        TRAIL_OBJ(r, c, "%s accepts", name_of(r, ref));
    return v;
}

enum filter_verdict filter_chain(struct run *r, topo_ref ref)
{
    return filter_chain_behind(r, ref, NULL);
}
