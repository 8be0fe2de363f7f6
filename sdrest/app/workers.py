"""Who carries out jobs: from settings to engines at work, the fleet of other machines, downloads and the work on files."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp import web

from sdrest.core import bounds
from sdrest.core.events import ValuesChanged
from sdrest.core.job import JobType
from sdrest.jobs.store import Reach
from sdrest.jobs.worker import Executor, Worker
from sdrest.net.fetching import Guard
from sdrest.net.streaming import Streams
from sdrest.outputs.thumbnails import Thumbnails
from sdrest.registry.contents import Contents
from sdrest.registry.incoming import IncomingFiles
from sdrest.registry.refreshing import Refresher
from sdrest.storage.opening import board_of
from sdrest.storage.sql.database import Database
from sdrest.web.api.validation import WORKSHOP
from sdrest.web.http import keys
from sdrest.web.requests.uploads import INCOMING
from sdrest.work.downloads.executor import DownloadExecutor
from sdrest.work.downloads.first_seen import first_seen_in
from sdrest.work.downloads.hubs import Hubs
from sdrest.work.downloads.model_sets import ModelSets, catalogue_hosts
from sdrest.work.downloads.parts import Parts
from sdrest.work.downloads.requests import Downloads
from sdrest.work.engine_jobs import engine_executors
from sdrest.work.fleet import Fleet
from sdrest.work.hubs.browsing import HubBrowser
from sdrest.work.hubs.previews import Previews
from sdrest.work.hubs.values import Rating
from sdrest.work.load_tests import LoadTestExecutor
from sdrest.work.model_contents import ModelContents
from sdrest.work.model_files import FileExecutor, converting, hashing
from sdrest.work.needed_models import NeededModels, files_of
from sdrest.work.read_ahead import ReadAhead
from sdrest.work.roster import EngineCard, Roster
from sdrest.work.workshop import Workshop


def add_workers(
    app: web.Application,
    database: Database,
    workshops: Sequence[Workshop],
    downloads: DownloadExecutor,
    *,
    threads: int,
) -> list[Worker]:
    """Who carries out jobs: one worker for each engine, and those that need none."""
    jobs, registry, residency, settings = (
        app[keys.JOBS],
        app[keys.MODELS],
        app[keys.RESIDENCY],
        app[keys.SETTINGS],
    )
    roster = _add_fleet(app, database, workshops)
    file_threads = _add_file_work(app)
    trials = LoadTestExecutor(workshops[0], timeout_seconds=settings.load_test_seconds)
    files: dict[JobType, Executor] = {
        JobType.HASH: FileExecutor(hashing(registry), file_threads),
        JobType.CONVERT: FileExecutor(converting(registry), file_threads),
        JobType.LOAD_TEST: trials,
    }
    own = workshops if settings.work else ()
    for workshop in own:  # a job may wait for the engine that has just gone
        workshop.engine.follow(lambda _changed: None, jobs.running.wake_workers)
    return [
        *(
            Worker(
                workshop.engine.name,
                jobs,
                engine_executors(workshop, threads),
                max_attempts=settings.max_attempts,
                ready=workshop.engine.until_ready,
                preferred_models=partial(residency.models_in, workshop.engine),
                reach=partial(_reach, roster, workshop),
                is_elsewhere=roster.is_elsewhere,
            )
            for workshop in own
        ),
        Worker("downloads", jobs, {JobType.DOWNLOAD: downloads}, max_attempts=settings.max_attempts),
        Worker("files", jobs, files, max_attempts=settings.max_attempts),
    ]


def _add_fleet(app: web.Application, database: Database, workshops: Sequence[Workshop]) -> Roster:
    """The workers on other machines, and what this server and the others on the database know of all engines."""
    jobs, registry, settings = app[keys.JOBS], app[keys.MODELS], app[keys.SETTINGS]
    app[WORKSHOP] = workshops[0]
    contents = Contents()
    fleet = app[keys.FLEET] = Fleet(
        jobs,
        NeededModels(workshops[0], contents).of,
        ModelContents(registry, contents),
        max_attempts=settings.max_attempts,
        grace_seconds=settings.worker_grace_seconds,
    )

    def own() -> tuple[EngineCard, ...]:
        working = workshops if settings.work else ()
        return tuple(EngineCard(shop.engine.name, budget_bytes=shop.memory.budget()) for shop in working)

    roster = app[keys.ROSTER] = Roster(
        fleet,
        socket.gethostname() + (f":{settings.port}" if settings.port else ""),
        own,
        board_of(database, lambda: jobs.server),
        lambda: jobs.broadcast.publish(ValuesChanged()),
    )
    fleet.is_elsewhere = roster.is_elsewhere
    return roster


def read_ahead(app: web.Application, workshop: Workshop) -> ReadAhead:
    """What has the models read that the engines of this server need next."""
    jobs = app[keys.JOBS]
    types, residency = app[keys.WORKERS][0].types, app[keys.RESIDENCY]
    return ReadAhead(
        jobs.store, jobs.broadcast, types, lambda: residency.model_ids, partial(files_of, workshop=workshop)
    )


def _reach(roster: Roster, workshop: Workshop) -> Reach:
    """Which jobs an engine of this server can carry out: it has all models."""
    return Reach(memory_bytes=roster.room(workshop.memory.budget()))


def _add_file_work(app: web.Application) -> ThreadPoolExecutor:
    """Threads for work on files that takes minutes: it must not hold up what asks for a thread for a moment."""
    threads = ThreadPoolExecutor(bounds.FILE_THREADS, "files")
    app[keys.REFRESHER] = Refresher(app[keys.MODELS], threads)
    app[keys.THUMBNAILS] = Thumbnails()

    async def end(_app: web.Application) -> None:
        threads.shutdown(wait=False, cancel_futures=True)

    app.on_cleanup.append(end)
    return threads


def add_transfers(
    app: web.Application, guard: Guard, memory_bytes: Callable[[], int]
) -> tuple[DownloadExecutor, Callable[[web.Application], AsyncIterator[None]]]:
    """Who carries out downloads, and what cleans up after transfers of all kinds."""
    settings, jobs, registry = app[keys.SETTINGS], app[keys.JOBS], app[keys.MODELS]
    hubs = Hubs.of(settings)
    hosts = (*settings.download_hosts, *hubs.hosts, *catalogue_hosts(settings.model_sets))
    streams = Streams(guard, hosts, silence_seconds=settings.download_timeout_seconds)
    files = app[INCOMING] = IncomingFiles(
        settings.data_dir / "incoming", max_bytes=settings.max_model_bytes, min_free_bytes=settings.min_free_bytes
    )
    downloads = app[keys.DOWNLOADS] = Downloads(app[keys.INTAKE], jobs.store, registry.folders, hubs, streams)
    seen = first_seen_in(settings.models_dir)
    app[keys.MODEL_SETS] = ModelSets(
        downloads, registry, seen, streams.open, catalogues=settings.model_sets, memory_bytes=memory_bytes
    )
    app[keys.HUBS] = HubBrowser(
        hubs,
        streams.open,
        Previews(streams.open, settings.data_dir / "hub-previews"),
        memory_bytes=memory_bytes,
        rating=Rating[settings.hub_rating.upper()],
    )
    parts = Parts(files, jobs.store, jobs.broadcast)

    async def run(_app: web.Application) -> AsyncIterator[None]:
        await parts.sweep(uploads=True)
        async with app[keys.BACKGROUNDS].running(parts.listener.loop):
            yield

    executor = DownloadExecutor(
        registry, files, hubs, streams.open, seen, retry_seconds=settings.download_retry_seconds
    )
    return executor, run
