#include "app/run.h"

#include <stdio.h>

#include "app/cli.h"
#include "app/daemon.h"
#include "config/config.h"

static const char help[] =
    "usage: ikelb run [-c FILE]\n"
    "\n"
    "Runs the load balancer in the foreground; the log goes to standard error.\n"
    "\n"
    "  -c, --config FILE  the configuration (default " CLI_DEFAULT_CONFIG ")\n"
    "      --help         this text\n"
    "\n"
    "SIGHUP reads the file again (see `ikelb reload`). SIGTERM and SIGINT end it cleanly:\n"
    "nothing of it stays in the kernel.\n"
    "SIGUSR2 ends it for a restart by a service manager that keeps its sockets\n"
    "(systemd's FileDescriptorStoreMax=): the next run goes on where it stopped.\n"
    "Exit status: 0 ended by a signal, 1 bad configuration or cannot start, 2 wrong usage.\n";

static int run(const char *file)
{
    struct config *config = NULL;

    if (config_load(file, stderr, &config) != 0)
        return CLI_NO;
    return daemon_run(file, config) ? CLI_NO : CLI_DONE;
}

int run_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, CLI_OPTION_HELP}, {0}};
    const char *file = CLI_DEFAULT_CONFIG;
    int option;

    while ((option = cli_next_option(argc, argv, ":c:", options)) != -1) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case CLI_OPTION_HELP:
            fputs(help, stdout);
            return cli_finish(argv[0], CLI_DONE);
        default:
            return CLI_USAGE;
        }
    }
    if (optind < argc)
        return cli_stray_argument(argv[0], argv[optind]);
    return run(file);
}
