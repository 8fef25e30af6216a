#include "app/run.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/daemon.h"
#include "app/privileges.h"
#include "base/err.h"
#include "base/log.h"
#include "config/config.h"
#include "lb/xdp/xdp.h"

#define SOCKET_DIRECTORY_MODE 0755
#define STATE_DIRECTORY_MODE  0700

#define OWN_DESCRIPTORS 64
#define VIP_DESCRIPTORS 3 /* UDP 500, UDP 4500, and a raw socket */

static const char help[] =
    "usage: ikelb run [-c FILE] [-u NAME]\n"
    "\n"
    "Runs the load balancer in the foreground; the log goes to standard error.\n"
    "\n"
    "  -c, --config FILE  the configuration (default " CLI_DEFAULT_CONFIG ")\n"
    "  -u, --user NAME    started as root, become this user\n"
    "      --help         this text\n"
    "\n"
    "Of root's capabilities it keeps CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE alone.\n"
    "\n"
    "SIGHUP reads the file again (see `ikelb reload`). SIGTERM and SIGINT end it cleanly:\n"
    "nothing of it stays in the kernel.\n"
    "SIGUSR2 ends it for a restart by a service manager that keeps its sockets\n"
    "(systemd's FileDescriptorStoreMax=): the next run goes on where it stopped.\n"
    "Exit status: 0 ended by a signal, 1 bad configuration or cannot start, 2 wrong usage.\n";

static int find_user(const char *name, struct privileges_user *out)
{
    const int err = privileges_find_user(name, out);

    if (err == -ENOENT)
        fprintf(stderr, "ikelb run: there is no user '%s'\n", name);
    else if (err)
        fprintf(stderr, "ikelb run: cannot look up the user '%s': %s\n", name, err_text(err));
    return err;
}

/* From here on files are read, made and removed as that user; what would not work later is said now. */
static int drop_privileges(const struct config *config, const char *file, const struct privileges_user *user,
                           const struct log *log)
{
    int err = 0;

    assert(file); /* an option that needs an argument has one */
    if (user)
        err = privileges_make_directory(config->admin_socket, SOCKET_DIRECTORY_MODE, user, log);
    if (user && !err && config->state_file[0] != '\0')
        err = privileges_make_directory(config->state_file, STATE_DIRECTORY_MODE, user, log);
    if (!err)
        err = privileges_drop(user, log);
    if (!err && access(file, R_OK) < 0)
        log_warn(log, "%s cannot be read any more (%s): a reload will fail", file, err_text(-errno));
    return err;
}

/* What a daemon holds open with this configuration, and some for who asks it and for a few probes at once. */
static size_t descriptors_of(const struct config *config)
{
    size_t count = OWN_DESCRIPTORS;

    for (size_t s = 0; s < config->service_count; s++)
        count += config->services[s].vip_count * VIP_DESCRIPTORS;
    return count;
}

static int run(const char *file, const char *user_name)
{
    struct privileges_user user;
    struct config *config = NULL;
    struct xdp *xdp = NULL;

    if (user_name && find_user(user_name, &user) != 0)
        return CLI_NO;
    if (config_load(file, stderr, &config) != 0)
        return CLI_NO;
    const struct log log = {.level = config->log_level, .format = config->log_format, .out = stderr};
    int err = privileges_raise_descriptors(descriptors_of(config), &log);
    if (!err)
        err = xdp_load(config, &log, &xdp);
    if (!err)
        err = drop_privileges(config, file, user_name ? &user : NULL, &log);
    if (err) {
        xdp_destroy(xdp, false);
        config_destroy(config);
        return CLI_NO;
    }
    return daemon_run(file, config, xdp) ? CLI_NO : CLI_DONE;
}

int run_command(int argc, char **argv)
{
    const char *file = CLI_DEFAULT_CONFIG;
    const char *user = NULL;
    const struct cli_option options[] = {{"config", 'c', .value = &file}, {"user", 'u', .value = &user}, {0}};
    const int status = cli_read(argc, argv, help, 0, options);

    return status == CLI_GO_ON ? run(file, user) : status;
}
