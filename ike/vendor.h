/* Names for the vendor IDs that IKE implementations announce themselves and their extensions with. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The name that belongs to the body of a Vendor ID payload (RFC 7296 section 3.12), or NULL if it is not
 * known. Static. Most vendor IDs are the MD5 of a text; that text then serves as the name, unless a plainer
 * one exists.
 */
const char *vendor_name(const uint8_t *id, size_t len);
