#include "persist/stage.h"

const char *stage_name(enum stage stage)
{
    static const char *const names[STAGE_COUNT] = {
        [STAGE_NONE] = "none",
        [STAGE_INIT_SENT] = "init-sent",
        [STAGE_INIT_ANSWERED] = "init-answered",
        [STAGE_AUTH_SENT] = "auth-sent",
        [STAGE_AUTH_ANSWERED] = "auth-answered",
        [STAGE_ESTABLISHED] = "established",
    };

    return names[stage];
}
