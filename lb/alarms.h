/* What an administrator must know at once of a service, derived from the state of the pool; in plain words.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lb/pool.h"

/* X(name, label, text); the label is the `alarm` of ikelb_alarm. */
#define ALARM_LIST(X)                                                                                        \
    X(NO_BACKEND, "no_backend", "no backend is up and enabled: new clients are dropped")                     \
    X(NO_BACKEND_FAMILY, "no_backend_family",                                                                \
      "no backend of one address family, IPv4 or IPv6, is up: new clients of that family are dropped")       \
    X(NO_SNAT_ADDRESS, "no_snat_address",                                                                    \
      "no source address of full NAT leads to a backend: new clients are refused; check the "                \
      "routes, and the families of `snat`")                                                                  \
    X(NO_SNAT_PORT, "no_snat_port",                                                                          \
      "all source ports of full NAT towards a backend are in use: new clients are refused; "                 \
      "add addresses to `snat`, or use mode transparent")                                                    \
    X(NO_ROOM, "no_room",                                                                                    \
      "the tables of clients are full: new clients get no persistence, or are refused in full-nat "          \
      "mode; raise dataplane.max_clients")                                                                   \
    X(REFUSING, "refusing",                                                                                  \
      "a server refuses new clients: it is alive, but leaves their first messages unanswered; new clients "  \
      "go elsewhere if they can; see its log and its limit of half-open handshakes, and look for overload, " \
      "or a limit of its firewall or licence; if it has never served anybody, check that its way back to "   \
      "clients leads through ikelb")                                                                         \
    X(REFUSING_FULL_NAT, "refusing_full_nat",                                                                \
      "a server refuses new clients: it is alive, but leaves their first messages unanswered; most likely "  \
      "its limits per source address, as with full NAT all clients come from one; use mode transparent, or " \
      "raise the limits (on Windows IkeNumEstablishedForInitialQuery; with strongSwan block_threshold and "  \
      "cookie_threshold)")                                                                                   \
    X(SILENT, "silent",                                                                                      \
      "no server answers new clients, and nothing else is heard from any of them; check that they run, and " \
      "in transparent mode that their way back to clients leads through ikelb")                              \
    X(FRAGMENTS, "fragments",                                                                                \
      "IP fragments do not come together: large IKE_AUTH messages are being lost; raise "                    \
      "net.ipv4.ipfrag_high_thresh (IPv6: net.netfilter.nf_conntrack_frag6_high_thresh), or lower "          \
      "net.ipv4.ipfrag_time (net.netfilter.nf_conntrack_frag6_timeout)")

enum alarm {
#define ALARM_ENUM(name, label, text) ALARM_##name,
    ALARM_LIST(ALARM_ENUM)
#undef ALARM_ENUM
        ALARM_COUNT
};

/* An alarm about refused clients or lost fragments stays on this long after the last of them. */
#define ALARM_HOLD_MS 60000

/* So many fragments lost in a second are an alarm; a few get lost on any way through the internet. */
#define ALARM_FRAGMENTS_PER_S 20

/*
 * Tells how many fragments were lost in the second that ends now (lb/reassembly.h). Nobody knows for which
 * service they were, so the alarm is one of all services.
 */
void alarms_note_fragments(struct pool *pool, uint64_t lost, uint64_t now_ms);

/* The alarms that are on, as bits 1 << enum alarm. */
uint32_t alarms_of(const struct pool *pool, const struct service *service, uint64_t now_ms);

/* The label, and the words for people; static. */
const char *alarm_name(enum alarm alarm);
const char *alarm_text(enum alarm alarm);
