/* The HOST and the --timeout of the subcommands that ask a server from here: `probe` and `doctor`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define TARGET_ADDRESSES_MAX 8 /* of one name */

struct target {
    const char *host; /* as the user wrote it */
    bool is_literal;  /* it is an address, in brackets or not */
    struct addr addresses[TARGET_ADDRESSES_MAX];
    size_t count;
    size_t left_out;     /* addresses above the maximum */
    const char *problem; /* why there is none; static, NULL if there is one */
};

/*
 * Fills all of it; waits for the name server. `host` is borrowed. `all_families`: also addresses of a family
 * that this machine has no address of.
 */
void target_resolve(const char *host, bool all_families, struct target *t);

/* The address is this machine's own. */
bool target_is_own(const struct addr *addr);

/* What somebody wants to know of a HOST. */
struct target_request {
    const char *host;
    uint32_t timeout_ms; /* for an answer: 1 ms to 60 s, 2 s if nothing is said */
    bool as_json;
};

/* Reads the subcommand `argv[0] [--timeout DURATION] [--json] HOST`, which needs HOST for a `purpose` ("to
 * ask"). As cli_read(). */
int target_read_request(int argc, char **argv, const char *help, const char *purpose,
                        struct target_request *out);
