#include "admin/clients_query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/echo.h"
#include "base/err.h"

/* A cursor is this letter and a slot in hexadecimal: nothing that looks like a count to be computed with. */
#define CURSOR_MARK   'c'
#define CURSOR_DIGITS 8

const char *clients_query_cursor(uint32_t slot, char text[static CLIENTS_CURSOR_MAX])
{
    snprintf(text, CLIENTS_CURSOR_MAX, "%c%08" PRIx32, CURSOR_MARK, slot);
    return text;
}

static int read_cursor(const char *text, uint32_t *slot)
{
    if (text[0] != CURSOR_MARK || strlen(text) != 1 + CURSOR_DIGITS ||
        strspn(text + 1, "0123456789abcdef") != CURSOR_DIGITS)
        return ERR_MALFORMED;
    *slot = (uint32_t)strtoul(text + 1, NULL, 16);
    return 0;
}

static int read_limit(const char *text, uint32_t *limit)
{
    const size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 4 || text[digits] != '\0')
        return ERR_MALFORMED;
    *limit = (uint32_t)strtoul(text, NULL, 10);
    return *limit >= 1 && *limit <= CLIENTS_LIMIT_MAX ? 0 : ERR_MALFORMED;
}

static bool is_named(const struct pool *pool, const struct backend *backend, const char *name)
{
    const char *service = pool->services[backend->service].name;
    const size_t len = strlen(service);

    if (strcmp(backend->name, name) == 0)
        return true;
    return strncmp(name, service, len) == 0 && name[len] == '/' && strcmp(name + len + 1, backend->name) == 0;
}

static size_t count_backends(const struct pool *pool)
{
    size_t count = 0;

    for (size_t i = 0; i < pool->backend_count; i++)
        count += pool->backends[i].used;
    return count;
}

/* Names the known backends as far as the message has room. */
static void list_backends(const struct pool *pool, char *text, size_t size)
{
    size_t len = strlen(text);
    size_t left = count_backends(pool);
    const char *separator = "";

    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct backend *backend = &pool->backends[i];
        const char *service = pool->services[backend->service].name;
        if (!backend->used)
            continue;
        /* Room is kept for the words that end a list too long to be shown. */
        if (len + strlen(separator) + strlen(service) + strlen(backend->name) + sizeof "/, and 1024 more" >
            size) {
            snprintf(text + len, size - len, "%sand %zu more", separator, left);
            return;
        }
        left--;
        len += (size_t)snprintf(text + len, size - len, "%s%s/%s", separator, service, backend->name);
        separator = ", ";
    }
}

static int read_backend(const struct pool *pool, const char *name, struct clients_query *out, char *error)
{
    char word[ECHO_MAX];

    out->every_backend = true;
    for (size_t i = 0; i < pool->backend_count; i++) {
        out->wanted[i] = pool->backends[i].used && is_named(pool, &pool->backends[i], name);
        if (out->wanted[i])
            out->every_backend = false;
    }
    if (!out->every_backend)
        return 0;
    snprintf(error, CLIENTS_ERROR_MAX, "no backend '%s'; there are: ", echo_word(name, word));
    list_backends(pool, error, CLIENTS_ERROR_MAX);
    return ERR_NOT_FOUND;
}

static int read_one(const struct pool *pool, const struct http_query *q, struct clients_query *out,
                    char *error)
{
    char word[ECHO_MAX];

    if (strcmp(q->key, "backend") == 0)
        return read_backend(pool, q->value, out, error);
    if (strcmp(q->key, "limit") == 0) {
        if (read_limit(q->value, &out->limit) == 0)
            return 0;
        snprintf(error, CLIENTS_ERROR_MAX, "limit: '%s' is no number from 1 to %d", echo_word(q->value, word),
                 CLIENTS_LIMIT_MAX);
    } else if (strcmp(q->key, "after") == 0) {
        if (read_cursor(q->value, &out->after) == 0)
            return 0;
        snprintf(error, CLIENTS_ERROR_MAX, "after: '%s' is not the `next` of an answer",
                 echo_word(q->value, word));
    } else {
        snprintf(error, CLIENTS_ERROR_MAX, "unknown parameter '%s'; allowed are backend, after and limit",
                 echo_word(q->key, word));
    }
    return ERR_MALFORMED;
}

int clients_query_read(const struct pool *pool, const struct http_query *query, size_t count,
                       struct clients_query *out, char error[static CLIENTS_ERROR_MAX])
{
    char word[ECHO_MAX];
    int err = 0;

    *out = (struct clients_query){.every_backend = true, .limit = CLIENTS_LIMIT_DEFAULT};
    if (count > HTTP_QUERY_MAX) {
        snprintf(error, CLIENTS_ERROR_MAX, "too many parameters; allowed are backend, after and limit");
        return ERR_MALFORMED;
    }
    for (size_t i = 0; !err && i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(query[k].key, query[i].key) == 0) {
                snprintf(error, CLIENTS_ERROR_MAX, "%s: given twice", echo_word(query[i].key, word));
                return ERR_MALFORMED;
            }
        }
        err = read_one(pool, &query[i], out, error);
    }
    return err;
}
