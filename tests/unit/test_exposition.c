#include "tests/unit/unit.h"

#include <stdlib.h>

#include "admin/exposition.h"

struct text {
    FILE *out;
    char *text;
    size_t len;
};

static void open_text(struct text *t)
{
    t->out = open_memstream(&t->text, &t->len);
    assert_non_null(t->out);
}

static void check_text(struct text *t, const char *expected)
{
    assert_int_equal(fclose(t->out), 0);
    assert_string_equal(t->text, expected);
    free(t->text);
}

static void test_head(void **state)
{
    struct text t;

    (void)state;
    open_text(&t);
    exposition_head(t.out, "a_total", "counter", "What \"it\" is,\nin C:\\lines.");
    check_text(&t, "# HELP a_total What \"it\" is,\\nin C:\\\\lines.\n# TYPE a_total counter\n");
}

static void test_samples(void **state)
{
    const struct exposition_labels none = {0};
    const struct exposition_labels one = exposition_with(none, "service", "aovpn");
    const struct exposition_labels two = exposition_with(one, "odd", "a\\b\"c\nd}, e=\"");
    const struct exposition_labels empty = exposition_with(none, "k", "");
    struct text t;

    (void)state;
    open_text(&t);
    exposition_sample(t.out, "a", &none, 0);
    exposition_sample(t.out, "a", &one, UINT64_MAX);
    exposition_sample(t.out, "a", &two, 7);
    exposition_sample(t.out, "a", &empty, 8);
    check_text(&t, "a 0\n"
                   "a{service=\"aovpn\"} 18446744073709551615\n"
                   "a{service=\"aovpn\",odd=\"a\\\\b\\\"c\\nd}, e=\\\"\"} 7\n"
                   "a{k=\"\"} 8\n");
}

static void test_histogram(void **state)
{
    const struct exposition_labels labels = exposition_with((struct exposition_labels){0}, "b", "x");
    struct histogram h = {0};
    struct text t;

    (void)state;
    histogram_note(&h, 100);
    histogram_note(&h, 900);
    histogram_note(&h, 901);
    histogram_note(&h, 3000000);
    open_text(&t);
    exposition_histogram(t.out, "h", &labels, &h);
    check_text(&t, "h_bucket{b=\"x\",le=\"0.0001\"} 1\n"
                   "h_bucket{b=\"x\",le=\"0.00025\"} 1\n"
                   "h_bucket{b=\"x\",le=\"0.0005\"} 1\n"
                   "h_bucket{b=\"x\",le=\"0.001\"} 3\n"
                   "h_bucket{b=\"x\",le=\"0.0025\"} 3\n"
                   "h_bucket{b=\"x\",le=\"0.005\"} 3\n"
                   "h_bucket{b=\"x\",le=\"0.01\"} 3\n"
                   "h_bucket{b=\"x\",le=\"0.025\"} 3\n"
                   "h_bucket{b=\"x\",le=\"0.05\"} 3\n"
                   "h_bucket{b=\"x\",le=\"0.1\"} 3\n"
                   "h_bucket{b=\"x\",le=\"0.25\"} 3\n"
                   "h_bucket{b=\"x\",le=\"0.5\"} 3\n"
                   "h_bucket{b=\"x\",le=\"1\"} 3\n"
                   "h_bucket{b=\"x\",le=\"2.5\"} 3\n"
                   "h_bucket{b=\"x\",le=\"+Inf\"} 4\n"
                   "h_sum{b=\"x\"} 3.001901\n"
                   "h_count{b=\"x\"} 4\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_histogram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
