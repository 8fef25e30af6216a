#include "tests/unit/unit.h"

#include <stdlib.h>

#include "admin/change_view.h"
#include "base/err.h"
#include "tests/unit/screen.h"

/* What is dropped is not said to go elsewhere. */
static void test_table(void **state)
{
    static const struct {
        const char *answer;
        const char *text;
    } cases[] = {
        {"{\"state\":\"drain\",\"was\":\"enabled\",\"clients\":1234,\"warning\":null}",
         "drain; 1,234 clients stay until they end, new ones go elsewhere"},
        {"{\"state\":\"drain\",\"was\":\"enabled\",\"clients\":1}",
         "drain; 1 client stays until it ends, new ones go elsewhere"},
        {"{\"state\":\"drain\",\"was\":\"drain\",\"clients\":0}",
         "drain already; it has no clients, new ones go elsewhere"},
        {"{\"state\":\"drain\",\"clients\":2,\"warning\":\"none left\"}",
         "drain; 2 clients stay until they end"},
        {"{\"state\":\"disabled\",\"clients\":2}",
         "disabled; 2 clients keep their tunnels until they go elsewhere with the next handshake, as new "
         "ones do"},
        {"{\"state\":\"disabled\",\"clients\":1}",
         "disabled; 1 client keeps its tunnel until it goes elsewhere with the next handshake, as new ones "
         "do"},
        {"{\"state\":\"disabled\",\"clients\":1,\"warning\":\"none left\"}",
         "disabled; 1 client keeps its tunnel until it ends"},
        {"{\"state\":\"enabled\",\"clients\":1,\"health\":\"up\"}", "enabled; it gets new clients"},
        {"{\"state\":\"enabled\",\"health\":\"down\"}",
         "enabled; it is down, and gets new clients when it is up again"},
        {"{\"state\":\"\\u001b[1m\",\"clients\":0}", "?[1m; it has no clients, new ones go elsewhere"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = screen_of(change_view_print, cases[i].answer, &(struct term){0}, 0);
        assert_string_equal(text, cases[i].text);
        free(text);
    }
    char *text = screen_of(change_view_print, "{\"state\":7}", &(struct term){0}, ERR_PROTOCOL);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
