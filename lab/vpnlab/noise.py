"""A noisy address: something there begins handshakes all the time and never goes on with any."""

import os
import socket
import struct
import threading
from types import TracebackType

from .net import Namespace

IKE_PORT = 500
IKE_SA_INIT, INITIATOR, VERSION, PAYLOAD_SA = 34, 0x08, 0x20, 33
BODY = bytes(4)
HEADER = struct.Struct("!8s8sBBBBII")  # RFC 7296 section 3.1

FIRST = 100  # at once
INTERVAL_S = 0.01


class Noise:
    """A context manager: while it is open, first messages go from `source` to `target`, from a thread."""

    def __init__(self, namespace: Namespace, source: str, target: str) -> None:
        self._target = (target, IKE_PORT)
        self._socket = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((source, 0))  # 500 belongs to the address' true client.
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Noise":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        for _ in range(FIRST):
            self._send()
        while not self._ending.wait(INTERVAL_S):
            self._send()

    def _send(self) -> None:
        self._socket.sendto(first_message(os.urandom(7)), self._target)


def first_message(random: bytes) -> bytes:
    """An IKE_SA_INIT request with an SPI of its own, and nothing in it that a server could take up."""
    spi = b"\x01" + random  # never zero
    length = HEADER.size + len(BODY)
    return HEADER.pack(spi, bytes(8), PAYLOAD_SA, VERSION, IKE_SA_INIT, INITIATOR, 0, length) + BODY
