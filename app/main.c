/* The program: finds the subcommand and hands over to it. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/backend_state.h"
#include "app/check.h"
#include "app/cli.h"
#include "app/clients.h"
#include "app/doctor.h"
#include "app/explain.h"
#include "app/probe.h"
#include "app/reload.h"
#include "app/run.h"
#include "app/status.h"
#include "app/top.h"
#include "app/version.h"

struct subcommand {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the name; the exit status */
};

static const struct subcommand subcommands[] = {
    {"run", "run the load balancer in the foreground", run_command},
    {"check", "validate a configuration file", check_command},
    {"status", "services, backends, health, clients, rates, alarms", status_command},
    {"top", "the same as a live screen, with keys to drain backends", top_command},
    {"clients", "the clients, and which backend each belongs to", clients_command},
    {"explain", "why a client does or doesn't connect", explain_command},
    {"drain", "let a backend keep its clients, and give it no new ones", backend_state_command},
    {"enable", "give a backend new clients again", backend_state_command},
    {"disable", "send a backend's clients elsewhere with their next handshake", backend_state_command},
    {"reload", "read the configuration file again", reload_command},
    {"probe", "ask an IKE server whether it is alive on UDP 500 and 4500", probe_command},
    {"doctor", "is it the network? the checklist behind error 809", doctor_command},
    {"version", "print the version", version_command},
};

#define SUBCOMMAND_COUNT (sizeof subcommands / sizeof subcommands[0])

static void print_help(FILE *out)
{
    fputs("usage: ikelb COMMAND [OPTION...] [ARGUMENT...]\n\nA load balancer for IKEv2 VPN servers.\n\n",
          out);
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        fprintf(out, "  %-8s  %s\n", subcommands[i].name, subcommands[i].summary);
    fputs("  help      this text, or that of a command: ikelb help COMMAND\n"
          "\n"
          "Each command takes --help.\n"
          "Exit status: 0 done, 1 the answer is \"no\" or a bad file, 2 wrong usage, 3 the daemon cannot be "
          "reached.\n",
          out);
}

static const struct subcommand *find(const char *name)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        if (strcmp(subcommands[i].name, name) == 0)
            return &subcommands[i];
    return NULL;
}

static int complain(const char *word)
{
    const char *names[SUBCOMMAND_COUNT + 2] = {"help"};
    const char *nearest;

    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        names[i + 1] = subcommands[i].name;
    nearest = cli_nearest(word, names);
    fprintf(stderr, "ikelb: unknown %s '%s'", word[0] == '-' ? "option" : "command", word);
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fputs("\nSee `ikelb --help`.\n", stderr);
    return CLI_USAGE;
}

static int help_command(int argc, char **argv)
{
    char help[] = "--help";
    const struct subcommand *subcommand;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return cli_finish("help", CLI_DONE);
    }
    if (argc > 2)
        return cli_stray_argument("help", argv[2]);
    subcommand = find(argv[1]);
    if (!subcommand)
        return complain(argv[1]);
    char *words[] = {argv[1], help, NULL};
    return subcommand->run(2, words);
}

/*
 * A standard stream that was closed before the start must not be given to a socket by the next open: what is
 * logged would go out as packets. Opened for reading, it stays as useless for writing as it was.
 */
static void hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", O_RDONLY); /* the lowest free number, which is this one */
}

int main(int argc, char **argv)
{
    const struct subcommand *subcommand;

    hold_standard_streams();
    /* A reader that goes away is seen as a failed write, and a closed connection as an error, not as a
     * signal. */
    signal(SIGPIPE, SIG_IGN);
    setlocale(LC_CTYPE, ""); /* the widths of characters on the terminal */
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "help") == 0)
        return help_command(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_command(1, argv + 1);
    if (strcmp(argv[1], "--version") == 0) {
        char version[] = "version";
        char *words[] = {version, NULL};
        return version_command(1, words);
    }
    subcommand = find(argv[1]);
    return subcommand ? subcommand->run(argc - 1, argv + 1) : complain(argv[1]);
}
