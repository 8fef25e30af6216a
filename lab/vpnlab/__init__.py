"""A VPN laboratory in network namespaces: real strongSwan servers and clients with ikelb between them.

`lab/run` is the demonstration built on this package; tests/e2e builds its tests on it. Start with `bench.Bench`, which
puts the parts together; the drawing of the network is in `topology`.
"""
