#include "tests/unit/unit.h"

#include "admin/field.h"

static void test_table(void **state)
{
    json_t *object = json_loads("{\"text\":\"a\",\"n\":7,\"less\":-7,\"real\":1.5,\"null\":null}", 0, NULL);

    (void)state;
    assert_string_equal(field_text(object, "text"), "a");
    assert_string_equal(field_text(object, "n"), "-");
    assert_string_equal(field_text(object, "null"), "-");
    assert_string_equal(field_text(object, "none"), "-");
    assert_string_equal(field_text(NULL, "text"), "-");
    assert_int_equal(field_number(object, "n"), 7);
    assert_int_equal(field_number(object, "less"), 0);
    assert_int_equal(field_number(object, "real"), 0);
    assert_int_equal(field_number(object, "text"), 0);
    assert_int_equal(field_number(object, "none"), 0);
    assert_int_equal(field_number(NULL, "n"), 0);
    json_decref(object);
}

static void test_backends(void **state)
{
    json_t *services = json_loads("[{\"backends\":[1,2]},{},{\"backends\":7},{\"backends\":[3]}]", 0, NULL);

    (void)state;
    assert_int_equal(field_backends(services), 3);
    assert_int_equal(field_backends(NULL), 0);
    json_decref(services);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_backends)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
