"""The engines of a server. Each has a child of its own: one's death is no other's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from sdrest.core.errors import EngineUnavailable
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.engine.places import places
from sdrest.engine.supervisor import EngineState
from sdrest.settings import Settings


@dataclass(frozen=True, slots=True)
class Engines:
    """One or more engines, and what is to be said of all of them together."""

    members: Sequence[Engine]

    def __iter__(self) -> Iterator[Engine]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def first(self) -> Engine:
        """The only one, or the one that stands for all."""
        return self.members[0]

    async def start(self) -> None:
        """Start all children without waiting for them; again is harmless."""
        await asyncio.gather(*(engine.start() for engine in self))

    async def stop(self) -> None:
        """End all children."""
        await asyncio.gather(*(engine.stop() for engine in self))

    async def info(self) -> messages.Ready:
        """What the library says of itself, once every child has started.

        Raises:
            EngineUnavailable: one cannot start.
        """
        await asyncio.gather(*(engine.info() for engine in self))
        assert self.library is not None
        return self.library

    @property
    def library(self) -> messages.Ready | None:
        """What the library said of itself, with the devices of all engines; None before any has started."""
        known = [(engine, engine.library) for engine in self if engine.library is not None]
        if not known:
            return None
        devices: dict[str, messages.DeviceInfo] = {}
        for engine, info in known:
            for device in info.devices:
                own = engine.place.device
                is_processor = device.type == "cpu"
                name = own.upper() if own and not is_processor else device.name
                devices.setdefault(name, msgspec.structs.replace(device, name=name))
        library = known[0][1]
        assert library is not None
        return msgspec.structs.replace(library, devices=tuple(devices.values()))

    @property
    def state(self) -> EngineState:
        """Whether any takes tasks, or will."""
        states = {engine.state for engine in self}
        in_order = (EngineState.READY, EngineState.STARTING, EngineState.UNAVAILABLE)
        return next(state for state in in_order if state in states)

    @property
    def problem(self) -> EngineUnavailable | None:
        """Why none can start; None while one may."""
        return self.first.problem if self.state is EngineState.UNAVAILABLE else None

    @property
    def restarts(self) -> int:
        """How often a child was replaced."""
        return sum(engine.restarts for engine in self)

    @property
    def memory_bytes(self) -> int:
        """Resident memory of all children when they last told."""
        return sum(engine.memory_bytes for engine in self)

    @property
    def loaded(self) -> frozenset[str]:
        """Main files of the loaded contexts when the children last told."""
        return frozenset(path for engine in self for path in engine.loaded)


def engines_from(settings: Settings) -> Engines:
    """The engines of a server, not started.

    Raises:
        InvalidInput: as :func:`sdrest.engine.places.places`.
    """
    return Engines(
        [
            Engine(
                cancel_grace_seconds=settings.cancel_grace_seconds,
                hang_seconds=settings.engine_hang_seconds,
                place=place,
            )
            for place in places(settings)
        ]
    )
