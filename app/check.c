#include "app/check.h"

#include <stdbool.h>
#include <stdio.h>

#include "app/cli.h"
#include "base/plural.h"
#include "config/config.h"

static const char help[] =
    "usage: ikelb check [--print] [FILE]\n"
    "\n"
    "Validates a configuration file (default " CLI_DEFAULT_CONFIG ") and reports all of its errors,\n"
    "each as FILE:LINE:COLUMN: key: what is wrong and what is allowed.\n"
    "\n"
    "      --print  print the effective configuration, with every default, as YAML\n"
    "      --help   this text\n"
    "\n"
    "Exit status: 0 the file is good, 1 it is bad or cannot be read, 2 wrong usage.\n";

static void print_summary(const char *file, const struct config *config)
{
    size_t backends = 0;

    for (size_t i = 0; i < config->service_count; i++)
        backends += config->services[i].backend_count;
    printf("%s: ok, %zu service%s, %zu backend%s\n", file, config->service_count,
           plural(config->service_count), backends, plural(backends));
}

static int check(const char *file, bool print)
{
    struct config *config = NULL;

    if (config_load(file, stderr, &config) != 0)
        return CLI_NO;
    if (print)
        config_print(config, stdout);
    else
        print_summary(file, config);
    config_destroy(config);
    return CLI_DONE;
}

int check_command(int argc, char **argv)
{
    bool print = false;
    const struct cli_option options[] = {{"print", .on = &print}, {0}};
    const int status = cli_read(argc, argv, help, 1, options);

    if (status != CLI_GO_ON)
        return status;
    return cli_finish(argv[0], check(optind < argc ? argv[optind] : CLI_DEFAULT_CONFIG, print));
}
