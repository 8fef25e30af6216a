#include "health/server_findings.h"

#include <stdio.h>
#include <string.h>

#define HEX_SHOWN 16 /* digits of a vendor ID without a name */

void server_findings_pairing(const struct checkup_result *r, struct finding *f)
{
    f->id = "one-server";
    f->title = "one server";
    if (!r->paired || r->pairing == PAIRING_NOT_BEGUN) {
        const bool both = r->first.ports[0].alive && r->first.ports[1].alive;
        finding_set(f, FINDING_UNTESTED, NULL,
                    both ? "only an accepted handshake tells" : "both ports have to answer for that");
        return;
    }
    switch (r->pairing) {
    case PAIRING_SAME:
        finding_set(f, FINDING_OK, NULL, "UDP 500 and UDP 4500 reach the same one");
        break;
    case PAIRING_DIFFERENT:
        finding_set(
            f, FINDING_FAILED,
            "A handshake that begins at one server cannot go on at another: clients fail with error "
            "809. Make the balancer keep both ports of a client on one server (one rule for both, "
            "persistence by source address across ports; ikelb does so by itself), and check that the "
            "NAT rules of both ports lead to the same address.",
            "UDP 500 and UDP 4500 reach different servers");
        break;
    case PAIRING_BY_PORT:
        finding_set(f, FINDING_WARNING,
                    "Either a balancer chooses the server by source port: make it choose by source address "
                    "only, since clients behind NAT use different ports for UDP 500 and 4500. Or this server "
                    "does not recognise a message that is repeated from another port: then all is well.",
                    "cannot tell: each source port is taken for a new client, on UDP 500 as well");
        break;
    default:
        finding_set(f, FINDING_UNTESTED,
                    "Look at the balancer: both ports of a client have to go to one server.",
                    "cannot tell: the server does not repeat its answer");
        break;
    }
}

/* The three handshakes in a row are the first one, the pairing's and the last one. */
void server_findings_handshakes(const struct checkup_result *r, struct finding *f)
{
    const struct inquiry_port *last = &r->again.ports[0];
    const bool was_accepted = r->first.fragmentation != INQUIRY_FRAGMENTATION_UNKNOWN;
    const bool is_accepted = r->again.fragmentation != INQUIRY_FRAGMENTATION_UNKNOWN;

    f->id = "new-handshakes";
    f->title = "new handshakes";
    if (!r->asked_again || !was_accepted)
        finding_set(f, FINDING_UNTESTED, NULL, "only an accepted handshake tells");
    else if (!last->alive || last->refusing)
        finding_set(
            f, FINDING_WARNING,
            "The server, or something before it, limits the handshakes of one source address: that hits "
            "all clients that share one, as behind full NAT. If `ikelb doctor` has just run, wait a "
            "minute and ask again. Where clients come through full NAT, use destination NAT only.",
            "the first is accepted, the third in a row is ignored");
    else if (r->first.cookie_demanded || r->again.cookie_demanded)
        finding_set(f, FINDING_WARNING,
                    "It does so when it has many unfinished handshakes, of this address or at all: full NAT "
                    "before it, an attack, clients whose IKE_AUTH gets lost, or `ikelb doctor` that has just "
                    "run. Clients connect all the same, if they know cookies.",
                    "the server demands a cookie first");
    else if (!is_accepted)
        finding_set(f, FINDING_WARNING,
                    "Several servers that are not set up alike may be behind this address, or one that has "
                    "reached a limit: look in its log.",
                    "the first is accepted, the third in a row is not: %s", last->answer);
    else
        finding_set(f, FINDING_OK, NULL, "three in a row from this address are accepted");
}

void server_findings_vendor(const struct checkup_result *r, struct finding *f)
{
    const struct inquiry_result *q = &r->first;
    char list[FINDING_TEXT_MAX] = "";

    f->id = "vendor";
    f->title = "vendor IDs";
    for (size_t i = 0; i < q->vendor_count; i++) {
        const struct inquiry_vendor *v = &q->vendors[i];
        const size_t len = strlen(list);
        const char *gap = i ? ", " : "";
        if (v->name)
            snprintf(list + len, sizeof list - len, "%s%s", gap, v->name);
        else
            snprintf(list + len, sizeof list - len, "%s%.*s%s", gap, HEX_SHOWN, v->hex,
                     strlen(v->hex) > HEX_SHOWN ? "..." : "");
    }
    if (!q->ports[0].alive && !q->ports[1].alive)
        finding_set(f, FINDING_UNTESTED, NULL, "nothing answers");
    else
        finding_set(f, FINDING_OK, NULL, "%s", list[0] ? list : "none announced");
}
