/* A caller's own word, fit to be repeated in a message to him or in the log. */
#pragma once

/* As much of it as belongs into a message. */
#define ECHO_MAX 64

/* The word, shortened and with nothing in it but printable ASCII; returns `text`. */
const char *echo_word(const char *word, char text[static ECHO_MAX]);
