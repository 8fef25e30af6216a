#include "tests/unit/unit.h"

#include "ike/vendor.h"

/* Vendor IDs as they were seen on the wire or stand in their owners' documents, in hex, and the name
 * expected. */
static const struct {
    const char *hex;
    const char *name;
} cases[] = {
    {"882fe56d6fd20dbc2251613b2ebe5beb", "strongSwan"},
    {"882fe56d6fd20dbc2251613b2ebe5beb00", NULL},
    {"882fe56d6fd20dbc2251613b2ebe5b", NULL},
    {"4f452d4c69627265737761", NULL},
    {"4f452d4c696272657377616e2d342e3130", "libreswan"},
    {"1e2b516905991c7d7c96fcbfb587e46100000009", "Windows 8, Server 2012 or later"},
    {"1e2b516905991c7d7c96fcbfb587e46100000008", "Windows Server 2008 R2"},
    {"1e2b516905991c7d7c96fcbfb587e4610000000a", "Windows (MS NT5 ISAKMPOAKLEY)"},
    {"1e2b516905991c7d7c96fcbfb587e461", "Windows (MS NT5 ISAKMPOAKLEY)"},
    {"1e2b516905991c7d7c96fcbfb587e46100000002", "Windows 2000"},
    {"1e2b516905991c7d7c96fcbfb587e46100000006", "Windows Server 2008"},
    {"01528bbbc00696121849ab9a1c5b2a5100000002", "Windows KEY_MODS (IKEv2)"},
    {"01528bbbc00696121849ab9a1c5b2a5100000009", "Windows KEY_MODS"},
    {"4f456862744b4d7a7a416264", "Openswan"},
    {"4f454e62744b4d7a7a416264", "libreswan 3.0 to 3.5"},
    {"4f456862744b4d7a7a4162", NULL},
    {"8299031757a36082c6a621de00000000", "FortiGate"},
    {"404bf439522ca3f6", "SonicWall"},
    {"26244d38eddb61b3172a36e3d0cfb819", "Vid-Initial-Contact"},
    {"e3a5966a76379fe707228231e5ce8652", "IKE CGA version 1"},
    {"fb1de3cdf341b7ea16b7e5be0855f120", "MS-Negotiation Discovery Capable"},
    {"4048b7d56ebce88525e7de7f00d6c2d3", "FRAGMENTATION"},
    {"4048b7d56ebce88525e7de7f00d6c2d380000000", "FRAGMENTATION"},
    {"7003cbc1097dbe9c2600ba6983bc8b35", "KAME/racoon"},
    {"4a131c81070358455c5728f20e95452f", "RFC 3947"},
    {"afcad71368a1f1c96b8696fc77570100", "Dead Peer Detection"},
    {"434953434f2d44454c4554452d524541534f4e", "Cisco Delete Reason"},
    {"1f07f70eaa6514d3b0fa96542a500407", "Cisco VPN 3000"},
    {"00112233445566778899aabbccddeeff", NULL},
    {"", NULL},
};

static int nibble(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t digits = 0;

    for (; *hex; hex++) {
        uint8_t *b = &out[digits / 2];
        *b = (uint8_t)((digits % 2 ? *b << 4 : 0) | nibble(*hex));
        digits++;
    }
    return digits / 2;
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t id[64] = {0};
        const char *name = vendor_name(id, from_hex(cases[i].hex, id));

        if (cases[i].name)
            assert_non_null(name);
        else
            assert_null(name);
        if (name)
            assert_string_equal(name, cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
