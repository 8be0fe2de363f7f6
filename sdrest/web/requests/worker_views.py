"""Workers on other machines as the API and the pages show them."""

from __future__ import annotations

from typing_extensions import TypedDict

from sdrest.web.requests.job_views import timestamp
from sdrest.work.remote_worker import RemoteWorker


class WorkerDevice(TypedDict):
    """What an engine computes on; memory in bytes, 0 where it is not known."""

    name: str
    description: str
    memory_bytes: int


class WorkerEngine(TypedDict):
    """One engine of a worker, and what it does."""

    name: str
    devices: list[WorkerDevice]
    loaded_models: list[str]
    job_id: str | None


class WorkerView(TypedDict):
    """A worker on another machine; ``state``: working, waiting, leaving (it gets no further jobs), or away (it may come back)."""

    name: str
    session: str
    state: str
    version: str
    library: str
    connected_at: str | None
    engines: list[WorkerEngine]
    models: int
    jobs_done: int
    pictures_made: int


def worker_view(worker: RemoteWorker) -> WorkerView:
    """A worker as it is shown."""
    jobs = worker.jobs
    state = "working" if jobs else "waiting"
    return {
        "name": worker.name,
        "session": worker.hello.session,
        "state": "away" if not worker.is_connected else "leaving" if worker.is_leaving else state,
        "version": worker.hello.version,
        "library": worker.hello.commit,
        "connected_at": timestamp(worker.since),
        "engines": [
            {
                "name": slot.name,
                "devices": [
                    {"name": item.name, "description": item.description, "memory_bytes": item.memory_bytes}
                    for item in slot.devices
                ],
                "loaded_models": list(worker.loaded.get(slot.name, ())),
                "job_id": jobs[slot.name].id if slot.name in jobs else None,
            }
            for slot in worker.hello.slots
        ],
        "models": len(worker.models),
        "jobs_done": worker.jobs_done,
        "pictures_made": worker.pictures_made,
    }
