/* The TCP probe: a connection is accepted. For what runs beside IKE, such as SSTP on 443. */
#pragma once

#include "health/probe.h"

const struct probe_ops *tcp_probe_ops(void);
