#include "config/rules.h"

#include <string.h>

#include "config/duration.h"
#include "config/words.h"

/* One service with the nodes it was read from. */
struct subject {
    const struct config *config;
    const struct config_service *service;
    size_t index; /* among the services */
    struct node *services;
    struct node *node;
    struct report *report;
};

/* A loader leaves an address that it refused unspecified, and a name empty. */
static bool is_given(const struct addr *a)
{
    return !addr_is_unspecified(a);
}

static bool same(const struct addr *a, const struct addr *b)
{
    return is_given(a) && addr_equal(a, b);
}

static const char *family_text(const struct addr *a)
{
    return addr_is_v4(a) ? "IPv4" : "IPv6";
}

static struct node *list_node(const struct subject *s, const char *key, size_t index)
{
    return node_item(node_find(s->node, key), index);
}

static struct node *backend_key(const struct subject *s, size_t index, const char *key)
{
    return node_find(list_node(s, "backends", index), key);
}

static struct node *address_node(const struct subject *s, size_t service, size_t backend)
{
    struct node *backends = node_find(node_item(s->services, service), "backends");

    return node_find(node_item(backends, backend), "address");
}

static struct node *vip_node(const struct subject *s, size_t service, size_t vip)
{
    return node_item(node_find(node_item(s->services, service), "vip"), vip);
}

static void reject_again(const struct subject *s, struct node *node, const char *what,
                         const struct node *earlier)
{
    char path[NODE_PATH_MAX];

    node_reject(s->report, node, "%s; it is given on line %zu (%s) already", what, earlier->line,
                node_path(earlier, path));
}

static void check_service_name(const struct subject *s)
{
    for (size_t i = 0; i < s->index && s->service->name[0]; i++) {
        if (strcmp(s->config->services[i].name, s->service->name) == 0) {
            reject_again(s, node_find(s->node, "name"), "each service must have a name of its own",
                         node_find(node_item(s->services, i), "name"));
            return;
        }
    }
}

/* True if VIP number `vip` was given before, in this service or in an earlier one; that is reported. */
static bool vip_is_repeated(const struct subject *s, size_t vip)
{
    for (size_t i = 0; i <= s->index; i++) {
        const struct config_service *other = &s->config->services[i];
        const size_t count = i == s->index ? vip : other->vip_count;
        for (size_t j = 0; j < count; j++) {
            if (same(&s->service->vips[vip], &other->vips[j])) {
                reject_again(s, vip_node(s, s->index, vip), "each VIP must be used once", vip_node(s, i, j));
                return true;
            }
        }
    }
    return false;
}

static void check_vips(const struct subject *s)
{
    const struct config_service *service = s->service;

    for (size_t i = 0; i < service->vip_count; i++) {
        const struct addr *vip = &service->vips[i];
        if (!is_given(vip) || vip_is_repeated(s, i))
            continue;
        for (size_t j = 0; j < i; j++) {
            if (is_given(&service->vips[j]) && addr_family(&service->vips[j]) == addr_family(vip))
                node_reject(s->report, list_node(s, "vip", i),
                            "a second %s address; a service must have at most one IPv4 and one IPv6 VIP",
                            family_text(vip));
        }
    }
}

/* True also if a VIP is missing or wrong: then nobody can say which families were meant. */
static bool family_is_served(const struct subject *s, const struct addr *a)
{
    const struct config_service *service = s->service;

    for (size_t i = 0; i < service->vip_count; i++) {
        if (!is_given(&service->vips[i]) || addr_family(&service->vips[i]) == addr_family(a))
            return true;
    }
    return service->vip_count == 0;
}

static void check_family(const struct subject *s, const struct addr *a, struct node *node)
{
    if (is_given(a) && !family_is_served(s, a))
        node_reject(s->report, node,
                    "an %s address, but the service has no %s VIP; must be of a VIP's family", family_text(a),
                    family_text(a));
}

/* What the backend sends of its own accord could not be told from the replies to such an address. */
static void check_snat_is_no_backend(const struct subject *s, const struct addr *snat, struct node *node)
{
    for (size_t i = 0; i < s->config->service_count; i++) {
        const struct config_service *other = &s->config->services[i];
        for (size_t j = 0; j < other->backend_count; j++) {
            if (same(snat, &other->backends[j].address)) {
                reject_again(s, node, "a SNAT address must not be a backend's address",
                             address_node(s, i, j));
                return;
            }
        }
    }
}

/* Is there a SNAT address of the backend's family? Also if one is wrong, which is said elsewhere. */
static bool has_snat_for(const struct subject *s, const struct addr *backend)
{
    for (size_t i = 0; i < s->service->snat_count; i++) {
        const struct addr *snat = &s->service->snats[i];
        if (!is_given(snat) || !family_is_served(s, snat) || addr_family(snat) == addr_family(backend))
            return true;
    }
    return false;
}

/* To a backend without one nothing could be sent: those that are given stand in place of the default. */
static void check_snat_families(const struct subject *s, struct node *snat)
{
    const struct config_service *service = s->service;

    for (size_t i = 0; i < service->backend_count; i++) {
        const struct addr *backend = &service->backends[i].address;
        if (!is_given(backend) || !family_is_served(s, backend) || has_snat_for(s, backend))
            continue;
        node_reject_key(
            s->report, snat,
            "has no %s address, but backend %s has; must have one of each family of the backends, "
            "or be left out",
            family_text(backend), service->backends[i].name);
        return;
    }
}

static void check_snats(const struct subject *s)
{
    const struct config_service *service = s->service;
    struct node *mode = node_find(s->node, "mode");
    struct node *snat = node_find(s->node, "snat");

    if (snat && service->mode == CONFIG_MODE_TRANSPARENT && !(mode && mode->bad))
        node_reject_key(s->report, snat, "must be given with \"mode: %s\" only; the mode here is %s%s",
                        words_mode.names[CONFIG_MODE_FULL_NAT], words_mode.names[CONFIG_MODE_TRANSPARENT],
                        mode ? "" : ", the default");
    else if (service->snat_count)
        check_snat_families(s, snat);
    for (size_t i = 0; i < service->snat_count; i++) {
        struct node *node = node_item(snat, i);
        check_family(s, &service->snats[i], node);
        check_snat_is_no_backend(s, &service->snats[i], node);
        for (size_t j = 0; j < i; j++) {
            if (same(&service->snats[i], &service->snats[j])) {
                reject_again(s, node, "each SNAT address must be given once", node_item(snat, j));
                break;
            }
        }
    }
}

static void check_backend_name(const struct subject *s, size_t index)
{
    const struct config_backend *backends = s->service->backends;

    for (size_t i = 0; i < index && backends[index].name[0]; i++) {
        if (strcmp(backends[i].name, backends[index].name) == 0) {
            reject_again(s, backend_key(s, index, "name"),
                         "each backend of a service must have a name of its own", backend_key(s, i, "name"));
            return;
        }
    }
}

static void check_backend_address(const struct subject *s, size_t index)
{
    const struct config_backend *backends = s->service->backends;
    const struct addr *address = &backends[index].address;
    struct node *node = backend_key(s, index, "address");

    check_family(s, address, node);
    for (size_t i = 0; i < index; i++) {
        if (same(address, &backends[i].address)) {
            reject_again(s, node, "each backend of a service must have an address of its own",
                         backend_key(s, i, "address"));
            break;
        }
    }
    for (size_t i = 0; i < s->config->service_count; i++) {
        const struct config_service *other = &s->config->services[i];
        for (size_t j = 0; j < other->vip_count; j++) {
            if (same(address, &other->vips[j]))
                reject_again(s, node, "a backend's address must not be a VIP", vip_node(s, i, j));
        }
    }
}

static bool is_bad(const struct node *node)
{
    return node && node->bad;
}

/* An answer that may come after the next probe has left could no longer be told from a late one. */
static void check_health(const struct subject *s)
{
    const struct config_health *health = &s->service->health;
    struct node *section = node_find(s->node, "health");
    struct node *interval = node_find(section, "interval");
    struct node *timeout = node_find(section, "timeout");
    char interval_text[DURATION_TEXT_MAX];
    char timeout_text[DURATION_TEXT_MAX];

    if (health->timeout_ms <= health->interval_ms || is_bad(interval) || is_bad(timeout))
        return;
    duration_format(health->interval_ms, interval_text);
    duration_format(health->timeout_ms, timeout_text);
    if (timeout)
        node_reject(s->report, timeout, "%s is longer than the interval; must be at most %s%s", timeout_text,
                    interval_text, interval ? "" : ", the default");
    else
        node_reject(s->report, interval,
                    "%s is shorter than the timeout; must be at least %s, the default timeout", interval_text,
                    timeout_text);
}

static void check_service(const struct subject *s)
{
    check_service_name(s);
    check_vips(s);
    check_snats(s);
    check_health(s);
    for (size_t i = 0; i < s->service->backend_count; i++) {
        check_backend_name(s, i);
        check_backend_address(s, i);
    }
}

/* The lists are bounded one by one; this bounds their sum. */
static void check_backend_total(struct node *services, const struct config *config, struct report *report)
{
    size_t total = 0;

    for (size_t i = 0; i < config->service_count; i++) {
        const size_t before = total;
        total += config->services[i].backend_count;
        if (before <= CONFIG_BACKENDS_MAX && total > CONFIG_BACKENDS_MAX)
            node_reject_key(report, node_find(node_item(services, i), "backends"),
                            "too many backends; all services together must have at most %d",
                            CONFIG_BACKENDS_MAX);
    }
}

/* Whoever reaches the API from elsewhere must show something before he changes anything. */
static void check_admin(struct node *root, const struct config *config, struct report *report)
{
    struct node *listen = node_find(node_find(root, "admin"), "listen");
    const struct node *token_file = node_find(node_find(root, "admin"), "token_file");

    if (config->admin_listen.port == 0 || addr_is_loopback(&config->admin_listen.addr) || token_file)
        return;
    node_reject(report, listen,
                "without admin.token_file the address must be a loopback one, such as 127.0.0.1 or ::1; give "
                "a token_file, or listen there");
}

static void check_own_path(struct node *node, const char *path, const char *other_path, const char *other_key,
                           struct report *report)
{
    if (node && path[0] != '\0' && strcmp(path, other_path) == 0)
        node_reject(report, node, "is the path of %s, too; must be a path of its own", other_key);
}

/* The state file is replaced every few seconds, whatever stands there. */
static void check_paths(struct node *root, const struct config *config, struct report *report)
{
    struct node *state = node_find(node_find(root, "state"), "file");
    struct node *token = node_find(node_find(root, "admin"), "token_file");

    check_own_path(state, config->state_file, config->admin_socket, "admin.socket", report);
    check_own_path(state, config->state_file, config->admin_token_file, "admin.token_file", report);
    check_own_path(token, config->admin_token_file, config->admin_socket, "admin.socket", report);
}

void rules_check(struct node *root, const struct config *config, struct report *report)
{
    struct node *services = node_find(root, "services");

    for (size_t i = 0; i < config->service_count; i++) {
        const struct subject subject = {
            .config = config,
            .service = &config->services[i],
            .index = i,
            .services = services,
            .node = node_item(services, i),
            .report = report,
        };
        check_service(&subject);
    }
    check_admin(root, config, report);
    check_paths(root, config, report);
    check_backend_total(services, config, report);
}
