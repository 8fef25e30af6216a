#include "base/err.h"

#include <string.h>

const char *err_text(int err)
{
    switch (err) {
#define ERR_CASE(name, text)                                                                                 \
    case ERR_##name:                                                                                         \
        return text;
        ERR_LIST(ERR_CASE)
#undef ERR_CASE
    default:
        return err > ERR_BASE && err <= 0 ? strerror(-err) : "unknown error";
    }
}
