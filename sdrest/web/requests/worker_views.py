"""Workers on other machines as the API and the pages show them."""

from __future__ import annotations

from typing_extensions import TypedDict

from sdrest.web.requests.job_views import timestamp
from sdrest.work.roster import WorkerCard


class WorkerDevice(TypedDict):
    """What an engine computes on; memory in bytes, 0 where it is not known."""

    name: str
    description: str
    memory_bytes: int


class WorkerEngine(TypedDict):
    """One engine of a worker, and what it does; ``budget_bytes``, what models may take, is 0 where it is not known."""

    name: str
    devices: list[WorkerDevice]
    budget_bytes: int
    loaded_models: list[str]
    job_id: str | None


class WorkerView(TypedDict):
    """A worker on another machine, and the server that it is connected to.

    ``state``: working, waiting, leaving (it gets no further jobs), or away (it may come back).
    """

    name: str
    session: str
    server: str
    state: str
    version: str
    library: str
    connected_at: str | None
    engines: list[WorkerEngine]
    models: int
    fetches_models: bool
    jobs_done: int
    pictures_made: int


def worker_view(worker: WorkerCard) -> WorkerView:
    """A worker as it is shown."""
    return {
        "name": worker.name,
        "session": worker.session,
        "server": worker.server,
        "state": worker.state,
        "version": worker.version,
        "library": worker.library,
        "connected_at": timestamp(worker.since),
        "engines": [
            {
                "name": engine.name,
                "devices": [
                    {"name": item.name, "description": item.description, "memory_bytes": item.memory_bytes}
                    for item in engine.devices
                ],
                "budget_bytes": engine.budget_bytes,
                "loaded_models": sorted(engine.loaded),
                "job_id": engine.job_id or None,
            }
            for engine in worker.engines
        ],
        "models": worker.models,
        "fetches_models": worker.fetches,
        "jobs_done": worker.jobs_done,
        "pictures_made": worker.pictures_made,
    }
