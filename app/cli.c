#include "app/cli.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "config/suggest.h"

#define OPTION_NAMES_MAX 16

const char *cli_nearest(const char *word, const char *const *words)
{
    const char *nearest = NULL;
    unsigned best = SUGGEST_FAR;

    for (; *words; words++)
        if (suggest_nearer(word, *words, &best))
            nearest = *words;
    return nearest;
}

/* The option nearest to "--word" or "--word=value", or NULL. */
static const char *nearest_option(const char *word, const struct option *options)
{
    const char *names[OPTION_NAMES_MAX + 1] = {0};
    char name[32];

    for (size_t i = 0; i < OPTION_NAMES_MAX && options[i].name; i++)
        names[i] = options[i].name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    return cli_nearest(name, names);
}

static void report_option(char **argv, int result, const struct option *options)
{
    const char *command = argv[0];
    const char *word = argv[optind - 1];

    if (result == ':') {
        fprintf(stderr, "ikelb %s: option '%s' needs a value", command, word);
    } else if (optopt >= CLI_OPTION_HELP) {
        fprintf(stderr, "ikelb %s: option '%.*s' takes no value", command, (int)strcspn(word, "="), word);
    } else if (optopt) {
        fprintf(stderr, "ikelb %s: unknown option '-%c'", command, optopt);
    } else {
        const char *nearest = nearest_option(word + 2, options);
        fprintf(stderr, "ikelb %s: unknown option '%s'", command, word);
        if (nearest)
            fprintf(stderr, "; did you mean '--%s'?", nearest);
    }
    fprintf(stderr, "\nSee `ikelb %s --help`.\n", command);
}

int cli_next_option(int argc, char **argv, const char *letters, const struct option *options)
{
    opterr = 0;
    const int result = getopt_long(argc, argv, letters, options, NULL);
    if (result != '?' && result != ':')
        return result;
    report_option(argv, result, options);
    return '?';
}

int cli_read_query(int argc, char **argv, const char *help, struct cli_query *out)
{
    static const struct option options[] = {{"json", no_argument, NULL, CLI_OPTION_JSON},
                                            {"socket", required_argument, NULL, CLI_OPTION_SOCKET},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {0}};
    int option;

    *out = (struct cli_query){.socket_path = CLI_DEFAULT_SOCKET};
    while ((option = cli_next_option(argc, argv, ":", options)) != -1) {
        switch (option) {
        case CLI_OPTION_JSON:
            out->as_json = true;
            break;
        case CLI_OPTION_SOCKET:
            out->socket_path = optarg;
            break;
        case CLI_OPTION_HELP:
            fputs(help, stdout);
            return cli_finish(argv[0], CLI_DONE);
        default:
            return CLI_USAGE;
        }
    }
    return CLI_GO_ON;
}

int cli_stray_argument(const char *command, const char *argument)
{
    fprintf(stderr, "ikelb %s: unexpected argument '%s'\nSee `ikelb %s --help`.\n", command, argument,
            command);
    return CLI_USAGE;
}

int cli_report_client(const char *command, const struct client *client, int err)
{
    fprintf(stderr, "ikelb %s: %s\n", command, client_error(client));
    return err == ERR_UNREACHABLE || err == ERR_PROTOCOL ? CLI_UNREACHABLE : CLI_NO;
}

int cli_finish(const char *command, int status)
{
    errno = 0;
    const bool had_failed = ferror(stdout);
    const bool failed = fflush(stdout) != 0 || had_failed;

    if (!failed)
        return status;
    if (errno && errno != EPIPE)
        fprintf(stderr, "ikelb %s: cannot write the output: %s\n", command, strerror(errno));
    return status == CLI_DONE ? CLI_NO : status;
}
