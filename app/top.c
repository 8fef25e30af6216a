#include "app/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "admin/change_view.h"
#include "admin/client.h"
#include "admin/top_key.h"
#include "admin/top_view.h"
#include "app/cli.h"
#include "app/screen.h"
#include "base/clock.h"
#include "base/err.h"

#define PERIOD_MS  1000
#define TIMEOUT_MS 2000 /* keys wait while the daemon is asked, so not for longer than this */

/* The rest of a key's sequence follows at once; what has not come by then is the Escape key. */
#define ESCAPE_MS 50

static const char help[] =
    "usage: ikelb top [--once] [--socket PATH]\n"
    "\n"
    "Shows services, alarms, backends and rates of the running daemon, anew each second. Keys\n"
    "select, sort and filter backends, and drain, enable and disable them; ? shows them all.\n"
    "\n"
    "      --once         print one screen, of one second, without a terminal\n"
    "      --socket PATH  the daemon's admin.socket (default " CLI_DEFAULT_SOCKET ")\n"
    "      --help         this text\n"
    "\n"
    "Exit status: 0 done, 2 wrong usage, or no terminal, 3 the daemon cannot be reached.\n";

struct top {
    struct client *client;
    struct top_history *history;
    json_t *status; /* the latest */
    struct top_list list;
    struct top_ui ui;
    bool is_lost; /* the latest question had no answer */
    uint64_t lost_ms;
    char trouble[TOP_MESSAGE_MAX];
    struct screen screen;
    bool has_colour;
    int signals; /* a signalfd */
    char keys[TOP_KEY_BYTES_MAX];
    size_t key_len;
    int ended_by; /* a signal, or 0 */
};

static int make_list(struct top *top)
{
    const struct top_order order = {
        .filter = top->ui.filter, .sort = top->ui.sort, .reversed = top->ui.reversed};
    const int err = top_list_make(&top->list, top->status, top->history, &order);

    top_ui_settle(&top->ui, &top->list);
    return err;
}

/* Asks for the status. An answer takes the place of the one before; without one that stays. */
static int fetch(struct top *top)
{
    json_t *status = NULL;
    int err = client_get(top->client, "/api/v1/status", NULL, 0, &status);

    if (!err && !json_is_array(json_object_get(status, "services")))
        err = ERR_PROTOCOL;
    if (err) {
        const char *reason = client_error(top->client);
        json_decref(status);
        snprintf(top->trouble, sizeof top->trouble, "%s", *reason ? reason : err_text(err));
        if (!top->is_lost)
            top->lost_ms = clock_now_ms();
        top->is_lost = true;
        return err;
    }
    top->is_lost = false;
    json_decref(top->status);
    top->status = status;
    err = top_history_add(top->history, status, clock_now_ms());
    return err ? err : make_list(top);
}

/* The screen as text. 0, or -ENOMEM. */
static int compose(struct top *top, unsigned columns, unsigned lines, FILE *out)
{
    const struct term term = {.out = out, .has_colour = top->has_colour, .width = columns};
    const struct top_screen screen = {
        .status = top->status,
        .list = &top->list,
        .ui = &top->ui,
        .trouble = top->is_lost ? top->trouble : NULL,
        .trouble_s = (clock_now_ms() - top->lost_ms) / 1000,
        .height = lines,
    };

    return top_view_print(&screen, &term);
}

static int draw(struct top *top)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    unsigned columns, lines;

    if (!out)
        return -ENOMEM;
    screen_size(&top->screen, &columns, &lines);
    int err = compose(top, columns, lines, out);
    if (fclose(out) != 0)
        err = -ENOMEM;
    if (!err)
        err = screen_draw(&top->screen, text);
    free(text);
    return err;
}

/* "aovpn/vpn1: drain; 12 clients stay ..." in the line for messages; a warning is more important. */
static void say_outcome(struct top *top, const json_t *answer)
{
    const struct top_target *asked = &top->ui.asked;
    const char *warning = json_string_value(json_object_get(answer, "warning"));
    char text[TOP_MESSAGE_MAX] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    const struct term term = {.out = out};

    if (!out)
        return;
    if (warning) {
        term_put(&term, TERM_PLAIN, warning);
    } else {
        term_printf(&term, TERM_PLAIN, "%s/%s: ", asked->service, asked->backend);
        (void)change_view_print(answer, &term);
    }
    fclose(out);
    top_ui_say(&top->ui, warning ? TERM_BAD : TERM_GOOD, text);
}

static int change(struct top *top)
{
    const char *const words[] = {top->ui.asked.service, top->ui.asked.backend, top->ui.verb};
    json_t *answer = NULL;

    if (client_post(top->client, "/api/v1/backends", words, 3, &answer) == 0)
        say_outcome(top, answer);
    else
        top_ui_say(&top->ui, TERM_BAD, client_error(top->client));
    json_decref(answer);
    (void)fetch(top); /* what came of it is seen at once; trouble is on the screen */
    return 0;
}

/* As Ctrl-Z does: the shell has the terminal until it lets us go on. */
static int suspend(struct top *top)
{
    screen_leave(&top->screen);
    raise(SIGSTOP);
    return screen_enter(&top->screen);
}

#define QUIT 1 /* no error, and no more to do */

/* 0, QUIT or a negative error. */
static int fulfil(struct top *top, enum top_wish wish)
{
    switch (wish) {
    case TOP_WISH_LIST:
        return make_list(top);
    case TOP_WISH_CHANGE:
        return change(top);
    case TOP_WISH_REDRAW:
        return screen_enter(&top->screen);
    case TOP_WISH_SUSPEND:
        return suspend(top);
    case TOP_WISH_QUIT:
        return QUIT;
    case TOP_WISH_NOTHING:
    default:
        return 0;
    }
}

/* Does what the keys say that have come. `is_all`: what has only begun is all there is. */
static int obey_keys(struct top *top, bool is_all)
{
    size_t taken;
    int key;
    int result = 0;

    while (result == 0 && (taken = top_key_read(top->keys, top->key_len, is_all, &key)) > 0) {
        top->key_len -= taken;
        memmove(top->keys, top->keys + taken, top->key_len);
        result = fulfil(top, top_ui_key(&top->ui, key, &top->list));
    }
    return result;
}

static int read_keys(struct top *top)
{
    const ssize_t got = read(top->screen.in, top->keys + top->key_len, sizeof top->keys - top->key_len);

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (got <= 0)
        return QUIT; /* the terminal is gone */
    top->key_len += (size_t)got;
    return obey_keys(top, top->key_len == sizeof top->keys);
}

static int obey_signal(struct top *top)
{
    struct signalfd_siginfo info;

    if (read(top->signals, &info, sizeof info) != sizeof info)
        return 0;
    switch (info.ssi_signo) {
    case SIGWINCH:
        return 0; /* it is drawn anew in any case */
    case SIGCONT:
        return screen_enter(&top->screen);
    case SIGTSTP:
        return suspend(top);
    default:
        top->ended_by = (int)info.ssi_signo;
        return QUIT;
    }
}

/* Sleeps until something happens, but not beyond that time. */
static int wait_and_obey(struct top *top, uint64_t until_ms)
{
    struct pollfd fds[] = {{.fd = top->screen.in, .events = POLLIN}, {.fd = top->signals, .events = POLLIN}};
    const uint64_t now_ms = clock_now_ms();
    const bool has_begun = top->key_len > 0;
    int timeout_ms = until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
    int result = 0;

    if (has_begun && timeout_ms > ESCAPE_MS)
        timeout_ms = ESCAPE_MS;
    if (poll(fds, 2, timeout_ms) < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[1].revents)
        result = obey_signal(top);
    if (result == 0 && fds[0].revents)
        return read_keys(top);
    return result == 0 && has_begun ? obey_keys(top, true) : result;
}

/* Until somebody wants it to end. 0, or a negative error. */
static int live(struct top *top)
{
    uint64_t next_ms = clock_now_ms() + PERIOD_MS;
    int result = 0;

    while (result == 0) {
        if (clock_now_ms() >= next_ms) {
            const int err = fetch(top); /* trouble is on the screen */
            if (err == -ENOMEM)
                return err;
            next_ms = clock_now_ms() + PERIOD_MS;
        }
        result = draw(top);
        if (result == 0)
            result = wait_and_obey(top, next_ms);
    }
    return result == QUIT ? 0 : result;
}

/* The signals that would leave the terminal as it is wait until they are read. -1 with errno, or the
 * signalfd. */
static int catch_signals(sigset_t *before)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_BLOCK, &set, before) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The screen, from taking the terminal to giving it back. An exit status. */
static int show_live(struct top *top)
{
    sigset_t before;
    int err;

    top->has_colour = term_of(stdout).has_colour;
    top->signals = catch_signals(&before);
    err = top->signals < 0 ? -errno : screen_enter(&top->screen);
    if (!err)
        err = live(top);
    screen_leave(&top->screen);
    if (top->signals >= 0)
        close(top->signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (top->ended_by && top->ended_by != SIGINT)
        raise(top->ended_by); /* whoever sent it sees that it was heeded */
    if (err)
        fprintf(stderr, "ikelb top: %s\n", err_text(err));
    return err ? CLI_NO : CLI_DONE;
}

/* What fetch() ran into, where there is no screen to show it on. An exit status. */
static int report_trouble(const struct top *top, int err)
{
    fprintf(stderr, "ikelb top: %s\n", top->trouble);
    return err == -ENOMEM ? CLI_NO : CLI_UNREACHABLE;
}

/* One screen as text, of two answers a second apart. An exit status. */
static int show_once(struct top *top)
{
    const struct term term = term_of(stdout);

    (void)poll(NULL, 0, PERIOD_MS);
    int err = fetch(top);
    if (err)
        return report_trouble(top, err);
    top->has_colour = term.has_colour;
    err = compose(top, term.width, 0, stdout);
    if (err)
        fprintf(stderr, "ikelb top: %s\n", err_text(err));
    return err ? CLI_NO : CLI_DONE;
}

static int show(const char *socket_path, bool once)
{
    struct top top = {
        .client = client_create(socket_path),
        .history = top_history_create(),
        .screen = {.in = STDIN_FILENO, .out = STDOUT_FILENO},
    };
    int status = CLI_NO;

    if (!top.client || !top.history) {
        fputs("ikelb top: out of memory\n", stderr);
    } else {
        client_set_timeout(top.client, TIMEOUT_MS);
        const int err = fetch(&top);
        if (err)
            status = report_trouble(&top, err);
        else
            status = once ? show_once(&top) : show_live(&top);
    }
    top_list_deinit(&top.list);
    json_decref(top.status);
    top_history_destroy(top.history);
    client_destroy(top.client);
    return status;
}

static int refuse_terminal(void)
{
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        fputs("ikelb top: this terminal (see TERM) cannot show a live screen; use `ikelb top --once`, or "
              "`ikelb "
              "status`\n",
              stderr);
    else
        fputs("ikelb top: it needs a terminal; use `ikelb top --once`, or `ikelb status --json` in scripts\n",
              stderr);
    return CLI_USAGE;
}

int top_command(int argc, char **argv)
{
    const char *socket_path = CLI_DEFAULT_SOCKET;
    bool once = false;
    const struct cli_option options[] = {{"once", .on = &once}, {"socket", .value = &socket_path}, {0}};
    const int status = cli_read(argc, argv, help, 0, options);

    if (status != CLI_GO_ON)
        return status;
    if (!once && !screen_is_possible(STDIN_FILENO, STDOUT_FILENO))
        return refuse_terminal();
    return cli_finish(argv[0], show(socket_path, once));
}
