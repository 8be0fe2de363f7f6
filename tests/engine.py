"""The engine as the tests hand it to an application."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from pathlib import Path
from typing import Any, Final

from sdrest.core.errors import SdrestError
from sdrest.engine import messages
from sdrest.engine.client import Engine, Listener
from sdrest.engine.places import Place
from sdrest.settings import Settings

#: The settings that :func:`options_of` reads.
ENGINE_SETTINGS: Final = {"cancel_grace_seconds", "engine_hang_seconds", "backend"}


class EngineOnDemand(Engine):
    """Starts its child when it is first needed: most tests of a server need none, and one takes most of a second to start."""

    async def start(self) -> None:
        """Nothing yet."""

    async def info(self) -> messages.Ready:
        """Start the child and wait for it."""
        self.supervisor.loop.start()
        return await super().info()

    async def run(self, task: messages.Task, listener: Listener) -> messages.Done:
        """Start the child unless it is there, and run the task in it."""
        self.supervisor.loop.start()
        return await super().run(task, listener)

    async def until_ready(self) -> None:
        """Wait for the child once it was needed: before that, the first job is what starts it."""
        if self.supervisor.loop.is_alive:
            await super().until_ready()


class WarmEngine(EngineOnDemand):
    """Outlives the applications that it is handed to one after another: each finds a child that runs.

    What is loaded goes with the application, unless all of it lies in the folder ``kept``.
    """

    def __init__(self, kept: Path, **options: Any) -> None:
        super().__init__(**options)
        self._kept = kept
        self._keeps = True

    async def run(self, task: messages.Task, listener: Listener) -> messages.Done:
        """Run the task, and note what it loads."""
        context = getattr(task, "context", None)
        self._keeps = self._keeps and context is not None and Path(context.main).is_relative_to(self._kept)
        return await super().run(task, listener)

    async def stop(self) -> None:
        """Make ready for the next application."""
        self.on_context = self.on_death = None
        if self.supervisor.is_ready and not self._keeps:
            with contextlib.suppress(SdrestError):  # the child was ending: there will be another
                await self.run(messages.Unload(task=str(uuid.uuid4())), lambda _report: None)
        self._keeps = True

    async def end(self) -> None:
        """End the child."""
        await super().stop()


class EngineWithGate(EngineOnDemand):
    """Holds back what a task reports after its first picture until ``gate`` is set: so a test meets a job that is half done."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gate = asyncio.Event()

    async def run(self, task: messages.Task, listener: Listener) -> messages.Done:
        """Run the task; it does not end before the gate is open."""
        held: list[messages.Report] = []
        begun = False

        def hear(report: messages.Report) -> None:
            nonlocal begun
            if begun and not self.gate.is_set():
                held.append(report)
                return
            release()
            begun = begun or isinstance(report, messages.PictureMade)
            listener(report)

        def release() -> None:
            while held:
                listener(held.pop(0))

        done = await super().run(task, hear)
        await self.gate.wait()
        release()
        return done


def options_of(settings: Settings) -> dict[str, Any]:
    """What an engine for an application with these settings is made with."""
    return {
        "cancel_grace_seconds": settings.cancel_grace_seconds,
        "hang_seconds": settings.engine_hang_seconds,
        "place": Place(backend=settings.backend),
    }
