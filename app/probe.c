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

#define DEFAULT_TIMEOUT_MS 2000

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

struct request {
    const char *host;
    uint32_t timeout_ms;
    bool as_json;
};

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

static int probe(const struct request *request)
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
        if (request->as_json)
            probe_view_json(&view, stdout);
        else
            probe_view_print(&view, &term);
        status = probe_view_is_alive(&view) ? CLI_DONE : CLI_NO;
    }
    free(results);
    return status;
}

int probe_command(int argc, char **argv)
{
    static const struct option options[] = {{"timeout", required_argument, NULL, CLI_OPTION_OTHER},
                                            {"json", no_argument, NULL, CLI_OPTION_JSON},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {0}};
    struct request request = {.timeout_ms = DEFAULT_TIMEOUT_MS};
    int option;

    while ((option = cli_next_option(argc, argv, ":", options)) != -1) {
        switch (option) {
        case CLI_OPTION_OTHER:
            if (target_read_timeout(argv[0], optarg, &request.timeout_ms) != 0)
                return CLI_USAGE;
            break;
        case CLI_OPTION_JSON:
            request.as_json = true;
            break;
        case CLI_OPTION_HELP:
            fputs(help, stdout);
            return cli_finish(argv[0], CLI_DONE);
        default:
            return CLI_USAGE;
        }
    }
    if (optind == argc) {
        fputs("ikelb probe: it needs a HOST to ask\nSee `ikelb probe --help`.\n", stderr);
        return CLI_USAGE;
    }
    if (argc - optind > 1)
        return cli_stray_argument(argv[0], argv[optind + 1]);
    request.host = argv[optind];
    return cli_finish(argv[0], probe(&request));
}
