"""What the library's log lines tell: the reasons of failures, broken files it would ignore, and buffer sizes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error")

_HEADER: Final = re.compile(r"^\S+:\d+ +- ")
_BUFFER: Final = re.compile(r"^(?P<part>.+?) compute buffer size: +(?P<mb>[\d.]+) MB\((?P<place>RAM|VRAM)\)")
_WEIGHTS: Final = re.compile(r"^(?P<part>.+?) params backend buffer size = +(?P<mb>[\d.]+) MB\((?P<place>RAM|VRAM)\)")
_IGNORED_FILE: Final = re.compile(
    r"^(?:loading [\w ]+ from '(?P<component>.*)' failed|load (?:photomaker )?lora tensors from (?P<lora>.*) failed"
    r"|init model loader from file failed: '(?P<model>.*)')$"
)


def message_of(line: str) -> str:
    """A log line without ``file.cpp:123 -`` and line end."""
    return _HEADER.sub("", line.rstrip("\r\n"), count=1)


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that the library reserved for one part of a model."""

    part: str  #: the library's name of the part, such as ``vae`` or ``unet``
    bytes: int  #: as logged, to a hundredth of a MiB
    on_device: bool  #: True: memory of a device (VRAM); False: the process's own


class BufferReport:
    """The buffers that were reserved while it listened: ``compute`` (per graph, transient) and ``weights`` (at
    load).
    """

    def __init__(self) -> None:
        self.compute: list[Buffer] = []
        self.weights: list[Buffer] = []

    def feed(self, message: str) -> None:
        """Take note of a log message if it reports a buffer."""
        for pattern, buffers in ((_BUFFER, self.compute), (_WEIGHTS, self.weights)):
            if match := pattern.match(message):
                size = round(float(match["mb"]) * (1 << 20))
                buffers.append(Buffer(match["part"], size, match["place"] == "VRAM"))

    @property
    def largest_compute_bytes(self) -> int:
        """The largest compute buffer: graphs run one after another, so this is what a generation needs beside the
        weights.
        """
        return max((buffer.bytes for buffer in self.compute), default=0)


class CallLog:
    """What was logged during one native call."""

    def __init__(self, must_load: Collection[str] = (), *, all_files: bool = False) -> None:
        """``must_load``: LoRA files whose failure to load must not be passed over; ``all_files``: any file's."""
        self.buffers = BufferReport()
        self.ignored_file: str | None = None
        self._complaints: deque[str] = deque(maxlen=20)
        self._must_load = must_load
        self._all_files = all_files

    def feed(self, level: int, message: str) -> bool:
        """Take note of a message. True when it says that a required file was passed over: the call should end."""
        self.buffers.feed(message)
        if level < LEVELS.index("warning"):
            return False
        self._complaints.append(message)
        match = _IGNORED_FILE.match(message)
        if match is None:
            return False
        path = next(group for group in match.groups() if group is not None)
        if self._all_files or path in self._must_load:
            self.ignored_file = self.ignored_file or path
            return True
        return False

    @property
    def complaints(self) -> tuple[str, ...]:
        """The last warnings and errors, oldest first."""
        return tuple(self._complaints)
