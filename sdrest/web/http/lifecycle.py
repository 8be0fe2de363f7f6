"""The wish to stop or restart, from whoever has it to whoever runs the server."""

from __future__ import annotations

import asyncio
import time

from sdrest.core.errors import Unavailable


class Lifecycle:
    """How long the server is to run. Used from the event loop only."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        #: Whether the server is to start again after it has stopped.
        self.restarting = False
        #: Set by the command that runs the server when it can start it again.
        self.can_restart = False
        self._began_at = time.monotonic()

    @property
    def up_seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._began_at

    def stop(self) -> None:
        """End the server; running jobs go back to the queue."""
        self._stop.set()

    def restart(self) -> None:
        """End the server and start it again on the same listening socket.

        Raises:
            Unavailable: whoever runs this server cannot start it again.
        """
        if not self.can_restart:
            raise Unavailable("this server was not started by `sdrest serve` and cannot restart itself")
        self.restarting = True
        self._stop.set()

    async def stopped(self) -> None:
        """Wait until the server is to end."""
        await self._stop.wait()
