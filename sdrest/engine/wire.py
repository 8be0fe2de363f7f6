"""Frames on a stream socket: four bytes of length (big endian), then a MessagePack value."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

if TYPE_CHECKING:  # the child reads without it, and starts the sooner
    import asyncio

_LENGTH: Final = struct.Struct(">I")
#: A frame carries at most a preview picture of 4096 × 4096 pixels.
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024

M = TypeVar("M")


class WireError(Exception):
    """The other side sent something that is not a frame."""


def encode(message: msgspec.Struct) -> bytes:
    """One frame."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


class Decoder(Generic[M]):
    """Turns frame bodies into messages of one union type."""

    def __init__(self, message_type: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(message_type)

    def decode(self, body: bytes) -> M:
        """The message in ``body``.

        Raises:
            WireError: it is not one of the known messages.
        """
        try:
            return self._decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise WireError(str(error)) from error

    async def read(self, stream: asyncio.StreamReader) -> M | None:
        """The next message, or None at the end of the stream."""
        try:
            (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
            _check(length)
            return self.decode(await stream.readexactly(length))
        except (EOFError, ConnectionError):
            return None

    def receive(self, connection: socket.socket) -> M | None:
        """The next message from a blocking socket, or None at the end of the stream."""
        head = _receive_exactly(connection, _LENGTH.size)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        _check(length)
        body = _receive_exactly(connection, length)
        return None if body is None else self.decode(body)


def _check(length: int) -> None:
    if length > MAX_FRAME_BYTES:
        raise WireError(f"a frame of {length} bytes is longer than {MAX_FRAME_BYTES}")


def _receive_exactly(connection: socket.socket, number: int) -> bytes | None:
    data = bytearray()
    while len(data) < number:
        try:
            chunk = connection.recv(number - len(data))
        except ConnectionError:
            return None
        if not chunk:
            return None
        data += chunk
    return bytes(data)
