/* mn-agent: the daemon of every host, and how to ask it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control.h"
#include "applets.h"
#include "base/log.h"
#include "cli/option.h"
#include "client.h"
#include "daemon.h"
#include "dp.h"

enum {
    OPT_DATAPATH = 256,
    OPT_HOST_ID,
    OPT_HOST_NAME,
    OPT_NAME,
    OPT_LOG,
    OPT_KEEP,
    OPT_CLOCK,
    OPT_VXLAN,
    OPT_DHCP_MTU,
    OPT_PEER_PORT,
    OPT_FLOWS,
    OPT_RECORDS,
    OPT_WHY,
    OPT_RULE_LOG,
    OPT_BACKUP,
    OPT_RULE_WORDS
};

static const struct option long_options[] = {
    {"store", required_argument, NULL, 's'},
    {"host-id", required_argument, NULL, OPT_HOST_ID},
    {"host-name", required_argument, NULL, OPT_HOST_NAME},
    {"datapath", required_argument, NULL, OPT_DATAPATH},
    {"name", required_argument, NULL, OPT_NAME},
    {"control", required_argument, NULL, 'c'},
    {"workers", required_argument, NULL, 'n'},
    {"vxlan-port", required_argument, NULL, OPT_VXLAN},
    {"peer-port", required_argument, NULL, OPT_PEER_PORT},
    {"dhcp-mtu", required_argument, NULL, OPT_DHCP_MTU},
    {"max-flows", required_argument, NULL, OPT_FLOWS},
    {"max-records", required_argument, NULL, OPT_RECORDS},
    {"log-level", required_argument, NULL, OPT_LOG},
    {"backup", required_argument, NULL, OPT_BACKUP},
    {"rule-log", required_argument, NULL, OPT_RULE_LOG},
    {"rule-log-format", required_argument, NULL, OPT_RULE_WORDS},
    {"keep-flows", no_argument, NULL, OPT_KEEP},
    {"test-clock", no_argument, NULL, OPT_CLOCK},
    {"why", no_argument, NULL, OPT_WHY},
    {"json", no_argument, NULL, 'j'},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

struct args {
    struct options daemon;
    bool why;
    struct print out;
};

static void usage(FILE *f)
{
    fputs("usage: mn-agent [OPTION...]             run, in the foreground\n"
          "       mn-agent [OPTION...] COMMAND     ask the running agent\n"
          "\n"
          "Where it gets its work, and as whom:\n"
          "  -s, --store URL        zk://HOST:PORT,.../PATH or file:PATH; default $MN_STORE, then\n"
          "                         \"store = URL\" of /etc/mn/mn.conf\n"
          "      --host-id UUID     this host; default: the id in /var/lib/mn/host-id, made once\n"
          "      --host-name NAME   default: the machine's\n"
          "What it drives:\n"
          "      --datapath TYPE    ebpf, ovs or memory, or several: the first that runs here;\n"
          "                         auto is ebpf,ovs [auto]\n"
          "      --name INSTANCE    of several agents on one machine [mn]\n"
          "  -n, --workers N        threads that simulate packets [1]\n"
          "      --vxlan-port PORT  of tunnels, the same on all hosts [4789]\n"
          "      --peer-port PORT   UDP, what agents tell each other of connections, the same on\n"
          "                         all hosts [2925]\n"
          "      --dhcp-mtu BYTES   the most that VMs are told to send; less where a tunnel\n"
          "                         carries less [1500]\n"
          "      --max-flows N      at once; the longest unused makes room [200000]\n"
          "      --max-records N    of connections: one for each device that tracks or translates\n"
          "                         it; the longest unused makes room [1000000]\n"
          "      --keep-flows       when it ends, what is installed goes on forwarding\n"
          "      --backup DIR       where connections are written down, for the next start\n"
          "                         [/var/lib/mn/connections-INSTANCE]\n"
          "      --rule-log DIR where records of rules and loggers go [/var/log/mn]\n"
          "      --rule-log-format json, or text: words KEY=VALUE [json]\n"
          "Talking:\n"
          "  -c, --control PATH     control socket [/run/mn/agent.sock]\n"
          "      --log-level LEVEL  error, warn, info or debug [info]\n"
          "  -o, --output FORMAT    of commands: text, json, jsonl, tsv or name; -j: json\n"
          "      --why              flows: with what they depend on\n"
          "  -h, --help; -V, --version\n"
          "\n"
          "Commands:\n",
          f);
    for (const struct client_command *c = client_commands; c->name; c++)
        fprintf(f, "  %-12s %s\n", c->name, c->help);
    fputs(
        "  dp           list, show, ports, flows: the datapath itself, decoded; flows take\n"
        "               FIELD=VALUE words; with a name: any Open vSwitch datapath of the kernel\n",
        f);
}

/* An instance's name becomes part of names of files and devices. */
static int instance_name(struct args *a, struct error *e)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t n = strspn(optarg, fine);

    a->daemon.name = optarg;
    if (!n || optarg[n] || n > 32)
        return error_set(e, -EINVAL, NULL, "--name",
                         "'%s' isn't up to 32 letters, digits, '-' and '_'", optarg);
    return 0;
}

/* One option; 1 when the tool is done, a negative error, else 0. */
static int take(struct args *a, int opt, struct error *e)
{
    switch (opt) {
    case 's':
        a->daemon.store = optarg;
        return 0;
    case OPT_HOST_ID:
        a->daemon.host_id = optarg;
        return 0;
    case OPT_HOST_NAME:
        a->daemon.host_name = optarg;
        return 0;
    case OPT_DATAPATH:
        a->daemon.datapath = optarg;
        return 0;
    case OPT_NAME:
        return instance_name(a, e);
    case 'c':
        a->daemon.control = optarg;
        return 0;
    case 'n':
        return option_number("--workers", optarg, 1, 64, &a->daemon.n_workers, e);
    case OPT_VXLAN:
        return option_number("--vxlan-port", optarg, 1, 65535, &a->daemon.vxlan_port, e);
    case OPT_PEER_PORT:
        return option_number("--peer-port", optarg, 1, 65535, &a->daemon.mail_port, e);
    case OPT_DHCP_MTU:
        return option_number("--dhcp-mtu", optarg, 1, 65535, &a->daemon.dhcp_mtu, e);
    case OPT_FLOWS:
        return option_number("--max-flows", optarg, 1, 1 << 24, &a->daemon.max_flows, e);
    case OPT_RECORDS:
        return option_number("--max-records", optarg, 1, 1 << 26, &a->daemon.max_records, e);
    case OPT_LOG:
        return log_set_level(optarg)
                   ? error_set(e, -EINVAL, NULL, "--log-level", "no level '%s'", optarg)
                   : 0;
    case OPT_BACKUP:
        a->daemon.backup = optarg;
        return 0;
    case OPT_RULE_LOG:
        a->daemon.rule_log = optarg;
        return 0;
    case OPT_RULE_WORDS:
        a->daemon.rule_log_words = !strcmp(optarg, "text");
        return a->daemon.rule_log_words || !strcmp(optarg, "json")
                   ? 0
                   : error_set(e, -EINVAL, NULL, "--rule-log-format", "no format '%s'", optarg);
    case OPT_KEEP:
        a->daemon.keep_flows = true;
        return 0;
    case OPT_CLOCK:
        a->daemon.test_clock = true;
        return 0;
    case OPT_WHY:
        a->why = true;
        return 0;
    case 'j':
        a->out.format = PRINT_JSON;
        return 0;
    case 'o':
        return print_set_format(&a->out, optarg, e);
    case 'h':
        usage(stdout);
        return 1;
    case 'V':
        printf("mn-agent %s\n", MN_VERSION);
        return 1;
    default:
        return error_set(e, -EINVAL, NULL, NULL, "try mn-agent --help");
    }
}

static int ask(struct args *a, int argc, char **argv)
{
    struct client_options o = {.path = a->daemon.control,
                               .why = a->why,
                               .keep_flows = a->daemon.keep_flows,
                               .argument = argc > 1 ? argv[1] : NULL};
    char path[CONTROL_PATH_MAX];
    struct error e = {0};

    if (argc > 2 && strcmp(argv[0], "dp")) {
        error_set(&e, -EINVAL, NULL, NULL, "unexpected word '%s'", argv[2]);
        return print_failure(&a->out, &e);
    }
    control_default_path(a->daemon.name, path);
    if (!o.path)
        o.path = path;
    if (!strcmp(argv[0], "dp"))
        return dp_run(argc - 1, argv + 1, &o, &a->out);
    return client_run(argv[0], &o, &a->out);
}

int mn_agent_main(int argc, char **argv)
{
    struct args a = {
        .daemon = {.datapath = "auto", .name = "mn", .n_workers = 1, .rule_log = "/var/log/mn"}};
    struct error e = {0};
    int opt, rc = 0, status = 0;

    print_init(&a.out, stdout, stderr, "mn-agent");
    optind = 0;
    while (!rc && (opt = getopt_long(argc, argv, "s:c:n:o:jhV", long_options, NULL)) != -1)
        rc = take(&a, opt, &e);
    if (!rc && optind < argc)
        status = ask(&a, argc - optind, argv + optind);
    else if (!rc)
        rc = daemon_run(&a.daemon, &e);
    if (rc < 0)
        status = print_failure(&a.out, &e);
    print_free(&a.out);
    return status;
}
