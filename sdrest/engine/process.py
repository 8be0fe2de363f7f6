"""The child as a process: launch it, hear it, signal it. Policy (when to restart) is the supervisor's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from sdrest.engine import messages, wire
from sdrest.engine.child.environment import native_environment

log = structlog.get_logger(__name__)

#: The engine child of a real server.
CHILD_COMMAND: Final = (sys.executable, "-m", "sdrest.engine.child")
#: Lines of a child's output and log kept as its last words.
LAST_WORDS_LINES: Final = 40
#: How long a child that has closed its end, or was told to go, may take to do so.
EXIT_SECONDS: Final = 5.0
_LINE_BYTES: Final = 64 * 1024
#: The folders before ``ggml.c:2201``.
_SOURCE_FILE: Final = re.compile(r"[^\s'\"(]*[/\\](?=[\w.-]+\.(?:c|cc|cpp|cu|h|hpp|m|mm):\d+)")


def without_build_path(text: str) -> str:
    """``text`` with source files of the native library named without the folders that they were compiled in."""
    return _SOURCE_FILE.sub("", text)


class ChildProcess:
    """One running engine child. Made by :meth:`launch`; dead for good after its exit."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._decoder: wire.Decoder[messages.Report] = wire.Decoder(messages.Report)
        #: What the child printed and logged last, oldest first.
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS_LINES)
        self._output = asyncio.create_task(self._read_output(), name="engine-child-output")

    @classmethod
    async def launch(
        cls, command: Sequence[str] = CHILD_COMMAND, environment: Mapping[str, str] | None = None
    ) -> ChildProcess:
        """Start ``command`` with the number of its end of a socket pair as last argument, and the variables of ``environment``
        beside this process's.

        The child is in a session of its own, so that Ctrl-C in a terminal reaches the server only. Its output is piped: the
        native library prints there, so it can be no protocol channel.
        """
        ours, theirs = socket.socketpair()
        try:
            # First the connection: once there is a process, nothing is waited for until its owner has it.
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    env={**native_environment(os.environ), **(environment or {})},
                    limit=_LINE_BYTES,
                )
            except BaseException:
                writer.close()
                raise
        finally:
            theirs.close()
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not been reaped yet."""
        return self._process.returncode is None

    async def read(self) -> messages.Report | None:
        """The child's next report, or None when it has closed its end. One that sends anything else is killed."""
        try:
            report = await self._decoder.read(self._reader)
        except wire.WireError as error:
            self.last_words.append(f"it sent what is no report: {error}")
            self.kill()
            return None
        if isinstance(report, messages.Failed):
            tail = tuple(map(without_build_path, report.log_tail))
            return msgspec.structs.replace(report, message=without_build_path(report.message), log_tail=tail)
        if isinstance(report, messages.LogLine):
            report = msgspec.structs.replace(report, text=without_build_path(report.text))
            self.last_words.append(f"[{report.level}] {report.text}")
        return report

    async def send(self, command: messages.Command) -> None:
        """Send one command; one to a dead child is dropped (its death is reported by :meth:`read`)."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._writer.write(wire.encode(command))
            await self._writer.drain()

    def kill(self) -> None:
        """SIGKILL; harmless when it is dead already."""
        # Not Process.kill(): that polls, and a poll that finds the child dead takes its exit status from asyncio's watcher.
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> str:
        """Wait for the exit, release everything, and say how it ended (``signal SIGABRT``, ``exit status 3``).

        A child that takes longer than :data:`EXIT_SECONDS` is killed.
        """
        try:
            try:
                async with asyncio.timeout(EXIT_SECONDS):
                    status = await self._process.wait()
            except TimeoutError:
                self.kill()
                status = await self._process.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._output, 1.0)
        finally:
            self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"signal {signal.Signals(-status).name}"
        return f"exit status {status}"

    async def _read_output(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line longer than the limit: its text is of no use, its end will come
                continue
            if not line:
                return
            text = without_build_path(line.decode(errors="replace").rstrip())
            if text:
                self.last_words.append(text)
                log.debug("engine output", text=text)
