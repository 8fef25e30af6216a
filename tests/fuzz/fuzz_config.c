/*
 * Fuzzes the YAML loader. Besides memory errors and leaks, it holds config_parse() to its promises: either a
 * configuration and no word, or errors, each a line of printable text; and what is printed reads back alike.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Parses, checks what is said, and returns the configuration or NULL. */
static struct config *parse(const char *text, size_t len)
{
    struct config *config = NULL;
    char *errors = NULL;
    size_t errors_len = 0;
    FILE *out = open_memstream(&errors, &errors_len);
    int err;

    require(out != NULL);
    err = config_parse(text, len, "fuzz", out, &config);
    fclose(out);
    require(err == 0 || err == ERR_CONFIG);
    require((err == 0) == (config != NULL));
    require((err == 0) == (errors_len == 0));
    require(errors_len == 0 || errors[errors_len - 1] == '\n');
    for (size_t i = 0; i < errors_len; i++)
        require(errors[i] == '\n' || (errors[i] >= 0x20 && errors[i] <= 0x7e));
    for (const char *line = errors; line && *line; line = strchr(line, '\n') + 1)
        require(strncmp(line, "fuzz:", 5) == 0);
    free(errors);
    return config;
}

static char *print(const struct config *config, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);

    require(out != NULL);
    config_print(config, out);
    fclose(out);
    return text;
}

static void check_round_trip(const struct config *config)
{
    size_t len;
    size_t again_len;
    char *text = print(config, &len);
    struct config *again = parse(text, len);
    char *again_text;

    require(again != NULL);
    again_text = print(again, &again_len);
    require(len == again_len && memcmp(text, again_text, len) == 0);
    config_destroy(again);
    free(again_text);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = parse((const char *)data, size);

    if (config)
        check_round_trip(config);
    config_destroy(config);
    return 0;
}
