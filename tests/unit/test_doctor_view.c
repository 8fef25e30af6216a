#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/doctor_view.h"

static const char plain[] = "vpn.example.org\n"
                            "  name               ok          203.0.113.10\n"
                            "\n"
                            "203.0.113.10\n"
                            "  UDP 500            failed      no answer\n"
                            "      Open the firewall.\n"
                            "  UDP 4500           failed      no answer\n"
                            "  path MTU           not tested  nothing answers\n"
                            "  TCP 443            warning     closed\n"
                            "      Open that, too.\n"
                            "\n"
                            "failed: Clients fail here, Windows with error 809. To be mended first: UDP 500, "
                            "UDP 4500.\n";

static const char narrow[] = "  UDP 500            failed      no\n"
                             "                                 answer\n"
                             "      Open the firewall.\n";

/* To be freed. */
static struct findings *report(void)
{
    struct findings *all = calloc(1, sizeof *all);
    static const char *const advice = "Open the firewall.";

    assert_non_null(all);
    struct findings_address *a = &all->addresses[0];
    all->address_count = 1;
    assert_int_equal(addr_parse("203.0.113.10", &a->addr), 0);
    all->name = (struct finding){.id = "name", .title = "name", .text = "203.0.113.10"};
    a->list[0] = (struct finding){"udp-500", "UDP 500", FINDING_FAILED, "no answer", advice};
    a->list[1] = (struct finding){"udp-4500", "UDP 4500", FINDING_FAILED, "no answer", advice};
    a->list[2] = (struct finding){"path-mtu", "path MTU", FINDING_UNTESTED, "nothing answers", NULL};
    a->list[3] = (struct finding){"tcp-443", "TCP 443", FINDING_WARNING, "closed", "Open that, too."};
    a->count = 4;
    return all;
}

/* To be freed. */
static char *show(unsigned width, bool has_colour, const char *host)
{
    char *text = NULL;
    size_t len = 0;
    struct term term = {.out = open_memstream(&text, &len), .width = width, .has_colour = has_colour};
    struct findings *all = report();

    assert_non_null(term.out);
    doctor_view_print(all, host, &term);
    fclose(term.out);
    free(all);
    return text;
}

static void test_plain(void **state)
{
    char *text = show(0, false, "vpn.example.org");

    (void)state;
    assert_string_equal(text, plain);
    free(text);
}

static void test_terminal(void **state)
{
    char *text = show(40, true, "vpn.example.org");

    (void)state;
    assert_non_null(strstr(text, "\033[1;31mfailed\033[0m      no\n"));
    assert_non_null(strstr(text, "\033[33mwarning\033[0m"));
    assert_non_null(strstr(text, "\033[32mok\033[0m"));
    free(text);
    text = show(40, false, "vpn.example.org");
    assert_non_null(strstr(text, narrow));
    free(text);
}

/* What the user wrote steers no terminal, and spoils no JSON. */
static void test_hostile_host(void **state)
{
    char *text = show(0, false, "vpn\033[2J\n");
    struct findings *all = report();

    (void)state;
    assert_memory_equal(text, "vpn?[2J?\n", 9);
    free(text);
    json_t *document = doctor_view_json(all, "vpn\xff");
    assert_non_null(document);
    assert_string_equal(json_string_value(json_object_get(document, "host")), "vpn?");
    json_decref(document);
    free(all);
}

static void test_json(void **state)
{
    struct findings *all = report();
    json_t *document = doctor_view_json(all, "vpn.example.org");
    const json_t *address = json_array_get(json_object_get(document, "addresses"), 0);
    const json_t *checks = json_object_get(address, "checks");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(document, "host")), "vpn.example.org");
    assert_string_equal(json_string_value(json_object_get(document, "verdict")), "failed");
    assert_memory_equal(json_string_value(json_object_get(document, "text")), "Clients fail", 12);
    assert_string_equal(json_string_value(json_object_get(address, "address")), "203.0.113.10");
    assert_int_equal(json_array_size(checks), 4);
    const json_t *mtu = json_array_get(checks, 2);
    assert_string_equal(json_string_value(json_object_get(mtu, "check")), "path-mtu");
    assert_string_equal(json_string_value(json_object_get(mtu, "status")), "not tested");
    assert_true(json_is_null(json_object_get(mtu, "advice")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(checks, 1), "advice")),
                        "Open the firewall.");
    json_decref(document);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain), cmocka_unit_test(test_terminal),
                                       cmocka_unit_test(test_hostile_host), cmocka_unit_test(test_json)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
