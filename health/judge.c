#include "health/judge.h"

void judge_init(struct judge *j, enum health_state state, uint32_t rise, uint32_t fall)
{
    *j = (struct judge){.state = state, .rise = rise ? rise : 1, .fall = fall ? fall : 1};
}

/* The number of results in a row that it takes to leave the present state towards what `success` says. */
static uint32_t threshold(const struct judge *j, bool success)
{
    if (!success)
        return j->fall;
    return j->state == HEALTH_UNKNOWN ? 1 : j->rise;
}

bool judge_result(struct judge *j, bool success)
{
    const enum health_state verdict = success ? HEALTH_UP : HEALTH_DOWN;

    if (j->state == verdict) {
        j->streak = 0;
        return false;
    }
    if (++j->streak < threshold(j, success))
        return false;
    j->state = verdict;
    j->streak = 0;
    return true;
}

const char *judge_state_name(enum health_state state)
{
    switch (state) {
    case HEALTH_UP:
        return "up";
    case HEALTH_DOWN:
        return "down";
    case HEALTH_UNKNOWN:
        break;
    }
    return "unknown";
}
