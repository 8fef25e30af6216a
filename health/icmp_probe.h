/* The ICMP probe: an echo request is answered (RFC 792, RFC 4443 section 4). */
#pragma once

#include "health/probe.h"

const struct probe_ops *icmp_probe_ops(void);
