"""Health, status and version: public, so nothing here shows a prompt, a path or a name of a user."""

from __future__ import annotations

import platform
from typing import Any, Final, Literal

from aiohttp import web
from typing_extensions import TypedDict

from sdrest import __version__
from sdrest.core.background import Background, LoopState
from sdrest.core.job import Job, JobState
from sdrest.core.principal import Permission, Principal
from sdrest.engine.supervisor import EngineState
from sdrest.web.http.auth import shown_principal
from sdrest.web.http.keys import BACKGROUNDS, ENGINES, JOBS, LIFECYCLE, MODELS, RESIDENCY, SETTINGS, WORKERS
from sdrest.web.http.operations import operation
from sdrest.web.http.public import without_folders
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.engine_views import EngineView, backend_name, engine_problem, engines_view


class LoopView(TypedDict):
    """One of the loops that go on beside the requests; ``last_error`` is empty when it never failed."""

    name: str
    state: LoopState
    restarts: int
    last_error: str


class EngineHealth(TypedDict):
    """Whether the engine takes tasks; ``problem`` says why it cannot start, and is empty when it can."""

    state: EngineState
    problem: str


class Health(TypedDict):
    """Whether jobs are taken, and what goes on beside the requests."""

    status: Literal["ok", "impaired", "stopped"]
    engine: EngineHealth
    loops: list[LoopView]


@operation("system", reply=Health, also={503: Health})
async def health(request: web.Request) -> web.Response:
    """Liveness: 503 and `stopped` when a worker has ended for good, else 200.

    `impaired` while an engine cannot start (jobs wait for it, or for another) or a loop that failed begins again; both mend by
    themselves.
    """
    app = request.app
    loops, engine = app[BACKGROUNDS], app[ENGINES]
    status: Literal["ok", "impaired", "stopped"] = "ok"
    if any(item.state is EngineState.UNAVAILABLE for item in engine) or any(
        loop.state is LoopState.RESTARTING for loop in loops
    ):
        status = "impaired"
    if not all(worker.loop.is_alive for worker in app[WORKERS]):
        status = "stopped"
    view: Health = {
        "status": status,
        "engine": {"state": engine.state, "problem": engine_problem(app)},
        "loops": [loop_view(loop) for loop in loops],
    }
    return json_reply(view, status=503 if status == "stopped" else 200)


def loop_view(loop: Background) -> LoopView:
    """How a loop does, told to everybody."""
    return {
        "name": loop.name,
        "state": loop.state,
        "restarts": loop.restarts,
        "last_error": without_folders(loop.last_error),
    }


class Ready(TypedDict):
    """Whether new work is welcome, and why not."""

    ready: bool
    reasons: list[str]


@operation("system", reply=Ready, also={503: Ready})
async def ready(request: web.Request) -> web.Response:
    """Readiness: 200 while the engine is up, workers take jobs and the queue has room, else 503 with the reasons."""
    app = request.app
    counts = await app[JOBS].store.counts()
    reasons = [
        reason
        for reason, found in (
            (engine_problem(app) or "the engine is not up", app[ENGINES].state is not EngineState.READY),
            ("a worker has stopped", not all(worker.loop.is_alive for worker in app[WORKERS])),
            ("the queue is full", counts[JobState.PENDING] >= app[SETTINGS].max_pending_jobs),
            ("the queue is paused", await app[JOBS].is_paused()),
        )
        if found
    ]
    return json_reply({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)


class QueueBrief(TypedDict):
    """The caller's jobs by state, the running one, and how many wait or run, whoever's they are."""

    queue_length: int
    pending_count: int
    running_count: int
    completed_count: int
    failed_count: int
    cancelled_count: int
    paused: bool
    current: str | None


class LoadedModels(TypedDict):
    """Names of the models in memory; none for callers who may not see models."""

    loaded: list[str]


class EngineBrief(TypedDict):
    """All engines together: whether any is ready; ``problem`` says why none can start, and is empty when one can."""

    ready: bool
    state: EngineState
    problem: str
    restarts: int
    memory_bytes: int


class Status(TypedDict):
    """What the server is doing."""

    status: str
    version: str
    uptime: float
    queue: QueueBrief
    models: LoadedModels
    backend: str | None
    engine: EngineBrief
    engines: list[EngineView]


@operation("system", reply=Status)
async def status(request: web.Request) -> web.Response:
    """Server status, the state of the queue, and the loaded models.

    The length of the queue is told to everybody; jobs and models only as far as the caller's credentials let them be seen.
    """
    jobs, engine = request.app[JOBS], request.app[ENGINES]
    principal = await shown_principal(request)
    counts = await jobs.counts(principal)
    running = (worker.current for worker in request.app[WORKERS])
    return json_reply(
        {
            "status": "ok",
            "version": __version__,
            "uptime": round(request.app[LIFECYCLE].up_seconds, 1),
            "queue": {
                "queue_length": await jobs.queue_length(),
                **{f"{state}_count": counts[state] for state in JobState},
                "paused": await jobs.is_paused(),
                "current": next((job.id for job in running if job and _may_see(principal, job)), None),
            },
            "models": {"loaded": _loaded_names(request.app) if principal.may(Permission.VIEW) else []},
            "backend": backend_name(request.app),
            "engine": {
                "ready": engine.state is EngineState.READY,
                "state": engine.state,
                "problem": engine_problem(request.app),
                "restarts": engine.restarts,
                "memory_bytes": engine.memory_bytes,
            },
            "engines": engines_view(request.app, with_models=principal.may(Permission.VIEW)),
        }
    )


class Version(TypedDict):
    """Versions, and what the native library was built with."""

    version: str
    python: str
    stable_diffusion_cpp: str | None
    stable_diffusion_cpp_commit: str | None
    system_info: str | None
    ggml_backend: str | None
    backends: list[str]


@operation("system", reply=Version)
async def version(request: web.Request) -> web.Response:
    """Versions of the server, of Python and of the native library, and the backends it has."""
    info = request.app[ENGINES].library
    return json_reply(
        {
            "version": __version__,
            "python": platform.python_version(),
            "stable_diffusion_cpp": info.version if info else None,
            "stable_diffusion_cpp_commit": info.commit if info else None,
            "system_info": info.system_info if info else None,
            "ggml_backend": backend_name(request.app),
            "backends": sorted({device.backend for device in info.devices}) if info else [],
        }
    )


def _may_see(principal: Principal, job: Job) -> bool:
    return principal.may(Permission.VIEW) and principal.owns(job.principal)


def _loaded_names(app: web.Application) -> list[str]:
    loaded = app[RESIDENCY].model_ids
    return [model.name for model in app[MODELS].catalogue.models if model.id in loaded]


def device_view(device: Any) -> dict[str, Any]:
    """One device as ggml registered it."""
    return {
        "name": device.name,
        "description": device.description,
        "type": device.type,
        "backend": device.backend,
        "memory_free": device.memory_free,
        "memory_total": device.memory_total,
    }


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/health", health),
    ("GET", "/ready", ready),
    ("GET", "/status", status),
    ("GET", "/version", version),
)
