"""The model that an engine had loaded last: kept on disk, so that the next start loads it while the server still comes up."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import msgspec
import structlog

from sdrest.core.errors import SdrestError
from sdrest.core.files import unfinished
from sdrest.engine import messages
from sdrest.engine.client import Engine

log = structlog.get_logger(__name__)

_TASK: Final = "load-last-model"


class _Kept(msgspec.Struct, frozen=True):
    context: messages.ContextSpec
    #: The server's settings for holding models. With others the same files would be another context.
    holding: str


class LastModel:
    """Keeps which context an engine has loaded last, until it is freed; a context that goes with its child is still the last.

    Args:
        engine: Whose contexts these are.
        file: Where it is kept.
        holding: The settings for holding models, in any words that differ when they do.
        budget_bytes: Bound of what may be loaded; 0: none.
    """

    def __init__(self, engine: Engine, file: Path, *, holding: str, budget_bytes: int) -> None:
        self._engine = engine
        self._file = file
        self._holding = holding
        self._budget_bytes = budget_bytes
        self._context: messages.ContextSpec | None = None
        self._loading: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Load it again, if there is one that is still the same, and keep from now on what is loaded.

        The file goes before, and comes back when the model is loaded: one that ends the engine does so once.
        """
        self._engine.follow(self._changed, lambda: None)
        task = self._take()
        if task is not None:
            self._loading = asyncio.create_task(self._load(task), name=_TASK)

    def _take(self) -> messages.Load | None:
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
            kept_at = self._file.stat().st_mtime
            self._file.unlink()
            files = [Path(path).stat() for _, path in (*kept.context.files, *kept.context.embeddings)]
        except (OSError, msgspec.DecodeError):
            return None
        if kept.holding != self._holding or any(file.st_mtime > kept_at for file in files):
            return None
        demand = messages.Demand(budget=self._budget_bytes, weights=sum(file.st_size for file in files))
        return messages.Load(task=_TASK, context=kept.context, demand=demand)

    async def _load(self, task: messages.Load) -> None:
        name = Path(task.context.main).name
        try:
            done = await self._engine.run_early(task)
        except SdrestError as error:
            log.info("last model not loaded", model=name, why=error.message)
        else:
            log.info("last model loaded", model=name, seconds=round(done.load_seconds, 2))

    def _changed(self, report: messages.ContextChanged) -> None:
        if report.loaded:
            self._context = report.context
            with contextlib.suppress(OSError):  # the next start is slower, no more
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with unfinished(self._file) as path:
                    path.write_bytes(msgspec.json.encode(_Kept(report.context, self._holding)))
        elif report.context == self._context:
            self._context = None
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
