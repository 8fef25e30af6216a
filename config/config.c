#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "config/loader.h"
#include "config/node.h"
#include "config/printer.h"
#include "config/report.h"
#include "config/rules.h"
#include "config/words.h"

/* A full configuration of 1024 backends takes some 200 kB; what is bigger was not meant for us. */
#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)

void config_destroy(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->service_count; i++) {
        free(config->services[i].snats);
        free(config->services[i].backends);
    }
    free(config->services);
    free(config);
}

/* Reads and checks the text; errors in it go to the report. 0 (also if there are such errors), or -ENOMEM. */
static int build(const char *text, size_t len, struct report *report, struct config *config)
{
    struct node_tree *tree;
    struct node *root;
    int err = node_tree_read(text, len, report, &tree);

    if (err)
        return err == ERR_CONFIG ? 0 : err;
    root = node_tree_root(tree);
    if (root && !node_is_null(root)) {
        err = loader_fill(root, report, config);
        if (!err)
            rules_check(root, config, report);
    } else {
        report_add(report, 1, 1, "", "the file is empty; it must have at least the key services");
    }
    node_tree_destroy(tree);
    return err;
}

int config_parse(const char *text, size_t len, const char *name, FILE *errors, struct config **out)
{
    struct report *report = report_create(name);
    struct config *config = calloc(1, sizeof *config);
    int err = report && config ? build(text, len, report, config) : -ENOMEM;

    *out = NULL;
    if (err)
        fprintf(errors, "%s: cannot be read: %s\n", name, err_text(err));
    if (!err && report_count(report) > 0) {
        report_print(report, errors);
        err = ERR_CONFIG;
    }
    report_destroy(report);
    if (err)
        config_destroy(config);
    else
        *out = config;
    return err;
}

/* The whole file in a buffer for the caller to free; -EFBIG if it is over the limit. */
static int read_file(const char *path, char **out, size_t *out_len)
{
    /* A pipe will do, but opening it does not wait for a writer: a reload would hold the loop for ever. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = NULL;
    size_t len = 0;
    ssize_t got = 0;
    int err = 0;

    if (fd < 0)
        return -errno;
    (void)fcntl(fd, F_SETFL, O_RDONLY);
    text = malloc(FILE_BYTES_MAX + 1);
    if (!text) {
        err = -ENOMEM;
        goto close_file;
    }
    do {
        got = read(fd, text + len, FILE_BYTES_MAX + 1 - len);
        len += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && len <= FILE_BYTES_MAX) || (got < 0 && errno == EINTR));
    if (got < 0)
        err = -errno;
    else if (len > FILE_BYTES_MAX)
        err = -EFBIG;
    if (err)
        free(text);
    else
        *out = text;
    *out_len = len;
close_file:
    close(fd);
    return err;
}

int config_load(const char *path, FILE *errors, struct config **out)
{
    char *text = NULL;
    size_t len = 0;
    int err = read_file(path, &text, &len);

    *out = NULL;
    if (err == -EFBIG)
        fprintf(errors, "%s: cannot be read: it is over %zu bytes long\n", path, FILE_BYTES_MAX);
    else if (err)
        fprintf(errors, "%s: cannot be read: %s\n", path, err_text(err));
    if (err)
        return err;
    err = config_parse(text, len, path, errors, out);
    free(text);
    return err;
}

void config_print(const struct config *config, FILE *out)
{
    printer_print(config, out);
}

const char *config_mode_name(enum config_mode mode)
{
    return words_mode.names[mode];
}

const char *config_schedule_name(enum config_schedule schedule)
{
    return words_schedule.names[schedule];
}

const char *config_state_name(enum config_state state)
{
    return words_state.names[state];
}
