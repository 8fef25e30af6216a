/*
 * The terminal as a screen of its own: no echo, no line editing, what was there before comes back afterwards.
 * Plain sequences that every terminal of today knows (ECMA-48, and xterm's alternate screen): colours and
 * tables are there already in the form of text, which a library of windows would want drawn another way.
 */
#pragma once

#include <stdbool.h>
#include <termios.h>

struct screen {
    int in;
    int out;
    bool entered;
    struct termios before;
};

/* Can these be a screen? They are terminals, and TERM is one that knows more than to print. */
bool screen_is_possible(int in, int out);

/* Takes the terminal over; also again, after somebody else has had it. 0, or -errno. */
int screen_enter(struct screen *screen);

/* Gives it back as it was. Nothing if it was not taken. */
void screen_leave(struct screen *screen);

/* The columns and lines of now, at least one; 80 and 24 where the terminal does not know. */
void screen_size(const struct screen *screen, unsigned *columns, unsigned *lines);

/*
 * Shows the lines of the text (as term_put() writes it), each cut at the edge, and nothing else. 0, or -errno
 * when the terminal is gone.
 */
int screen_draw(const struct screen *screen, const char *text);
