"""All engines that carry out jobs of a queue, on whichever machine and of whichever server: who they are, and what they can do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec
import structlog

from sdrest.core.background import Background
from sdrest.core.errors import NotFound, SdrestError
from sdrest.core.job import Job, JobState
from sdrest.jobs.store import Waiting
from sdrest.work.fleet import WORKER_TYPES, Fleet
from sdrest.work.remote_worker import RemoteWorker
from sdrest.work.worker_frames import Device

log = structlog.get_logger(__name__)

#: How often the other servers are told, and asked, at the least, and at the most.
_TELL_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.5
_MIB: Final = 1 << 20


class EngineCard(msgspec.Struct, frozen=True):
    """An engine: ``budget_bytes`` is what models and their work may take there, 0 where it is not known."""

    name: str
    devices: tuple[Device, ...] = ()
    budget_bytes: int = 0
    #: Ids of the models in memory.
    loaded: tuple[str, ...] = ()
    job_id: str = ""


class WorkerCard(msgspec.Struct, frozen=True, kw_only=True):
    """A worker, or a server with engines of its own, as all servers know it."""

    name: str
    #: New with each start.
    session: str
    #: Name of the server that it is connected to.
    server: str
    engines: tuple[EngineCard, ...]
    #: working, waiting, leaving (it gets no further jobs), or away (it may come back).
    state: str = "waiting"
    is_server: bool = False
    version: str = ""
    library: str = ""
    since: datetime | None = None
    models: int = 0
    jobs_done: int = 0
    pictures_made: int = 0
    #: Ids of the models whose files it has, and whether it can get the others.
    at_hand: tuple[str, ...] = ()
    fetches: bool = True
    #: Ids of jobs that it could not carry out.
    refused: tuple[str, ...] = ()

    @property
    def takes_jobs(self) -> bool:
        """Whether it gets jobs at the moment."""
        return self.state in {"working", "waiting"}

    def can_have(self, model_id: str) -> bool:
        """Whether the files of a model are there, or can be got."""
        return self.fetches or model_id in self.at_hand


def card_of(worker: RemoteWorker, server: str) -> WorkerCard:
    """A worker that is connected to this server."""
    jobs = worker.jobs
    state = "working" if jobs else "waiting"
    return WorkerCard(
        name=worker.name,
        session=worker.hello.session,
        server=server,
        state="away" if not worker.is_connected else "leaving" if worker.is_leaving else state,
        version=worker.hello.version,
        library=worker.hello.commit,
        since=worker.since,
        engines=tuple(
            EngineCard(
                name=slot.name,
                devices=slot.devices,
                budget_bytes=slot.budget_bytes,
                loaded=tuple(worker.loaded.get(slot.name, ())),
                job_id=jobs[slot.name].id if slot.name in jobs else "",
            )
            for slot in worker.hello.slots
        ),
        models=len(worker.models),
        jobs_done=worker.jobs_done,
        pictures_made=worker.pictures_made,
        at_hand=tuple(worker.at_hand),
        fetches=worker.hello.fetches,
        refused=tuple(worker.refused),
    )


class Board(Protocol):
    """Where the servers on a queue tell each other of their workers."""

    async def tell(self, cards: Mapping[str, tuple[str, bool]]) -> None:
        """What this server's workers are from now on: text by session, and whether the worker is there.

        One that is not, but is at another server by now, is not told of.
        """
        ...

    async def told(self) -> Sequence[tuple[str, str, bool, bool]]:
        """Of all servers that are there: session, text, whether somebody wants the worker to leave, whether it is this server's."""
        ...

    async def ask_to_leave(self, session: str) -> None:
        """Want a worker to leave."""
        ...


class Roster:
    """Who carries out jobs.

    Args:
        fleet: The workers of this server.
        name: What people call this server.
        own: The engines of this server that carry out jobs.
        board: The way to the other servers, where there may be any.
        wish: Called when another server is to look at the board.
    """

    def __init__(
        self,
        fleet: Fleet,
        name: str,
        own: Callable[[], tuple[EngineCard, ...]],
        board: Board | None,
        wish: Callable[[], None],
    ) -> None:
        self._fleet = fleet
        self.name = name
        self._own = own
        self._board = board
        self._wish = wish
        self._others: tuple[WorkerCard, ...] = ()
        #: The workers of this server, as they were at a version of the fleet.
        self._seen: tuple[int, Sequence[WorkerCard]] = (-1, ())
        self.loop = Background("roster", self._run)

    # ------------------------------------------------------------------ who there is

    @property
    def _here(self) -> Sequence[WorkerCard]:
        if self._seen[0] != self._fleet.version:
            self._seen = self._fleet.version, [card_of(worker, self.name) for worker in self._fleet.workers]
        return self._seen[1]

    @property
    def workers(self) -> Sequence[WorkerCard]:
        """The workers of all servers, by name."""
        away = [card for card in self._here if card.state == "away"]  # it may be at another server by now
        there = [card for card in self._here if card.state != "away"]
        found = {card.session: card for card in (*away, *self._others, *there) if not card.is_server}
        return sorted(found.values(), key=lambda card: (card.name, card.session))

    def _all(self) -> Iterator[WorkerCard]:
        if own := self._own():
            yield WorkerCard(name=self.name, session="", server=self.name, engines=own, is_server=True)
        yield from self._here
        yield from self._others

    async def drain(self, name: str) -> WorkerCard:
        """Have a worker of any server finish what it does, and leave; by its name or its session.

        Raises:
            NotFound: there is none of that name or session.
        """
        await self.look()
        found = next((card for card in self.workers if name in {card.name, card.session}), None)
        if found is None:
            raise NotFound(f"no worker {name!r}")
        if found in self._others:
            assert self._board is not None
            await self._board.ask_to_leave(found.session)
            self._wish()
            return msgspec.structs.replace(found, state="leaving")
        return card_of(self._fleet.drain(found.session), self.name)

    # ------------------------------------------------------------------ what they can do

    def problem(self, waiting: Job | Waiting) -> str:
        """Why no engine can carry out what waits; empty where one can, or it is not a matter of engines."""
        if waiting.type not in WORKER_TYPES:
            return ""
        there = [card for card in self._all() if card.takes_jobs]
        if not there:
            return "no worker is connected that could make the pictures: the job waits until one comes"
        able = [card for card in there if card.can_have(waiting.model_id)]
        if not able:
            return (
                f"no worker has the model {waiting.model_name}, nor may get it: the job waits until one comes that can"
            )
        most = max((_largest(card) for card in able), default=0)
        # A server whose own engine is the largest of all tries what may be too large for it, and says what comes of it.
        if 0 < most < waiting.memory_bytes and not any(card.is_server and _largest(card) == most for card in able):
            return (
                f"this needs about {waiting.memory_bytes // _MIB} MiB of memory and no engine of the workers has more than "
                f"{most // _MIB} MiB: the job waits until a larger one comes"
            )
        if isinstance(waiting, Job) and all(waiting.id in card.refused for card in able):
            return "no worker that is connected has all that it needs: the job waits until one comes"
        return ""

    def problem_of(self, job: Job) -> str:
        """The same of a job, as long as it waits for nothing else."""
        return self.problem(job) if job.state is JobState.PENDING and not job.waits_for else ""

    def is_elsewhere(self, job: Job, more_than: int) -> bool:
        """Whether some engine can carry out a job that has more memory than so many bytes."""
        return any(
            card.takes_jobs
            and card.can_have(job.model_id)
            and job.id not in card.refused
            and _largest(card) > more_than
            for card in self._all()
        )

    def largest_bytes(self) -> int:
        """The memory of the largest engine, of others than this server's own; 0 where there is none."""
        return max((_largest(card) for card in (*self._here, *self._others) if card.takes_jobs), default=0)

    def room(self, budget_bytes: int) -> int | None:
        """How large jobs an engine of this server takes that has so much memory; None, all, while no other engine has more."""
        return budget_bytes if self.largest_bytes() > budget_bytes else None

    # ------------------------------------------------------------------ telling the other servers

    async def look(self) -> None:
        """Hear of the workers of the other servers, and of wishes for those of this one."""
        if self._board is None:
            return
        others = []
        for session, text, leaves, is_own in await self._board.told():
            if leaves:
                with contextlib.suppress(NotFound):  # it is another server's
                    self._fleet.drain(session)
            if not is_own:
                with contextlib.suppress(msgspec.DecodeError):  # of another version
                    others.append(_CARD.decode(text))
        self._others = tuple(others)

    async def _run(self) -> None:
        while self._board is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TELL_SECONDS):
                    await self._fleet.changed.wait()
            self._fleet.changed.clear()
            try:
                await self._board.tell(self._told())
            except SdrestError as error:
                log.warning("other servers cannot be told of the workers at the moment", problem=error.message)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _told(self) -> dict[str, tuple[str, bool]]:
        cards = self._here
        told = {card.session: (msgspec.json.encode(card).decode(), card.state != "away") for card in cards}
        if own := self._own():
            card = WorkerCard(name=self.name, session="", server=self.name, engines=own, is_server=True)
            told[f"server {self.name}"] = (msgspec.json.encode(card).decode(), True)
        return told


def _largest(card: WorkerCard) -> int:
    return max((engine.budget_bytes for engine in card.engines), default=0)


_CARD: Final = msgspec.json.Decoder(WorkerCard)
