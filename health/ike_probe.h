/*
 * The IKE probe: a fresh IKE_SA_INIT to UDP 500 and to UDP 4500, both of which must answer. It leaves no
 * half-open SA and does not mind being refused: a server that answers with an error is alive.
 */
#pragma once

#include "health/probe.h"

const struct probe_ops *ike_probe_ops(void);
