/* A fast path that carries nothing and has something to tell. */
#pragma once

#include "lb/fastpath.h"

static inline void reporting_fastpath_report(void *ctx, struct fastpath_report *out)
{
    static const struct fastpath_interface interfaces[] = {
        {.name = "eth0", .mode = FASTPATH_NATIVE},
        {.name = "eth1", .mode = FASTPATH_OFF, .trouble = "another XDP program is attached"}};

    (void)ctx;
    *out = (struct fastpath_report){
        .mode = FASTPATH_NATIVE,
        .entries = 51,
        .capacity = 250,
        .interfaces = interfaces,
        .interface_count = 2,
        .reason_count = 2,
        .reasons = {"mtu", "new_spi"},
        .passed_total = {52, 53},
    };
}

static const struct fastpath_ops reporting_fastpath_ops = {.report = reporting_fastpath_report};

/* For `fastpath` of struct bindings. */
static const struct fastpath reporting_fastpath = {.ops = &reporting_fastpath_ops};
