/* What a checkup says about the ports of a server: UDP 500 and 4500, source ports, TCP 443. Pure. */
#pragma once

#include <stdbool.h>

#include "health/checkup.h"
#include "health/finding.h"

/* The port `index` 0 (UDP 500) or 1 (4500). `is_own`: the address belongs to the machine that asks. */
void reach_findings_udp(const struct checkup_result *r, int index, bool is_own, struct finding *f);

/* Whether it makes a difference to ask from the ports 500 and 4500, as Windows does where there is no NAT. */
void reach_findings_source_ports(const struct checkup_result *r, struct finding *f);

void reach_findings_tcp(const struct checkup_result *r, struct finding *f);
