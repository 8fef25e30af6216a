/* A question socket in a namespace of the test's own, for a group of tests. */
#pragma once

#include "lb/question.h"
#include "tests/unit/netns.h"
#include "tests/unit/unit.h"

/* In a group's set-up, with lines for `ip -batch`. Without the right to, *state is NULL. */
static inline int asking_set_up(void **state, const char *commands)
{
    static struct question question;

    *state = NULL;
    if (!netns_enter())
        return 0;
    netns_ip_batch(commands);
    assert_int_equal(question_open(&question, NETLINK_ROUTE), 0);
    *state = &question;
    return 0;
}

static inline int asking_tear_down(void **state)
{
    if (*state)
        question_close(*state);
    return 0;
}

/* The question, or skips the test. */
static inline struct question *asking_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}
