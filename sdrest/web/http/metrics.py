"""Numbers for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Counted
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from sdrest import __version__
from sdrest.core.background import Backgrounds, LoopState
from sdrest.core.events import Event, JobChanged
from sdrest.core.job import JobState
from sdrest.engine.engines import Engines
from sdrest.engine.supervisor import EngineState
from sdrest.jobs.events import Listener
from sdrest.jobs.quota_store import QuotaStore
from sdrest.jobs.quotas import NAMES, Quotas, amount, today
from sdrest.jobs.service import JobService
from sdrest.web.http.access import canonical_path
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.public import without_folders
from sdrest.work.fleet import WORKER_TYPES
from sdrest.work.roster import Roster

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Models that are told of by name, and what the others are called.
_MODELS: Final = 50
_REST: Final = "(others)"
_HTTP_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_JOB_SECONDS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """What one server counts; the numbers live in a registry of its own."""

    def __init__(
        self,
        jobs: JobService,
        engines: Engines,
        backgrounds: Backgrounds,
        roster: Roster,
        quotas: Quotas,
        quota_store: QuotaStore,
    ) -> None:
        self._jobs = jobs
        self._quotas = quotas
        self._quota_store = quota_store
        self._roster = roster
        self._engines = engines
        self._backgrounds = backgrounds
        self._registry = registry = CollectorRegistry(auto_describe=True)
        self._requests = Histogram(
            "sdrest_http_request_seconds",
            "Time to answer, by route and status.",
            ("method", "route", "status"),
            buckets=_HTTP_SECONDS,
            registry=registry,
        )
        self._endings = Counter("sdrest_jobs_ended", "Jobs that ended.", ("type", "state"), registry=registry)
        self._work = Histogram(
            "sdrest_job_seconds", "Work on completed jobs.", ("type",), buckets=_JOB_SECONDS, registry=registry
        )
        self._waiting = Histogram(
            "sdrest_job_wait_seconds", "From submission to start.", buckets=_JOB_SECONDS, registry=registry
        )
        self._states = Gauge("sdrest_jobs", "Jobs by state.", ("state",), registry=registry)
        self._paused = Gauge("sdrest_queue_paused", "Whether the queue is paused.", registry=registry)
        self._ready = Gauge("sdrest_engine_ready", "Whether the engine takes tasks.", registry=registry)
        self._problem = Gauge(
            "sdrest_engine_unavailable",
            "1 with the reason while the engine cannot start.",
            ("reason",),
            registry=registry,
        )
        self._restarts = Gauge("sdrest_engine_restarts", "Restarts of all engine processes.", registry=registry)
        self._memory = Gauge("sdrest_engine_memory_bytes", "Memory of all engine processes.", registry=registry)
        self._each_ready = Gauge(
            "sdrest_engines_ready", "Whether each engine takes tasks.", ("engine",), registry=registry
        )
        self._each_restarts = Gauge(
            "sdrest_engines_restarts", "Restarts of each engine's process.", ("engine",), registry=registry
        )
        self._each_memory = Gauge(
            "sdrest_engines_memory_bytes", "Memory of each engine's process.", ("engine",), registry=registry
        )
        self._each_worker = Gauge(
            "sdrest_workers_connected",
            "Whether each worker on another machine is there.",
            ("worker",),
            registry=registry,
        )
        self._each_worker_jobs = Gauge(
            "sdrest_workers_jobs_done", "Jobs that each worker has carried out.", ("worker",), registry=registry
        )
        self._used = Gauge(
            "sdrest_use_today",
            "What all users together have used today (UTC), by quota.",
            ("quota",),
            registry=registry,
        )
        self._refused = Gauge(
            "sdrest_quota_refusals", "Requests refused since the start, by quota.", ("quota",), registry=registry
        )
        self._pending = Gauge(
            "sdrest_jobs_pending", "Jobs that wait for an engine, by model.", ("model",), registry=registry
        )
        self._oldest = Gauge(
            "sdrest_jobs_oldest_seconds",
            "For how long the oldest job has waited, by model.",
            ("model",),
            registry=registry,
        )
        self._unplaced = Gauge(
            "sdrest_jobs_without_engine",
            "Jobs that no engine can carry out that is there, by model.",
            ("model",),
            registry=registry,
        )
        self._running = Gauge(
            "sdrest_jobs_running",
            "Jobs that are carried out, by worker and model.",
            ("worker", "model"),
            registry=registry,
        )
        self._loaded = Gauge("sdrest_models_loaded", "Models in memory.", registry=registry)
        self._loops_running = Gauge(
            "sdrest_loop_running", "Whether a loop beside the requests runs now.", ("loop",), registry=registry
        )
        self._loop_restarts = Gauge(
            "sdrest_loop_restarts", "How often a loop failed and began again.", ("loop",), registry=registry
        )
        self._loop_errors = Gauge(
            "sdrest_loop_failed_seconds", "When a loop last failed, and of what.", ("loop", "error"), registry=registry
        )
        Gauge("sdrest_info", "Version.", ("version",), registry=registry).labels(__version__).set(1)
        self.listener = Listener(
            "metrics", jobs.broadcast, self._heard, lambda event: isinstance(event, JobChanged), is_own=True
        )

    async def _heard(self, event: Event) -> None:
        assert isinstance(event, JobChanged)
        job = event.job
        if job.state is JobState.RUNNING and job.started_at is not None:
            self._waiting.observe((job.started_at - job.created_at).total_seconds())
        if job.is_finished:
            self._endings.labels(job.type, job.state).inc()
            if job.seconds is not None:
                self._work.labels(job.type).observe(job.seconds)

    def middleware(self) -> Middleware:
        """Times every request."""

        @web.middleware
        async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
            started_at = time.perf_counter()
            status = 500
            try:
                response = await handler(request)
            except web.HTTPException as error:
                status = error.status
                raise
            else:
                status = response.status
                return response
            finally:
                route = canonical_path(request) or "(none)"
                self._requests.labels(request.method, route, status).observe(time.perf_counter() - started_at)

        return measure

    @operation("system", reply=Reply(str, "text/plain", "The text format of Prometheus"))
    async def handle(self, request: web.Request) -> web.Response:
        """Counters and gauges for Prometheus."""
        del request
        for state, number in (await self._jobs.store.counts()).items():
            self._states.labels(state).set(number)
        self._paused.set(await self._jobs.is_paused())
        self._ready.set(self._engines.state is EngineState.READY)
        self._problem.clear()
        if self._engines.problem is not None:
            self._problem.labels(without_folders(self._engines.problem.message)).set(1)
        self._restarts.set(self._engines.restarts)
        self._memory.set(self._engines.memory_bytes)
        self._loaded.set(len(self._engines.loaded))
        for engine in self._engines:
            self._each_ready.labels(engine.name).set(engine.state is EngineState.READY)
            self._each_restarts.labels(engine.name).set(engine.restarts)
            self._each_memory.labels(engine.name).set(engine.memory_bytes)
        self._count_workers()
        await self._count_by_model()
        self._count_loops()
        await self._count_use()
        body = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _count_use(self) -> None:
        used = await self._quota_store.used(today(self._jobs.clock()))
        for kind, name in NAMES.items():
            total = sum(getattr(item.use, kind) for item in used if not item.owner)
            self._used.labels(name).set(amount(total, kind))
            self._refused.labels(name).set(self._quotas.refused[name])

    def _count_workers(self) -> None:
        self._each_worker.clear()
        self._each_worker_jobs.clear()
        for worker in self._roster.workers:
            self._each_worker.labels(worker.name).set(worker.state != "away")
            self._each_worker_jobs.labels(worker.name).set(worker.jobs_done)

    async def _count_by_model(self) -> None:
        """What an autoscaler goes by. Models that few jobs wait for are summed up as the rest: there may be thousands."""
        for gauge in (self._pending, self._oldest, self._unplaced, self._running):
            gauge.clear()
        now, store = self._jobs.clock(), self._jobs.store
        waiting = [item for item in await store.waiting() if item.type in WORKER_TYPES]
        numbers: Counted[str] = Counted()
        for item in waiting:
            numbers[item.model_name] += item.number
        named = {model for model, _ in numbers.most_common(_MODELS)}
        oldest: dict[str, float] = {}
        for item in waiting:
            model = item.model_name if item.model_name in named else _REST
            self._pending.labels(model).inc(item.number)
            if item.oldest is not None:
                oldest[model] = max(oldest.get(model, 0.0), (now - item.oldest).total_seconds())
                self._oldest.labels(model).set(oldest[model])
            self._unplaced.labels(model).inc(item.number if self._roster.problem(item) else 0)
        for work in await store.at_work():
            self._running.labels(work.worker, work.model_name).inc(work.number)

    def _count_loops(self) -> None:
        self._loop_errors.clear()
        for loop in self._backgrounds:
            self._loops_running.labels(loop.name).set(loop.state is LoopState.RUNNING)
            self._loop_restarts.labels(loop.name).set(loop.restarts)
            if loop.failed_at is not None:
                self._loop_errors.labels(loop.name, without_folders(loop.last_error)).set(loop.failed_at.timestamp())
