/* A network namespace of a test's own, for tests of what the kernel does. */
#pragma once

#include <stdbool.h>

/* Goes into a new one, in which nothing is up. False without the right to, which is said. */
bool netns_enter(void);

/* `ip COMMAND`; whether it succeeded. What it says is not shown. */
bool netns_try_ip(const char *command);

/* `ip COMMAND`, or a line each of `ip -batch`; the test fails if it fails. */
void netns_ip(const char *command);
void netns_ip_batch(const char *commands);

/* Only a veth that polls, by GRO, takes natively what its peer sends. */
void netns_set_gro(const char *device, bool on);

/* Writes a file of /proc, or fails the test. */
void netns_write_file(const char *path, const char *text);
