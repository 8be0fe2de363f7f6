"""``python -m sdrest.engine.child FD``: the engine child. The main thread talks to the parent, another makes the native calls."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Final

import psutil

from sdrest.engine import messages, wire
from sdrest.engine.child.binding import NativeError, NativeLibrary
from sdrest.engine.child.environment import NATIVE_STACK_BYTES
from sdrest.engine.child.runner import Runner

_PR_SET_PDEATHSIG: Final = 1
#: Among all processes, the kernel takes the engine first when memory runs out: it can be replaced, the server cannot.
_OOM_SCORE_ADJUSTMENT: Final = "500"
_NATIVE_THREAD_FAILED: Final = 70
_MOST_HELD_BYTES: Final = 4096


class Connection:
    """The socket to the parent; any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        self._held = bytearray()
        self._decoder: wire.Decoder[messages.Command] = wire.Decoder(messages.Command)

    def send(self, report: messages.Report) -> None:
        """Send one frame; what the library logs of its normal work goes with the next one that is more than that.

        A small picture has more lines than all else that is told of it, and each would wake the parent while the processors are
        needed here. A parent that is gone needs no more frames: the process ends.
        """
        can_wait = isinstance(report, messages.LogLine) and report.level == "info"
        try:
            with self._lock:
                self._held += wire.encode(report)
                if not can_wait or len(self._held) > _MOST_HELD_BYTES:
                    self._socket.sendall(self._held)
                    self._held.clear()
        except OSError:
            os._exit(0)

    def receive(self) -> messages.Command | None:
        """The next command; None when the parent is gone."""
        return self._decoder.receive(self._socket)


def _tie_to_parent() -> None:
    """Die with the parent, even when it is killed with SIGKILL (Linux; elsewhere the closed socket does it)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJUSTMENT, encoding="ascii")


def _ready(library: NativeLibrary) -> messages.Ready:
    return messages.Ready(
        version=library.version,
        commit=library.commit,
        system_info=library.system_info,
        physical_cores=library.physical_cores,
        soft_cancel=library.soft_cancel_available,
        devices=tuple(library.devices()),
    )


def main() -> None:
    """Serve the parent until it closes the socket or says so."""
    _tie_to_parent()
    connection = Connection(socket.socket(fileno=int(sys.argv[1])))
    try:
        library = NativeLibrary.load()
    except NativeError as error:
        sys.exit(str(error))
    runner = Runner(library, connection.send)
    tasks: queue.SimpleQueue[messages.Task] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                runner.run(tasks.get())
            except BaseException:  # noqa: BLE001 - a task whose ending cannot be reported must not be waited for
                traceback.print_exc()
                os._exit(_NATIVE_THREAD_FAILED)

    threading.stack_size(NATIVE_STACK_BYTES)
    threading.Thread(target=work, name="native", daemon=True).start()
    connection.send(_ready(library))
    process = psutil.Process()
    while (command := connection.receive()) is not None:
        match command:
            case messages.Cancel(task=task):
                runner.turns.cancel(task)
            case messages.Skip(task=task, picture=picture):
                runner.turns.skip(task, picture)
            case messages.Preview(task=task):
                runner.preview(task)
            case messages.Ping(number=number):
                connection.send(
                    messages.Pong(number=number, memory_bytes=process.memory_info().rss, loaded=runner.loaded)
                )
            case messages.Shutdown():
                break
            case _:
                tasks.put(command)
    # No tidy end: freeing gigabytes piece by piece takes longer than letting the kernel have them back.
    os._exit(0)


if __name__ == "__main__":
    main()
