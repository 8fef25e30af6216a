"""VICI, the control protocol of strongSwan's charon, as a client over its UNIX socket.

The protocol is described in strongSwan's src/libcharon/plugins/vici/README.md: packets with a 32-bit length, holding a
type, perhaps a name, and a message of nested sections, key/value pairs and lists.
"""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from .shell import LabError

Value = Union[str, bytes, int, list[Union[str, bytes]], "Message"]
Message = dict[str, Value]

CMD_REQUEST, CMD_RESPONSE, CMD_UNKNOWN, EVENT_REGISTER, _, EVENT_CONFIRM, EVENT_UNKNOWN, EVENT = range(8)
SECTION_START, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END = range(1, 7)


class ViciError(LabError):
    """charon answered that it could not do what it was asked."""


class Vici:
    """One connection. Commands wait for their answer; after `subscribe`, `events` yields what charon reports.

    Use one connection for events and another for commands: an event that comes in between the two packets of a
    command is only expected by `stream`.
    """

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Ends the connection; a thread that waits in `events` returns from it."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # charon has hung up first.
        self._socket.close()

    def command(self, name: str, message: Message | None = None) -> Message:
        """Sends a command and returns the answer; ViciError if it says success = no."""
        self._send(CMD_REQUEST, name, message)
        kind, _, answer = self._receive()
        if kind != CMD_RESPONSE:
            raise ViciError(f"vici {name}: unexpected packet type {kind}")
        return _checked(name, answer)

    def stream(self, name: str, event: str, message: Message | None = None) -> list[Message]:
        """Sends a command whose result comes as a row of events, such as list-sas with list-sa."""
        self.subscribe(event)
        self._send(CMD_REQUEST, name, message)
        found = []
        while True:
            kind, _, answer = self._receive()
            if kind == EVENT:
                found.append(answer)
            elif kind == CMD_RESPONSE:
                _checked(name, answer)
                return found
            else:
                raise ViciError(f"vici {name}: unexpected packet type {kind}")

    def subscribe(self, event: str) -> None:
        """Asks for the events of one name; they are then read by `events`."""
        self._send(EVENT_REGISTER, event, None)
        kind, _, _ = self._receive()
        if kind != EVENT_CONFIRM:
            raise ViciError(f"vici: no event '{event}'")

    def events(self) -> Iterator[tuple[str, Message]]:
        """Waits for events and yields name and message, until the connection is closed from either side."""
        try:
            self._socket.settimeout(None)
        except OSError:
            return  # Closed before the waiting began.
        while True:
            try:
                kind, name, message = self._receive()
            except ViciError:
                return
            if kind == EVENT:
                yield name, message

    def _send(self, kind: int, name: str, message: Message | None) -> None:
        word = name.encode()
        packet = bytes([kind, len(word)]) + word + _encode(message or {})
        try:
            self._socket.sendall(struct.pack("!I", len(packet)) + packet)
        except OSError as error:
            raise ViciError(f"vici {name}: {error}") from error

    def _receive(self) -> tuple[int, str, Message]:
        (length,) = struct.unpack("!I", self._read(4))
        packet = self._read(length)
        kind, start, name = packet[0], 1, ""
        if kind == EVENT:
            start = 2 + packet[1]
            name = packet[2:start].decode()
        return kind, name, _decode(packet[start:])

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            try:
                piece = self._socket.recv(length - len(data))
            except OSError as error:
                raise ViciError(f"vici: no answer from charon: {error}") from error
            if not piece:
                raise ViciError("vici: charon closed the connection")
            data += piece
        return data


def text(value: Value | None) -> str:
    """A value of a decoded message as text; empty if it is missing."""
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def texts(value: Value | None) -> list[str]:
    """A list of a decoded message as text; empty if it is missing."""
    return [text(item) for item in value] if isinstance(value, list) else []


def section(value: Value | None) -> Message:
    """A section of a decoded message; empty if it is missing."""
    return value if isinstance(value, dict) else {}


def _checked(name: str, answer: Message) -> Message:
    if text(answer.get("success")) == "no":
        raise ViciError(f"vici {name}: {text(answer.get('errmsg')) or 'failed'}")
    return answer


def _bytes(value: str | bytes | int) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _encode(message: Message) -> bytes:
    out = bytearray()
    for key, value in message.items():
        name = bytes([len(key.encode())]) + key.encode()
        if isinstance(value, dict):
            out += bytes([SECTION_START]) + name + _encode(value) + bytes([SECTION_END])
        elif isinstance(value, list):
            out += bytes([LIST_START]) + name
            for item in map(_bytes, value):
                out += bytes([LIST_ITEM]) + struct.pack("!H", len(item)) + item
            out += bytes([LIST_END])
        else:
            data = _bytes(value)
            out += bytes([KEY_VALUE]) + name + struct.pack("!H", len(data)) + data
    return bytes(out)


class _Reader:
    """Takes the elements of a message one by one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, length: int) -> bytes:
        if self._at + length > len(self._data):
            raise ViciError("vici: truncated message")
        self._at += length
        return self._data[self._at - length : self._at]

    def kind(self) -> int:
        return self.take(1)[0]

    def name(self) -> str:
        return self.take(self.take(1)[0]).decode()

    def value(self) -> bytes:
        return self.take(struct.unpack("!H", self.take(2))[0])


def _decode(data: bytes) -> Message:
    reader = _Reader(data)
    top: Message = {}
    path = [top]
    items: list[str | bytes] = []
    while reader.more():
        kind = reader.kind()
        if kind == SECTION_START:
            inner: Message = {}
            path[-1][reader.name()] = inner
            path.append(inner)
        elif kind == SECTION_END and len(path) > 1:
            path.pop()
        elif kind == KEY_VALUE:
            name = reader.name()
            path[-1][name] = reader.value()
        elif kind == LIST_START:
            items = []
            path[-1][reader.name()] = items
        elif kind == LIST_ITEM:
            items.append(reader.value())
        elif kind != LIST_END:
            raise ViciError(f"vici: element of unknown type {kind}")
    return top
