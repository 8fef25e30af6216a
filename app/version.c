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
    static const struct cli_option none;
    const int status = cli_read(argc, argv, help, 0, &none);

    if (status != CLI_GO_ON)
        return status;
    puts("ikelb " IKELB_VERSION);
    return cli_finish(argv[0], CLI_DONE);
}
