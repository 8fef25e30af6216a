#include "app/run.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/daemon.h"
#include "base/log.h"
#include "config/config.h"

#define DEFAULT_FILE "/etc/ikelb/ikelb.yaml"

static void print_help(FILE *out)
{
    fputs("usage: ikelb run [-c FILE]\n"
          "\n"
          "Runs the load balancer in the foreground; the log goes to standard error.\n"
          "\n"
          "  -c, --config FILE  the configuration (default " DEFAULT_FILE ")\n"
          "      --help         this text\n"
          "\n"
          "SIGTERM and SIGINT end it cleanly: nothing of it stays in the kernel.\n"
          "Exit status: 0 ended by a signal, 1 bad configuration or cannot start, 2 wrong usage.\n",
          out);
}

/* 0 to run; else the exit status + 1, after what there was to say has been said. */
static int parse_arguments(int argc, char **argv, const char **file)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'c') {
            *file = optarg;
        } else if (option == 'h') {
            print_help(stdout);
            return 1;
        } else {
            fputs("Try `ikelb run --help`.\n", stderr);
            return 3;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "ikelb run: it takes no argument '%s'; the file goes behind -c.\n", argv[optind]);
        return 3;
    }
    return 0;
}

int run_command(int argc, char **argv)
{
    const char *file = DEFAULT_FILE;
    struct config *config = NULL;
    const int done = parse_arguments(argc, argv, &file);

    if (done)
        return done - 1;
    if (config_load(file, stderr, &config) != 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    const struct log log = {.level = config->log_level, .format = config->log_format, .out = stderr};
    const int err = daemon_run(config, &log);
    config_destroy(config);
    return err ? 1 : 0;
}
