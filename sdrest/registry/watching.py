"""Noticing model files that come and go, without being told.

The folders' times are looked at every few seconds: that works on every file system, network ones included, and costs one
``stat`` for each folder, however many files they hold (measured in ``docs/models.md``).
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from sdrest.registry.registry import Registry

log = structlog.get_logger(__name__)


class Watcher:
    """Refreshes a registry when something has changed in its folders; looks every ``seconds``, never when that is 0."""

    def __init__(self, registry: Registry, seconds: float) -> None:
        self._registry = registry
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        if self._seconds > 0:
            self._task = asyncio.create_task(self._run(), name="model-watcher")

    async def stop(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await asyncio.to_thread(self._look)
            except OSError as error:  # the state folder is full or gone: the list of models stays as it was
                log.warning("cannot look for new models", problem=str(error))

    def _look(self) -> None:
        if not self._registry.is_stale():
            return
        report = self._registry.refresh()
        if report.added or report.removed or report.changed:
            log.info(
                "models changed", added=len(report.added), removed=len(report.removed), changed=len(report.changed)
            )
