/* Entry points of the tools, one per mn-* folder.  argv[0] is the tool's name; the return value is
 * the exit status (design: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unreachable,
 * 6 denied, 7 stored but not yet applied, 10 would change / trace dropped). */
#ifndef MN_APPLETS_H
#define MN_APPLETS_H

int mn_agent_main(int argc, char **argv);
int mn_cli_main(int argc, char **argv);
int mn_tunnelzone_main(int argc, char **argv);

#endif
