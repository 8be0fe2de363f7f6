"""What everybody may know of the engine."""

from __future__ import annotations

from aiohttp import web
from typing_extensions import TypedDict

from sdrest.engine.supervisor import EngineState
from sdrest.web.http.keys import ENGINES, MODELS, RESIDENCY
from sdrest.web.http.public import without_folders


class EngineView(TypedDict):
    """One engine: what it computes on (empty: what the library chose), and the process that holds the library.

    ``problem`` says why it cannot start, and is empty when it can. ``loaded`` are the names of the models in its memory,
    for callers who may see models.
    """

    name: str
    device: str
    ready: bool
    state: EngineState
    problem: str
    restarts: int
    memory_bytes: int
    loaded: list[str]


def engines_view(app: web.Application, *, with_models: bool) -> list[EngineView]:
    """Every engine of this server."""
    models, residency = app[MODELS].catalogue.models, app[RESIDENCY]
    return [
        {
            "name": engine.name,
            "device": engine.place.device,
            "ready": engine.state is EngineState.READY,
            "state": engine.state,
            "problem": without_folders(engine.problem.message) if engine.problem else "",
            "restarts": engine.restarts,
            "memory_bytes": engine.memory_bytes,
            "loaded": [m.name for m in models if m.id in residency.models_in(engine)] if with_models else [],
        }
        for engine in app[ENGINES]
    ]


def engine_problem(app: web.Application) -> str:
    """Why the engine cannot start, told to everybody; empty when it can."""
    problem = app[ENGINES].problem
    return without_folders(problem.message) if problem else ""


def backend_name(app: web.Application) -> str | None:
    """The backend that computes: the first device that is not the CPU, else the CPU; None before the library is loaded."""
    info = app[ENGINES].library
    if info is None:
        return None
    others = [device.backend for device in info.devices if device.type != "cpu"]
    return (others or [device.backend for device in info.devices] or ["unknown"])[0]
