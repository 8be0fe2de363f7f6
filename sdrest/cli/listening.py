"""The listening socket, which outlives a restart: connections that come in between wait in its queue instead of being refused.

The socket is handed on as systemd's socket activation does it (``sd_listen_fds(3)``): file descriptor 3, with ``LISTEN_PID`` and
``LISTEN_FDS`` in the environment. So a systemd socket unit works as well.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Final

_FIRST_FD: Final = 3
_BACKLOG: Final = 1024


class Listening:
    """A listening socket."""

    def __init__(self, listener: socket.socket) -> None:
        self._socket = listener

    def duplicate(self) -> socket.socket:
        """The same socket under another number; whoever serves on it may close it."""
        return self._socket.dup()

    def url(self, scheme: str) -> str:
        """Where clients find it."""
        host, port = self._socket.getsockname()[:2]
        return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def fileno(self) -> int:
        """Its file descriptor."""
        return self._socket.fileno()


def listen(host: str, port: int) -> Listening:
    """Listen on an address, or on the socket that was handed to this process.

    Raises:
        OSError: the address cannot be used.
    """
    if os.environ.pop("LISTEN_PID", "") == str(os.getpid()) and os.environ.pop("LISTEN_FDS", "0") != "0":
        inherited = socket.socket(fileno=_FIRST_FD)
        inherited.setblocking(False)
        inherited.set_inheritable(False)
        return Listening(inherited)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return Listening(listener)


def listen_locally(path: Path) -> socket.socket:
    """Listen on a UNIX socket that the owner and the group of this process may use; one left by a dead server is replaced.

    Raises:
        OSError: the path cannot be used, or something else lies there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        if path.is_socket() and not _answers(path):
            path.unlink()
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        error.filename = str(path)
        raise
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _answers(path: Path) -> bool:
    """Whether somebody listens on the socket at ``path``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        return True


def run_again(listening: Listening) -> None:
    """Replace this process by a new one of the same command, listening on the same socket. Does not return."""
    os.dup2(listening.fileno(), _FIRST_FD, inheritable=True)
    environment = {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - the same command again
