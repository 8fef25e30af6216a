#include "health/reach_findings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "ike/notify.h"

static bool is_unreachable(int error)
{
    return error == -EHOSTUNREACH || error == -ENETUNREACH || error == -EHOSTDOWN;
}

static const char *advice_on_silence(const struct checkup_result *r, int index, bool is_own)
{
    const bool other_alive = r->first.ports[!index].alive;

    if (is_own && !other_alive)
        return "This address is this machine's own. If ikelb serves it here, ask from another machine: "
               "ikelb does not forward what its own machine sends to a VIP.";
    if (!other_alive)
        return "Check that this is the server's address and that its VPN service runs. Then every firewall "
               "on the way: it must let UDP 500 and 4500 through in both directions. Then the NAT rules: "
               "they must lead both ports to the server, or to the balancer's VIP.";
    if (index == 0)
        return "The server is there, since UDP 4500 answers: a firewall stops UDP 500, or a NAT rule is "
               "missing. Let it through in both directions: each handshake begins there.";
    return "The server is there, since UDP 500 answers: a firewall stops UDP 4500, or a NAT rule is missing. "
           "Let it through in both directions, and to the same server as UDP 500: a client behind NAT goes "
           "on there after the server's first answer.";
}

/* The cause without the port that it may begin with, which stands before it already. */
static const char *bare_cause(const struct inquiry_port *port)
{
    const char *colon = strstr(port->cause, ": ");

    return strncmp(port->cause, "UDP ", 4) == 0 && colon ? colon + 2 : port->cause;
}

static void set_dead(const struct checkup_result *r, int index, bool is_own, struct finding *f)
{
    const struct inquiry_port *port = &r->first.ports[index];
    const bool knocked = r->knocked[index] && r->knocks[index].end == KNOCK_ANSWERED;

    if (knocked)
        finding_set(f, FINDING_WARNING,
                    "Something on the way passes this port only from the same source port. Clients behind "
                    "NAT, which changes the source port, fail with error 809: let any source port through.",
                    "answers source port %u only", port->port);
    else if (port->error == -ECONNREFUSED)
        finding_set(f, FINDING_FAILED,
                    "The address is reached, but no IKE service listens there: start it (on Windows Routing "
                    "and Remote Access), or mend the NAT rule or the balancer that leads to the wrong "
                    "machine. A firewall that rejects instead of dropping looks the same.",
                    "refused: destination port unreachable (ICMP)");
    else if (is_unreachable(port->error))
        finding_set(f, FINDING_FAILED,
                    "Check that the server is on and has this address, and the routes on the way. A "
                    "firewall may say the same of what it forbids.",
                    "unreachable: %s (ICMP, or this machine's own network)", err_text(port->error));
    else if (port->error == -EPERM || port->error == -EACCES)
        finding_set(f, FINDING_FAILED, "This machine's own firewall forbids it: let UDP 500 and 4500 out.",
                    "this machine does not let it out: %s", err_text(port->error));
    else
        finding_set(f, FINDING_FAILED, advice_on_silence(r, index, is_own), "%s", bare_cause(port));
}

/* The answer to a handshake that should have been accepted; the other port gets one that nobody accepts. */
static void set_not_accepted(const struct inquiry_port *port, double ms, struct finding *f)
{
    const char *advice = "The server lives, but refuses the first message of a handshake: look in its log.";

    if (port->notify == IKE_NOTIFY_NO_PROPOSAL_CHOSEN)
        advice =
            "The server lives, but refuses what was proposed: AES with 128 to 256 bits or 3DES, SHA-1 to "
            "SHA-512, and all usual Diffie-Hellman groups from 1024 bits on. Compare its IKE proposals "
            "with those of the clients, and check that a connection is configured for this address.";
    else if (port->notify == IKE_NOTIFY_COOKIE)
        advice = "The server demands a cookie again and again, also from who has sent it: is it overloaded, "
                 "or is there more than one server behind this port?";
    finding_set(f, FINDING_WARNING, advice, "answers after %.1f ms: %s", ms, port->answer);
}

static void set_alive(const struct checkup_result *r, int index, struct finding *f)
{
    const struct inquiry_port *port = &r->first.ports[index];
    const bool accepted = r->first.fragmentation != INQUIRY_FRAGMENTATION_UNKNOWN;
    const bool asked_in_full = index == 0 || !r->first.ports[0].alive;
    const double ms = (double)port->round_trip_us / 1000;

    if (port->major == 1)
        finding_set(f, FINDING_FAILED, "The server speaks IKEv1 only: enable IKEv2 on it.",
                    "answers after %.1f ms: %s", ms, port->answer);
    else if (port->refusing)
        finding_set(
            f, FINDING_FAILED,
            "The server limits the handshakes of one source address, and this one has too many: those "
            "of all clients that share it, as behind full NAT, or those of `ikelb doctor` itself if "
            "it has just run. Wait a minute and ask again. Where clients come through full NAT, use "
            "destination NAT only; as a partial help set IkeNumEstablishedForInitialQuery on Windows.",
            "alive, but ignores new handshakes from this address");
    else if (asked_in_full && !accepted)
        set_not_accepted(port, ms, f);
    else
        finding_set(f, FINDING_OK, NULL, "answers after %.1f ms%s", ms,
                    asked_in_full ? ": handshake accepted" : "");
}

void reach_findings_udp(const struct checkup_result *r, int index, bool is_own, struct finding *f)
{
    f->id = index == 0 ? "udp-500" : "udp-4500";
    f->title = index == 0 ? "UDP 500" : "UDP 4500";
    if (r->first.ports[index].alive)
        set_alive(r, index, f);
    else
        set_dead(r, index, is_own, f);
}

/* What asking from a port of one's own has shown. */
enum shown { SHOWN_NOTHING, SHOWN_ANSWER, SHOWN_NEEDS_ROOT, SHOWN_IN_USE, SHOWN_LOSS };

static enum shown shown_by(const struct checkup_result *r, int index)
{
    const struct knock_outcome *knock = &r->knocks[index];

    if (!r->knocked[index])
        return SHOWN_NOTHING;
    if (knock->end == KNOCK_ANSWERED)
        return SHOWN_ANSWER;
    if (knock->end == KNOCK_ERROR && (knock->error == -EACCES || knock->error == -EPERM))
        return SHOWN_NEEDS_ROOT;
    if (knock->end == KNOCK_ERROR && knock->error == -EADDRINUSE)
        return SHOWN_IN_USE;
    /* Nobody is answered there, or nobody who begins anew: that is the business of another line. */
    const struct inquiry_port *port = &r->first.ports[index];
    return port->alive && !port->refusing ? SHOWN_LOSS : SHOWN_NOTHING;
}

static void set_loss(bool at_500, bool at_4500, struct finding *f)
{
    finding_set(f, FINDING_FAILED,
                "Windows asks from the ports 500 and 4500 themselves where there is no NAT. Something on the "
                "way takes them for its own: look for an IPsec passthrough or a VPN server in the router of "
                "this network and switch it off; in a firewall, for what is left of another connection.",
                "no answer from %s, although other source ports are answered",
                at_500 && at_4500 ? "500 to 500 and from 4500 to 4500"
                : at_500          ? "500 to 500"
                                  : "4500 to 4500");
}

void reach_findings_source_ports(const struct checkup_result *r, struct finding *f)
{
    const enum shown at[2] = {shown_by(r, 0), shown_by(r, 1)};
    const char *more = at[1] == SHOWN_ANSWER ? "; from 4500 to 4500 answers" : "";

    f->id = "source-ports";
    f->title = "source ports";
    if (at[0] == SHOWN_LOSS || at[1] == SHOWN_LOSS)
        set_loss(at[0] == SHOWN_LOSS, at[1] == SHOWN_LOSS, f);
    else if (at[0] == SHOWN_NEEDS_ROOT)
        finding_set(f, FINDING_UNTESTED, "Run it as root to ask from port 500, as Windows does without NAT.",
                    "only root may ask from port 500%s", more);
    else if (at[0] == SHOWN_IN_USE || at[1] == SHOWN_IN_USE)
        finding_set(f, FINDING_UNTESTED, "Stop the IKE service of this machine to test it, or ask elsewhere.",
                    "port %s is in use on this machine",
                    at[0] != SHOWN_IN_USE   ? "4500"
                    : at[1] == SHOWN_IN_USE ? "500 and port 4500"
                                            : "500");
    else if (at[0] == SHOWN_ANSWER && at[1] == SHOWN_ANSWER)
        finding_set(f, FINDING_OK, NULL, "from 500 to 500 and from 4500 to 4500: answered like others");
    else if (at[0] == SHOWN_ANSWER || at[1] == SHOWN_ANSWER)
        finding_set(f, FINDING_UNTESTED, NULL, "from %s answered like others; the other port answers nobody",
                    at[0] == SHOWN_ANSWER ? "500 to 500" : "4500 to 4500");
    else
        finding_set(f, FINDING_UNTESTED, NULL, "nobody is answered, from whichever port");
}

void reach_findings_tcp(const struct checkup_result *r, struct finding *f)
{
    static const char advice[] =
        "IKEv2 does not need it. If clients are to fall back to SSTP where UDP is blocked (on Windows the "
        "tunnel type Automatic), lead TCP 443 to a server with SSTP; ikelb forwards UDP only.";

    f->id = "tcp-443";
    f->title = "TCP 443";
    if (r->tcp.open)
        finding_set(f, FINDING_OK, NULL, "open");
    else if (r->tcp.error == -ECONNREFUSED)
        finding_set(f, FINDING_WARNING, advice, "closed: connection refused");
    else if (r->tcp.error == 0)
        finding_set(f, FINDING_WARNING, advice, "filtered: %s", r->tcp.cause);
    else
        finding_set(f, FINDING_WARNING, advice, "%s", r->tcp.cause);
}
