/* What a checkup says about large messages: IKE fragmentation, IP fragments, the path MTU. Pure. */
#pragma once

#include "health/checkup.h"
#include "health/finding.h"

void path_findings_ike_fragmentation(const struct checkup_result *r, struct finding *f);
void path_findings_ip_fragments(const struct checkup_result *r, struct finding *f);
void path_findings_mtu(const struct checkup_result *r, struct finding *f);

/* From the server to us. */
void path_findings_mtu_back(const struct checkup_result *r, struct finding *f);
