/* The dashboard: the one page of admin/dashboard/, which the build puts into the program as it is. */
#pragma once

#include "admin/http.h"

/* Fills *response with the page, and with headers that let it load nothing but itself and ikelb's own API. */
void dashboard_get(struct http_response *response);
