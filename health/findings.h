/* The checklist of `ikelb doctor`: all findings about a name and its addresses, and the verdict on them.
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "health/checkup.h"
#include "health/finding.h"

#define FINDINGS_ADDRESSES_MAX 8  /* of one name; more are not looked at */
#define FINDINGS_MAX           12 /* about one address */

/* What became of the name. */
struct findings_name {
    const char *host;    /* as the user wrote it */
    const char *problem; /* why it has no address; NULL if it has */
    bool is_literal;     /* it is an address */
    size_t left_out;     /* addresses above FINDINGS_ADDRESSES_MAX */
};

struct findings_address {
    struct addr addr;
    struct finding list[FINDINGS_MAX];
    size_t count;
};

/* The whole report. */
struct findings {
    struct finding name;
    struct findings_address addresses[FINDINGS_ADDRESSES_MAX];
    size_t address_count;
};

/* The finding about the name; the addresses must be in the report already. */
void findings_of_name(struct findings *all, const struct findings_name *name);

/* `is_own`: the address belongs to the machine that asks. */
void findings_of_checkup(struct findings_address *a, const struct checkup_result *r, bool is_own);

/*
 * Instead of a checkup: this machine has no route there (`error` is -errno). That is no fault while another
 * address can be asked.
 */
void findings_of_no_route(struct findings_address *a, int error, bool is_only_one);

/* The worst status in the report; what was not tested counts as ok. */
enum finding_status findings_verdict(const struct findings *all);

/* The verdict in a sentence or two; longer lists are cut. Returns `text`. */
#define FINDINGS_VERDICT_MAX 512
const char *findings_verdict_text(const struct findings *all, char text[static FINDINGS_VERDICT_MAX]);
