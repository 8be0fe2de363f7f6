"""The models in the engine's memory: who is there, loading and unloading by request, unloading when nobody needs them."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from sdrest.core.background import Background
from sdrest.core.errors import SdrestError
from sdrest.core.events import Event, ModelChanged
from sdrest.core.model import Model
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.registry.registry import Registry

log = structlog.get_logger(__name__)

#: Shortest pause between two looks at the clock.
_LEAST_PAUSE_SECONDS: Final = 0.05


class Residency:
    """Follows what the engine has loaded, and publishes each change."""

    def __init__(
        self, engine: Engine, registry: Registry, publish: Callable[[Event], None], *, idle_unload_seconds: float
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._publish = publish
        self._idle_seconds = idle_unload_seconds
        #: Contexts by main file, and the ids of the files that are registered.
        self._contexts: Counter[str] = Counter()
        self._ids: dict[str, str] = {}
        #: Unloads the models that nobody has used for the set time.
        self.loop = Background("idle-unload", self._unload_idle)
        engine.follow(self._heard, self._lost)

    @property
    def model_ids(self) -> frozenset[str]:
        """Ids of the loaded models; the queue takes their jobs first, within its bound."""
        return frozenset(self._ids[path] for path in self._contexts if path in self._ids)

    def _heard(self, report: messages.ContextChanged) -> None:
        was_loaded = self._contexts[report.path] > 0
        self._contexts[report.path] += 1 if report.loaded else -1
        if self._contexts[report.path] <= 0:
            del self._contexts[report.path]
        is_loaded = report.path in self._contexts
        if is_loaded is not was_loaded:
            self._tell(report.path, "loaded" if is_loaded else "unloaded")

    def _lost(self) -> None:
        paths = list(self._contexts)
        self._contexts.clear()
        for path in paths:
            self._tell(path, "unloaded", "the engine process ended")

    async def unload(self, model: Model | None = None) -> messages.Done:
        """Free a model, or all; waits for the running job. ``result`` tells the number and the memory before and after.

        Raises:
            EngineDied, Unavailable: as :meth:`Engine.run`.
        """
        path = str(model.path) if model else ""
        return await self._engine.run(messages.Unload(task=f"unload-{uuid.uuid4()}", path=path), lambda _report: None)

    async def _unload_idle(self) -> None:
        while self._idle_seconds > 0:
            idle = self._engine.idle_seconds
            if self._contexts and idle >= self._idle_seconds:
                with contextlib.suppress(SdrestError):
                    done = await self.unload()
                    log.info("idle models unloaded", number=done.result.get("unloaded", 0))
                    continue
            await asyncio.sleep(max(_LEAST_PAUSE_SECONDS, min(self._idle_seconds - idle, self._idle_seconds)))

    def _model(self, path: str) -> Model | None:
        return next((model for model in self._registry.catalogue.models if str(model.path) == path), None)

    def _tell(self, path: str, state: str, message: str = "") -> None:
        model = self._model(path)
        if model is not None:
            self._ids[path] = model.id
        name = model.name if model else Path(path).stem
        self._publish(ModelChanged(model.id if model else "", name, state, 1.0 if state == "loaded" else 0.0, message))
