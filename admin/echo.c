#include "admin/echo.h"

#include <stdio.h>

const char *echo_word(const char *word, char text[static ECHO_MAX])
{
    snprintf(text, ECHO_MAX, "%s", word);
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return text;
}
