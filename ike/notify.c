#include "ike/notify.h"

#include <stddef.h>

const char *notify_name(uint16_t type)
{
    switch (type) {
#define IKE_NOTIFY_CASE(name, number)                                                                        \
    case number:                                                                                             \
        return #name;
        IKE_NOTIFY_LIST(IKE_NOTIFY_CASE)
#undef IKE_NOTIFY_CASE
    default:
        return NULL;
    }
}
