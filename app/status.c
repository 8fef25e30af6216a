#include "app/status.h"

#include <stdbool.h>
#include <stdio.h>

#include "admin/client.h"
#include "admin/status_view.h"
#include "admin/term.h"
#include "app/cli.h"
#include "base/err.h"

static const char help[] =
    "usage: ikelb status [--json] [--socket PATH]\n"
    "\n"
    "Shows services, backends, health, clients, rates and alarms of the running daemon.\n"
    "\n"
    "      --json         as JSON, for scripts\n"
    "      --socket PATH  the daemon's admin.socket (default " CLI_DEFAULT_SOCKET ")\n"
    "      --help         this text\n"
    "\n"
    "NEW counts clients ever given to a backend, UNANSWERED handshakes whose first message\n"
    "it never answered; IN is from clients to the backend, OUT from it to them; PROBE is\n"
    "the round trip of the last health probe; FRAGMENTATION, whether the backend announces\n"
    "IKE fragmentation. HEALTH is what probes say; \"refusing\" beside it means that the backend\n"
    "lives but leaves new clients unanswered, \"silent\" that nothing is heard from it. STATE is\n"
    "the operator's: \"drain, 12 left\" with the clients that it still has, \"drained\" with none;\n"
    "\"removed\" is a backend that is no longer in the configuration but has had clients.\n"
    "Exit status: 0 done, 2 wrong usage, 3 the daemon cannot be reached.\n";

static int print(json_t *status, bool as_json)
{
    const struct term term = term_of(stdout);
    int err;

    if (as_json) {
        cli_print_json(status);
        return CLI_DONE;
    }
    err = status_view_print(status, &term);
    if (err)
        fprintf(stderr, "ikelb status: %s\n", err_text(err));
    return err ? CLI_UNREACHABLE : CLI_DONE;
}

static int show(const char *socket_path, bool as_json)
{
    struct client *client = client_create(socket_path);
    json_t *status = NULL;
    int result;

    if (!client) {
        fputs("ikelb status: out of memory\n", stderr);
        return CLI_NO;
    }
    const int err = client_get(client, "/api/v1/status", NULL, 0, &status);
    result = err ? cli_report_client("status", client, err) : print(status, as_json);
    json_decref(status);
    client_destroy(client);
    return result;
}

int status_command(int argc, char **argv)
{
    struct cli_query query;
    const int status = cli_read_query(argc, argv, help, 0, &query);

    if (status != CLI_GO_ON)
        return status;
    return cli_finish(argv[0], show(query.socket_path, query.as_json));
}
