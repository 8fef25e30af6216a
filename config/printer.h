/* Writes a configuration as YAML, by the tables of the schema. */
#pragma once

#include <stdio.h>

#include "config/config.h"

/* Every key with its value, those left at their defaults included; it reads back to an equal configuration.
 */
void printer_print(const struct config *config, FILE *out);
