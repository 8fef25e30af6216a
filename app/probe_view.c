#include "app/probe_view.h"

#include <inttypes.h>
#include <string.h>

#include "app/target.h"

enum { PORT_500, PORT_4500 };

static bool is_alive(const struct inquiry_result *r)
{
    return r->ports[PORT_500].alive && r->ports[PORT_4500].alive;
}

bool probe_view_is_alive(const struct probe_view *view)
{
    for (size_t i = 0; i < view->count; i++)
        if (!is_alive(&view->results[i]))
            return false;
    return true;
}

/* The cause without the port that it may begin with, which stands before it already. */
static const char *bare_cause(const struct inquiry_port *port)
{
    char prefix[16];
    const size_t len = (size_t)snprintf(prefix, sizeof prefix, "UDP %" PRIu16 ": ", port->port);

    return strncmp(port->cause, prefix, len) == 0 ? port->cause + len : port->cause;
}

static void print_port(const struct inquiry_port *port, const struct term *term)
{
    term_printf(term, TERM_PLAIN, "  UDP %-4u  ", port->port);
    if (port->alive) {
        term_put(term, TERM_GOOD, "answers");
        term_printf(term, TERM_PLAIN, " after %.1f ms: %s", (double)port->round_trip_us / 1000, port->answer);
    } else {
        term_put(term, TERM_BAD, bare_cause(port));
    }
    fputc('\n', term->out);
}

static void print_fragmentation(enum inquiry_fragmentation f, const struct term *term)
{
    fputs("  IKE fragmentation: ", term->out);
    if (f == INQUIRY_FRAGMENTATION_YES)
        term_put(term, TERM_GOOD, "supported");
    else if (f == INQUIRY_FRAGMENTATION_NO)
        term_put(term, TERM_WARN, "not supported (IKEV2_FRAGMENTATION_SUPPORTED is not announced)");
    else
        term_put(term, TERM_FAINT, "not known; only an accepted handshake tells");
    fputc('\n', term->out);
}

static void print_vendors(const struct inquiry_result *r, const struct term *term)
{
    for (size_t i = 0; i < r->vendor_count; i++) {
        const struct inquiry_vendor *v = &r->vendors[i];
        term_printf(term, TERM_PLAIN, "  Vendor ID: %s", v->name ? v->name : v->hex);
        fputc('\n', term->out);
    }
}

/* What to do about what is wrong, in the words of somebody who looks for the cause of an error 809. */
static void print_advice(const struct inquiry_result *r, const struct term *term)
{
    const bool alive_500 = r->ports[PORT_500].alive;
    const bool alive_4500 = r->ports[PORT_4500].alive;

    if (!alive_500 && !alive_4500 && target_is_own(&r->target))
        fputs("  To do: this address is this machine's own. If ikelb serves it here, ask from\n"
              "  another machine: ikelb does not forward what its own machine sends to a VIP.\n",
              term->out);
    else if (!alive_500 && !alive_4500)
        fputs("  To do: check that this is the server's address, that its VPN service runs,\n"
              "  and that every firewall on the way lets UDP 500 and 4500 through, in both\n"
              "  directions. Clients see error 809.\n",
              term->out);
    else if (!alive_500)
        fputs("  To do: let UDP 500 through, in both directions: each handshake begins there.\n"
              "  Clients see error 809.\n",
              term->out);
    else if (!alive_4500)
        fputs("  To do: let UDP 4500 through, in both directions, and forward it to the same\n"
              "  server as 500: behind NAT each handshake goes on there after its first answer.\n"
              "  Clients see error 809.\n",
              term->out);
    if (r->ports[PORT_500].refusing || r->ports[PORT_4500].refusing)
        fputs("  To do: the server lives, but ignores new handshakes from this address. It\n"
              "  limits them for each source address: wait a minute and ask again. If its\n"
              "  clients come through full NAT, they all share such a limit.\n",
              term->out);
    if (r->fragmentation == INQUIRY_FRAGMENTATION_NO)
        fputs("  To do: enable IKE fragmentation (RFC 7383) on the server, or large\n"
              "  certificates fail wherever IP fragments are dropped. On Windows: DWORD\n"
              "  EnableServerFragmentation = 1 in HKLM\\SYSTEM\\CurrentControlSet\\Services\\\n"
              "  RemoteAccess\\Parameters\\Ikev2.\n",
              term->out);
}

void probe_view_print(const struct probe_view *view, const struct term *term)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct inquiry_result *r = &view->results[i];
        char text[ADDR_TEXT_MAX];

        fputs(i ? "\n" : "", term->out);
        term_printf(term, TERM_STRONG, "%s", addr_format(&r->target, text));
        if (strcmp(text, view->host) != 0)
            term_printf(term, TERM_FAINT, "  (%s)", view->host);
        fputc('\n', term->out);
        for (int p = 0; p < INQUIRY_PORTS; p++)
            print_port(&r->ports[p], term);
        if (r->cookie_demanded)
            fputs("  The server demanded a cookie: it is under load, or has many unfinished handshakes.\n",
                  term->out);
        if (r->ports[PORT_500].alive || r->ports[PORT_4500].alive) {
            print_fragmentation(r->fragmentation, term);
            print_vendors(r, term);
        }
        print_advice(r, term);
    }
}

static json_t *port_json(const struct inquiry_port *port)
{
    return json_pack("{s:b, s:b, s:o, s:s, s:s}", "alive", port->alive, "refusing", port->refusing,
                     "round_trip_ms",
                     port->alive ? json_real((double)port->round_trip_us / 1000) : json_null(), "answer",
                     port->answer, "cause", port->cause);
}

static json_t *fragmentation_json(enum inquiry_fragmentation f)
{
    return f == INQUIRY_FRAGMENTATION_UNKNOWN ? json_null() : json_boolean(f == INQUIRY_FRAGMENTATION_YES);
}

static json_t *vendors_json(const struct inquiry_result *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->vendor_count; i++)
        json_array_append_new(list,
                              json_pack("{s:s?, s:s}", "name", r->vendors[i].name, "id", r->vendors[i].hex));
    return list;
}

static json_t *result_json(const struct inquiry_result *r)
{
    char text[ADDR_TEXT_MAX];

    return json_pack("{s:s, s:b, s:{s:o, s:o}, s:o, s:b, s:o}", "address", addr_format(&r->target, text),
                     "alive", is_alive(r), "ports", "500", port_json(&r->ports[PORT_500]), "4500",
                     port_json(&r->ports[PORT_4500]), "fragmentation", fragmentation_json(r->fragmentation),
                     "cookie_demanded", r->cookie_demanded, "vendors", vendors_json(r));
}

json_t *probe_view_json(const struct probe_view *view)
{
    json_t *addresses = json_array();

    for (size_t i = 0; i < view->count; i++)
        json_array_append_new(addresses, result_json(&view->results[i]));
    return json_pack("{s:s, s:b, s:o}", "host", view->host, "alive", probe_view_is_alive(view), "addresses",
                     addresses);
}
