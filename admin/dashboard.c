#include "admin/dashboard.h"

#include "admin/dashboard_page.h"

void dashboard_get(struct http_response *response)
{
    /* The policy names the page's own style and script by their hashes: whatever else might get into the
     * page, through the name of a backend for instance, is not run. */
    static const struct http_header headers[] = {
        {"Content-Security-Policy", dashboard_page_policy},
        {"Referrer-Policy", "no-referrer"},
        {"X-Frame-Options", "DENY"}, /* for browsers that do not know frame-ancestors */
        {NULL, NULL},
    };

    response->content_type = "text/html; charset=utf-8";
    response->headers = headers;
    response->text = dashboard_page;
    response->text_len = dashboard_page_len;
}
