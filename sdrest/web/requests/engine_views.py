"""What everybody may know of the engine."""

from __future__ import annotations

from aiohttp import web

from sdrest.web.http.keys import ENGINE
from sdrest.web.http.public import without_folders


def engine_problem(app: web.Application) -> str:
    """Why the engine cannot start, told to everybody; empty when it can."""
    problem = app[ENGINE].problem
    return without_folders(problem.message) if problem else ""


def backend_name(app: web.Application) -> str | None:
    """The backend that computes: the first device that is not the CPU, else the CPU; None before the library is loaded."""
    info = app[ENGINE].library
    if info is None:
        return None
    others = [device.backend for device in info.devices if device.type != "cpu"]
    return (others or [device.backend for device in info.devices] or ["unknown"])[0]
