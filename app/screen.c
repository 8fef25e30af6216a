#include "app/screen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "admin/term.h"

/* The alternate screen, and no cursor; and back. */
#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

/* Around a drawing, for terminals that know it: nobody sees half of one. Others ignore it. */
#define BEGIN_UPDATE "\033[?2026h"
#define END_UPDATE   "\033[?2026l"

#define HOME           "\033[H"
#define PLAIN          "\033[0m"
#define ERASE_TO_RIGHT "\033[K"
#define ERASE_BELOW    "\033[J"

bool screen_is_possible(int in, int out)
{
    const char *terminal = getenv("TERM");

    return isatty(in) && isatty(out) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len) {
        const ssize_t written = write(fd, text, len);
        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            text += written;
            len -= (size_t)written;
        }
    }
    return 0;
}

int screen_enter(struct screen *screen)
{
    struct termios raw;

    if (!screen->entered && tcgetattr(screen->in, &screen->before) != 0)
        return -errno;
    raw = screen->before;
    cfmakeraw(&raw); /* Ctrl-C and Ctrl-Z come as keys, too */
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(screen->in, TCSADRAIN, &raw) != 0)
        return -errno;
    screen->entered = true;
    return write_all(screen->out, ENTER, strlen(ENTER));
}

void screen_leave(struct screen *screen)
{
    if (!screen->entered)
        return;
    screen->entered = false;
    (void)write_all(screen->out, LEAVE, strlen(LEAVE)); /* a terminal that is gone needs nothing */
    (void)tcsetattr(screen->in, TCSADRAIN, &screen->before);
}

void screen_size(const struct screen *screen, unsigned *columns, unsigned *lines)
{
    struct winsize size = {0};

    (void)ioctl(screen->out, TIOCGWINSZ, &size);
    *columns = size.ws_col ? size.ws_col : 80;
    *lines = size.ws_row ? size.ws_row : 24;
}

/* A full line is not followed by an erasure: the cursor stands on its last character yet. */
static void put_line(FILE *out, const char *line, unsigned columns)
{
    size_t filled;
    const size_t len = term_fit(line, columns, &filled);

    fwrite(line, 1, len, out);
    fputs(PLAIN, out); /* a colour's end may have been cut off */
    if (filled < columns)
        fputs(ERASE_TO_RIGHT, out);
}

static void put_lines(FILE *out, const struct screen *screen, char *text)
{
    unsigned columns, lines;
    char *rest = text;

    screen_size(screen, &columns, &lines);
    fputs(BEGIN_UPDATE HOME, out);
    for (unsigned i = 0; i < lines && rest; i++) {
        const char *line = strsep(&rest, "\n");
        fputs(i ? "\r\n" : "", out);
        put_line(out, line, columns);
    }
    fputs(rest ? "" : ERASE_BELOW, out);
    fputs(END_UPDATE, out);
}

int screen_draw(const struct screen *screen, const char *text)
{
    char *copy = strdup(text);
    char *drawn = NULL;
    size_t len = 0;
    FILE *out = copy ? open_memstream(&drawn, &len) : NULL;
    int err = -ENOMEM;

    if (out) {
        put_lines(out, screen, copy);
        if (fclose(out) == 0)
            err = write_all(screen->out, drawn, len);
    }
    free(drawn);
    free(copy);
    return err;
}
