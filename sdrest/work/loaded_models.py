"""The models in the engines' memory: who is there, loading and unloading by request, unloading when nobody needs them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from sdrest.core.background import Background
from sdrest.core.errors import SdrestError
from sdrest.core.events import Event, ModelChanged
from sdrest.core.model import Model
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.engine.engines import Engines
from sdrest.engine.supervisor import EngineState
from sdrest.registry.registry import Registry

log = structlog.get_logger(__name__)

#: Shortest pause between two looks at the clock.
_LEAST_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Unloaded:
    """How many models were freed, and the resident memory of the engines before and after, in bytes."""

    number: int = 0
    before: int = 0
    after: int = 0


async def _unload(engine: Engine, path: str = "") -> Unloaded:
    done = await engine.run(messages.Unload(task=f"unload-{uuid.uuid4()}", path=path), lambda _report: None)
    result = done.result
    return Unloaded(
        result.get("unloaded", 0), result.get("memory_before_bytes", 0), result.get("memory_after_bytes", 0)
    )


class Residency:
    """Follows what the engines have loaded, and publishes each change."""

    def __init__(
        self, engines: Engines, registry: Registry, publish: Callable[[Event], None], *, idle_unload_seconds: float
    ) -> None:
        self._engines = engines
        self._registry = registry
        self._publish = publish
        self._idle_seconds = idle_unload_seconds
        #: Contexts of each engine by main file, and the ids of the files that are registered.
        self._contexts: dict[str, Counter[str]] = {engine.name: Counter() for engine in engines}
        self._ids: dict[str, str] = {}
        #: Unloads the models that nobody has used for the set time.
        self.loop = Background("idle-unload", self._unload_idle)
        for engine in engines:
            engine.follow(partial(self._heard, engine), partial(self._lost, engine))

    @property
    def model_ids(self) -> frozenset[str]:
        """Ids of the models that are loaded anywhere."""
        return frozenset(model_id for engine in self._engines for model_id in self.models_in(engine))

    def models_in(self, engine: Engine) -> frozenset[str]:
        """Ids of the models that one engine has loaded; it takes their jobs first, within the queue's bound."""
        return frozenset(model_id for path in self._contexts[engine.name] if (model_id := self._id(path)))

    def _is_loaded(self, path: str) -> bool:
        return any(path in contexts for contexts in self._contexts.values())

    def _heard(self, engine: Engine, report: messages.ContextChanged) -> None:
        was_loaded = self._is_loaded(report.path)
        contexts = self._contexts[engine.name]
        contexts[report.path] += 1 if report.loaded else -1
        if contexts[report.path] <= 0:
            del contexts[report.path]
        is_loaded = self._is_loaded(report.path)
        if is_loaded is not was_loaded:
            self._tell(report.path, "loaded" if is_loaded else "unloaded")
        elif report.loaded and (model := self._model(report.path)) is not None:
            self._ids[report.path] = model.id

    def _lost(self, engine: Engine) -> None:
        paths = list(self._contexts[engine.name])
        self._contexts[engine.name].clear()
        for path in paths:
            if not self._is_loaded(path):
                self._tell(path, "unloaded", "the engine process ended")

    async def unload(self, model: Model | None = None) -> Unloaded:
        """Free a model, or all, in every engine; waits for running jobs.

        Raises:
            EngineDied, Unavailable: as :meth:`Engine.run`.
        """
        path = str(model.path) if model else ""
        living = [engine for engine in self._engines if engine.state is EngineState.READY]
        done = await asyncio.gather(*(_unload(engine, path) for engine in living or self._engines))
        return Unloaded(*(sum(parts) for parts in zip(*map(dataclasses.astuple, done), strict=True)))

    async def _unload_idle(self) -> None:
        while self._idle_seconds > 0:
            pause = self._idle_seconds
            for engine in self._engines:
                left = self._idle_seconds - engine.idle_seconds
                if left <= 0 and self._contexts[engine.name]:
                    with contextlib.suppress(SdrestError):
                        done = await _unload(engine)
                        log.info("idle models unloaded", engine=engine.name, number=done.number)
                elif left > 0:
                    pause = min(pause, left)
            await asyncio.sleep(max(_LEAST_PAUSE_SECONDS, pause))

    def _model(self, path: str) -> Model | None:
        return next((model for model in self._registry.catalogue.models if str(model.path) == path), None)

    def _id(self, path: str) -> str:
        """The id of a file; empty as long as it is not registered: the first model may be loaded before any is."""
        if path not in self._ids and (model := self._model(path)) is not None:
            self._ids[path] = model.id
        return self._ids.get(path, "")

    def _tell(self, path: str, state: str, message: str = "") -> None:
        model = self._model(path)
        if model is not None:
            self._ids[path] = model.id
        name = model.name if model else Path(path).stem
        self._publish(ModelChanged(model.id if model else "", name, state, 1.0 if state == "loaded" else 0.0, message))
