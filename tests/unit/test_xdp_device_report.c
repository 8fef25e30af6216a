#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lb/xdp/device_report.h"
#include "lb/xdp/features.h"

/* What is told of devices, and that it is logged once. */

static struct device_report report;

static int begin_anew(void **state)
{
    (void)state;
    report = (struct device_report){0};
    return 0;
}

/* Logs the latest list: it must be all of these words, each in a line, and so many lines. */
static void check_logged(size_t count, const char *const *words)
{
    char *text = NULL;
    size_t len = 0, lines = 0;
    const struct log log = {.level = LOG_LEVEL_INFO, .out = open_memstream(&text, &len)};

    assert_non_null(log.out);
    device_report_log(&report, &log);
    fclose(log.out);
    for (const char *end = text; (end = strchr(end, '\n')); end++)
        lines++;
    assert_int_equal(lines, count);
    for (size_t i = 0; i < count; i++)
        assert_non_null(strstr(text, words[i]));
    free(text);
}

static void add(const char *name, enum fastpath_mode mode, int err)
{
    device_report_add(&report, name, mode, err, NULL);
}

static void test_what_is_new_is_logged(void **state)
{
    static const char *const both[] = {"fast path: out: native\n", "fast path: in: native\n"};
    static const char *const changed[] = {"fast path: out: generic\n"};

    (void)state;
    device_report_begin(&report);
    add("out", FASTPATH_NATIVE, 0);
    add("in", FASTPATH_NATIVE, 0);
    check_logged(2, both);
    device_report_begin(&report);
    add("in", FASTPATH_NATIVE, 0); /* they are known by their names */
    add("out", FASTPATH_NATIVE, 0);
    check_logged(0, NULL);
    device_report_begin(&report);
    add("in", FASTPATH_NATIVE, 0);
    add("out", FASTPATH_GENERIC, 0);
    check_logged(1, changed);
}

static void test_one_that_comes_again(void **state)
{
    static const char *const words[] = {"fast path: out: native\n"};
    size_t count;

    (void)state;
    for (int i = 0; i < 2; i++) {
        device_report_begin(&report);
        add("out", FASTPATH_NATIVE, 0);
        check_logged(1, words);
        device_report_begin(&report);
        check_logged(0, NULL);
        (void)device_report_list(&report, &count);
        assert_int_equal(count, 0);
    }
}

static void test_troubles(void **state)
{
    static const struct link unknown, useless = {.are_features_known = true},
                                      fit = {.are_features_known = true, .features = FEATURES_NDO_XMIT};
    static const struct {
        enum fastpath_mode mode;
        int err;
        const struct link *link;
        const char *trouble; /* as it begins; NULL: none */
    } rows[] = {
        {FASTPATH_OFF, -EBUSY, &fit, "another XDP program is attached"},
        {FASTPATH_OFF, -EEXIST, NULL, "another XDP program is attached"},
        {FASTPATH_OFF, -ENODEV, NULL, "No such device"},
        {FASTPATH_NATIVE, 0, &useless, "nothing can be sent there natively"},
        {FASTPATH_GENERIC, 0, &useless, NULL},
        {FASTPATH_NATIVE, 0, &unknown, NULL},
        {FASTPATH_NATIVE, 0, &fit, NULL},
        {FASTPATH_NATIVE, 0, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *words[] = {rows[i].trouble ? "; its packets take the slow path\n" : "fast path: out: "};
        size_t count;
        report = (struct device_report){0};
        device_report_begin(&report);
        device_report_add(&report, "out", rows[i].mode, rows[i].err, rows[i].link);
        const struct fastpath_interface *list = device_report_list(&report, &count);
        assert_int_equal(count, 1);
        assert_string_equal(list->name, "out");
        assert_int_equal(list->mode, rows[i].mode);
        if (rows[i].trouble)
            assert_ptr_equal(strstr(list->trouble, rows[i].trouble), list->trouble);
        else
            assert_string_equal(list->trouble, "");
        check_logged(1, words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_is_new_is_logged, begin_anew),
        cmocka_unit_test_setup(test_one_that_comes_again, begin_anew),
        cmocka_unit_test_setup(test_troubles, begin_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
