/* What a checkup says about who answers: one server or several, how patient, of which make. Pure. */
#pragma once

#include "health/checkup.h"
#include "health/finding.h"

void server_findings_pairing(const struct checkup_result *r, struct finding *f);
void server_findings_handshakes(const struct checkup_result *r, struct finding *f);
void server_findings_vendor(const struct checkup_result *r, struct finding *f);
