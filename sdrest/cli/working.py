"""A worker in this process: its engines, its folders, and its way to the server."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sdrest.core.background import Backgrounds
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.engine.cores import share_of, usable_cores
from sdrest.engine.engines import Engines, engines_from
from sdrest.jobs.files import JobFiles
from sdrest.net.front import Front, checked_address
from sdrest.outputs.data_dir import open_data_dir
from sdrest.outputs.picture_files import PictureFiles
from sdrest.planning.context_specs import ContextBuilder
from sdrest.planning.embedding_files import Embeddings
from sdrest.planning.holding import Holding, load_last_models
from sdrest.planning.loras_and_embeddings import AdapterFinder
from sdrest.planning.memory import ComputeSizes, MemoryPlanner
from sdrest.registry.opening import registry_of
from sdrest.registry.registry import Registry
from sdrest.settings import Settings
from sdrest.work import worker_frames as frames
from sdrest.work.agent import Agent
from sdrest.work.engine_jobs import engine_executors
from sdrest.work.fetched_models import FetchedModels
from sdrest.work.loaded_models import Residency
from sdrest.work.workshop import Workshop


def checked_front(addresses: Sequence[str], token_file: Path | None, ca_file: Path | None) -> Front:
    """The server of a worker, or several on one queue.

    Raises:
        InvalidInput: as :func:`sdrest.net.front.checked_address`.
    """
    token = token_file.read_text(encoding="utf-8").strip() if token_file else ""
    return Front([checked_address(address, has_token=bool(token)) for address in addresses], token, ca_file)


@asynccontextmanager
async def working(
    settings: Settings, front: Front, name: str, *, fetches: bool = True, idle_exit_seconds: float = 0.0
) -> AsyncIterator[Agent]:
    """A worker that is ready to run, for the length of the block.

    Raises:
        EngineUnavailable: an engine cannot start.
        SdrestError: the settings or the data folder cannot be used.
    """
    async with open_data_dir(settings):
        engines = engines_from(settings)
        await engines.start()
        try:
            load_last_models(engines, settings)
            await engines.info()
            registry = registry_of(settings, settings.data_dir)
            await asyncio.to_thread(registry.refresh)
            agent = await _agent(
                settings, front, registry, engines, name, fetches=fetches, idle_exit_seconds=idle_exit_seconds
            )
            residency = Residency(
                engines, registry, lambda _event: None, idle_unload_seconds=settings.idle_unload_seconds
            )
            for engine in engines:  # after the residency, which they ask

                def tell(engine: Engine = engine) -> None:
                    agent.loaded(engine.name, residency.models_in(engine))

                engine.follow(lambda _changed, tell=tell: tell(), tell)  # type: ignore[misc]
            async with front, Backgrounds().running(residency.loop):
                yield agent
        finally:
            await engines.stop()


async def _agent(
    settings: Settings,
    front: Front,
    registry: Registry,
    engines: Engines,
    name: str,
    *,
    fetches: bool,
    idle_exit_seconds: float,
) -> Agent:
    for folder in (settings.output_dir, settings.spool_dir):  # of attempts that are somebody else's by now
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    threads = settings.threads or share_of(usable_cores(), len(engines))
    files = JobFiles(settings.output_dir, settings.spool_dir)
    contexts = ContextBuilder(registry, Holding.of(settings, threads=threads))
    adapters = AdapterFinder(registry, Embeddings(registry, settings.data_dir / "embeddings"))
    sizes = ComputeSizes(settings.data_dir / "memory.json")
    pictures = PictureFiles.of(settings)

    def workshop_of(engine: Engine) -> Workshop:
        planner = MemoryPlanner(
            sizes,
            budget_bytes=settings.memory_budget_bytes,
            shared_by=settings.engines,
            libraries=partial(_library_of, engine),
        )
        return Workshop(engine, files, registry, contexts, planner, adapters, pictures)

    workshops = {engine.name: workshop_of(engine) for engine in engines}
    return Agent(
        name,
        front,
        files,
        FetchedModels(registry, front.download),
        {name: engine_executors(workshop, threads) for name, workshop in workshops.items()},
        partial(_described, workshops),
        fetches=fetches,
        idle_exit_seconds=idle_exit_seconds,
    )


def _library_of(engine: Engine) -> list[messages.Ready | None]:
    return [engine.library]


def _described(workshops: Mapping[str, Workshop]) -> tuple[Sequence[frames.Slot], str]:
    """The engines as the server is told of them, and the commit of their library."""
    slots, commit = [], ""
    for name, workshop in workshops.items():
        library = workshop.engine.library
        devices = library.devices if library else ()
        told = tuple(frames.Device(item.name, item.description, item.memory_total) for item in devices)
        slots.append(frames.Slot(name, told, workshop.memory.budget()))
        commit = library.commit if library else commit
    return slots, commit
