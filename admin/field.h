/* Reads members of the daemon's answers; one of another version may lack them, or have them otherwise. */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* "-" for what is missing or no text. */
const char *field_text(const json_t *object, const char *key);

/* 0 for what is missing, no whole number, or negative. */
uint64_t field_number(const json_t *object, const char *key);

/* How many backends the `services` of a status have. */
size_t field_backends(const json_t *services);
