"""What a server and a worker on another machine say to each other, in binary WebSocket messages; files go by HTTP."""

from __future__ import annotations

from typing import Final

import msgspec

from sdrest.core.job import Job, Output, Progress


class Device(msgspec.Struct, frozen=True):
    """What an engine of a worker computes on; memory in bytes, 0 where it is not known."""

    name: str
    description: str = ""
    memory_bytes: int = 0


class Slot(msgspec.Struct, frozen=True):
    """One engine of a worker: it carries out one job at a time. ``budget_bytes`` is what models and their work may take there."""

    name: str
    devices: tuple[Device, ...] = ()
    budget_bytes: int = 0


class Held(msgspec.Struct, frozen=True):
    """A lease that an engine of a worker works under, or has done: the server has not said that it is over."""

    lease: str
    slot: str


class Needed(msgspec.Struct, frozen=True):
    """A model file that a job needs: its id at the server, what is in it, and where it belongs."""

    model_id: str
    content: str
    kind: str
    path: str
    size: int


# ---------------------------------------------------------------------- from the worker


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """Who is there. ``session`` is new with each start of a worker; ``fetches``: whether it gets models that it lacks."""

    worker: str
    session: str
    version: str
    commit: str
    slots: tuple[Slot, ...]
    holding: tuple[Held, ...] = ()
    fetches: bool = True


class Inventory(msgspec.Struct, tag="inventory", frozen=True):
    """The model files of a worker: by id, what is in them."""

    models: dict[str, str]


class Loaded(msgspec.Struct, tag="loaded", frozen=True):
    """The models that an engine has in memory."""

    slot: str
    models: tuple[str, ...]


class Reached(msgspec.Struct, tag="reached", frozen=True):
    """An attempt came further."""

    lease: str
    progress: Progress


class Shown(msgspec.Struct, tag="shown", frozen=True):
    """A preview, as JPEG."""

    lease: str
    step: int
    width: int
    height: int
    jpeg: bytes


class Made(msgspec.Struct, tag="made", frozen=True):
    """A file is finished, and was uploaded. Said again until it is noted."""

    lease: str
    output: Output


class Done(msgspec.Struct, tag="done", frozen=True):
    """The work is done, and this is all that was made. Said again until the attempt is over."""

    lease: str
    seconds: float | None
    warnings: tuple[str, ...]
    outputs: tuple[Output, ...] = ()


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """The work has ended otherwise, after this was made. Said again until the attempt is over."""

    lease: str
    slug: str
    message: str
    log_tail: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()


class Leaving(msgspec.Struct, tag="leaving", frozen=True):
    """No further jobs, please."""


# ---------------------------------------------------------------------- from the server


class Welcome(msgspec.Struct, tag="welcome", frozen=True):
    """The server is ready; of the leases that the worker holds, those that still count."""

    leases: tuple[str, ...]


class Run(msgspec.Struct, tag="run", frozen=True):
    """A job for an engine; its lease is in it."""

    slot: str
    job: Job
    inputs: tuple[str, ...]
    models: tuple[Needed, ...]


class Cancel(msgspec.Struct, tag="cancel", frozen=True):
    """End an attempt soon."""

    lease: str


class Watch(msgspec.Struct, tag="watch", frozen=True):
    """Show previews of an attempt from now on."""

    lease: str


class Skip(msgspec.Struct, tag="skip", frozen=True):
    """Leave one picture (from 1) of an attempt out."""

    lease: str
    picture: int


class Noted(msgspec.Struct, tag="noted", frozen=True):
    """A file is the job's now."""

    lease: str
    file: str


class Over(msgspec.Struct, tag="over", frozen=True):
    """An attempt is over, its ending stored: nothing of it is needed any more."""

    lease: str


class Drain(msgspec.Struct, tag="drain", frozen=True):
    """Finish what is being done, and leave."""


class Bye(msgspec.Struct, tag="bye", frozen=True):
    """The server stops: go on, and connect again, there or to another one."""


FromWorker = Hello | Inventory | Loaded | Reached | Shown | Made | Done | Failed | Leaving
FromServer = Welcome | Run | Cancel | Watch | Skip | Noted | Over | Drain | Bye

encode: Final = msgspec.msgpack.Encoder().encode
from_worker: Final = msgspec.msgpack.Decoder(FromWorker).decode
from_server: Final = msgspec.msgpack.Decoder(FromServer).decode
