"""The engine as the tests hand it to an application."""

from __future__ import annotations

import asyncio
from typing import Any

from sdrest.engine import messages
from sdrest.engine.client import Engine, Listener
from sdrest.settings import Settings


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


def engine_for(settings: Settings, kind: type[EngineOnDemand] = EngineOnDemand) -> EngineOnDemand:
    """The engine of an application with these settings."""
    return kind(cancel_grace_seconds=settings.cancel_grace_seconds, hang_seconds=settings.engine_hang_seconds)
