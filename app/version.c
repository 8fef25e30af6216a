#include "app/version.h"

#include <stdio.h>

#include "app/cli.h"

static const char help[] = "usage: ikelb version\n"
                           "\n"
                           "Prints the version.\n"
                           "\n"
                           "      --help  this text\n"
                           "\n"
                           "Exit status: 0 done, 2 wrong usage.\n";

int version_command(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, CLI_OPTION_HELP}, {0}};
    const int option = cli_next_option(argc, argv, ":", options);

    if (option == '?')
        return CLI_USAGE;
    if (option == -1 && optind < argc)
        return cli_stray_argument(argv[0], argv[optind]);
    fputs(option == CLI_OPTION_HELP ? help : "ikelb " IKELB_VERSION "\n", stdout);
    return cli_finish(argv[0], CLI_DONE);
}
