#include "tests/unit/unit.h"

#include "admin/fastpath_view.h"

#define TRAFFIC(fast, rx, tx)                                                                                \
    "\"services\":[{\"backends\":[{\"fast_pps\":" fast ",\"rx_pps\":" rx "},{\"tx_pps\":" tx "}]}]"
#define IN(name, trouble) "{\"name\":\"" name "\",\"mode\":\"native\",\"trouble\":" trouble "}"
#define NATIVE            "\"fastpath\":{\"mode\":\"native\",\"interfaces\":["

/* What is said of a document. */
static void test_words(void **state)
{
    static const struct {
        const char *json;
        const char *use;
        const char *trouble;
    } cases[] = {
        {"{" NATIVE "]}}", "native", ""},
        {"{" NATIVE "]}," TRAFFIC("0", "0", "0") "}", "native", ""},
        {"{" NATIVE "]}," TRAFFIC("750", "600", "400") "}", "native, 75% of packets", ""},
        {"{" NATIVE "]}," TRAFFIC("0", "600", "400") "}", "native, 0% of packets", ""},
        {"{" NATIVE "]}," TRAFFIC("1", "600", "400") "}", "native, 1% of packets", ""},
        {"{" NATIVE "]}," TRAFFIC("999", "600", "400") "}", "native, 99% of packets", ""},
        {"{" NATIVE "]}," TRAFFIC("1000", "600", "400") "}", "native, 100% of packets", ""},
        {"{" NATIVE "]}," TRAFFIC("1001", "600", "400") "}", "native, 100% of packets", ""},
        {"{" NATIVE IN("eth0", "null") "]}}", "native", ""},
        {"{" NATIVE IN("eth0", "null") "," IN("eth1", "\"why\"") "]}}", "native", "not on eth1 (why)"},
        {"{" NATIVE IN("a", "\"why\"") "," IN("b", "\"so\"") "," IN("c", "\"so\"") "]}}", "native",
         "not on a (why) and 2 more"},
        {"{\"fastpath\":{\"mode\":\"off\",\"trouble\":\"why\",\"interfaces\":[]}}", "off", "why"},
        {"{\"fastpath\":{\"mode\":\"off\"}," TRAFFIC("0", "1", "1") "}", "off", ""},
        {"{" NATIVE "{\"name\":7,\"trouble\":\"why\"},8]}}", "native", "not on - (why)"},
    };
    char text[FASTPATH_VIEW_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *document = json_loads(cases[i].json, 0, NULL);
        assert_non_null(document);
        const struct fastpath_view view = fastpath_view_of(document);
        assert_string_equal(fastpath_view_use(&view, text), cases[i].use);
        assert_string_equal(fastpath_view_trouble(&view, text), cases[i].trouble);
        json_decref(document);
    }
}

/* A daemon of another version may not know it, or say it otherwise. */
static void test_unknown(void **state)
{
    static const char *const sparse[] = {"{}", "{\"fastpath\":7,\"services\":8}",
                                         "{\"fastpath\":{\"mode\":1,\"interfaces\":{}}}"};
    char text[FASTPATH_VIEW_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof sparse / sizeof sparse[0]; i++) {
        json_t *document = json_loads(sparse[i], 0, NULL);
        const struct fastpath_view view = fastpath_view_of(document);
        assert_null(view.mode);
        assert_string_equal(fastpath_view_use(&view, text), "-");
        assert_string_equal(fastpath_view_trouble(&view, text), "");
        json_decref(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
