"""Datagrams that a peer of IKE sends: handshakes by their headers, ESP, keepalives. Bodies are filling."""

import os
import struct

SA_INIT, AUTH, INFORMATIONAL = 34, 35, 37
PAYLOAD_SA, PAYLOAD_ENCRYPTED = 33, 46
INITIATOR, RESPONSE = 0x08, 0x20

HEADER_BYTES = 28
MARKER = bytes(4)  # before each IKE message on port 4500: RFC 3948 section 2.2
KEEPALIVE = b"\xff"
ZERO_SPI = bytes(8)
EMPTY_PAYLOAD = bytes((0, 0, 0, 4))  # a generic payload header, RFC 7296 section 3.2: none follows, four bytes


def ike(
    exchange: int,
    spi_i: bytes,
    spi_r: bytes = ZERO_SPI,
    *,
    flags: int = INITIATOR,
    payload: int = PAYLOAD_ENCRYPTED,
    message_id: int = 0,
    version: int = 0x20,
    body: bytes = b"",
    length: int | None = None,
) -> bytes:
    """An IKE message, RFC 7296 section 3.1; `length` is what the header claims (default: the truth)."""
    claimed = HEADER_BYTES + len(body) if length is None else length
    return spi_i + spi_r + struct.pack("!BBBBII", payload, version, exchange, flags, message_id, claimed) + body


def spi() -> bytes:
    """A fresh SPI of an IKE SA; never zero."""
    return b"\x01" + os.urandom(7)


def init(spi_i: bytes) -> bytes:
    """A client's first message, its SA payload empty but well-formed."""
    return ike(SA_INIT, spi_i, payload=PAYLOAD_SA, body=EMPTY_PAYLOAD)


def init_answer(spi_i: bytes, spi_r: bytes) -> bytes:
    """A full answer to that, by its SA payload, which is empty but well-formed."""
    return ike(SA_INIT, spi_i, spi_r, flags=RESPONSE, payload=PAYLOAD_SA, body=EMPTY_PAYLOAD)


def auth(spi_i: bytes, spi_r: bytes, body: bytes = bytes(64)) -> bytes:
    """An IKE_AUTH request for port 4500, marker and all."""
    return MARKER + ike(AUTH, spi_i, spi_r, message_id=1, body=body)


def auth_answer(spi_i: bytes, spi_r: bytes, body: bytes = bytes(64)) -> bytes:
    return MARKER + ike(AUTH, spi_i, spi_r, flags=RESPONSE, message_id=1, body=body)


def esp(text: bytes, size: int = 0, *, esp_spi: int = 0xC0FFEE01) -> bytes:
    """ESP in UDP that carries `text`, filled up to `size` bytes with what is different at each place."""
    head = struct.pack("!II", esp_spi, 1) + text
    return head + pattern(max(0, size - len(head)))


def esp_text(data: bytes) -> bytes:
    """The text of an ESP datagram of `esp` without filling."""
    return data[8:]


def pattern(size: int) -> bytes:
    """Bytes with a period of 251, so that no two fragments of a datagram look alike."""
    period = bytes(range(251))
    return (period * (size // 251 + 1))[:size]
