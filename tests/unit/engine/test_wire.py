"""Frames: what is sent arrives whole, whatever pieces it comes in, and what is no frame is refused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

import msgspec
import pytest

from sdrest.engine import messages, wire

PING = messages.Ping(number=7)


def commands() -> wire.Decoder[messages.Command]:
    return wire.Decoder(messages.Command)


def stream_of(data: bytes, *, ended: bool = True) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    if ended:
        stream.feed_eof()
    return stream


def received(data: bytes, chunk: int = 1) -> list[messages.Command | None]:
    """What a blocking reader makes of ``data`` that comes in pieces of ``chunk`` bytes; None is the end."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs, contextlib.suppress(ConnectionError):  # a reader that refuses a frame goes away
            for start in range(0, len(data), chunk):
                theirs.sendall(data[start : start + chunk])

    sender = threading.Thread(target=send)
    sender.start()
    decoder = commands()
    found: list[messages.Command | None] = []
    try:
        with ours:
            while not found or found[-1] is not None:
                found.append(decoder.receive(ours))
    finally:
        sender.join()
    return found


def test_a_frame_is_its_length_in_four_bytes_and_a_messagepack_value() -> None:
    frame = wire.encode(PING)
    assert frame[:4] == struct.pack(">I", len(frame) - 4)
    assert msgspec.msgpack.decode(frame[4:])["number"] == 7


async def test_frames_are_read_one_after_another_until_the_stream_ends() -> None:
    stream = stream_of(wire.encode(PING) + wire.encode(messages.Shutdown()))
    decoder = commands()
    assert await decoder.read(stream) == PING
    assert await decoder.read(stream) == messages.Shutdown()
    assert await decoder.read(stream) is None


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_blocking_reader_puts_pieces_together(chunk: int) -> None:
    assert received(wire.encode(PING) + wire.encode(messages.Cancel(task="a")), chunk) == [
        PING,
        messages.Cancel(task="a"),
        None,
    ]


@pytest.mark.parametrize("cut", [1, 3, 4, 6])
async def test_a_stream_that_ends_inside_a_frame_is_at_its_end(cut: int) -> None:
    data = wire.encode(PING)[:cut]
    assert await commands().read(stream_of(data)) is None
    assert received(data) == [None]


async def test_a_connection_that_is_reset_is_at_its_end() -> None:
    stream = stream_of(b"\0\0", ended=False)
    stream.set_exception(ConnectionResetError())
    assert await commands().read(stream) is None
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"unread")
        theirs.close()  # with data unread: the peer gets a reset
        assert commands().receive(ours) is None


@pytest.mark.parametrize("body", [b"\xc1", msgspec.msgpack.encode(1), msgspec.msgpack.encode({"type": "nothing"})])
async def test_what_is_no_message_is_refused_with_the_reason(body: bytes) -> None:
    with pytest.raises(wire.WireError, match=r"\w"):
        await commands().read(stream_of(struct.pack(">I", len(body)) + body))


async def test_a_frame_may_be_as_long_as_the_bound_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = wire.encode(PING)
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", len(frame) - 4)
    assert await commands().read(stream_of(frame)) == PING
    assert received(frame) == [PING, None]
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", len(frame) - 5)
    with pytest.raises(wire.WireError, match=f"a frame of {len(frame) - 4} bytes is longer than {len(frame) - 5}"):
        await commands().read(stream_of(frame))
    with pytest.raises(wire.WireError, match="longer"):
        received(frame)


def test_a_preview_of_the_largest_picture_fits() -> None:
    assert wire.MAX_FRAME_BYTES > 3 * 4096 * 4096
