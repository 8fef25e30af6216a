#include "app/cli.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "config/suggest.h"

#define OPTIONS_MAX 15  /* --help among them */
#define OPTION_BASE 256 /* no letter is as high */

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
    const char *names[OPTIONS_MAX + 1] = {0};
    char name[32];

    for (size_t i = 0; i < OPTIONS_MAX && options[i].name; i++)
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
    } else if (optopt >= OPTION_BASE) {
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

/* What getopt_long() wants to know, and their number without --help, which is the last. */
static size_t translate(const struct cli_option *options, struct option *known, char *letters)
{
    size_t count = 0;

    *letters++ = ':';
    for (const struct cli_option *o = options; o->name; o++, count++) {
        known[count] = (struct option){o->name, o->value ? required_argument : no_argument, NULL,
                                       o->letter ? o->letter : OPTION_BASE + (int)count};
        if (!o->letter)
            continue;
        *letters++ = o->letter;
        *letters++ = ':';
    }
    *letters = '\0';
    known[count] = (struct option){"help", no_argument, NULL, OPTION_BASE + (int)count};
    return count;
}

int cli_read(int argc, char **argv, const char *help, int arguments_max, const struct cli_option *options)
{
    struct option known[OPTIONS_MAX + 1] = {0};
    char letters[2 * OPTIONS_MAX];
    const size_t count = translate(options, known, letters);
    int found;

    opterr = 0;
    while ((found = getopt_long(argc, argv, letters, known, NULL)) != -1) {
        size_t i = 0;
        if (found == '?' || found == ':') {
            report_option(argv, found, known);
            return CLI_USAGE;
        }
        while (i < count && known[i].val != found)
            i++;
        if (i == count) {
            fputs(help, stdout);
            return cli_finish(argv[0], CLI_DONE);
        }
        if (options[i].on)
            *options[i].on = true;
        else
            *options[i].value = optarg;
    }
    if (argc - optind > arguments_max)
        return cli_stray_argument(argv[0], argv[optind + arguments_max]);
    return CLI_GO_ON;
}

int cli_read_query(int argc, char **argv, const char *help, int arguments_max, struct cli_query *out)
{
    const struct cli_option options[] = {
        {"json", .on = &out->as_json}, {"socket", .value = &out->socket_path}, {0}};

    *out = (struct cli_query){.socket_path = CLI_DEFAULT_SOCKET};
    return cli_read(argc, argv, help, arguments_max, options);
}

void cli_print_json(const json_t *document)
{
    json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
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

void cli_flush(const char *command)
{
    if (fflush(stdout) != 0 && errno != EPIPE)
        fprintf(stderr, "ikelb %s: cannot write the output: %s\n", command, strerror(errno));
}

int cli_finish(const char *command, int status)
{
    cli_flush(command);
    return ferror(stdout) && status == CLI_DONE ? CLI_NO : status;
}
