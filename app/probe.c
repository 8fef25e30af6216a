#include "app/probe.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "admin/term.h"
#include "app/cli.h"
#include "app/probe_view.h"
#include "app/target.h"
#include "base/err.h"

static const char help[] =
    "usage: ikelb probe [--timeout DURATION] [--json] HOST\n"
    "\n"
    "Asks the IKE server at HOST, a name or an address, on UDP 500 and 4500: does it answer,\n"
    "how fast, what, and does it support IKE fragmentation. A name is asked at each of its\n"
    "addresses. Needs no running ikelb.\n"
    "\n"
    "      --timeout DURATION  wait this long for an answer, e.g. 500ms or 5s (default 2s)\n"
    "      --json              as JSON, for scripts\n"
    "      --help              this text\n"
    "\n"
    "Any answer shows a living server, NO_PROPOSAL_CHOSEN too: only one port is offered a\n"
    "real handshake. That one is left unfinished, so do not repeat it every few seconds: servers\n"
    "limit unfinished handshakes of one address. The daemon's own health checks leave none.\n"
    "Exit status: 0 both ports answer at every address, 1 they do not, 2 wrong usage.\n";

static void on_done(void *ctx, const struct inquiry_result *result)
{
    struct inquiry_result *out = ctx;

    *out = *result;
}

/* Asks all addresses at once. */
static int ask(const struct addr *addrs, size_t count, uint32_t timeout_ms, struct inquiry_result *results)
{
    uv_loop_t loop;
    int err = uv_loop_init(&loop);

    if (err)
        return err;
    for (size_t i = 0; !err && i < count; i++)
        err = inquiry_start(&loop, &addrs[i], timeout_ms, on_done, &results[i], NULL);
    uv_run(&loop, UV_RUN_DEFAULT); /* also what was started before an error has to end */
    (void)uv_loop_close(&loop);
    return err;
}

static int probe(const struct target_request *request)
{
    struct target target;
    struct inquiry_result *results = calloc(TARGET_ADDRESSES_MAX, sizeof *results);
    const struct term term = term_of(stdout);
    int status = CLI_NO;

    if (!results) {
        fputs("ikelb probe: out of memory\n", stderr);
        return CLI_NO;
    }
    target_resolve(request->host, false, &target);
    const int err = ask(target.addresses, target.count, request->timeout_ms, results);
    if (err) {
        fprintf(stderr, "ikelb probe: %s\n", err_text(err));
    } else if (target.problem) {
        fprintf(stderr, "ikelb probe: %s: %s. Check the spelling, and this machine's name server.\n",
                request->host, target.problem);
    } else {
        const struct probe_view view = {.host = request->host, .results = results, .count = target.count};
        if (request->as_json) {
            json_t *document = probe_view_json(&view);
            cli_print_json(document);
            json_decref(document);
        } else {
            probe_view_print(&view, &term);
        }
        status = probe_view_is_alive(&view) ? CLI_DONE : CLI_NO;
    }
    free(results);
    return status;
}

int probe_command(int argc, char **argv)
{
    struct target_request request;
    const int status = target_read_request(argc, argv, help, "to ask", &request);

    return status == CLI_GO_ON ? cli_finish(argv[0], probe(&request)) : status;
}
