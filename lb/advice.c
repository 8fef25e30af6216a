#include "lb/advice.h"

#include "ike/notify.h"

static void advise(struct diagnosis *d, const char *text)
{
    if (d->advice_count < DIAGNOSIS_ADVICE_MAX)
        d->advice[d->advice_count++] = text;
}

static bool has(const struct advice_case *c, enum story_flag flag)
{
    return c->story && c->story->flags & flag;
}

static void on_nothing_seen(struct diagnosis *d)
{
    advise(d, "Check that the name that the client connects to leads to the VIP, IPv4 and IPv6 alike.");
    advise(d,
           "Check that every firewall before ikelb lets UDP 500 and 4500 in to the VIP, and that NAT rules "
           "lead both to it.");
    advise(d, "Try from another network, a mobile phone's for instance: the client's own may block UDP 500 "
              "and 4500.");
    advise(d, "Check that this is the address that the client has on the internet: behind NAT it is the "
              "router's.");
    advise(d, "On Windows this is one of the causes of error 809.");
}

/* Why a server may leave a first message unanswered. */
static void on_silence(const struct advice_case *c, struct diagnosis *d)
{
    if (c->suspicion == SUSPICION_REFUSING)
        advise(d,
               "This server answers no new client at the moment, although something else is heard from it: "
               "see the alarms of `ikelb status`.");
    else if (c->suspicion == SUSPICION_SILENT)
        advise(d, "Nothing at all is heard from this server at the moment: see `ikelb status`.");
    if (c->mode == CONFIG_MODE_FULL_NAT)
        advise(d, "With full NAT all clients share one source address, and servers limit the handshakes of "
                  "each address: use mode transparent, or raise these limits (on Windows "
                  "IkeNumEstablishedForInitialQuery, with strongSwan cookie_threshold and block_threshold).");
    else
        advise(d, "Check that the server's way back to clients, usually its default gateway, leads through "
                  "ikelb: an answer that goes another way never reaches the client.");
    advise(d, "Check that the VPN service runs on the server, and that its firewall lets UDP 500 in from any "
              "address.");
    advise(d, "If the server speaks to others (`ikelb probe SERVER`), look in its log for this client.");
    advise(d, "On Windows the client shows error 809.");
}

static void on_rejection(const struct advice_case *c, struct diagnosis *d)
{
    const uint16_t error = c->story ? c->story->error : 0;

    if (error == IKE_NOTIFY_NO_PROPOSAL_CHOSEN)
        advise(d, "Client and server have no encryption settings in common: compare the IKE proposals of "
                  "both (on Windows Set-VpnConnectionIPsecConfiguration and Set-VpnServerConfiguration).");
    else if (error == IKE_NOTIFY_INVALID_MAJOR_VERSION)
        advise(d, "The server does not speak the client's version of IKE: check that both are set to IKEv2.");
    advise(d, "Look in the server's log: the server itself has refused, nothing on the way has.");
}

static void on_stall_after_answer(const struct advice_case *c, struct diagnosis *d)
{
    if (has(c, STORY_CONFLICT))
        advise(d, "Another client behind the same address and port is connected to another server; the next "
                  "attempt of this one goes there, too.");
    if (has(c, STORY_ASKED_AGAIN) && c->story->stage == STAGE_INIT_SENT) {
        advise(d, "Check that UDP from the VIP's port 500 reaches the client: a firewall may drop answers.");
        advise(d, "The client may not know the form that the server asks for; look in the client's log.");
        return;
    }
    advise(d,
           "From here on the client uses UDP 4500: check that every firewall lets it through, and that NAT "
           "rules lead it to the VIP, too.");
    if (!has(c, STORY_CLIENT_FRAGMENTATION))
        advise(d, "The client does not announce IKE fragmentation. A large certificate then makes IP "
                  "fragments, which many routers and firewalls drop: update the client (Windows 10 1803 and "
                  "later announce it), or use smaller certificates.");
    else if (!has(c, STORY_SERVER_FRAGMENTATION))
        advise(d, "The server does not announce IKE fragmentation, the client does. A large certificate then "
                  "makes IP fragments, which many routers and firewalls drop: enable it on the server (on "
                  "Windows EnableServerFragmentation = 1, with strongSwan fragmentation = yes).");
    else
        advise(d, "Both announce IKE fragmentation, so large certificates are most likely not the cause.");
    advise(d, "Check that the answer reaches the client: its firewall must let UDP in from the VIP's ports.");
    advise(d, "The client may have given up by itself: a missing or wrong certificate shows in its log.");
    advise(d, "On Windows this is the usual cause of error 809.");
}

static void on_auth_silence(const struct advice_case *c, struct diagnosis *d)
{
    if (has(c, STORY_CONFLICT))
        advise(d, "Another client behind the same address and port is connected to another server; the next "
                  "attempt of this one goes there, too.");
    advise(d, "Look in the server's log: it may wait for RADIUS (NPS), for OCSP or for a revocation list, or "
              "drop the message without an answer.");
    if (has(c, STORY_LARGE_FROM_CLIENT))
        advise(d,
               "The message is larger than an IP packet and goes on to the server in fragments: check that "
               "the server's firewall lets them in, or enable IKE fragmentation on both sides.");
    advise(d, "Check that the server's firewall lets UDP 4500 in from any address.");
    if (c->mode == CONFIG_MODE_TRANSPARENT)
        advise(d, "Check that the server's way back to clients leads through ikelb for UDP 4500, too.");
    advise(d, "On Windows the client shows error 809.");
}

static void on_auth_answered(const struct advice_case *c, struct diagnosis *d)
{
    advise(d, "If the client shows an error, look in the server's log: the answer is encrypted and may say "
              "that certificate, user or password were refused.");
    if (has(c, STORY_LARGE_FROM_SERVER))
        advise(d, "The answer is larger than an IP packet and left in fragments, which may be dropped on the "
                  "way to the client: enable IKE fragmentation on both sides.");
    advise(d, "If the client says that it is connected, it may just be idle; else check the routes to the "
              "client's inner addresses behind the server.");
}

static void on_refusal(const struct advice_case *c, struct diagnosis *d)
{
    switch (c->reason) {
    case DROP_RATE_LIMITED:
        advise(d, "If many clients share this address (NAT), raise dataplane.source_rate and "
                  "dataplane.source_burst.");
        advise(d,
               "If it is one client only, find out why it begins so many handshakes; after some seconds of "
               "quiet it is let in again.");
        break;
    case DROP_NO_BACKEND:
        advise(d, "See `ikelb status` for why no backend is up and enabled.");
        break;
    case DROP_NO_SNAT_PORT:
        advise(d, "Add addresses to `snat`, or use mode transparent.");
        break;
    case DROP_NO_SNAT_ADDRESS:
        advise(d, "Check the routes to the backend, and that `snat` has an address of its family.");
        break;
    case DROP_TABLE_FULL:
        advise(d, "Raise dataplane.max_clients.");
        break;
    default:
        advise(d, "See the drops and alarms of `ikelb status`.");
        break;
    }
}

void advice_give(const struct advice_case *c, struct diagnosis *d)
{
    switch (c->verdict) {
    case DIAGNOSIS_NOTHING_SEEN:
        on_nothing_seen(d);
        break;
    case DIAGNOSIS_INIT_UNANSWERED:
        on_silence(c, d);
        break;
    case DIAGNOSIS_INIT_REJECTED:
        on_rejection(c, d);
        break;
    case DIAGNOSIS_ANSWERED_NO_AUTH:
        on_stall_after_answer(c, d);
        break;
    case DIAGNOSIS_AUTH_UNANSWERED:
        on_auth_silence(c, d);
        break;
    case DIAGNOSIS_REFUSED:
        on_refusal(c, d);
        break;
    case DIAGNOSIS_TUNNEL_UNANSWERED:
        advise(d,
               "The server has most likely forgotten the tunnel, or the client has changed its address and "
               "the server does not follow, as libreswan does not behind any NAT, hence behind ikelb: the "
               "client connects again as soon as it notices. Disconnecting it by hand is faster.");
        break;
    case DIAGNOSIS_AUTH_ANSWERED:
        on_auth_answered(c, d);
        break;
    case DIAGNOSIS_MOVED:
        advise(d, "Ask `ikelb explain` about the address that it has gone to.");
        break;
    case DIAGNOSIS_ESTABLISHED:
    case DIAGNOSIS_TUNNEL_KNOWN:
    case DIAGNOSIS_COUNT:
        break;
    }
}
