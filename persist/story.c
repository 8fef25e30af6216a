#include "persist/story.h"

_Static_assert(STAGE_COUNT <= 8, "`reached` has a bit for each");

bool story_reach(struct story *story, enum stage stage, uint64_t now_ms)
{
    if (!(story->reached & 1U << stage)) {
        story->reached |= (uint8_t)(1U << stage);
        story->stage_ms[stage] = (uint32_t)now_ms;
    }
    if (stage <= story->stage)
        return false;
    story->stage = (uint8_t)stage;
    return true;
}

struct story story_begin(uint16_t service, uint16_t backend, uint16_t client_port, uint64_t now_ms)
{
    return (struct story){
        .service = service,
        .backend = backend,
        .client_port = client_port,
        .reached = 1U << STAGE_NONE,
        .stage_ms = {[STAGE_NONE] = (uint32_t)now_ms},
        .seen_ms = (uint32_t)now_ms,
    };
}
