"""The engine as the tests hand it to an application."""

from __future__ import annotations

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


def engine_on_demand(settings: Settings) -> EngineOnDemand:
    """The engine of an application with these settings."""
    return EngineOnDemand(cancel_grace_seconds=settings.cancel_grace_seconds, hang_seconds=settings.engine_hang_seconds)
