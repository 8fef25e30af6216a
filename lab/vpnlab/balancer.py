"""ikelb itself: writes its configuration, runs it in its namespace, and asks it over its UNIX socket."""

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .processes import Process
from .shell import LabError
from .topology import SNAT, VIP, Topology, server_address
from .workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[2]
READY_TIMEOUT_S = 15.0

# Quicker than the defaults, so that the lab does not wait for its pool to be judged.
PROBES = {"probe": "ike", "interval": "500ms", "timeout": "400ms", "rise": 1, "fall": 3}


def binary() -> Path:
    """The program under test: $IKELB_BINARY if it is set, else the release build."""
    path = Path(os.environ.get("IKELB_BINARY") or REPOSITORY / "build/release/app/ikelb")
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is missing: build it (cmake --preset release && cmake --build --preset release)")
    return path


def with_fastpath(configuration: Mapping[str, Any], how: str = "") -> dict[str, Any]:
    """The configuration with `dataplane.fastpath: how`, or as $IKELB_FASTPATH has it, if it does not say that itself."""
    chosen = how or os.environ.get("IKELB_FASTPATH", "")
    if not chosen:
        return dict(configuration)
    return {**configuration, "dataplane": {"fastpath": chosen, **configuration.get("dataplane", {})}}


def service(
    topology: Topology,
    mode: str,
    *,
    family: int = 4,
    name: str = "vpn",
    weights: Mapping[int, int] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """The configuration of one service with all servers of the lab. `extra` adds or replaces keys of the service."""
    backends = []
    for number in topology.servers:
        backend: dict[str, Any] = {"name": f"s{number}", "address": server_address(number, family)}
        if weights and number in weights:
            backend["weight"] = weights[number]
        backends.append(backend)
    made: dict[str, Any] = {"name": name, "vip": VIP[family], "mode": mode, "health": PROBES, "backends": backends}
    if mode == "full-nat":
        made["snat"] = SNAT[family]
    return made | extra


# Starts ikelb with this command line in the lab's namespace for it; what it prints is added to the file.
Starter = Callable[[Sequence[str], Path], Process]


class Balancer:
    """A running ikelb. `configuration` is the YAML file as Python values; admin.socket and log.level are filled in, and
    state.file is `off` unless it is given. dataplane.fastpath is filled in by `with_fastpath`.

    `starter` stands for a service manager; without one ikelb is started as it is. `options` are added to the command
    line of `ikelb run`.
    """

    def __init__(
        self,
        workspace: Workspace,
        topology: Topology,
        configuration: Mapping[str, Any],
        log: Path,
        starter: Starter | None = None,
        options: Sequence[str] = (),
        fastpath: str = "",
    ) -> None:
        self._workspace = workspace
        self._topology = topology
        self._options = options
        self._fastpath = fastpath
        self.socket = workspace.directory / "ikelb.sock"
        self.file = workspace.directory / "ikelb.yaml"
        self.log = log
        self._starter = starter
        self.log.unlink(missing_ok=True)
        self.configure(configuration)
        self.process: Process = self._start()

    def configure(self, configuration: Mapping[str, Any]) -> None:
        """Writes the configuration file anew; `reload` or `restart` makes ikelb read it."""
        defaults = {"admin": {"socket": str(self.socket)}, "state": {"file": "off"}, "log": {"level": "info"}}
        filled = {key: {**section, **configuration.get(key, {})} for key, section in defaults.items()}
        self.file.write_text(yaml({**with_fastpath(configuration, self._fastpath), **filled}))

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> dict[str, Any]:
        """Waits until every backend that is probed is up. Returns the status."""
        return self.wait_status(_all_up, "every backend up", timeout_s)

    def wait_status(self, wanted: Callable[[dict[str, Any]], bool], what: str, timeout_s: float) -> dict[str, Any]:
        """Waits until the status satisfies `wanted` and returns it; `what` says it in words for the LabError."""
        deadline = time.monotonic() + timeout_s
        status: dict[str, Any] | None = None
        while time.monotonic() < deadline:
            if self.process.exit_status() is not None:
                raise LabError(f"ikelb ended with status {self.process.exit_status()}:\n{self.process.tail()}")
            try:
                status = self.status()
                if wanted(status):
                    return status
            except (OSError, http.client.HTTPException):
                pass  # Not listening yet.
            time.sleep(0.05)
        state = json.dumps(status) if status else "no answer on its socket"
        raise LabError(f"ikelb: not {what} after {timeout_s:.0f} s: {state}\n{self.process.tail()}")

    def get(self, path: str) -> Any:
        """GET over the UNIX socket; the JSON of the answer. LabError if the status is not 200."""
        status, body = self.request("GET", path)
        if status != 200:
            raise LabError(f"GET {path}: status {status}: {body[:200]!r}")
        return json.loads(body)

    def request(self, method: str, path: str, timeout_s: float = 5.0) -> tuple[int, bytes]:
        """Any request over the UNIX socket: HTTP status and body."""
        connection = _UnixConnection(self.socket, timeout_s)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        return self.get("/api/v1/status")

    def backend(self, name: str) -> dict[str, Any]:
        """The status of one backend of the first service."""
        return next(entry for entry in self.status()["services"][0]["backends"] if entry["name"] == name)

    def clients(self) -> list[dict[str, Any]]:
        """Every client that ikelb knows, read page by page."""
        found: list[dict[str, Any]] = []
        path = "/api/v1/clients?limit=1000"
        page = self.get(path)
        while page["next"] is not None:
            found += page["clients"]
            page = self.get(f"{path}&after={page['next']}")
        return found + page["clients"]

    def command(self, *argv: str) -> str:
        """Runs an `ikelb` subcommand in ikelb's namespace and returns what it printed."""
        return self._topology.lb.run(str(binary()), *argv)

    def explain(self, address: str) -> dict[str, Any]:
        """What `ikelb explain` says of the client at an address."""
        argv = [str(binary()), "explain", "--json", "--socket", str(self.socket), address]
        # 1: the client is not served.
        return json.loads(self._topology.lb.run(*argv, statuses=(0, 1)))

    def reload(self) -> None:
        """Asks by SIGHUP to read the file again; returns at once."""
        self.process.send(signal.SIGHUP)

    def kill(self) -> None:
        """Ends it without any warning, as a crash would."""
        self.process.send(signal.SIGKILL)
        self.process.wait(5.0)

    def stop(self) -> int | None:
        """Ends it by SIGTERM and returns its exit status (negative: a signal was needed)."""
        self._workspace.processes.stop([self.process])
        return self.process.exit_status()

    def restart(self) -> None:
        """Starts it again after `kill` or `stop`, with the file as it is now."""
        self.process = self._start()

    def _start(self) -> Process:
        argv = [str(binary()), "run", "-c", str(self.file), *self._options]
        if self._starter:
            return self._starter(argv, self.log)
        return self._workspace.processes.start("ikelb", argv, self.log, namespace=self._topology.lb)


def _all_up(status: dict[str, Any]) -> bool:
    return all(backend["health"] == "up" for service in status["services"] for backend in service["backends"])


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def yaml(value: Any, indent: int = 0) -> str:
    """Plain values (mappings, lists, text, numbers) as a YAML document for people to read."""
    pad = "  " * indent
    if isinstance(value, Mapping):
        return "".join(f"{pad}{key}:{_yaml_inner(inner, indent)}" for key, inner in value.items())
    if isinstance(value, list):
        # An item's first line begins behind the dash, where its other lines are indented to.
        return "".join(f"{pad}- {yaml(item, indent + 1).lstrip()}" for item in value)
    return f"{pad}{_yaml_scalar(value)}\n"


def _yaml_inner(value: Any, indent: int) -> str:
    if isinstance(value, (Mapping, list)) and value:
        return "\n" + yaml(value, indent + 1)
    return f" {_yaml_scalar(value)}\n"


def _yaml_scalar(value: Any) -> str:
    plain = isinstance(value, (int, float)) or str(value).replace("-", "").replace(".", "").replace("/", "").isalnum()
    return str(value) if plain else json.dumps(value)
