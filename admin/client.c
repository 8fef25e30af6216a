#include "admin/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define CONNECT_TIMEOUT_MS 3000L
#define TIMEOUT_MS         15000L
#define ERROR_MAX          1024

/* The longest answer is the status of 1,024 backends, under a megabyte; this only stops what is not ikelb. */
#define ANSWER_MAX ((size_t)64 << 20)

struct client {
    CURL *curl;
    char *socket_path;
    char *answer;
    size_t answer_len;
    char error[ERROR_MAX];
};

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
    struct client *client = ctx;
    const size_t len = size * count;

    if (len > ANSWER_MAX - client->answer_len)
        return 0;
    char *longer = realloc(client->answer, client->answer_len + len + 1);
    if (!longer)
        return 0;
    client->answer = longer;
    memcpy(longer + client->answer_len, data, len);
    client->answer_len += len;
    return len;
}

/* No proxy of the environment may come between, and no signal is used for time-outs. */
static bool set_options(struct client *client)
{
    CURL *curl = client->curl;

    return curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, client) == CURLE_OK;
}

struct client *client_create(const char *socket_path)
{
    struct client *client = calloc(1, sizeof *client);

    if (!client)
        return NULL;
    client->socket_path = strdup(socket_path);
    client->curl = curl_easy_init();
    if (!client->socket_path || !client->curl || !set_options(client)) {
        client_destroy(client);
        return NULL;
    }
    return client;
}

void client_destroy(struct client *client)
{
    if (!client)
        return;
    if (client->curl)
        curl_easy_cleanup(client->curl);
    free(client->socket_path);
    free(client->answer);
    free(client);
}

const char *client_error(const struct client *client)
{
    return client->error;
}

static int no_memory(struct client *client)
{
    snprintf(client->error, sizeof client->error, "out of memory");
    return -ENOMEM;
}

/* "http://ikelb/PATH?KEY=VALUE&..."; the host is a name for the Host header only. Freed by the caller. */
static char *url_of(struct client *client, const char *path, const struct client_param *params, size_t count)
{
    char *url = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&url, &len);
    bool failed = false;

    if (!out)
        return NULL;
    fprintf(out, "http://ikelb%s", path);
    for (size_t i = 0; i < count; i++) {
        char *value = curl_easy_escape(client->curl, params[i].value, 0);
        failed = failed || !value;
        fprintf(out, "%c%s=%s", i ? '&' : '?', params[i].key, value ? value : "");
        curl_free(value);
    }
    if (fclose(out) != 0 || failed) {
        free(url);
        return NULL;
    }
    return url;
}

static int unreachable(struct client *client, CURLcode code)
{
    const char *path = client->socket_path;
    long system_error = 0;
    char *error = client->error;

    (void)curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &system_error);
    if (code == CURLE_OPERATION_TIMEDOUT) {
        snprintf(error, ERROR_MAX, "%s: no answer: ikelb is there but hangs, or is stopped; see its log",
                 path);
    } else if (code == CURLE_COULDNT_CONNECT && system_error == ENOENT) {
        snprintf(
            error, ERROR_MAX,
            "%s: no such socket: is ikelb running? Start it, or name its admin.socket with --socket PATH",
            path);
    } else if (code == CURLE_COULDNT_CONNECT && (system_error == EACCES || system_error == EPERM)) {
        snprintf(error, ERROR_MAX, "%s: permission denied: try sudo", path);
    } else if (code == CURLE_COULDNT_CONNECT && system_error == ECONNREFUSED) {
        snprintf(error, ERROR_MAX, "%s: nobody listens there any more: ikelb has ended; start it again",
                 path);
    } else if (code == CURLE_COULDNT_CONNECT && system_error) {
        snprintf(error, ERROR_MAX, "%s: %s: is it the admin.socket of ikelb?", path,
                 strerror((int)system_error));
    } else {
        snprintf(error, ERROR_MAX, "%s: %s: is it the admin.socket of ikelb, and is ikelb running?", path,
                 curl_easy_strerror(code));
    }
    return ERR_UNREACHABLE;
}

static int not_ikelb(struct client *client, long status)
{
    snprintf(client->error, sizeof client->error,
             "%s: what answers there does not speak like ikelb (HTTP status %ld): is it the right socket?",
             client->socket_path, status);
    return ERR_PROTOCOL;
}

/* What the daemon refused, in its own words. */
static int refused(struct client *client, long status, const json_t *answer)
{
    const char *message = json_string_value(json_object_get(answer, "error"));

    if (!message)
        return not_ikelb(client, status);
    snprintf(client->error, sizeof client->error, "%s", message);
    if (status == 404)
        return ERR_NOT_FOUND;
    return status < 500 ? ERR_MALFORMED : ERR_PROTOCOL;
}

static int judge_answer(struct client *client, json_t **out)
{
    long status = 0;
    json_t *answer = json_loadb(client->answer ? client->answer : "", client->answer_len, 0, NULL);
    int err = 0;

    (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!answer || !json_is_object(answer))
        err = not_ikelb(client, status);
    else if (status != 200)
        err = refused(client, status, answer);
    if (err) {
        json_decref(answer);
        return err;
    }
    *out = answer;
    return 0;
}

int client_get(struct client *client, const char *path, const struct client_param *params, size_t count,
               json_t **out)
{
    char *url = url_of(client, path, params, count);
    CURLcode code;

    client->answer_len = 0;
    if (!url)
        return no_memory(client);
    code = curl_easy_setopt(client->curl, CURLOPT_URL, url);
    free(url);
    if (code == CURLE_OUT_OF_MEMORY)
        return no_memory(client);
    if (code == CURLE_OK)
        code = curl_easy_perform(client->curl);
    if (code == CURLE_WRITE_ERROR)
        return not_ikelb(client, 0);
    if (code != CURLE_OK)
        return unreachable(client, code);
    return judge_answer(client, out);
}
