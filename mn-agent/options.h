/* What the command line of the daemon says. */
#ifndef MN_AGENT_OPTIONS_H
#define MN_AGENT_OPTIONS_H

#include <stdbool.h>

struct options {
    const char *store;     /* URL; null: where conf.h says */
    const char *host_id;   /* null: from its file */
    const char *host_name; /* null: the machine's */
    const char *datapath, *name, *control;
    const char *rule_log; /* directory */
    const char *backup;   /* directory; null: named after the instance */
    unsigned n_workers;
    unsigned vxlan_port;
    unsigned mail_port;   /* 0: MAIL_PORT */
    unsigned dhcp_mtu;    /* 0: 1500 */
    unsigned max_flows;   /* 0: 200,000 */
    unsigned max_records; /* 0: 1,000,000 */
    bool keep_flows, test_clock, rule_log_words;
};

#endif
