/* Writes a configuration as YAML, by the tables of the schema. */
#pragma once

#include <stdio.h>

#include "config/config.h"
#include "config/schema.h"

/* Every key with its value, those left at their defaults included; it reads back to an equal configuration.
 */
void printer_print(const struct config *config, FILE *out);

/* The value of one key of that section's struct, in one line; no section or list of sections. */
void printer_value(const struct schema_key *key, const void *object, FILE *out);
