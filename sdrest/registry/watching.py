"""Noticing model files that come and go, without being told.

The folders' times are looked at every few seconds: that works on every file system, network ones included, and costs one
``stat`` for each folder, however many files they hold (measured in ``docs/models.md``).
"""

from __future__ import annotations

import asyncio

import structlog

from sdrest.core.background import Background
from sdrest.registry.registry import Registry

log = structlog.get_logger(__name__)


class Watcher:
    """Refreshes a registry when something has changed in its folders; looks every ``seconds``, never when that is 0."""

    def __init__(self, registry: Registry, seconds: float) -> None:
        self._registry = registry
        self._seconds = seconds
        self.loop = Background("model-watcher", self._run)

    async def _run(self) -> None:
        while self._seconds > 0:
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
