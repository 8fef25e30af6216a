/* What admin/dashboard/assemble.cmake makes of the files of that folder. */
#pragma once

#include <stddef.h>

/* The whole document; not a C string. */
extern const char dashboard_page[];
extern const size_t dashboard_page_len;

/* Its Content-Security-Policy: a string. */
extern const char dashboard_page_policy[];
