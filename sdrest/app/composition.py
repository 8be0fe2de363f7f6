"""The composition root: from settings to a running application. Start-up order is the order of ``cleanup_ctx``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import structlog
from aiohttp import web

from sdrest.app.limits import allowances_from, check_exposure, limits_from
from sdrest.app.workers import add_transfers, add_workers, read_ahead
from sdrest.auth.setup import Access, build_access
from sdrest.auth.shared_ring import SharedRing
from sdrest.core import bounds
from sdrest.core.background import Backgrounds
from sdrest.core.events import ServerStopping
from sdrest.core.principal import ANYONE
from sdrest.core.space import FreeSpace
from sdrest.engine import messages
from sdrest.engine.client import Engine
from sdrest.engine.cores import share_of, usable_cores
from sdrest.engine.engines import Engines, engines_from
from sdrest.jobs.bin import Bin
from sdrest.jobs.events import Broadcast
from sdrest.jobs.files import JobFiles
from sdrest.jobs.gallery import Gallery
from sdrest.jobs.group_store import GroupStore
from sdrest.jobs.groups import Groups
from sdrest.jobs.intake import Intake
from sdrest.jobs.leases import Leases
from sdrest.jobs.quota_store import QuotaStore
from sdrest.jobs.quotas import Quotas
from sdrest.jobs.retention import Keep, Retention
from sdrest.jobs.service import JobService
from sdrest.jobs.timings import TimingRecorder
from sdrest.jobs.webhooks import Webhooks
from sdrest.net.fetching import Fetcher, Guard, WebhookGuard
from sdrest.outputs.data_dir import open_data_dir
from sdrest.outputs.encoding import Encoding
from sdrest.outputs.picture_files import PictureFiles
from sdrest.outputs.sent_files import SentFiles
from sdrest.planning.clip_tokens import ClipTokens
from sdrest.planning.context_specs import ContextBuilder
from sdrest.planning.default_model import DefaultModel
from sdrest.planning.embedding_files import Embeddings
from sdrest.planning.holding import Holding
from sdrest.planning.loras_and_embeddings import AdapterFinder
from sdrest.planning.memory import ComputeSizes, MemoryPlanner
from sdrest.planning.preparation import ModelPreparer
from sdrest.planning.result_keys import ResultKeys
from sdrest.planning.size_memory import SizePlanner
from sdrest.registry.builtin import EMBEDDED_NAME
from sdrest.registry.opening import registry_of
from sdrest.registry.registry import Watcher
from sdrest.registry.wildcards import Wildcards
from sdrest.settings import Settings
from sdrest.storage.opening import database_of
from sdrest.storage.sql.accounts import SqlAccountStore
from sdrest.storage.sql.database import Database
from sdrest.storage.sql.groups import SqlGroupStore
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sql.marks import SqlMarkStore
from sdrest.storage.sql.quotas import SqlQuotaStore
from sdrest.storage.sql.timings import SqlTimings
from sdrest.storage.sql.webhooks import SqlOutbox
from sdrest.web.api.register import add_api
from sdrest.web.dialects.a1111.request import ALLOWANCES
from sdrest.web.dialects.openai.files import SENT_FILES
from sdrest.web.dialects.register import add_dialects
from sdrest.web.http import keys
from sdrest.web.http.access import check_permission
from sdrest.web.http.auth import authenticate
from sdrest.web.http.errors import Problems
from sdrest.web.http.lifecycle import Lifecycle
from sdrest.web.http.metrics import Metrics
from sdrest.web.http.middleware import answer_preflight, known_host, request_context, set_up_headers
from sdrest.web.http.mounting import below_base_path
from sdrest.web.http.proxies import TrustedProxies
from sdrest.web.http.room import AtOnce, Room, Rooms
from sdrest.web.requests.audience import AUDIENCES, Audiences
from sdrest.web.requests.gallery import BIN, GALLERY
from sdrest.web.requests.job_views import webhook_body
from sdrest.web.requests.pictures import FETCHER
from sdrest.web.requests.submission import WEBHOOK_GUARD
from sdrest.web.requests.uploads import UPLOADS
from sdrest.web.ui.docs_page import add_documentation
from sdrest.web.ui.languages import in_readers_language
from sdrest.web.ui.offers import ADAPTERS
from sdrest.web.ui.setup import add_ui
from sdrest.work.loaded_models import Residency
from sdrest.work.prompt_expansion import expander_of
from sdrest.work.sharing import Sharing
from sdrest.work.workshop import Workshop

log = structlog.get_logger(__name__)


def build_app(settings: Settings, engines: Engines | None = None) -> web.Application:
    """The application; nothing is opened or started until it runs. ``engines`` that are given may be on their way already.

    Raises:
        InvalidInput: the settings contradict each other.
    """
    check_exposure(settings)
    problems = Problems()
    app = web.Application(
        client_max_size=settings.max_body_bytes,
        client_max_fields=bounds.FORM_FIELDS,
        middlewares=[
            TrustedProxies(settings.trusted_proxies).middleware(),
            request_context,
            below_base_path,
            in_readers_language,
            problems.middleware(),
            known_host,
            answer_preflight,
            authenticate,
            check_permission,
        ],
    )
    app[keys.SETTINGS] = settings
    guard = Guard(settings.fetch_allowed_hosts)
    app[FETCHER] = Fetcher(guard, max_bytes=settings.fetch_max_bytes, timeout_seconds=settings.fetch_timeout_seconds)
    app[WEBHOOK_GUARD] = WebhookGuard(guard, settings.webhook_hosts)
    _add_bounds(app)
    app[keys.LIFECYCLE] = Lifecycle()
    backgrounds = app[keys.BACKGROUNDS] = Backgrounds()
    database = database_of(settings)
    access = app[keys.ACCESS] = build_access(settings, SqlAccountStore(database))
    registry = app[keys.MODELS] = registry_of(settings, settings.data_dir)
    engines = app[keys.ENGINES] = engines or engines_from(settings)
    files = JobFiles(settings.output_dir, settings.spool_dir)
    store = SqlJobStore(database)
    default_model = app[keys.DEFAULT_MODEL] = DefaultModel(registry, store, settings.default_model or EMBEDDED_NAME)
    threads = settings.threads or share_of(usable_cores(), len(engines))
    contexts = ContextBuilder(registry, Holding.of(settings, threads=threads))
    adapters = app[ADAPTERS] = AdapterFinder(registry, Embeddings(registry, settings.data_dir / "embeddings"))
    plan_memory = partial(
        MemoryPlanner,
        ComputeSizes(settings.data_dir / "memory.json"),
        budget_bytes=settings.memory_budget_bytes,
        shared_by=settings.engines,
    )
    planner = plan_memory(
        libraries=lambda: [engine.library for engine in engines],
        elsewhere=lambda: app[keys.ROSTER].largest_bytes(),  # noqa: PLW0108 - it is not there yet
        works=settings.work,
    )
    app[keys.SIZE_PLANNER] = SizePlanner(contexts, planner)
    pictures = PictureFiles.of(settings)
    preparer = ModelPreparer(
        registry,
        default_model,
        contexts,
        adapters,
        planner,
        FreeSpace(settings.output_dir, settings.min_free_bytes),
        ResultKeys(lambda: engines.library, enabled=settings.reuse_results, written_by=pictures.marks),
        Encoding(settings.output_format, settings.output_quality),
        app[keys.WILDCARDS],
        notices=lambda waiting: [problem] if (problem := app[keys.ROSTER].problem(waiting)) else (),
    )
    jobs = app[keys.JOBS] = JobService(store, Broadcast(), files, clock=database.clock)
    sharing = Sharing(
        jobs, database, (default_model.restore, SharedRing(access.ring, store).agree, partial(_look_at_workers, app))
    )
    _add_intake(app, preparer, SqlGroupStore(database, store), SqlQuotaStore(database))
    audiences = app[AUDIENCES] = Audiences(jobs, settings.hang_up_grace_seconds)
    timings = app[keys.TIMINGS] = SqlTimings(database)
    recorder = TimingRecorder(timings, jobs.broadcast)
    workshops = [
        Workshop(
            engine, files, registry, contexts, plan_memory(libraries=partial(_library_of, engine)), adapters, pictures
        )
        for engine in engines
    ]
    residency = app[keys.RESIDENCY] = Residency(
        engines, registry, jobs.broadcast.publish, idle_unload_seconds=settings.idle_unload_seconds
    )
    downloads, transfers = add_transfers(app, guard, planner.budget)
    workers = app[keys.WORKERS] = add_workers(app, database, workshops, downloads, threads=threads)

    async def folders_and_database(_app: web.Application) -> AsyncIterator[None]:
        async with open_data_dir(settings), sharing.open(settings):
            await _open_access(access, settings)
            yield

    async def queue_and_workers(_app: web.Application) -> AsyncIterator[None]:
        await engines.start()
        await default_model.restore()
        await jobs.restore()
        if settings.delete_incomplete:
            await jobs.clear_pending(ANYONE)
        for engine in engines:
            backgrounds.add(engine.supervisor.loop)
        loops = (
            recorder.listener.loop,
            *([read_ahead(app, workshops[0]).listener.loop] if settings.work else []),
            jobs.followers.loop,
            Leases(jobs).loop,
            *(worker.loop for worker in workers),
            residency.loop,
            app[keys.ROSTER].loop,
        )
        async with sharing.going_on(backgrounds), backgrounds.running(*loops):
            yield
        await engines.stop()

    beside = (_models, _operation(app, database, sharing), transfers)
    app.cleanup_ctx.extend((folders_and_database, *beside, queue_and_workers))
    app.on_shutdown.append(_announce_end)
    app.on_cleanup.append(audiences.close)
    set_up_headers(app)
    add_api(app)
    add_dialects(app, problems)
    add_documentation(app)
    add_ui(app, problems)
    return app


def _library_of(engine: Engine) -> list[messages.Ready | None]:
    return [engine.library]


async def _look_at_workers(app: web.Application) -> None:
    await app[keys.ROSTER].look()


async def _announce_end(app: web.Application) -> None:
    broadcast = app[keys.JOBS].broadcast
    await app[keys.FLEET].close()
    broadcast.publish(ServerStopping(app[keys.LIFECYCLE].restarting))
    broadcast.close()


def _add_intake(app: web.Application, preparer: ModelPreparer, groups: GroupStore, quota_store: QuotaStore) -> None:
    """The way into the queue, for jobs alone and in groups."""
    jobs, most = app[keys.JOBS], app[keys.SETTINGS].max_pending_jobs
    app[keys.QUOTA_STORE] = quota_store
    quotas = app[keys.QUOTAS] = Quotas(quota_store, limits_from(app[keys.SETTINGS]))
    intake = Intake(jobs, preparer.prepare, groups, max_pending=most, allowances=app[ALLOWANCES], quotas=quotas)
    app[keys.INTAKE] = intake
    app[keys.GROUPS] = Groups(groups, jobs, intake)


def _add_bounds(app: web.Application) -> None:
    """What callers may have in work at the same time, and what works on prompts."""
    settings = app[keys.SETTINGS]
    app[keys.CLIP_TOKENS] = ClipTokens()
    app[keys.WILDCARDS] = Wildcards(settings.wildcards_dir)
    app[keys.EXPANDER] = expander_of(settings)
    app[keys.EXPANSIONS] = AtOnce(bounds.EXPANSIONS, "prompts being made more of")
    app[keys.ROOMS] = Rooms(
        Room(max(settings.max_body_bytes_at_once, settings.max_body_bytes)),
        Room(max(settings.max_pixels_at_once, settings.max_image_pixels)),
    )
    app[keys.STREAMS] = AtOnce(settings.max_streams_per_user, "event streams")
    app[UPLOADS] = AtOnce(bounds.MODEL_UPLOADS, "uploads of model files")
    app[ALLOWANCES] = allowances_from(settings)


async def _models(app: web.Application) -> AsyncIterator[None]:
    """What is in the model folders, at start and from then on."""
    registry, settings = app[keys.MODELS], app[keys.SETTINGS]
    report = await asyncio.to_thread(registry.refresh)
    log.info("models", total=report.total, folder=str(settings.models_dir))
    watcher = Watcher(registry, settings.watch_seconds)
    async with app[keys.BACKGROUNDS].running(watcher.loop):
        yield


def _operation(
    app: web.Application, database: Database, sharing: Sharing
) -> Callable[[web.Application], AsyncIterator[None]]:
    """What goes on beside the jobs: numbers for Prometheus, webhooks, what is kept of their files, and deleting what is old."""
    settings, jobs = app[keys.SETTINGS], app[keys.JOBS]
    app[GALLERY] = Gallery(jobs, SqlMarkStore(database))
    app[BIN] = Bin(jobs, days=settings.bin_days)
    metrics = Metrics(
        jobs, app[keys.ENGINES], app[keys.BACKGROUNDS], app[keys.ROSTER], app[keys.QUOTAS], app[keys.QUOTA_STORE]
    )
    app.middlewares.insert(0, metrics.middleware())
    app.router.add_get("/metrics", metrics.handle)
    guard = Guard(settings.fetch_allowed_hosts).also_allowing(settings.webhook_url, field="webhook_url")
    poster = Fetcher(guard, max_bytes=settings.fetch_max_bytes, timeout_seconds=settings.fetch_timeout_seconds)
    webhooks = Webhooks(
        SqlOutbox(database),
        jobs.store,
        jobs.broadcast,
        poster.post,
        partial(webhook_body, settings.base_path),
        secret=settings.webhook_secret.get_secret_value(),
        retry_seconds=settings.webhook_retry_seconds,
        leads=sharing.leads,
        clock=database.clock,
    )
    keep = Keep(days=settings.retention_days, jobs=settings.retention_jobs, size_bytes=settings.retention_bytes)
    retention = Retention(jobs, keep, app[BIN], leads=sharing.leads)
    sent_files = app[SENT_FILES] = SentFiles(
        settings.sent_files_dir, max_bytes=settings.max_file_bytes_per_user, keep_days=settings.retention_days
    )

    async def run(_app: web.Application) -> AsyncIterator[None]:
        await webhooks.report_all_to(settings.webhook_url)
        async with app[keys.BACKGROUNDS].running(
            metrics.listener.loop, *webhooks.loops, retention.loop, sent_files.loop
        ):
            yield

    return run


async def _open_access(access: Access, settings: Settings) -> None:
    """Read the secrets and say what keeps people from logging in."""
    await asyncio.to_thread(access.ring.open)
    for warning in await access.warnings_at_start(settings):
        log.warning(warning)
