/* What is different between two configurations, key by key, by the tables of the schema. */
#pragma once

#include <stdbool.h>

#include "config/config.h"

/* One difference; all texts are borrowed. */
struct diff_change {
    const char *path;   /* "services.aovpn.backends.vpn1.weight": the items of lists by their names */
    const char *from;   /* the value as in the file; NULL: the item was not there */
    const char *to;     /* NULL: the item is not there any more */
    bool needs_restart; /* a running daemon goes on with `from` */
};

typedef void diff_fn(void *ctx, const struct diff_change *change);

/* Calls `fn` for each difference, in the order of the file. 0 or -ENOMEM. */
int diff_configs(const struct config *from, const struct config *to, diff_fn *fn, void *ctx);
