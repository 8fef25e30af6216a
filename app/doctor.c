#include "app/doctor.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "admin/doctor_view.h"
#include "admin/term.h"
#include "app/cli.h"
#include "app/target.h"
#include "base/err.h"
#include "lb/sockets.h"

static const char help[] =
    "usage: ikelb doctor [--timeout DURATION] [--json] HOST\n"
    "\n"
    "Is it the network? Goes through what is behind Windows' error 809 between this machine and\n"
    "the VPN server or balancer at HOST, a name or an address: name, UDP 500 and 4500, source\n"
    "ports, one server behind both ports, several handshakes in a row, IKE fragmentation, IP\n"
    "fragments, path MTU, TCP 443, vendor IDs. Run it in the network of a client that fails.\n"
    "Needs no running ikelb, and no root; as root it also asks from port 500, as Windows does.\n"
    "\n"
    "      --timeout DURATION  wait this long for an answer, e.g. 500ms or 5s (default 2s)\n"
    "      --json              as JSON, for scripts\n"
    "      --help              this text\n"
    "\n"
    "It begins three handshakes and leaves them unfinished. Servers limit these for each\n"
    "source address: run it again after half a minute, not every few seconds.\n"
    "Exit status: 0 nothing failed (warnings do not count), 1 something did, 2 wrong usage.\n";

_Static_assert(TARGET_ADDRESSES_MAX <= FINDINGS_ADDRESSES_MAX, "each address has its findings");

static void on_done(void *ctx, const struct checkup_result *result)
{
    findings_of_checkup(ctx, result, target_is_own(&result->target));
}

/* Begins a checkup of the address, if there is a way to it. */
static int begin(uv_loop_t *loop, const struct target *target, size_t index, uint32_t timeout_ms,
                 struct findings *all)
{
    struct findings_address *a = &all->addresses[index];
    struct checkup_request request = {
        .loop = loop,
        .target = target->addresses[index],
        .timeout_ms = timeout_ms,
        .done = on_done,
        .ctx = a,
    };
    struct addr source;
    const int err = sockets_route(&request.target, &source, &request.link_mtu);

    a->addr = request.target;
    if (err) {
        findings_of_no_route(a, err, target->count == 1);
        return 0;
    }
    return checkup_start(&request);
}

/* Asks all addresses at once. */
static int examine(const struct target *target, uint32_t timeout_ms, struct findings *all)
{
    uv_loop_t loop;
    int err = uv_loop_init(&loop);

    if (err)
        return err;
    all->address_count = target->count;
    for (size_t i = 0; !err && i < target->count; i++)
        err = begin(&loop, target, i, timeout_ms, all);
    uv_run(&loop, UV_RUN_DEFAULT); /* also what was started before an error has to end */
    (void)uv_loop_close(&loop);
    return err;
}

static int show(const struct findings *all, const struct target_request *request)
{
    const struct term term = term_of(stdout);

    if (request->as_json) {
        json_t *document = doctor_view_json(all, request->host);
        cli_print_json(document);
        json_decref(document);
    } else {
        doctor_view_print(all, request->host, &term);
    }
    return findings_verdict(all) == FINDING_FAILED ? CLI_NO : CLI_DONE;
}

static int doctor(const struct target_request *request)
{
    struct findings *all = calloc(1, sizeof *all);
    struct target target;
    int status = CLI_NO;

    if (!all) {
        fputs("ikelb doctor: out of memory\n", stderr);
        return CLI_NO;
    }
    target_resolve(request->host, true, &target);
    const int err = examine(&target, request->timeout_ms, all);
    if (err) {
        fprintf(stderr, "ikelb doctor: %s\n", err_text(err));
    } else {
        findings_of_name(all, &(struct findings_name){.host = request->host,
                                                      .problem = target.problem,
                                                      .is_literal = target.is_literal,
                                                      .left_out = target.left_out});
        status = show(all, request);
    }
    free(all);
    return status;
}

int doctor_command(int argc, char **argv)
{
    struct target_request request;
    const int status = target_read_request(argc, argv, help, "to examine", &request);

    return status == CLI_GO_ON ? cli_finish(argv[0], doctor(&request)) : status;
}
