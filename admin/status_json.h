/* The status document: services, backends, health, clients, rates, alarms, tables and drops; see GET
 * /api/v1/status. */
#pragma once

#include <stdint.h>

#include "admin/body.h"
#include "lb/dataplane.h"

/*
 * The document as of `now_ms`, for a daemon that started at `started_ms`, of the clock of clock_now_ms(). The
 * dataplane is borrowed and must outlive the body. 0 or -ENOMEM.
 */
int status_json(const struct dataplane *dp, uint64_t started_ms, uint64_t now_ms, struct body *out);
