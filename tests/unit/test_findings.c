#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "health/findings.h"

/* A server with which all is well. */
static const struct checkup_result good = {
    .timeout_ms = 2000,
    .first = {.ports = {{.port = 500,
                         .alive = true,
                         .major = 2,
                         .round_trip_us = 1200,
                         .answer = "handshake accepted"},
                        {.port = 4500,
                         .alive = true,
                         .major = 2,
                         .notify = 14,
                         .round_trip_us = 1300,
                         .answer = "NO_PROPOSAL_CHOSEN"}},
              .fragmentation = INQUIRY_FRAGMENTATION_YES,
              .vendors = {{.name = "strongSwan", .hex = "88"}},
              .vendor_count = 1},
    .again = {.ports = {{.alive = true}, {.alive = true}}, .fragmentation = INQUIRY_FRAGMENTATION_YES},
    .asked_again = true,
    .tcp = {.open = true},
    .knocked = {true, true},
    .measured = true,
    .path = {.mtu_kind = PATH_MTU_FULL,
             .mtu = 1500,
             .fragments = {PATH_FRAGMENTS_ARRIVE, PATH_FRAGMENTS_ARRIVE}},
    .paired = true,
    .pairing = PAIRING_SAME,
};

static void kill_port(struct checkup_result *r, int index, int error, const char *cause)
{
    struct inquiry_port *p = &r->first.ports[index];

    p->alive = false;
    p->error = error;
    p->answer[0] = '\0';
    snprintf(p->cause, sizeof p->cause, "%s", cause);
    if (index == 0)
        r->asked_again = false;
    r->paired = false;
    r->knocks[index].end = error ? KNOCK_ERROR : KNOCK_SILENT;
    r->knocks[index].error = error;
}

static void silent_500(struct checkup_result *r)
{
    kill_port(r, 0, 0, "no answer on UDP 500 within 2 s");
}

static void silent_4500(struct checkup_result *r)
{
    kill_port(r, 1, 0, "no answer on UDP 4500 within 2 s");
}

static void silent(struct checkup_result *r)
{
    silent_500(r);
    silent_4500(r);
    r->first.fragmentation = INQUIRY_FRAGMENTATION_UNKNOWN;
    r->first.vendor_count = 0;
    r->measured = false;
}

static void refused(struct checkup_result *r)
{
    silent(r);
    kill_port(r, 0, -ECONNREFUSED, "UDP 500: destination port unreachable (ICMP)");
    kill_port(r, 1, -ECONNREFUSED, "UDP 4500: destination port unreachable (ICMP)");
}

static void unreachable(struct checkup_result *r)
{
    silent(r);
    kill_port(r, 0, -EHOSTUNREACH, "UDP 500: No route to host");
}

static void forbidden(struct checkup_result *r)
{
    silent(r);
    kill_port(r, 0, -EPERM, "UDP 500: Operation not permitted");
}

static void other_error(struct checkup_result *r)
{
    silent(r);
    kill_port(r, 0, -ENOBUFS, "UDP 500: No buffer space available");
}

static void only_from_500(struct checkup_result *r)
{
    silent_500(r);
    r->knocks[0].end = KNOCK_ANSWERED;
}

static void v1_only(struct checkup_result *r)
{
    r->first.ports[0].major = 1;
    r->first.fragmentation = INQUIRY_FRAGMENTATION_UNKNOWN;
}

static void not_accepted(struct checkup_result *r, uint16_t notify, const char *answer)
{
    r->first.ports[0].notify = notify;
    snprintf(r->first.ports[0].answer, INQUIRY_ANSWER_MAX, "%s", answer);
    r->first.fragmentation = INQUIRY_FRAGMENTATION_UNKNOWN;
    r->pairing = PAIRING_NOT_BEGUN;
}

static void no_proposal(struct checkup_result *r)
{
    not_accepted(r, 14, "NO_PROPOSAL_CHOSEN");
}

static void cookie_loop(struct checkup_result *r)
{
    not_accepted(r, 16390, "COOKIE");
}

static void bad_syntax(struct checkup_result *r)
{
    not_accepted(r, 7, "INVALID_SYNTAX");
}

static void refusing(struct checkup_result *r)
{
    not_accepted(r, 5, "INVALID_MAJOR_VERSION");
    r->first.ports[0].refusing = r->first.ports[1].refusing = true;
    r->knocks[0].end = r->knocks[1].end = KNOCK_SILENT;
    r->measured = false;
}

static void loses_500(struct checkup_result *r)
{
    r->knocks[0].end = KNOCK_SILENT;
}

static void loses_both(struct checkup_result *r)
{
    r->knocks[0].end = r->knocks[1].end = KNOCK_SILENT;
}

static void no_root(struct checkup_result *r)
{
    r->knocks[0] = (struct knock_outcome){.end = KNOCK_ERROR, .error = -EACCES};
}

static void ports_in_use(struct checkup_result *r)
{
    r->knocks[0] = r->knocks[1] = (struct knock_outcome){.end = KNOCK_ERROR, .error = -EADDRINUSE};
}

static void split(struct checkup_result *r)
{
    r->pairing = PAIRING_DIFFERENT;
}

static void by_port(struct checkup_result *r)
{
    r->pairing = PAIRING_BY_PORT;
}

static void unclear(struct checkup_result *r)
{
    r->pairing = PAIRING_UNCLEAR;
}

static void third_ignored(struct checkup_result *r)
{
    r->again.ports[0].refusing = true;
    r->again.fragmentation = INQUIRY_FRAGMENTATION_UNKNOWN;
}

static void third_silent(struct checkup_result *r)
{
    r->again.ports[0].alive = false;
    r->again.fragmentation = INQUIRY_FRAGMENTATION_UNKNOWN;
}

static void third_refused(struct checkup_result *r)
{
    snprintf(r->again.ports[0].answer, INQUIRY_ANSWER_MAX, "NO_PROPOSAL_CHOSEN");
    r->again.fragmentation = INQUIRY_FRAGMENTATION_UNKNOWN;
}

static void cookie(struct checkup_result *r)
{
    r->again.cookie_demanded = true;
}

static void no_fragmentation(struct checkup_result *r)
{
    r->first.fragmentation = r->again.fragmentation = INQUIRY_FRAGMENTATION_NO;
}

static void loses_fragments(struct checkup_result *r)
{
    r->path.fragments[0] = r->path.fragments[1] = PATH_FRAGMENTS_LOST;
}

static void loses_fragments_at_4500(struct checkup_result *r)
{
    r->path.fragments[1] = PATH_FRAGMENTS_LOST;
}

static void loses_all_large(struct checkup_result *r)
{
    no_fragmentation(r);
    loses_fragments(r);
}

static void loses_fragments_unknown(struct checkup_result *r)
{
    no_proposal(r);
    loses_fragments(r);
}

static void wide_link(struct checkup_result *r)
{
    r->path.fragments[0] = r->path.fragments[1] = PATH_FRAGMENTS_UNTESTED;
}

static void narrow_link(struct checkup_result *r)
{
    r->path.mtu = 1400;
}

static void reported(struct checkup_result *r)
{
    r->path.mtu = 1300;
    r->path.mtu_kind = PATH_MTU_REPORTED;
}

static void very_narrow(struct checkup_result *r)
{
    r->path.mtu = 1000;
    r->path.mtu_kind = PATH_MTU_REPORTED;
}

static void black_hole(struct checkup_result *r)
{
    r->path.mtu = 1300;
    r->path.mtu_kind = PATH_MTU_BLACK_HOLE;
}

static void unmeasured(struct checkup_result *r)
{
    r->path.mtu_kind = PATH_MTU_UNKNOWN;
}

static void tcp_closed(struct checkup_result *r)
{
    r->tcp = (struct checkup_tcp){.error = -ECONNREFUSED, .cause = "Connection refused"};
}

static void tcp_filtered(struct checkup_result *r)
{
    r->tcp = (struct checkup_tcp){.cause = "no answer within 2 s"};
}

static void tcp_unreachable(struct checkup_result *r)
{
    r->tcp = (struct checkup_tcp){.error = -EHOSTUNREACH, .cause = "No route to host"};
}

static void no_vendor(struct checkup_result *r)
{
    r->first.vendor_count = 0;
}

static void unknown_vendor(struct checkup_result *r)
{
    r->first.vendors[1] = (struct inquiry_vendor){.hex = "00112233445566778899aabbccddeeff"};
    r->first.vendor_count = 2;
}

struct row {
    void (*fault)(struct checkup_result *r); /* NULL: none */
    const char *check;
    enum finding_status status;
    const char *text;   /* all of it */
    const char *advice; /* a part of it; NULL if there is none at all */
};

static const struct row rows[] = {
    {NULL, "udp-500", FINDING_OK, "answers after 1.2 ms: handshake accepted", NULL},
    {silent_4500, "udp-500", FINDING_OK, "answers after 1.2 ms: handshake accepted", NULL},
    {silent_500, "udp-500", FINDING_FAILED, "no answer on UDP 500 within 2 s", "since UDP 4500 answers"},
    {silent, "udp-500", FINDING_FAILED, "no answer on UDP 500 within 2 s", "every firewall on the way"},
    {refused, "udp-500", FINDING_FAILED, "refused: destination port unreachable (ICMP)", "no IKE service"},
    {unreachable, "udp-500", FINDING_FAILED,
     "unreachable: No route to host (ICMP, or this machine's own network)", "the routes"},
    {forbidden, "udp-500", FINDING_FAILED, "this machine does not let it out: Operation not permitted",
     "own"},
    {other_error, "udp-500", FINDING_FAILED, "No buffer space available", "firewall"},
    {only_from_500, "udp-500", FINDING_WARNING, "answers source port 500 only", "behind NAT"},
    {v1_only, "udp-500", FINDING_FAILED, "answers after 1.2 ms: handshake accepted", "IKEv1 only"},
    {no_proposal, "udp-500", FINDING_WARNING, "answers after 1.2 ms: NO_PROPOSAL_CHOSEN", "IKE proposals"},
    {cookie_loop, "udp-500", FINDING_WARNING, "answers after 1.2 ms: COOKIE", "overloaded"},
    {bad_syntax, "udp-500", FINDING_WARNING, "answers after 1.2 ms: INVALID_SYNTAX", "in its log"},
    {refusing, "udp-500", FINDING_FAILED, "alive, but ignores new handshakes from this address", "full NAT"},
    {NULL, "udp-4500", FINDING_OK, "answers after 1.3 ms", NULL},
    {silent_500, "udp-4500", FINDING_OK, "answers after 1.3 ms: handshake accepted", NULL},
    {silent_4500, "udp-4500", FINDING_FAILED, "no answer on UDP 4500 within 2 s", "same server as UDP 500"},
    {refused, "udp-4500", FINDING_FAILED, "refused: destination port unreachable (ICMP)", "NAT rule"},

    {NULL, "source-ports", FINDING_OK, "from 500 to 500 and from 4500 to 4500: answered like others", NULL},
    {loses_500, "source-ports", FINDING_FAILED,
     "no answer from 500 to 500, although other source ports are answered", "passthrough"},
    {loses_both, "source-ports", FINDING_FAILED,
     "no answer from 500 to 500 and from 4500 to 4500, although other source ports are answered",
     "passthrough"},
    {no_root, "source-ports", FINDING_UNTESTED, "only root may ask from port 500; from 4500 to 4500 answers",
     "as root"},
    {ports_in_use, "source-ports", FINDING_UNTESTED, "port 500 and port 4500 is in use on this machine",
     "Stop"},
    {silent_500, "source-ports", FINDING_UNTESTED,
     "from 4500 to 4500 answered like others; the other port answers nobody", NULL},
    {silent, "source-ports", FINDING_UNTESTED, "nobody is answered, from whichever port", NULL},
    {refusing, "source-ports", FINDING_UNTESTED, "nobody is answered, from whichever port", NULL},

    {NULL, "one-server", FINDING_OK, "UDP 500 and UDP 4500 reach the same one", NULL},
    {split, "one-server", FINDING_FAILED, "UDP 500 and UDP 4500 reach different servers",
     "both ports of a client"},
    {by_port, "one-server", FINDING_WARNING,
     "cannot tell: each source port is taken for a new client, on UDP 500 as well", "by source address"},
    {unclear, "one-server", FINDING_UNTESTED, "cannot tell: the server does not repeat its answer",
     "balancer"},
    {no_proposal, "one-server", FINDING_UNTESTED, "only an accepted handshake tells", NULL},
    {silent_4500, "one-server", FINDING_UNTESTED, "both ports have to answer for that", NULL},

    {NULL, "new-handshakes", FINDING_OK, "three in a row from this address are accepted", NULL},
    {third_ignored, "new-handshakes", FINDING_WARNING, "the first is accepted, the third in a row is ignored",
     "wait a minute"},
    {third_silent, "new-handshakes", FINDING_WARNING, "the first is accepted, the third in a row is ignored",
     "full NAT"},
    {third_refused, "new-handshakes", FINDING_WARNING,
     "the first is accepted, the third in a row is not: NO_PROPOSAL_CHOSEN", "Several servers"},
    {cookie, "new-handshakes", FINDING_WARNING, "the server demands a cookie first", "unfinished"},
    {no_proposal, "new-handshakes", FINDING_UNTESTED, "only an accepted handshake tells", NULL},
    {silent_500, "new-handshakes", FINDING_UNTESTED, "only an accepted handshake tells", NULL},

    {NULL, "ike-fragmentation", FINDING_OK, "the server supports it (RFC 7383)", NULL},
    {no_fragmentation, "ike-fragmentation", FINDING_WARNING,
     "the server does not announce IKEV2_FRAGMENTATION_SUPPORTED", "EnableServerFragmentation = 1"},
    {no_proposal, "ike-fragmentation", FINDING_UNTESTED, "only an accepted handshake tells", NULL},

    {NULL, "ip-fragments", FINDING_OK, "arrive: a packet of 4000 bytes in fragments is answered", NULL},
    {loses_fragments, "ip-fragments", FINDING_WARNING,
     "a packet of 4000 bytes in fragments is not answered on UDP 500 and 4500", "see that clients do, too"},
    {loses_fragments_at_4500, "ip-fragments", FINDING_WARNING,
     "a packet of 4000 bytes in fragments is not answered on UDP 4500", "see that clients do, too"},
    {loses_all_large, "ip-fragments", FINDING_FAILED,
     "a packet of 4000 bytes in fragments is not answered on UDP 500 and 4500", "error 809"},
    {loses_fragments_unknown, "ip-fragments", FINDING_WARNING,
     "a packet of 4000 bytes in fragments is not answered on UDP 500 and 4500", "Unless both"},
    {wide_link, "ip-fragments", FINDING_UNTESTED, "this machine's link carries 4000 bytes in one piece",
     NULL},
    {silent, "ip-fragments", FINDING_UNTESTED, "nothing answers", NULL},
    {unmeasured, "ip-fragments", FINDING_UNTESTED,
     "the server does not answer what it would have to be tested with", NULL},

    {NULL, "path-mtu", FINDING_OK, "1500 bytes", NULL},
    {narrow_link, "path-mtu", FINDING_OK, "1400 bytes, as much as this machine's own link carries", NULL},
    {reported, "path-mtu", FINDING_OK, "1300 bytes; a router says so (ICMP), so senders adapt", NULL},
    {very_narrow, "path-mtu", FINDING_WARNING, "1000 bytes are very few", "1280"},
    {black_hole, "path-mtu", FINDING_WARNING, "1300 bytes; larger packets vanish, and no router says so",
     "ICMP"},
    {refusing, "path-mtu", FINDING_UNTESTED,
     "the server does not answer what it would have to be tested with", NULL},
    {NULL, "path-mtu-back", FINDING_UNTESTED, "no server says anything large before it knows its client",
     "ping"},
    {silent, "path-mtu-back", FINDING_UNTESTED, "nothing answers", NULL},

    {NULL, "tcp-443", FINDING_OK, "open", NULL},
    {tcp_closed, "tcp-443", FINDING_WARNING, "closed: connection refused", "SSTP"},
    {tcp_filtered, "tcp-443", FINDING_WARNING, "filtered: no answer within 2 s", "SSTP"},
    {tcp_unreachable, "tcp-443", FINDING_WARNING, "No route to host", "SSTP"},

    {NULL, "vendor", FINDING_OK, "strongSwan", NULL},
    {no_vendor, "vendor", FINDING_OK, "none announced", NULL},
    {unknown_vendor, "vendor", FINDING_OK, "strongSwan, 0011223344556677...", NULL},
    {silent, "vendor", FINDING_UNTESTED, "nothing answers", NULL},
};

static const struct finding *find(const struct findings_address *a, const char *check)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->list[i].id, check) == 0)
            return &a->list[i];
    fail_msg("no finding %s", check);
    return NULL;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct checkup_result r = good;
        struct findings_address a;
        if (rows[i].fault)
            rows[i].fault(&r);
        findings_of_checkup(&a, &r, false);
        const struct finding *f = find(&a, rows[i].check);
        assert_string_equal(f->text, rows[i].text);
        assert_int_equal(f->status, rows[i].status);
        if (rows[i].advice) {
            assert_non_null(f->advice);
            assert_non_null(strstr(f->advice, rows[i].advice));
        } else {
            assert_null(f->advice);
        }
    }
}

/* An address of one's own machine fails for a reason of its own. */
static void test_own_address(void **state)
{
    struct checkup_result r = good;
    struct findings_address a;

    (void)state;
    silent(&r);
    findings_of_checkup(&a, &r, true);
    assert_non_null(strstr(find(&a, "udp-500")->advice, "this machine's own"));
    r = good;
    silent_500(&r);
    findings_of_checkup(&a, &r, true);
    assert_null(strstr(find(&a, "udp-500")->advice, "this machine's own"));
}

/* A report about these addresses, each of which is good. */
static struct findings *report(const char *const *addresses, size_t count)
{
    struct findings *all = calloc(1, sizeof *all);

    assert_non_null(all);
    for (size_t i = 0; i < count; i++) {
        struct checkup_result r = good;
        assert_int_equal(addr_parse(addresses[i], &r.target), 0);
        findings_of_checkup(&all->addresses[all->address_count++], &r, false);
    }
    return all;
}

static void test_names(void **state)
{
    static const struct {
        const char *addresses[3];
        struct findings_name name;
        enum finding_status status;
        const char *text;
    } cases[] = {
        {{"203.0.113.10"}, {.host = "vpn"}, FINDING_OK, "203.0.113.10"},
        {{"203.0.113.10", "2001:db8::1"}, {.host = "vpn"}, FINDING_OK, "203.0.113.10, 2001:db8::1"},
        {{"203.0.113.10"},
         {.host = "203.0.113.10", .is_literal = true},
         FINDING_OK,
         "203.0.113.10 is an address, there is no name to look up"},
        {{"203.0.113.10", "203.0.113.11"},
         {.host = "vpn"},
         FINDING_WARNING,
         "203.0.113.10, 203.0.113.11: several servers, or one with several addresses"},
        {{"2001:db8::1", "203.0.113.10", "2001:db8::2"},
         {.host = "vpn", .left_out = 1},
         FINDING_WARNING,
         "2001:db8::1, 203.0.113.10, 2001:db8::2 and more: several servers, or one with several addresses"},
        {{0}, {.host = "vpm", .problem = "Unknown"}, FINDING_FAILED, "vpm has no address: Unknown"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count = 0;
        while (count < 3 && cases[i].addresses[count])
            count++;
        struct findings *all = report(cases[i].addresses, count);
        findings_of_name(all, &cases[i].name);
        assert_string_equal(all->name.text, cases[i].text);
        assert_int_equal(all->name.status, cases[i].status);
        assert_int_equal(all->name.advice != NULL, cases[i].status != FINDING_OK);
        assert_int_equal(findings_verdict(all), cases[i].status);
        free(all);
    }
}

static void test_no_route(void **state)
{
    static const char *const addresses[] = {"203.0.113.10", "2001:db8::1"};
    struct findings *all = report(addresses, 2);
    char text[FINDINGS_VERDICT_MAX];

    (void)state;
    findings_of_name(all, &(struct findings_name){.host = "vpn"});
    findings_of_no_route(&all->addresses[1], -ENETUNREACH, false);
    assert_int_equal(all->addresses[1].count, 1);
    assert_int_equal(all->addresses[1].list[0].status, FINDING_UNTESTED);
    assert_int_equal(findings_verdict(all), FINDING_OK);
    findings_of_no_route(&all->addresses[1], -ENETUNREACH, true);
    assert_int_equal(findings_verdict(all), FINDING_FAILED);
    assert_string_equal(
        findings_verdict_text(all, text),
        "Clients fail here, Windows with error 809. To be mended first: route at 2001:db8::1.");
    free(all);
}

static void test_verdict(void **state)
{
    static const char *const addresses[] = {"203.0.113.10"};
    struct findings *all = report(addresses, 1);
    struct checkup_result r = good;
    char text[FINDINGS_VERDICT_MAX];

    (void)state;
    findings_of_name(all, &(struct findings_name){.host = "vpn"});
    assert_int_equal(findings_verdict(all), FINDING_OK);
    assert_memory_equal(findings_verdict_text(all, text), "From here nothing", 17);
    tcp_closed(&r);
    black_hole(&r);
    findings_of_checkup(&all->addresses[0], &r, false);
    assert_string_equal(findings_verdict_text(all, text),
                        "Clients can connect from here. Worth a look: path MTU, TCP 443.");
    silent(&r);
    findings_of_checkup(&all->addresses[0], &r, false);
    assert_string_equal(findings_verdict_text(all, text),
                        "Clients fail here, Windows with error 809. To be mended first: UDP 500, UDP 4500.");
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_own_address), cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_route), cmocka_unit_test(test_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
