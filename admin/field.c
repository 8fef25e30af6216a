#include "admin/field.h"

const char *field_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "-";
}

uint64_t field_number(const json_t *object, const char *key)
{
    const json_int_t n = json_integer_value(json_object_get(object, key));

    return n > 0 ? (uint64_t)n : 0;
}

size_t field_backends(const json_t *services)
{
    size_t count = 0;
    size_t s;
    json_t *service;

    json_array_foreach(services, s, service) count += json_array_size(json_object_get(service, "backends"));
    return count;
}
