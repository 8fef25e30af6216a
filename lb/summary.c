#include "lb/summary.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/plural.h"
#include "ike/notify.h"
#include "lb/drop.h"

static __attribute__((format(printf, 2, 3))) void say(struct diagnosis *out, const char *format, ...)
{
    const size_t len = strlen(out->summary);
    va_list args;

    va_start(args, format);
    vsnprintf(out->summary + len, sizeof out->summary - len, format, args);
    va_end(args);
}

static void say_unanswered(const struct story *story, const char *backend, struct diagnosis *out)
{
    if (story && story->flags & STORY_ANSWERED)
        say(out,
            "%s asked the client for its first message (IKE_SA_INIT) once more, got it, and has not answered "
            "since.",
            backend);
    else if (story && story->failovers)
        say(out,
            "The client's first message (IKE_SA_INIT) was not answered. ikelb went on to another server %u "
            "time%s; %s was the last, and has not answered either.",
            story->failovers, plural(story->failovers), backend);
    else
        say(out, "The client's first message (IKE_SA_INIT) was handed to %s, which has not answered.",
            backend);
}

static void say_no_auth(const struct story *story, const char *backend, struct diagnosis *out)
{
    if (story && story->flags & STORY_ASKED_AGAIN && story->stage == STAGE_INIT_SENT)
        say(out,
            "%s answered the first message (IKE_SA_INIT) by asking for it once more in another form, and the "
            "client has not sent it.",
            backend);
    else
        say(out,
            "%s answered the first message (IKE_SA_INIT), but the client's second one (IKE_AUTH) has not "
            "arrived.",
            backend);
}

static void say_rejected(uint16_t error, const char *backend, struct diagnosis *out)
{
    const char *name = notify_name(error);

    if (error == 0)
        say(out, "%s answered the client's first message (IKE_SA_INIT), but did not accept it.", backend);
    else if (name)
        say(out, "%s refused the client's first message (IKE_SA_INIT) with %s.", backend, name);
    else
        say(out, "%s refused the client's first message (IKE_SA_INIT) with error number %u.", backend, error);
}

static const char *cause_of_refusal(enum drop_reason reason)
{
    switch (reason) {
    case DROP_NO_BACKEND:
        return "no server that may get new clients was up";
    case DROP_NO_SNAT_PORT:
        return "all source ports of full NAT were in use";
    case DROP_NO_SNAT_ADDRESS:
        return "no source address of full NAT leads to the server";
    case DROP_TABLE_FULL:
        return "the tables of clients were full";
    default:
        return drop_reason_name(reason);
    }
}

static void say_refused(const struct journal_entry *entry, struct diagnosis *out)
{
    if (entry->reason == DROP_RATE_LIMITED)
        say(out,
            "Flood protection refused %" PRIu32 " first message%s (IKE_SA_INIT) of this address: it begins "
            "more handshakes than dataplane.source_rate allows.",
            entry->count, plural(entry->count));
    else
        say(out, "ikelb refused %" PRIu32 " first message%s (IKE_SA_INIT) of this address: %s.", entry->count,
            plural(entry->count), cause_of_refusal((enum drop_reason)entry->reason));
}

static void say_established(const struct summary_case *c, struct diagnosis *out)
{
    if (c->is_running)
        say(out, "The client is connected: its tunnel to %s has carried traffic both ways.", c->backend);
    else
        say(out, "The client was connected to %s; that session has ended since.", c->backend);
    if (c->story && c->story->roams)
        say(out, " It went on from another address or port %u time%s.", c->story->roams,
            plural(c->story->roams));
}

static void say_verdict(const struct summary_case *c, struct diagnosis *out)
{
    const char *backend = c->backend;
    char text[ENDPOINT_TEXT_MAX];

    switch (c->verdict) {
    case DIAGNOSIS_INIT_UNANSWERED:
        say_unanswered(c->story, backend, out);
        break;
    case DIAGNOSIS_INIT_REJECTED:
        say_rejected(c->story ? c->story->error : 0, backend, out);
        break;
    case DIAGNOSIS_ANSWERED_NO_AUTH:
        say_no_auth(c->story, backend, out);
        break;
    case DIAGNOSIS_AUTH_UNANSWERED:
        say(out, "The client's second message (IKE_AUTH) was handed to %s, which has not answered it.",
            backend);
        break;
    case DIAGNOSIS_REFUSED:
        if (c->entry) /* always: a refusal is known from the journal only */
            say_refused(c->entry, out);
        break;
    case DIAGNOSIS_TUNNEL_UNANSWERED:
        say(out,
            "The client sends traffic of a tunnel or session that did not begin at this address, as far as "
            "ikelb knows, and %s has not answered it.",
            backend);
        break;
    case DIAGNOSIS_AUTH_ANSWERED:
        say(out, "%s has answered the client's IKE_AUTH, but no tunnel has carried traffic both ways yet.",
            backend);
        break;
    case DIAGNOSIS_ESTABLISHED:
        say_established(c, out);
        break;
    case DIAGNOSIS_MOVED:
        say(out, "The client's session at %s has gone on to %s.", backend,
            endpoint_format(&c->entry->other, text));
        break;
    case DIAGNOSIS_TUNNEL_KNOWN:
        say(out,
            "The client is at %s; its handshake was before ikelb's time, or ended so long ago that "
            "nothing else is known.",
            backend);
        break;
    case DIAGNOSIS_NOTHING_SEEN:
        say(out, "Nothing of this address has reached ikelb, or it was so long ago that it is forgotten.");
        break;
    case DIAGNOSIS_COUNT:
        break;
    }
}

void summary_give(const struct summary_case *c, struct diagnosis *diagnosis)
{
    say_verdict(c, diagnosis);
    if (c->is_young)
        say(diagnosis, " That was only a moment ago: ask again in some seconds.");
    if (c->connected_to)
        say(diagnosis, " Another tunnel of this address, to %s, is connected.", c->connected_to);
}
