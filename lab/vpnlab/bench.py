"""The whole laboratory as one object: a network, a pool of servers, ikelb, and clients.

    from vpnlab.bench import Bench
    from vpnlab.balancer import service

    with Bench("mytest", clients=50, servers=3) as bench:
        bench.start_servers()
        bench.start_balancer({"services": [service(bench.topology, "transparent")]})
        bench.start_clients()
        outcomes = bench.clients.connect_all(range(1, 51))
        assert all(outcome.connected for outcome in outcomes)
        assert len(bench.ping_tunnels()) == 50
        assert sum(len(server.clients()) for server in bench.servers.values()) == 50

Each start_... may be called again after its stop_..., on the same network, with other options.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from . import charon, pki
from .balancer import REPOSITORY, Balancer, Starter
from .clients import ClientOptions, Clients
from .net import let_native_in
from .servers import Server, ServerOptions
from .sites import Site
from .topology import Topology
from .workspace import Workspace

PKI_CACHE = REPOSITORY / "build/lab/pki"


class Bench:
    """A context manager; leaving it ends every process and removes every namespace, also after a signal.

    `network` is the lab's own, or one with the same machines that is laid out otherwise. The logs of everything go to
    log_dir; without one they go the way of all the rest. `fastpath` is for configurations that do not name one (default:
    $IKELB_FASTPATH); with `native` the network is made fit for it.
    """

    def __init__(
        self,
        tag: str,
        *,
        clients: int,
        servers: int,
        log_dir: Path | None = None,
        network: type[Topology] = Topology,
        fastpath: str = "",
    ) -> None:
        self.workspace = Workspace(tag, log_dir)
        self.log_dir = self.workspace.log_dir
        self.servers: dict[int, Server] = {}
        self._counts = {"clients": clients, "servers": servers}
        self._network = network
        self._fastpath = fastpath or os.environ.get("IKELB_FASTPATH", "")
        self._topology: Topology | None = None
        self._balancer: Balancer | None = None
        self._clients: Clients | None = None

    def __enter__(self) -> "Bench":
        self.workspace.__enter__()
        try:
            self._topology = self._network(self.workspace, **self._counts)
            if self._fastpath == "native":
                self._let_native_in()
        except BaseException as error:
            self.workspace.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.workspace.__exit__(kind, error, trace)

    def _let_native_in(self) -> None:
        """In all namespaces, as some networks have more than those of the drawing. ikelb's own polls by its XDP program."""
        for namespace in self.workspace.namespaces():
            if namespace.name != self.topology.lb.name:
                let_native_in(namespace)

    @property
    def topology(self) -> Topology:
        assert self._topology is not None, "the bench is not entered"
        return self._topology

    @property
    def balancer(self) -> Balancer:
        assert self._balancer is not None, "start_balancer comes first"
        return self._balancer

    @property
    def clients(self) -> Clients:
        assert self._clients is not None, "start_clients comes first"
        return self._clients

    def start_servers(self, options: ServerOptions = ServerOptions(), numbers: Iterable[int] | None = None) -> None:
        """Starts the servers with these numbers (default: all) and waits until they answer."""
        identity = pki.identity(PKI_CACHE, "server") if options.auth == "chain" else None
        started = [
            Server(self.workspace, self.topology, number, options, self.log_dir / f"s{number}.log")
            for number in (self.topology.servers if numbers is None else numbers)
        ]
        for server in started:
            server.load(identity)
            self.servers[server.number] = server

    def stop_servers(self, numbers: Iterable[int] | None = None) -> None:
        """Ends the servers with these numbers (default: all); their logs stay."""
        ending = [self.servers.pop(number) for number in list(self.servers if numbers is None else numbers)]
        charon.stop(ending)

    def start_balancer(
        self,
        configuration: Mapping[str, Any],
        *,
        ready: bool = True,
        starter: Starter | None = None,
        options: Sequence[str] = (),
    ) -> Balancer:
        """Starts ikelb, with these options of `ikelb run`, and, with `ready`, waits until all its backends are up."""
        log = self.log_dir / "ikelb.log"
        self._balancer = Balancer(
            self.workspace, self.topology, configuration, log, starter, options, self._fastpath
        )
        if ready:
            self._balancer.wait_ready()
        return self._balancer

    def start_clients(self, options: ClientOptions = ClientOptions(), numbers: Iterable[int] | None = None) -> Clients:
        """Starts the clients' charon and loads the connections of these clients (default: all)."""
        wanted = range(1, self.topology.client_count + 1) if numbers is None else numbers
        self._clients = self.start_clients_at(None, options, wanted)
        return self._clients

    def start_clients_at(self, site: Site | None, options: ClientOptions, numbers: Iterable[int]) -> Clients:
        """Starts one more charon, for the clients of a site (None: the lab's own), and loads their connections."""
        identity = pki.identity(PKI_CACHE, "client") if options.auth == "chain" else None
        log = self.log_dir / f"{site.name if site else 'clients'}.log"
        clients = Clients(self.workspace, self.topology, options, log, site)
        clients.load(numbers, identity)
        return clients

    def stop_clients(self) -> None:
        self.clients.stop()
        self._clients = None

    def ping_tunnels(self, clients: Iterable[int] | None = None, **how: Any) -> set[int]:
        """Pings through the tunnels of these clients (default: all that are up); returns those that got an answer."""
        return self.clients.ping(clients, **how)
