#include "health/path_findings.h"

/* What strongSwan limits its IKE fragments to by default; IPv6 promises it, too. */
#define MTU_NEEDED 1280

static bool is_measured(const struct checkup_result *r)
{
    return r->measured && r->path.mtu_kind != PATH_MTU_UNKNOWN;
}

static void set_unmeasured(const struct checkup_result *r, struct finding *f)
{
    const bool answered = r->first.ports[0].alive || r->first.ports[1].alive;

    finding_set(f, FINDING_UNTESTED, NULL,
                answered ? "the server does not answer what it would have to be tested with"
                         : "nothing answers");
}

void path_findings_ike_fragmentation(const struct checkup_result *r, struct finding *f)
{
    f->id = "ike-fragmentation";
    f->title = "IKE fragmentation";
    if (r->first.fragmentation == INQUIRY_FRAGMENTATION_YES)
        finding_set(f, FINDING_OK, NULL, "the server supports it (RFC 7383)");
    else if (r->first.fragmentation == INQUIRY_FRAGMENTATION_NO)
        finding_set(
            f, FINDING_WARNING,
            "Enable it, or large certificates fail wherever IP fragments are dropped. On Windows "
            "Server 1803, 2019 or later: DWORD EnableServerFragmentation = 1 in "
            "HKLM\\SYSTEM\\CurrentControlSet\\Services\\RemoteAccess\\Parameters\\Ikev2, then restart "
            "RemoteAccess. strongSwan: fragmentation = yes. Clients: Windows 10 1803 or later.",
            "the server does not announce IKEV2_FRAGMENTATION_SUPPORTED");
    else
        finding_set(f, FINDING_UNTESTED, NULL, "only an accepted handshake tells");
}

/* Lost fragments do no harm where IKE makes none, if the client does its part. */
static void set_lost(const struct checkup_result *r, struct finding *f)
{
    const enum path_fragments *at = r->path.fragments;
    const bool both = at[0] == PATH_FRAGMENTS_LOST && at[1] == PATH_FRAGMENTS_LOST;
    const char *ports = both ? "UDP 500 and 4500" : at[0] == PATH_FRAGMENTS_LOST ? "UDP 500" : "UDP 4500";
    enum finding_status status = FINDING_WARNING;
    const char *advice =
        "The server supports IKE fragmentation, which needs no IP fragments: see that clients "
        "do, too (Windows 10 1803 or later does). Otherwise let IP fragments through on every "
        "router and firewall on the way.";

    if (r->first.fragmentation == INQUIRY_FRAGMENTATION_NO) {
        status = FINDING_FAILED;
        advice = "An IKE_AUTH with large certificates never arrives: clients fail with error 809 after the "
                 "first answer. Enable IKE fragmentation on the server (see above), or let IP fragments "
                 "through on every router and firewall on the way, or use smaller certificates.";
    } else if (r->first.fragmentation == INQUIRY_FRAGMENTATION_UNKNOWN) {
        advice =
            "Unless both client and server support IKE fragmentation, an IKE_AUTH with large certificates "
            "never arrives: let IP fragments through on every router and firewall on the way.";
    }
    finding_set(f, status, advice, "a packet of %d bytes in fragments is not answered on %s",
                PATH_FRAGMENTED_LEN, ports);
}

void path_findings_ip_fragments(const struct checkup_result *r, struct finding *f)
{
    const enum path_fragments *at = r->path.fragments;

    f->id = "ip-fragments";
    f->title = "IP fragments";
    if (!is_measured(r))
        set_unmeasured(r, f);
    else if (at[0] == PATH_FRAGMENTS_LOST || at[1] == PATH_FRAGMENTS_LOST)
        set_lost(r, f);
    else if (at[0] == PATH_FRAGMENTS_ARRIVE || at[1] == PATH_FRAGMENTS_ARRIVE)
        finding_set(f, FINDING_OK, NULL, "arrive: a packet of %d bytes in fragments is answered",
                    PATH_FRAGMENTED_LEN);
    else
        finding_set(f, FINDING_UNTESTED, NULL, "this machine's link carries %d bytes in one piece",
                    PATH_FRAGMENTED_LEN);
}

static void set_black_hole(const struct checkup_result *r, struct finding *f)
{
    finding_set(f, FINDING_WARNING,
                "A router on the way drops larger packets without saying so, or a firewall drops its ICMP "
                "message (IPv4 type 3 code 4, IPv6 type 2): let that through. Until then a client connects, "
                "and large transfers hang: lower the MTU of its VPN interface, or the TCP MSS.",
                "%u bytes; larger packets vanish, and no router says so", r->path.mtu);
}

void path_findings_mtu(const struct checkup_result *r, struct finding *f)
{
    const bool is_small = r->path.mtu < MTU_NEEDED;

    f->id = "path-mtu";
    f->title = "path MTU";
    if (!is_measured(r))
        set_unmeasured(r, f);
    else if (r->path.mtu_kind == PATH_MTU_BLACK_HOLE)
        set_black_hole(r, f);
    else if (is_small)
        finding_set(
            f, FINDING_WARNING,
            "IKE fragments and tunnel packets are made for 1280 bytes or more, and become IP fragments "
            "on this path: find the link that is so narrow.",
            "%u bytes are very few", r->path.mtu);
    else if (r->path.mtu_kind == PATH_MTU_REPORTED)
        finding_set(f, FINDING_OK, NULL, "%u bytes; a router says so (ICMP), so senders adapt", r->path.mtu);
    else
        finding_set(f, FINDING_OK, NULL, "%u bytes%s", r->path.mtu,
                    r->path.mtu < PATH_MTU_MAX ? ", as much as this machine's own link carries" : "");
}

void path_findings_mtu_back(const struct checkup_result *r, struct finding *f)
{
    f->id = "path-mtu-back";
    f->title = "path MTU back";
    if (!is_measured(r))
        set_unmeasured(r, f);
    else
        finding_set(f, FINDING_UNTESTED,
                    "To test it send from the server to a client's address: ping -M do -s 1472 ADDRESS (on "
                    "Windows ping -f -l 1472 ADDRESS).",
                    "no server says anything large before it knows its client");
}
