#include "app/backend_state.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "admin/change_view.h"
#include "admin/client.h"
#include "admin/term.h"
#include "app/cli.h"
#include "base/err.h"

#define OPTIONS                                                                                              \
    "\n"                                                                                                     \
    "      --json         the outcome as JSON, for scripts\n"                                                \
    "      --socket PATH  the daemon's admin.socket (default " CLI_DEFAULT_SOCKET ")\n"                      \
    "      --help         this text\n"                                                                       \
    "\n"                                                                                                     \
    "It holds until a reload finds another `state` of the backend in the file than before; over\n"           \
    "a restart, too, unless state.file is off. `ikelb status` shows states and clients.\n"                   \
    "Exit status: 0 done, 1 there is no such backend, 2 wrong usage, 3 the daemon cannot be\n"               \
    "reached.\n"

static const char drain_help[] =
    "usage: ikelb drain [--json] [--socket PATH] SERVICE/BACKEND...\n"
    "\n"
    "Lets backends keep the clients that they have, and gives them no new ones. A client that\n"
    "stays may open more tunnels there; one that was quiet for a quarter of idle_timeout goes\n"
    "elsewhere when it connects anew. When `ikelb status` says \"drained\" none is left.\n" OPTIONS;

static const char enable_help[] =
    "usage: ikelb enable [--json] [--socket PATH] SERVICE/BACKEND...\n"
    "\n"
    "Gives backends new clients again. Clients that have gone elsewhere stay there.\n" OPTIONS;

static const char disable_help[] =
    "usage: ikelb disable [--json] [--socket PATH] SERVICE/BACKEND...\n"
    "\n"
    "Gives backends no new clients, and sends those they have elsewhere as soon as they start\n"
    "a new handshake. Tunnels that exist are not cut: they carry on until they end.\n" OPTIONS;

/* One word of the command line: "SERVICE/BACKEND". */
struct target {
    const char *verb;
    char *service; /* both within the word, which is cut in two */
    char *backend;
};

/* "aovpn/vpn1: drain; 12 clients stay until they end, new ones go elsewhere". 0, or ERR_PROTOCOL. */
static int print_answer(const struct target *target, const json_t *answer)
{
    const struct term term = term_of(stdout);

    if (!json_is_string(json_object_get(answer, "state")))
        return ERR_PROTOCOL;
    term_printf(&term, TERM_STRONG, "%s/%s", target->service, target->backend);
    fputs(": ", term.out);
    (void)change_view_print(answer, &term);
    fputc('\n', term.out);
    return 0;
}

/* The change was made all the same. */
static void print_warning(const char *verb, const json_t *answer)
{
    const struct term term = term_of(stderr);
    const char *warning = json_string_value(json_object_get(answer, "warning"));

    if (!warning)
        return;
    cli_flush(verb);
    fprintf(term.out, "ikelb %s: ", verb);
    term_put(&term, TERM_WARN, "warning: ");
    term_put(&term, TERM_PLAIN, warning);
    fputc('\n', term.out);
}

/* An exit status. With `answers` the outcome is collected there instead of printed. */
static int change(struct client *client, const struct target *target, json_t *answers)
{
    const char *const words[] = {target->service, target->backend, target->verb};
    json_t *answer = NULL;
    int err = client_post(client, "/api/v1/backends", words, 3, &answer);
    int status = CLI_DONE;

    if (err) {
        cli_flush(target->verb);
        status = cli_report_client(target->verb, client, err);
    } else if (answers) {
        json_array_append(answers, answer);
    } else {
        err = print_answer(target, answer);
        if (err) {
            fprintf(stderr, "ikelb %s: %s\n", target->verb, err_text(err));
            status = CLI_UNREACHABLE;
        }
    }
    if (status == CLI_DONE)
        print_warning(target->verb, answer);
    json_decref(answer);
    return status;
}

/* All of them, whatever becomes of the others, unless nobody answers at all. The worst exit status. */
static int change_all(struct client *client, const char *verb, char **words, int count, json_t *answers)
{
    int worst = CLI_DONE;

    for (int i = 0; i < count && worst != CLI_UNREACHABLE; i++) {
        char *slash = strchr(words[i], '/');
        const struct target target = {.verb = verb, .service = words[i], .backend = slash + 1};
        *slash = '\0';
        const int status = change(client, &target, answers);
        if (status > worst)
            worst = status;
    }
    return worst;
}

static int run(const struct cli_query *query, const char *verb, char **words, int count)
{
    struct client *client = client_create(query->socket_path);
    json_t *answers = query->as_json ? json_array() : NULL;
    int status = CLI_NO;

    if (!client || (query->as_json && !answers)) {
        fprintf(stderr, "ikelb %s: out of memory\n", verb);
    } else {
        status = change_all(client, verb, words, count, answers);
        if (json_array_size(answers)) {
            json_t *document = json_pack("{s:O}", "backends", answers);
            cli_print_json(document);
            json_decref(document);
        }
    }
    json_decref(answers);
    client_destroy(client);
    return status;
}

/* Nothing is changed if one of the words is none that could be meant. */
static int check_words(const char *verb, char **words, int count)
{
    if (count == 0) {
        fprintf(stderr, "ikelb %s: it needs a SERVICE/BACKEND\nSee `ikelb %s --help`.\n", verb, verb);
        return CLI_USAGE;
    }
    for (int i = 0; i < count; i++) {
        const char *slash = strchr(words[i], '/');
        if (!slash || slash == words[i] || slash[1] == '\0' || strchr(slash + 1, '/')) {
            fprintf(
                stderr,
                "ikelb %s: '%s' is no SERVICE/BACKEND; write it as aovpn/vpn1, with the names that `ikelb "
                "status` shows\n",
                verb, words[i]);
            return CLI_USAGE;
        }
    }
    return CLI_DONE;
}

static const char *help_of(const char *verb)
{
    if (strcmp(verb, "drain") == 0)
        return drain_help;
    return strcmp(verb, "enable") == 0 ? enable_help : disable_help;
}

int backend_state_command(int argc, char **argv)
{
    struct cli_query query;
    int status = cli_read_query(argc, argv, help_of(argv[0]), INT_MAX, &query);

    if (status != CLI_GO_ON)
        return status;
    status = check_words(argv[0], argv + optind, argc - optind);
    if (status == CLI_DONE)
        status = run(&query, argv[0], argv + optind, argc - optind);
    return cli_finish(argv[0], status);
}
