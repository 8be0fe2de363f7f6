"""Looking through the model folders when somebody asks for it: one look at a time, which all who ask meanwhile share."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor, Future

from sdrest.registry.registry import RefreshReport, Registry


class Refresher:
    """Refreshes a registry on ``threads``, where long work on files belongs."""

    def __init__(self, registry: Registry, threads: Executor) -> None:
        self._registry = registry
        self._threads = threads
        self._lock = threading.Lock()
        self._next: Future[RefreshReport] | None = None

    async def refresh(self) -> RefreshReport:
        """What a look that begins after this call has found. Going away does not stop it for others."""
        with self._lock:
            if self._next is None:
                self._next = self._threads.submit(self._look)
            found = self._next
        return await asyncio.shield(asyncio.wrap_future(found))

    def _look(self) -> RefreshReport:
        # Whoever asks from here on may mean a file that this look has passed already.
        with self._lock:
            self._next = None
        return self._registry.refresh()
