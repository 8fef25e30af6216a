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
           curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK && /* ".." may be a name */
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

void client_set_timeout(struct client *client, unsigned timeout_ms)
{
    (void)curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms); /* fails for no such value */
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

/* Begins a URL; the host is a name for the Host header only. */
static FILE *open_url(const char *path, char **url, size_t *len)
{
    FILE *out = open_memstream(url, len);

    if (out)
        fprintf(out, "http://ikelb%s", path);
    return out;
}

/* Ends the URL, which is freed by the caller; NULL if it is not complete. */
static char *close_url(FILE *out, char **url, bool failed)
{
    if (fclose(out) == 0 && !failed)
        return *url;
    free(*url);
    return NULL;
}

/* Writes a separator and the word, encoded. False without memory. */
static bool put_word(struct client *client, FILE *out, const char *separator, const char *word)
{
    char *encoded = curl_easy_escape(client->curl, word, 0);

    fprintf(out, "%s%s", separator, encoded ? encoded : "");
    curl_free(encoded);
    return encoded;
}

/* "http://ikelb/PATH?KEY=VALUE&..." */
static char *url_of_params(struct client *client, const char *path, const struct client_param *params,
                           size_t count)
{
    char *url = NULL;
    size_t len = 0;
    FILE *out = open_url(path, &url, &len);
    bool failed = false;

    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%c%s", i ? '&' : '?', params[i].key);
        failed |= !put_word(client, out, "=", params[i].value);
    }
    return close_url(out, &url, failed);
}

/* "http://ikelb/PATH/WORD/..." */
static char *url_of_words(struct client *client, const char *path, const char *const *words, size_t count)
{
    char *url = NULL;
    size_t len = 0;
    FILE *out = open_url(path, &url, &len);
    bool failed = false;

    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++)
        failed |= !put_word(client, out, "/", words[i]);
    return close_url(out, &url, failed);
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

/* A refusal's answer is in *out, too, for those who ask for it. */
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
    if (err == ERR_PROTOCOL) {
        json_decref(answer);
        answer = NULL;
    }
    *out = answer;
    return err;
}

/* Asks with the method that has been set, and frees the URL (NULL: there was no memory for it). */
static int ask(struct client *client, char *url, json_t **out)
{
    CURLcode code;

    *out = NULL;
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

int client_get(struct client *client, const char *path, const struct client_param *params, size_t count,
               json_t **out)
{
    int err;

    if (curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L) != CURLE_OK)
        return no_memory(client);
    err = ask(client, url_of_params(client, path, params, count), out);
    if (err) {
        json_decref(*out);
        *out = NULL;
    }
    return err;
}

int client_post(struct client *client, const char *path, const char *const *words, size_t count, json_t **out)
{
    *out = NULL;
    if (curl_easy_setopt(client->curl, CURLOPT_POST, 1L) != CURLE_OK ||
        curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, "") != CURLE_OK)
        return no_memory(client);
    return ask(client, url_of_words(client, path, words, count), out);
}
