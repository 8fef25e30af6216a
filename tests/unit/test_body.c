#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "admin/body.h"

/* A body of `count` slices that fails at slice `fails_at`, if that is not negative. */
struct source {
    int count;
    int fails_at;
    int at;
    int destroyed;
};

static int next_slice(void *state, FILE *out)
{
    struct source *s = state;

    if (s->at == s->fails_at)
        return -ENOMEM;
    fprintf(out, "%d;", s->at);
    return ++s->at < s->count ? BODY_MORE : BODY_END;
}

static void destroy(void *state)
{
    ((struct source *)state)->destroyed++;
}

static void test_collects(void **state)
{
    struct source s = {.count = 3, .fails_at = -1};
    struct body body = {.next = next_slice, .destroy = destroy, .state = &s};
    char *text = body_collect(&body);

    (void)state;
    assert_string_equal(text, "0;1;2;");
    assert_int_equal(s.destroyed, 1);
    free(text);
}

static void test_half_a_body_is_none(void **state)
{
    struct source s = {.count = 3, .fails_at = 1};
    struct body body = {.next = next_slice, .destroy = destroy, .state = &s};

    (void)state;
    assert_null(body_collect(&body));
    assert_int_equal(s.destroyed, 1);
}

static void test_writes_json(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_int_equal(body_write_json(out, json_pack("{s:f, s:[i,i]}", "ms", 0.3, "list", 1, 2), 0), 0);
    assert_int_equal(body_write_json(out, json_pack("{s:i}", "a", 1), JSON_EMBED), 0);
    assert_int_equal(body_write_json(out, NULL, 0), -ENOMEM);
    fclose(out);
    assert_string_equal(text, "{\"ms\":0.3,\"list\":[1,2]}\"a\":1");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collects),
        cmocka_unit_test(test_half_a_body_is_none),
        cmocka_unit_test(test_writes_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
