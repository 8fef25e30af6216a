#include "lb/drop.h"

/* The garbage reasons are the first drop reasons, so one converts to the other as it stands. */
#define DROP_SAME(name, label) _Static_assert((int)DROP_##name == (int)IKE_GARBAGE_##name, #name);
IKE_GARBAGE_LIST(DROP_SAME)
#undef DROP_SAME

const char *drop_reason_name(enum drop_reason reason)
{
    static const char *const names[DROP_REASON_COUNT] = {
#define DROP_NAME(name, label) [DROP_##name] = (label),
        DROP_LIST(DROP_NAME)
#undef DROP_NAME
    };

    return names[reason];
}
