/* Somebody else's XDP program: everything passes. Loaded by `ip link`. */
__attribute__((section("xdp"), used)) int pass(const void *context)
{
    (void)context;
    return 2; /* XDP_PASS */
}
