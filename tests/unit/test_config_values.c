/* Values that are wrong by themselves: types, words, ranges, addresses, names; with text, line and column. */
#include "tests/unit/unit.h"

#include "tests/unit/config_errors.h"

static void test_names(void **state)
{
    static const struct error_case CASES[] = {
        {"services:\n- name: \n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:8: services[0].name: has no value; must be a name of 1 to 63 characters out of A-Z a-z 0-9 . _ "
         "-\n"},
        {"services:\n- name: ''\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: \"\" is empty; must be a name of 1 to 63 characters out of A-Z a-z 0-9 . "
         "_ -\n"},
        {"services:\n- name: a b\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: \"a b\" is not a name; must be a name of 1 to 63 characters out of A-Z "
         "a-z 0-9 . _ -\n"},
        {"services:\n- name: a/b\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: \"a/b\" is not a name; must be a name of 1 to 63 characters out of A-Z "
         "a-z 0-9 . _ -\n"},
        {"services:\n- name: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\n  vip: "
         "192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn...\" is too long; must "
         "be a name of 1 to 63 characters out of A-Z a-z 0-9 . _ -\n"},
        {"services:\n- name: ..\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: \"..\" cannot be a name, as it stands for a directory; must be a name of "
         "1 to 63 characters out of A-Z a-z 0-9 . _ -\n"},
        {"services:\n- name: .\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: \".\" cannot be a name, as it stands for a directory; must be a name of 1 "
         "to 63 characters out of A-Z a-z 0-9 . _ -\n"},
        {"services:\n- name: [a]\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: is a list; must be a name of 1 to 63 characters out of A-Z a-z 0-9 . _ "
         "-\n"},
        {"services:\n- name: {a: b}\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: is a mapping; must be a name of 1 to 63 characters out of A-Z a-z 0-9 . _ "
         "-\n"},
        {"services:\n- name: \"a\\0b\"\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: \"a\\x00b\" is not a name; must be a name of 1 to 63 characters out of "
         "A-Z a-z 0-9 . _ -\n"},
        {"services:\n- name: b\xc3\xbcro\n  vip: 192.0.2.1\n" BACKENDS,
         "t:2:9: services[0].name: \"b\\xc3\\xbcro\" is not a name; must be a name of 1 to 63 characters out "
         "of A-Z a-z 0-9 . _ -\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_addresses(void **state)
{
    static const struct error_case CASES[] = {
        {"services:\n- name: a\n  vip: \n" BACKENDS, "t:3:7: services[0].vip: has no value; must be a "
                                                     "unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: []\n" BACKENDS,
         "t:3:8: services[0].vip: is empty; must be a unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: {a: b}\n" BACKENDS,
         "t:3:8: services[0].vip: is a mapping; must be a unicast IPv4 or IPv6 address, or a list of 1 to "
         "2\n"},
        {"services:\n- name: a\n  vip: [[192.0.2.1]]\n" BACKENDS,
         "t:3:9: services[0].vip[0]: is a list; must be a unicast IPv4 or IPv6 address\n"},
        {"services:\n- name: a\n  vip: 192.0.2\n" BACKENDS,
         "t:3:8: services[0].vip: \"192.0.2\" is not an address (numeric, without port, prefix length or "
         "brackets); must be a unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: 192.0.2.1/24\n" BACKENDS,
         "t:3:8: services[0].vip: \"192.0.2.1/24\" is not an address (numeric, without port, prefix length "
         "or brackets); must be a unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: 192.0.2.1:500\n" BACKENDS,
         "t:3:8: services[0].vip: \"192.0.2.1:500\" is not an address (numeric, without port, prefix length "
         "or brackets); must be a unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: '[2001:db8::1]'\n" BACKENDS,
         "t:3:8: services[0].vip: \"[2001:db8::1]\" is not an address (numeric, without port, prefix length "
         "or brackets); must be a unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: fe80::1%eth0\n" BACKENDS,
         "t:3:8: services[0].vip: \"fe80::1%eth0\" is not an address (numeric, without port, prefix length "
         "or brackets); must be a unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: \"192.0.2.1\\0\"\n" BACKENDS,
         "t:3:8: services[0].vip: \"192.0.2.1\\x00\" is not an address (numeric, without port, prefix length "
         "or brackets); must be a unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: 0.0.0.0\n" BACKENDS,
         "t:3:8: services[0].vip: \"0.0.0.0\" is the unspecified address; must be a unicast IPv4 or IPv6 "
         "address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: '::'\n" BACKENDS,
         "t:3:8: services[0].vip: \"::\" is the unspecified address; must be a unicast IPv4 or IPv6 address, "
         "or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: 224.0.0.1\n" BACKENDS,
         "t:3:8: services[0].vip: \"224.0.0.1\" is a multicast address; must be a unicast IPv4 or IPv6 "
         "address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: ff02::1\n" BACKENDS,
         "t:3:8: services[0].vip: \"ff02::1\" is a multicast address; must be a unicast IPv4 or IPv6 "
         "address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: 255.255.255.255\n" BACKENDS,
         "t:3:8: services[0].vip: \"255.255.255.255\" is the broadcast address; must be a unicast IPv4 or "
         "IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: fe80::1\n" BACKENDS,
         "t:3:8: services[0].vip: \"fe80::1\" is a link-local address, which means nothing without an "
         "interface; must be a unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {"services:\n- name: a\n  vip: [192.0.2.1, ~]\n" BACKENDS,
         "t:3:20: services[0].vip[1]: has no value; must be a unicast IPv4 or IPv6 address\n"},
        {"services:\n- name: a\n  vip: [192.0.2.1, 2001:db8::1, 192.0.2.3]\n" BACKENDS,
         "t:3:33: services[0].vip[2]: is one too many; must be a unicast IPv4 or IPv6 address, or a list of "
         "1 to 2\n"},
        {HEAD "  mode: full-nat\n  snat: []\n" BACKENDS,
         "t:5:9: services[0].snat: is empty; must be a unicast IPv4 or IPv6 address, or a list of 1 to 64\n"},
        {HEAD "  mode: full-nat\n  snat: host\n" BACKENDS,
         "t:5:9: services[0].snat: \"host\" is not an address (numeric, without port, prefix length or "
         "brackets); must be a unicast IPv4 or IPv6 address, or a list of 1 to 64\n"},
        {HEAD "  mode: full-nat\n  snat: [10.0.0.9, {a: b}]\n" BACKENDS,
         "t:5:20: services[0].snat[1]: is a mapping; must be a unicast IPv4 or IPv6 address\n"},
        {HEAD
         "  mode: full-nat\n  snat: [10.9.0.0, 10.9.0.1, 10.9.0.2, 10.9.0.3, 10.9.0.4, 10.9.0.5, 10.9.0.6, "
         "10.9.0.7, 10.9.0.8, 10.9.0.9, 10.9.0.10, 10.9.0.11, 10.9.0.12, 10.9.0.13, 10.9.0.14, 10.9.0.15, "
         "10.9.0.16, 10.9.0.17, 10.9.0.18, 10.9.0.19, 10.9.0.20, 10.9.0.21, 10.9.0.22, 10.9.0.23, 10.9.0.24, "
         "10.9.0.25, 10.9.0.26, 10.9.0.27, 10.9.0.28, 10.9.0.29, 10.9.0.30, 10.9.0.31, 10.9.0.32, 10.9.0.33, "
         "10.9.0.34, 10.9.0.35, 10.9.0.36, 10.9.0.37, 10.9.0.38, 10.9.0.39, 10.9.0.40, 10.9.0.41, 10.9.0.42, "
         "10.9.0.43, 10.9.0.44, 10.9.0.45, 10.9.0.46, 10.9.0.47, 10.9.0.48, 10.9.0.49, 10.9.0.50, 10.9.0.51, "
         "10.9.0.52, 10.9.0.53, 10.9.0.54, 10.9.0.55, 10.9.0.56, 10.9.0.57, 10.9.0.58, 10.9.0.59, 10.9.0.60, "
         "10.9.0.61, 10.9.0.62, 10.9.0.63, 10.9.0.64]\n" BACKENDS,
         "t:5:704: services[0].snat[64]: is one too many; must be a unicast IPv4 or IPv6 address, or a list "
         "of 1 to 64\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_words(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD "  mode: \n" BACKENDS,
         "t:4:8: services[0].mode: has no value; must be one of transparent, full-nat\n"},
        {HEAD "  mode: transparant\n" BACKENDS,
         "t:4:9: services[0].mode: \"transparant\" is unknown, did you mean \"transparent\"? Must be one of "
         "transparent, full-nat\n"},
        {HEAD "  mode: Full_NAT\n" BACKENDS, "t:4:9: services[0].mode: \"Full_NAT\" is unknown, did you mean "
                                             "\"full-nat\"? Must be one of transparent, full-nat\n"},
        {HEAD "  mode: nat\n" BACKENDS,
         "t:4:9: services[0].mode: \"nat\" is unknown; must be one of transparent, full-nat\n"},
        {HEAD "  mode: [x]\n" BACKENDS,
         "t:4:9: services[0].mode: is a list; must be one of transparent, full-nat\n"},
        {HEAD "  mode: \"transparent\\0\"\n" BACKENDS,
         "t:4:9: services[0].mode: \"transparent\\x00\" is unknown, did you mean \"transparent\"? Must be "
         "one of transparent, full-nat\n"},
        {HEAD "  schedule: source_hash\n" BACKENDS,
         "t:4:13: services[0].schedule: \"source_hash\" is unknown, did you mean \"source-hash\"? Must be "
         "one of bounded-hash, source-hash, least-clients, round-robin\n"},
        {HEAD "  schedule: random\n" BACKENDS,
         "t:4:13: services[0].schedule: \"random\" is unknown; must be one of bounded-hash, source-hash, "
         "least-clients, round-robin\n"},
        {HEAD BACKENDS "log: {level: warning}\n", "t:5:14: log.level: \"warning\" is unknown, did you mean "
                                                  "\"warn\"? Must be one of error, warn, info, debug\n"},
        {HEAD BACKENDS "log: {level: eror}\n", "t:5:14: log.level: \"eror\" is unknown, did you mean "
                                               "\"error\"? Must be one of error, warn, info, debug\n"},
        {HEAD BACKENDS "log: {format: xml}\n",
         "t:5:15: log.format: \"xml\" is unknown; must be one of text, json\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_probes(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD "  health: {probe: }\n" BACKENDS,
         "t:4:19: services[0].health.probe: has no value; must be one of ike, icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: ikev2}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"ikev2\" is unknown, did you mean \"ike\"? Must be one of ike, "
         "icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: icpm}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"icpm\" is unknown, did you mean \"icmp\"? Must be one of ike, "
         "icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: tcp}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"tcp\" needs a port, such as tcp:443; must be one of ike, icmp, "
         "tcp:PORT, none\n"},
        {HEAD "  health: {probe: 'tcp:'}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"tcp:\" needs a PORT from 1 to 65535; must be one of ike, icmp, "
         "tcp:PORT, none\n"},
        {HEAD "  health: {probe: tcp:0}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"tcp:0\" needs a PORT from 1 to 65535; must be one of ike, "
         "icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: tcp:65536}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"tcp:65536\" needs a PORT from 1 to 65535; must be one of ike, "
         "icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: tcp:80x}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"tcp:80x\" needs a PORT from 1 to 65535; must be one of ike, "
         "icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: tcp:080}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"tcp:080\" needs a PORT from 1 to 65535; must be one of ike, "
         "icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: tcp:PORT}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"tcp:PORT\" needs a PORT from 1 to 65535; must be one of ike, "
         "icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: udp:500}\n" BACKENDS, "t:4:19: services[0].health.probe: \"udp:500\" is "
                                                       "unknown; must be one of ike, icmp, tcp:PORT, none\n"},
        {HEAD "  health: {probe: \"tcp:4\\0\"}\n" BACKENDS,
         "t:4:19: services[0].health.probe: \"tcp:4\\x00\" needs a PORT from 1 to 65535; must be one of ike, "
         "icmp, tcp:PORT, none\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_durations(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD "  health: {interval: }\n" BACKENDS,
         "t:4:22: services[0].health.interval: has no value; must be a whole number with a unit (ms, s, m or "
         "h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: 2}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"2\" has no unit; must be a whole number with a unit (ms, s, "
         "m or h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: 99ms}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"99ms\" is out of range; must be a whole number with a unit "
         "(ms, s, m or h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: 61m}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"61m\" is out of range; must be a whole number with a unit "
         "(ms, s, m or h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: 3600001ms}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"3600001ms\" is out of range; must be a whole number with a "
         "unit (ms, s, m or h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: fast}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"fast\" is not a duration; must be a whole number with a "
         "unit (ms, s, m or h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: 1.5s}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"1.5s\" is not a duration; must be a whole number with a "
         "unit (ms, s, m or h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: 1d}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"1d\" is not a duration; must be a whole number with a unit "
         "(ms, s, m or h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: [2s]}\n" BACKENDS,
         "t:4:22: services[0].health.interval: is a list; must be a whole number with a unit (ms, s, m or h) "
         "from 100ms to 1h\n"},
        {HEAD "  health: {interval: \"2s\\0\"}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"2s\\x00\" is not a duration; must be a whole number with a "
         "unit (ms, s, m or h) from 100ms to 1h\n"},
        {HEAD "  health: {interval: 99999999999999999999h}\n" BACKENDS,
         "t:4:22: services[0].health.interval: \"99999999999999999999h\" is out of range; must be a whole "
         "number with a unit (ms, s, m or h) from 100ms to 1h\n"},
        {HEAD "  health: {timeout: 9ms}\n" BACKENDS,
         "t:4:21: services[0].health.timeout: \"9ms\" is out of range; must be a whole number with a unit "
         "(ms, s, m or h) from 10ms to 1h\n"},
        {HEAD "  health: {timeout: 2h}\n" BACKENDS,
         "t:4:21: services[0].health.timeout: \"2h\" is out of range; must be a whole number with a unit "
         "(ms, s, m or h) from 10ms to 1h\n"},
        {HEAD "  persistence: {idle_timeout: 999ms}\n" BACKENDS,
         "t:4:31: services[0].persistence.idle_timeout: \"999ms\" is out of range; must be a whole number "
         "with a unit (ms, s, m or h) from 1s to 168h\n"},
        {HEAD "  persistence: {idle_timeout: 0s}\n" BACKENDS,
         "t:4:31: services[0].persistence.idle_timeout: \"0s\" is out of range; must be a whole number with "
         "a unit (ms, s, m or h) from 1s to 168h\n"},
        {HEAD "  persistence: {idle_timeout: 169h}\n" BACKENDS,
         "t:4:31: services[0].persistence.idle_timeout: \"169h\" is out of range; must be a whole number "
         "with a unit (ms, s, m or h) from 1s to 168h\n"},
        {HEAD "  persistence: {idle_timeout: 604800001ms}\n" BACKENDS,
         "t:4:31: services[0].persistence.idle_timeout: \"604800001ms\" is out of range; must be a whole "
         "number with a unit (ms, s, m or h) from 1s to 168h\n"},
        {HEAD "  persistence: {half_open_timeout: 999ms}\n" BACKENDS,
         "t:4:36: services[0].persistence.half_open_timeout: \"999ms\" is out of range; must be a whole "
         "number with a unit (ms, s, m or h) from 1s to 10m\n"},
        {HEAD "  persistence: {half_open_timeout: 11m}\n" BACKENDS,
         "t:4:36: services[0].persistence.half_open_timeout: \"11m\" is out of range; must be a whole number "
         "with a unit (ms, s, m or h) from 1s to 10m\n"},
        {HEAD "  persistence: {half_open_timeout: 30}\n" BACKENDS,
         "t:4:36: services[0].persistence.half_open_timeout: \"30\" has no unit; must be a whole number with "
         "a unit (ms, s, m or h) from 1s to 10m\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_numbers(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD "  health: {rise: 0}\n" BACKENDS,
         "t:4:18: services[0].health.rise: \"0\" is out of range; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {rise: 101}\n" BACKENDS,
         "t:4:18: services[0].health.rise: \"101\" is out of range; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {rise: -1}\n" BACKENDS,
         "t:4:18: services[0].health.rise: \"-1\" is out of range; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {rise: '2'}\n" BACKENDS, "t:4:18: services[0].health.rise: \"2\" is text, as it "
                                                  "stands in quotes; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {rise: two}\n" BACKENDS, "t:4:18: services[0].health.rise: \"two\" is not a whole "
                                                  "number; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {rise: 1.0}\n" BACKENDS, "t:4:18: services[0].health.rise: \"1.0\" is not a whole "
                                                  "number; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {rise: 02}\n" BACKENDS, "t:4:18: services[0].health.rise: \"02\" is not a whole "
                                                 "number; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {rise: 0x2}\n" BACKENDS, "t:4:18: services[0].health.rise: \"0x2\" is not a whole "
                                                  "number; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {rise: 99999999999999999999}\n" BACKENDS,
         "t:4:18: services[0].health.rise: \"99999999999999999999\" is out of range; must be a whole number "
         "from 1 to 100\n"},
        {HEAD "  health: {rise: }\n" BACKENDS,
         "t:4:18: services[0].health.rise: has no value; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {fall: 0}\n" BACKENDS,
         "t:4:18: services[0].health.fall: \"0\" is out of range; must be a whole number from 1 to 100\n"},
        {HEAD "  health: {fall: 101}\n" BACKENDS,
         "t:4:18: services[0].health.fall: \"101\" is out of range; must be a whole number from 1 to 100\n"},
        {HEAD BACKENDS "dataplane: {fastpath: on}\n",
         "t:5:23: dataplane.fastpath: \"on\" is unknown; must be one of auto, native, generic, off\n"},
        {HEAD BACKENDS "dataplane: {max_clients: 999}\n",
         "t:5:26: dataplane.max_clients: \"999\" is out of range; must be a whole number from 1000 to "
         "10000000\n"},
        {HEAD BACKENDS "dataplane: {max_clients: 10000001}\n",
         "t:5:26: dataplane.max_clients: \"10000001\" is out of range; must be a whole number from 1000 to "
         "10000000\n"},
        {HEAD BACKENDS "dataplane: {max_clients: 1M}\n",
         "t:5:26: dataplane.max_clients: \"1M\" is not a whole number; must be a whole number from 1000 to "
         "10000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: 0}\n",
         "t:5:26: dataplane.source_rate: \"0\" is out of range; must be off or a whole number from 1 to "
         "1000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: 1000001}\n",
         "t:5:26: dataplane.source_rate: \"1000001\" is out of range; must be off or a whole number from 1 "
         "to 1000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: -1}\n",
         "t:5:26: dataplane.source_rate: \"-1\" is out of range; must be off or a whole number from 1 to "
         "1000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: OFF}\n",
         "t:5:26: dataplane.source_rate: \"OFF\" is not a whole number; must be off or a whole number from 1 "
         "to 1000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: \"off\\0\"}\n",
         "t:5:26: dataplane.source_rate: \"off\\x00\" is not a whole number; must be off or a whole number "
         "from 1 to 1000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: '200'}\n",
         "t:5:26: dataplane.source_rate: \"200\" is text, as it stands in quotes; must be off or a whole "
         "number from 1 to 1000000\n"},
        {HEAD BACKENDS "dataplane: {source_rate: }\n",
         "t:5:26: dataplane.source_rate: has no value; must be off or a whole number from 1 to 1000000\n"},
        {HEAD BACKENDS "dataplane: {source_burst: 0}\n",
         "t:5:27: dataplane.source_burst: \"0\" is out of range; must be a whole number from 1 to "
         "10000000\n"},
        {HEAD BACKENDS "dataplane: {source_burst: 10000001}\n",
         "t:5:27: dataplane.source_burst: \"10000001\" is out of range; must be a whole number from 1 to "
         "10000000\n"},
        {HEAD BACKENDS "dataplane: {source_burst: off}\n",
         "t:5:27: dataplane.source_burst: \"off\" is not a whole number; must be a whole number from 1 to "
         "10000000\n"},
        {HEAD BACKENDS "dataplane: {max_clients: off}\n",
         "t:5:26: dataplane.max_clients: \"off\" is not a whole number; must be a whole number from 1000 to "
         "10000000\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_flags(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD "  persistence: {spread_nat: }\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: has no value; must be true or false\n"},
        {HEAD "  persistence: {spread_nat: yes}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: \"yes\" is unknown; must be true or false\n"},
        {HEAD "  persistence: {spread_nat: on}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: \"on\" is unknown; must be true or false\n"},
        {HEAD "  persistence: {spread_nat: 1}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: \"1\" is unknown; must be true or false\n"},
        {HEAD "  persistence: {spread_nat: True}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: \"True\" is unknown, did you mean \"true\"? Must be "
         "true or false\n"},
        {HEAD "  persistence: {spread_nat: flase}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: \"flase\" is unknown, did you mean \"false\"? Must be "
         "true or false\n"},
        {HEAD "  persistence: {spread_nat: 'true'}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: \"true\" is text, as it stands in quotes; must be true "
         "or false\n"},
        {HEAD "  persistence: {spread_nat: \"false\"}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: \"false\" is text, as it stands in quotes; must be "
         "true or false\n"},
        {HEAD "  persistence: {spread_nat: \"true\\0\"}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: \"true\\x00\" is unknown, did you mean \"true\"? Must "
         "be true or false\n"},
        {HEAD "  persistence: {spread_nat: [true]}\n" BACKENDS,
         "t:4:29: services[0].persistence.spread_nat: is a list; must be true or false\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_backends(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD "  backends:\n  - {name: b, address: }\n",
         "t:5:24: services[0].backends[0].address: has no value; must be a unicast IPv4 or IPv6 address\n"},
        {HEAD "  backends:\n  - {name: b, address: vpn.example}\n",
         "t:5:24: services[0].backends[0].address: \"vpn.example\" is not an address (numeric, without port, "
         "prefix length or brackets); must be a unicast IPv4 or IPv6 address\n"},
        {HEAD "  backends:\n  - {name: b, address: [10.0.0.1]}\n",
         "t:5:24: services[0].backends[0].address: is a list; must be a unicast IPv4 or IPv6 address\n"},
        {HEAD "  backends:\n  - {name: b, address: 127.0.0.300}\n",
         "t:5:24: services[0].backends[0].address: \"127.0.0.300\" is not an address (numeric, without port, "
         "prefix length or brackets); must be a unicast IPv4 or IPv6 address\n"},
        {HEAD "  backends:\n  - {name: b, address: 10.0.0.1, weight: 0}\n",
         "t:5:42: services[0].backends[0].weight: \"0\" is out of range; must be a whole number from 1 to "
         "1000\n"},
        {HEAD "  backends:\n  - {name: b, address: 10.0.0.1, weight: 1001}\n",
         "t:5:42: services[0].backends[0].weight: \"1001\" is out of range; must be a whole number from 1 to "
         "1000\n"},
        {HEAD "  backends:\n  - {name: b, address: 10.0.0.1, weight: heavy}\n",
         "t:5:42: services[0].backends[0].weight: \"heavy\" is not a whole number; must be a whole number "
         "from 1 to 1000\n"},
        {HEAD "  backends:\n  - {name: b, address: 10.0.0.1, state: up}\n",
         "t:5:41: services[0].backends[0].state: \"up\" is unknown; must be one of enabled, drain, "
         "disabled\n"},
        {HEAD "  backends:\n  - {name: b, address: 10.0.0.1, state: disable}\n",
         "t:5:41: services[0].backends[0].state: \"disable\" is unknown, did you mean \"disabled\"? Must be "
         "one of enabled, drain, disabled\n"},
        {HEAD "  backends:\n  - {name: b/c, address: 10.0.0.1}\n",
         "t:5:12: services[0].backends[0].name: \"b/c\" is not a name; must be a name of 1 to 63 characters "
         "out of A-Z a-z 0-9 . _ -\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_paths(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD BACKENDS "admin: {socket: ''}\n", "t:5:17: admin.socket: \"\" is not absolute; must be an "
                                                "absolute path of at most 107 printable ASCII characters\n"},
        {HEAD BACKENDS "admin: {socket: run/x}\n",
         "t:5:17: admin.socket: \"run/x\" is not absolute; must be an absolute path of at most 107 printable "
         "ASCII characters\n"},
        {HEAD BACKENDS "admin: {socket: /run/}\n",
         "t:5:17: admin.socket: \"/run/\" names a directory; must be an absolute path of at most 107 "
         "printable ASCII characters\n"},
        {HEAD BACKENDS "admin: {socket: \"/a\\nb\"}\n",
         "t:5:17: admin.socket: \"/a\\x0ab\" has other characters; must be an absolute path of at most 107 "
         "printable ASCII characters\n"},
        {HEAD BACKENDS "admin: {socket: /b\xc3\xbc}\n",
         "t:5:17: admin.socket: \"/b\\xc3\\xbc\" has other characters; must be an absolute path of at most "
         "107 printable ASCII characters\n"},
        {HEAD BACKENDS "admin: {socket: "
                       "/pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
                       "ppppppppppppppppppppppp}\n",
         "t:5:17: admin.socket: \"/ppppppppppppppppppppppppppppppppppppppppppppppp...\" is too long; must be "
         "an absolute path of at most 107 printable ASCII characters\n"},
        {HEAD BACKENDS "admin: {socket: []}\n", "t:5:17: admin.socket: is a list; must be an absolute path "
                                                "of at most 107 printable ASCII characters\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

#define MUST_LISTEN "; must be off or ADDRESS:PORT, such as 127.0.0.1:8809 or \"[::1]:8809\"\n"

static void test_listens(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD BACKENDS "admin: {listen: 8809}\n",
         "t:5:17: admin.listen: \"8809\" is not an address and a port" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: '127.0.0.1'}\n",
         "t:5:17: admin.listen: \"127.0.0.1\" is not an address and a port" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: 'localhost:8809'}\n",
         "t:5:17: admin.listen: \"localhost:8809\" is not an address and a port" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: '::1:8809'}\n",
         "t:5:17: admin.listen: \"::1:8809\" is not an address and a port" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: \"127.0.0.1:80\\0\"}\n",
         "t:5:17: admin.listen: \"127.0.0.1:80\\x00\" is not an address and a port" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: '127.0.0.1:65536'}\n",
         "t:5:17: admin.listen: \"127.0.0.1:65536\" is not an address and a port" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: '127.0.0.1:0'}\n",
         "t:5:17: admin.listen: \"127.0.0.1:0\" has no port that can be listened on" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: '224.0.0.1:80', token_file: /t}\n",
         "t:5:17: admin.listen: \"224.0.0.1:80\" is a multicast address" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: '[fe80::1]:80', token_file: /t}\n",
         "t:5:17: admin.listen: \"[fe80::1]:80\" is a link-local address, which means nothing without an "
         "interface" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: }\n", "t:5:17: admin.listen: has no value" MUST_LISTEN},
        {HEAD BACKENDS "admin: {listen: [off]}\n", "t:5:17: admin.listen: is a list" MUST_LISTEN},
        {HEAD BACKENDS "admin: {token_file: token}\n",
         "t:5:21: admin.token_file: \"token\" is not absolute; must be an absolute path of at most 107 "
         "printable ASCII characters\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_addresses), cmocka_unit_test(test_words),
        cmocka_unit_test(test_probes),  cmocka_unit_test(test_durations), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_flags),   cmocka_unit_test(test_backends),  cmocka_unit_test(test_paths),
        cmocka_unit_test(test_listens),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
