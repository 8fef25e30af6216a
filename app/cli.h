/* What the subcommands share: exit statuses, complaints about the command line, the end of the output. */
#pragma once

#include <getopt.h>
#include <stdbool.h>

#include "admin/client.h"

/* The exit statuses that scripts rely on. */
enum cli_status {
    CLI_DONE = 0,
    CLI_NO = 1, /* the answer is "no", or a file is bad */
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3,
};

#define CLI_DEFAULT_SOCKET "/run/ikelb/ikelb.sock"
#define CLI_DEFAULT_CONFIG "/etc/ikelb/ikelb.yaml"

/* Options without a letter: their value in struct option. */
enum cli_option { CLI_OPTION_HELP = 256, CLI_OPTION_JSON, CLI_OPTION_SOCKET, CLI_OPTION_OTHER };

/*
 * getopt_long() with our own complaints: the next option's value, -1 after the last, or '?' after something
 * wrong has been reported on standard error. `letters` begins with ':'. argv[0] is the subcommand's name.
 */
int cli_next_option(int argc, char **argv, const char *letters, const struct option *options);

/* What a subcommand that asks the daemon was told. */
struct cli_query {
    const char *socket_path;
    bool as_json;
};

/*
 * Reads the options --json, --socket and --help of such a subcommand; optind is at the first argument then.
 * CLI_GO_ON, or the exit status when there is nothing more to do: `help` was printed, or something was wrong.
 */
#define CLI_GO_ON (-1)
int cli_read_query(int argc, char **argv, const char *help, struct cli_query *out);

/* Reports an argument that the subcommand does not take, and returns CLI_USAGE. */
int cli_stray_argument(const char *command, const char *argument);

/* The known word nearest to a misspelt one, or NULL; `words` ends with NULL. */
const char *cli_nearest(const char *word, const char *const *words);

/* Reports why client_get() failed with `err`, and returns the exit status for it. */
int cli_report_client(const char *command, const struct client *client, int err);

/*
 * Ends the output: `status`, or CLI_NO instead of CLI_DONE when not all of it could be written. A reader that
 * went away early (as `head` does) is no cause for a message.
 */
int cli_finish(const char *command, int status);
