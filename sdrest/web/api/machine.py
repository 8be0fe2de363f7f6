"""The machine and the configuration, for those who run the server; and its restart."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from pathlib import Path
from typing import Any, Final, Literal

import psutil
from aiohttp import web
from pydantic import SecretStr
from typing_extensions import TypedDict

from sdrest.core.bounds import PROMPT_TOKENS
from sdrest.core.job import JobType
from sdrest.core.parameters import (
    MAX_PROMPT_CHARACTERS,
    MAX_SIDE_PX,
    GenerationParameters,
    limits_of,
)
from sdrest.core.principal import Permission
from sdrest.web.api.system import device_view
from sdrest.web.http.access import requires
from sdrest.web.http.keys import ENGINES, LIFECYCLE, SETTINGS, WORKERS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.engine_views import backend_name
from sdrest.work.fleet import WORKER_TYPES

_PLAIN_TYPES: Final = (str, int, float, bool)


class Cpu(TypedDict):
    """The processor."""

    model: str
    cores: int | None
    threads: int | None
    load: list[float]


class Memory(TypedDict):
    """Main memory in bytes."""

    total: int
    available: int
    engine: int


class Disk(TypedDict):
    """The disk of the outputs, in bytes."""

    total: int
    free: int


class Device(TypedDict):
    """One device as ggml registered it; memory in bytes."""

    name: str
    description: str
    type: str
    backend: str
    memory_free: int
    memory_total: int


class Capabilities(TypedDict):
    """What this server can do."""

    job_types: list[JobType]
    cancel_running: bool
    soft_cancel: bool
    previews: bool


class Limits(TypedDict):
    """The largest that may be asked for."""

    max_side: int
    max_batch_count: int
    max_steps: int
    max_prompt_characters: int
    max_prompt_tokens: int
    max_image_pixels: int
    max_body_bytes: int
    max_pending_jobs: int
    max_pending_jobs_per_user: int


class System(TypedDict):
    """Hardware, capabilities and limits."""

    os: str
    cpu: Cpu
    memory: Memory
    disk: Disk
    gpus: list[Device]
    devices: list[Device]
    backend: str | None
    capabilities: Capabilities
    limits: Limits


class Restarting(TypedDict):
    """The server ends and starts again."""

    status: Literal["restarting"]


@operation("system", reply=System)
async def system(request: web.Request) -> web.Response:
    """Hardware, capabilities and limits."""
    app = request.app
    info = app[ENGINES].library
    devices = [device_view(device) for device in info.devices] if info else []
    cpu, memory, disk = await asyncio.to_thread(_hardware, app[SETTINGS].output_dir)
    job_types = sorted({*WORKER_TYPES, *(kind for worker in app[WORKERS] for kind in worker.types)})
    return json_reply(
        {
            "os": platform.platform(terse=True),
            "cpu": cpu,
            "memory": {**memory, "engine": app[ENGINES].memory_bytes},
            "disk": disk,
            "gpus": [device for device in devices if device["type"] != "cpu"],
            "devices": devices,
            "backend": backend_name(app),
            "capabilities": {
                "job_types": job_types,
                "cancel_running": True,
                "soft_cancel": bool(info and info.soft_cancel),
                "previews": True,
            },
            "limits": limits(app),
        }
    )


def limits(app: web.Application) -> Limits:
    """The largest that may be asked for."""
    settings = app[SETTINGS]
    tables = {name: limits_of(field) for name, field in GenerationParameters.__dataclass_fields__.items()}
    return {
        "max_side": MAX_SIDE_PX,
        "max_batch_count": int(tables["batch_count"].le or 0),
        "max_steps": int(tables["steps"].le or 0),
        "max_prompt_characters": MAX_PROMPT_CHARACTERS,
        "max_prompt_tokens": PROMPT_TOKENS,
        "max_image_pixels": settings.max_image_pixels,
        "max_body_bytes": settings.max_body_bytes,
        "max_pending_jobs": settings.max_pending_jobs,
        "max_pending_jobs_per_user": settings.max_pending_jobs_per_user,
    }


def _hardware(folder: Path) -> tuple[Cpu, dict[str, int], Disk]:
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(folder)
    cpu: Cpu = {
        "model": platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }
    return cpu, {"total": memory.total, "available": memory.available}, {"total": disk.total, "free": disk.free}


@operation("system", reply=dict[str, Any])
@requires(Permission.ADMIN)
async def config(request: web.Request) -> web.Response:
    """Every setting with its value; secrets are only shown to be set or not."""
    return json_reply({name: _shown(value) for name, value in request.app[SETTINGS]})


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return {"set": bool(value.get_secret_value())}
    if value is None or isinstance(value, _PLAIN_TYPES):
        return value
    if isinstance(value, dict):
        return {str(key): _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list | tuple) else str(value)


@operation("system", reply=Restarting, status=202)
@requires(Permission.ADMIN)
async def restart(request: web.Request) -> web.Response:
    """Restart the server: running jobs go back to the queue, the listening socket stays open."""
    request.app[LIFECYCLE].restart()
    return json_reply({"status": "restarting"}, status=202)


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/system", system),
    ("GET", "/config", config),
    ("POST", "/system/restart", restart),
)
