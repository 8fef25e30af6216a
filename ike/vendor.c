#include "ike/vendor.h"

#include <stdbool.h>
#include <string.h>

struct vendor {
    const char *name;
    const char *id;
    size_t len;
    bool prefix;  /* versions or capabilities follow the known bytes */
    size_t whole; /* the length of the whole ID where that is fixed although its end differs; else 0 */
};

/* The strings hold zero bytes, hence sizeof; the terminating NUL is no part of an ID. */
#define WHOLE(name, id)                                                                                      \
    {                                                                                                        \
        (name), (id), sizeof(id) - 1, false, 0                                                               \
    }
#define PREFIX(name, id)                                                                                     \
    {                                                                                                        \
        (name), (id), sizeof(id) - 1, true, 0                                                                \
    }
#define OF_LENGTH(name, id, whole)                                                                           \
    {                                                                                                        \
        (name), (id), sizeof(id) - 1, true, (whole)                                                          \
    }

/* MD5("MS NT5 ISAKMPOAKLEY"), which a four-byte version follows ([MS-IKEE] section 1.7). */
#define WINDOWS "\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61"

/* The keying modules that a Windows machine has; libreswan's name for it, since Microsoft documents none. */
#define WINDOWS_KEY_MODS "\x01\x52\x8b\xbb\xc0\x06\x96\x12\x18\x49\xab\x9a\x1c\x5b\x2a\x51"

/* The first match counts, so a longer ID stands before its own prefix. */
static const struct vendor vendors[] = {
    /* Implementations. */
    WHOLE("strongSwan", "\x88\x2f\xe5\x6d\x6f\xd2\x0d\xbc\x22\x51\x61\x3b\x2e\xbe\x5b\xeb"),
    PREFIX("libreswan", "OE-Libreswan-"),
    OF_LENGTH("libreswan 3.0 to 3.5", "OEN", 12),
    OF_LENGTH("Openswan", "OE", 12),
    OF_LENGTH("Openswan", "OSW", 12),
    PREFIX("OpenIKED", "OpenIKED"),
    WHOLE("Windows 2000", WINDOWS "\0\0\0\x02"),
    WHOLE("Windows XP", WINDOWS "\0\0\0\x03"),
    WHOLE("Windows Server 2003", WINDOWS "\0\0\0\x04"),
    WHOLE("Windows Vista", WINDOWS "\0\0\0\x05"),
    WHOLE("Windows Server 2008", WINDOWS "\0\0\0\x06"),
    WHOLE("Windows 7", WINDOWS "\0\0\0\x07"),
    WHOLE("Windows Server 2008 R2", WINDOWS "\0\0\0\x08"),
    WHOLE("Windows 8, Server 2012 or later", WINDOWS "\0\0\0\x09"),
    PREFIX("Windows (MS NT5 ISAKMPOAKLEY)", WINDOWS),
    WHOLE("KAME/racoon", "\x70\x03\xcb\xc1\x09\x7d\xbe\x9c\x26\x00\xba\x69\x83\xbc\x8b\x35"),
    WHOLE("Cisco Delete Reason", "CISCO-DELETE-REASON"),
    WHOLE("Cisco FlexVPN", "FLEXVPN-SUPPORTED"),
    WHOLE("Cisco Dynamic Route", "CISCO-DYNAMIC-ROUTE"),
    PREFIX("Cisco", "CISCO(COPYRIGHT)"),
    WHOLE("Cisco Unity", "\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc\x01\x00"),
    PREFIX("Cisco VPN 3000", "\x1f\x07\xf7\x0e\xaa\x65\x14\xd3\xb0\xfa\x96\x54\x2a\x50"),
    PREFIX("FortiGate", "\x82\x99\x03\x17\x57\xa3\x60\x82\xc6\xa6\x21\xde"),
    WHOLE("FortiGate", "\x1d\x6e\x17\x8f\x6c\x2c\x0b\xe2\x84\x98\x54\x65\x45\x0f\xe9\xd4"),
    PREFIX("Check Point", "\xf4\xed\x19\xe0\xc1\x14\xeb\x51\x6f\xaa\xac\x0e\xe3\x7d\xaf\x28\x07\xb4\x38\x1f"),
    PREFIX("NetScreen", "\x69\x93\x69\x22\x87\x41\xc6\xd4\xca\x09\x4c\x93\xe2\x42\xc9\xde\x19\xe7\xb7\xc6"),
    WHOLE("Juniper SRX", "\xfd\x80\x88\x04\xdf\x73\xb1\x51\x50\x70\x9d\x87\x80\x44\xcd\xe0\xac\x1e\xfc\xde"),

    PREFIX("SonicWall", "\x40\x4b\xf4\x39\x52\x2c\xa3\xf6"),
    WHOLE("SonicWall", "\x5b\x36\x2b\xc8\x20\xf6\x00\x07"),

    /* Extensions, mostly of Windows. */
    WHOLE("Windows KEY_MODS (IKE)", WINDOWS_KEY_MODS "\0\0\0\0"),
    WHOLE("Windows KEY_MODS (AuthIP)", WINDOWS_KEY_MODS "\0\0\0\x01"),
    WHOLE("Windows KEY_MODS (IKEv2)", WINDOWS_KEY_MODS "\0\0\0\x02"),
    PREFIX("Windows KEY_MODS", WINDOWS_KEY_MODS),
    PREFIX("AuthIP initial key exchange", "\x7b\xb9\x38\x67\xd7\x6c\x8d\x80\xdf\x0f\x40\xfa\xe8\xfc\x3b\x19"),
    WHOLE("IKE CGA version 1", "\xe3\xa5\x96\x6a\x76\x37\x9f\xe7\x07\x22\x82\x31\xe5\xce\x86\x52"),
    WHOLE("MS-Negotiation Discovery Capable",
          "\xfb\x1d\xe3\xcd\xf3\x41\xb7\xea\x16\xb7\xe5\xbe\x08\x55\xf1\x20"),
    WHOLE("MS-MamieExists", "\x21\x4c\xa4\xfa\xff\xa7\xf3\x2d\x67\x48\xe5\x30\x33\x95\xae\x83"),
    WHOLE("NLBS_PRESENT", "\x72\x87\x2b\x95\xfc\xda\x2e\xb7\x08\xef\xe3\x22\x11\x9b\x49\x71"),
    WHOLE("MSFT IPsec Security Realm Id", "\x68\x6a\x8c\xbd\xfe\x63\x4b\x40\x51\x46\xfb\x2b\xaf\x33\xe9\xe8"),
    WHOLE("Vid-Initial-Contact", "\x26\x24\x4d\x38\xed\xdb\x61\xb3\x17\x2a\x36\xe3\xd0\xcf\xb8\x19"),
    PREFIX("FRAGMENTATION", "\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3"),

    /* Extensions of IKEv1. */
    WHOLE("Dead Peer Detection", "\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00"),
    WHOLE("XAUTH", "\x09\x00\x26\x89\xdf\xd6\xb7\x12"),
    WHOLE("RFC 3947", "\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f"),
    WHOLE("draft-ietf-ipsec-nat-t-ike-03",
          "\x7d\x94\x19\xa6\x53\x10\xca\x6f\x2c\x17\x9d\x92\x15\x52\x9d\x56"),
    WHOLE("draft-ietf-ipsec-nat-t-ike-02",
          "\xcd\x60\x46\x43\x35\xdf\x21\xf8\x7c\xfd\xb2\xfc\x68\xb6\xa4\x48"),
    WHOLE("draft-ietf-ipsec-nat-t-ike-02\\n",
          "\x90\xcb\x80\x91\x3e\xbb\x69\x6e\x08\x63\x81\xb5\xec\x42\x7b\x1f"),
    WHOLE("draft-ietf-ipsec-nat-t-ike-00",
          "\x44\x85\x15\x2d\x18\xb6\xbb\xcd\x0b\xe8\xa8\x46\x95\x79\xdd\xcc"),
};

const char *vendor_name(const uint8_t *id, size_t len)
{
    for (size_t i = 0; i < sizeof vendors / sizeof vendors[0]; i++) {
        const struct vendor *v = &vendors[i];
        const bool fits = v->whole ? len == v->whole : v->prefix ? len >= v->len : len == v->len;
        if (fits && memcmp(id, v->id, v->len) == 0)
            return v->name;
    }
    return NULL;
}
