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

/* An option of a subcommand: one that takes a value has `value`, another one `on`. */
struct cli_option {
    const char *name;
    char letter; /* of one with a value; 0: none */
    bool *on;
    const char **value; /* becomes a part of argv */
};

/*
 * Reads the options of a subcommand, and --help; `options` ends with one that has no name. argv[0] is the
 * subcommand, and optind is at the first of its arguments then. CLI_GO_ON, or the exit status when there is
 * nothing more to do: `help` was printed, or something was wrong, as more than `arguments_max` arguments.
 */
#define CLI_GO_ON (-1)
int cli_read(int argc, char **argv, const char *help, int arguments_max, const struct cli_option *options);

/* What a subcommand that asks the daemon was told. */
struct cli_query {
    const char *socket_path;
    bool as_json;
};

/* The same with the options of such a subcommand, --json and --socket. */
int cli_read_query(int argc, char **argv, const char *help, int arguments_max, struct cli_query *out);

/* Reports an argument that the subcommand does not take, and returns CLI_USAGE. */
int cli_stray_argument(const char *command, const char *argument);

/* Prints a document as --json shows it. */
void cli_print_json(const json_t *document);

/* The known word nearest to a misspelt one, or NULL; `words` ends with NULL. */
const char *cli_nearest(const char *word, const char *const *words);

/* Reports why client_get() failed with `err`, and returns the exit status for it. */
int cli_report_client(const char *command, const struct client *client, int err);

/*
 * Writes out what standard output has so far, before something goes to standard error: where both go to one
 * place they come in order. What cannot be written is reported.
 */
void cli_flush(const char *command);

/*
 * Ends the output: `status`, or CLI_NO instead of CLI_DONE when not all of it could be written. A reader that
 * went away early (as `head` does) is no cause for a message.
 */
int cli_finish(const char *command, int status);
