#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "probe.h"

/* One row: how one member reaches another. */
struct pair {
    const struct zone_member *from, *to;
    const char *status; /* "ok", "failed", "unknown" */
    unsigned mtu, need;
    json_int_t rtt_us, age;
    const char *reason;
};

static void field(struct print *p, const char *name, const char *json, json_t *value)
{
    const char *text = json_string_value(value);
    char digits[32];

    if (json_is_integer(value)) {
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
        text = digits;
    }
    print_field(p, name, text, json, value, false);
    json_decref(value);
}

static json_t *positive(json_int_t n)
{
    return n > 0 ? json_integer(n) : json_null();
}

static void print_pair(struct print *p, const struct pair *r)
{
    char address[IP_STRLEN];

    print_row(p, NULL, NULL);
    field(p, "status", "status", json_string(r->status));
    field(p, "from", "from", json_string(r->from->name));
    field(p, "to", "to", json_string(r->to->name));
    field(p, "address", "address", json_string(ip_format(&r->to->address, address)));
    field(p, "mtu", "mtu", positive(r->mtu));
    field(p, "need", "need", positive(r->need));
    field(p, "rtt-us", "rttUs", positive(r->rtt_us));
    field(p, "age", "ageSeconds", positive(r->age));
    field(p, "reason", "reason", *r->reason ? json_string(r->reason) : json_null());
    print_row_end(p);
}

static json_t *result_json(const struct zone_member *to, const struct probe *r)
{
    char host[UUID_STRLEN], address[IP_STRLEN];

    return json_pack("{s:s,s:s,s:b,s:i,s:i,s:I,s:s}", "host", uuid_format(&to->host, host),
                     "address", ip_format(&to->address, address), "ok", probe_good(r), "mtu",
                     (int)r->mtu, "need", (int)r->need, "rttUs", (json_int_t)r->rtt_us, "reason",
                     r->reason);
}

static void state_path(const struct zone *z, const struct uuid *host, char path[STORE_PATH_MAX])
{
    char key[64], text[UUID_STRLEN];

    snprintf(key, sizeof key, "check/%s", uuid_format(host, text));
    objects_state_path(ST_TUNNEL_ZONE, &z->id, key, path);
}

static int publish(struct cli *cli, const struct zone *z, const struct zone_member *self,
                   const struct probe *probes, struct error *e)
{
    char path[STORE_PATH_MAX];
    json_t *results = json_array();

    for (size_t i = 0; i < z->n; i++)
        if (&z->members[i] != self)
            json_array_append_new(results, result_json(&z->members[i], &probes[i]));
    json_t *doc = json_pack("{s:I,s:o}", "time", (json_int_t)time(NULL), "results", results);
    char *text = json_dumps(doc, JSON_COMPACT);
    struct store_op op = {.type = STORE_PUT,
                          .flags = STORE_PARENTS,
                          .path = path,
                          .data = text,
                          .size = strlen(text)};
    state_path(z, &self->host, path);
    int rc = store_commit(cli->store, &op, 1, NULL, e);
    free(text);
    json_decref(doc);
    return rc;
}

static void prepare(const struct zone *z, const struct zone_member *self,
                    const struct check_options *o, struct probe *probes, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < z->n; i++)
        if (&z->members[i] != self)
            probes[(*n)++] =
                (struct probe){.from = self->address,
                               .to = z->members[i].address,
                               .need = o->inner_mtu + zone_overhead(z, &z->members[i].address)};
}

/* Puts the gap of 'self' back, so that probes[i] is of members[i]. */
static void spread(const struct zone *z, const struct zone_member *self, struct probe *probes)
{
    size_t at = (size_t)(self - z->members);

    memmove(&probes[at + 1], &probes[at], (z->n - 1 - at) * sizeof *probes);
}

static int check_from_here(struct cli *cli, const struct zone *z, const struct check_options *o,
                           struct error *e)
{
    const struct zone_member *self = NULL;
    struct probe *probes;
    size_t n, n_bad = 0;
    int rc = zone_self(z, o->from, &self, e);

    if (rc)
        return rc;
    probes = NEW_ARRAY(z->n, struct probe);
    prepare(z, self, o, probes, &n);
    rc = probe_all(probes, n, o->timeout_ms, e);
    spread(z, self, probes);
    if (!rc && o->publish)
        rc = publish(cli, z, self, probes, e);
    if (rc)
        goto out;
    print_list(&cli->out, "tunnel-zone-check");
    for (size_t i = 0; i < z->n; i++) {
        const struct probe *p = &probes[i];
        if (&z->members[i] == self)
            continue;
        n_bad += !probe_good(p);
        print_pair(&cli->out, &(struct pair){self, &z->members[i], probe_good(p) ? "ok" : "failed",
                                             p->mtu, p->need, (json_int_t)p->rtt_us, 0, p->reason});
    }
    print_list_end(&cli->out);
    if (n_bad)
        rc = error_set(e, -EIO, z->name, NULL,
                       "%zu of %zu members can't be reached as the overlay needs", n_bad, n);
out:
    free(probes);
    return rc;
}

/* What 'from' published, or null. */
static json_t *published(struct cli *cli, const struct zone *z, const struct zone_member *from)
{
    char path[STORE_PATH_MAX];
    struct store_value v;
    json_t *doc;

    state_path(z, &from->host, path);
    if (store_get(cli->store, path, &v, NULL))
        return NULL;
    doc = json_loadb(v.data, v.size, 0, NULL);
    store_value_free(&v);
    return doc;
}

static const json_t *result_to(const json_t *doc, const struct zone_member *to)
{
    char host[UUID_STRLEN], address[IP_STRLEN];
    const json_t *r;
    size_t i;

    uuid_format(&to->host, host);
    ip_format(&to->address, address);
    json_array_foreach (json_object_get(doc, "results"), i, r) {
        const char *h = json_string_value(json_object_get(r, "host"));
        const char *a = json_string_value(json_object_get(r, "address"));
        if (h && a && !strcmp(h, host) && !strcmp(a, address))
            return r;
    }
    return NULL;
}

static unsigned small_int(const json_t *obj, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(obj, key));

    return n > 0 && n < 65536 ? (unsigned)n : 0;
}

/* A row from what was published; true if it is good. */
static bool print_published(struct cli *cli, const struct zone_member *from,
                            const struct zone_member *to, const json_t *doc,
                            const struct check_options *o)
{
    json_int_t age = (json_int_t)time(NULL) - json_integer_value(json_object_get(doc, "time"));
    const json_t *r = result_to(doc, to);
    struct pair p = {.from = from, .to = to, .status = "unknown", .age = age, .reason = ""};

    if (!doc || !r) {
        p.age = doc ? age : 0;
        p.reason = doc ? "not checked since it is a member with this address"
                       : "has not published a check (mn-tunnelzone check --publish, there)";
    } else if (age > (json_int_t)o->max_age) {
        p.reason = "its check is too old";
    } else {
        const char *reason = json_string_value(json_object_get(r, "reason"));
        p.status = json_is_true(json_object_get(r, "ok")) ? "ok" : "failed";
        p.mtu = small_int(r, "mtu");
        p.need = small_int(r, "need");
        p.rtt_us = json_integer_value(json_object_get(r, "rttUs"));
        p.reason = reason ? reason : "";
    }
    print_pair(&cli->out, &p);
    return !strcmp(p.status, "ok");
}

static int check_published(struct cli *cli, const struct zone *z, const struct check_options *o,
                           struct error *e)
{
    size_t n_bad = 0;

    print_list(&cli->out, "tunnel-zone-check");
    for (size_t i = 0; i < z->n; i++) {
        json_t *doc = published(cli, z, &z->members[i]);
        for (size_t k = 0; k < z->n; k++)
            if (k != i)
                n_bad += !print_published(cli, &z->members[i], &z->members[k], doc, o);
        json_decref(doc);
    }
    print_list_end(&cli->out);
    return n_bad ? error_set(e, -EIO, z->name, NULL, "%zu of %zu pairs aren't known to work", n_bad,
                             z->n * (z->n - 1))
                 : 0;
}

int check_zone(struct cli *cli, const char *text, const struct check_options *o)
{
    struct error e = {0};
    struct zone z;
    int rc = zone_load(cli, text, &z, &e);

    if (!rc)
        rc = o->all ? check_published(cli, &z, o, &e) : check_from_here(cli, &z, o, &e);
    zone_free(&z);
    return rc ? print_failure(&cli->out, &e) : 0;
}
