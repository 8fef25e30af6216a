/* The one error space of ikelb: 0 is success, our own codes are negative, system errors are -errno. */
#pragma once

#define ERR_LIST(X)                                                                                          \
    X(MALFORMED, "malformed input")                                                                          \
    X(RANGE, "value out of range")                                                                           \
    X(NOT_FOUND, "not found")                                                                                \
    X(EXISTS, "exists already")                                                                              \
    X(FULL, "no room left")                                                                                  \
    X(CONFIG, "the configuration has errors")                                                                \
    X(UNREACHABLE, "the daemon cannot be reached")                                                           \
    X(PROTOCOL, "the peer does not follow the protocol")                                                     \
    X(LIBRARY, "a library call failed")

/* Ours run upwards from ERR_BASE, far below every -errno, so the two never meet. */
enum err {
    ERR_BASE = -10000,
#define ERR_ENUM(name, text) ERR_##name,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

/* The message of any code of this space, -errno included; never NULL, static or thread-local storage. */
const char *err_text(int err);
