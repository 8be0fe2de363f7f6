"""Folders of other programs that models are read from."""

from __future__ import annotations

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core.principal import Permission
from sdrest.registry.lending import MOST_ADDED
from sdrest.web.http.access import requires
from sdrest.web.http.bodies import Body, read_body
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.borrowing import borrow, lender_states, lending_of


class BorrowBody(Body):
    """Which folders are read beside those of the settings."""

    folders: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        max_length=MOST_ADDED,
        description="`comfyui:DIR`, `a1111:DIR`, `invokeai:DIR` or `DIR`, in the place of those that were added before.",
    )


class LenderView(TypedDict):
    """A program whose folder is read; `fixed` when the settings name it, `problems` in words."""

    label: str
    program: str
    path: str
    fixed: bool
    exists: bool
    models: int
    problems: list[str]


class BorrowedView(TypedDict):
    """All folders of other programs, and the texts that were added to the running server."""

    added: list[str]
    lenders: list[LenderView]


@requires(Permission.ADMIN)
@operation("models", reply=BorrowedView)
async def show(request: web.Request) -> web.Response:
    """List the folders of other programs that models are read from, in place."""
    return json_reply(await _view(request))


@requires(Permission.ADMIN)
@operation("models", body=BorrowBody, reply=BorrowedView, errors=(507,))
async def change(request: web.Request) -> web.Response:
    """Say which folders of other programs are read beside those of the settings, now and after a restart.

    They are looked through before the answer. Nothing is ever written into them.
    """
    body = await read_body(BorrowBody, request)
    await borrow(request, body.folders)
    return json_reply(await _view(request))


async def _view(request: web.Request) -> BorrowedView:
    return {
        "added": list(lending_of(request).added),
        "lenders": [
            {
                "label": state.lender.label,
                "program": state.lender.program.value,
                "path": str(state.lender.root),
                "fixed": state.fixed,
                "exists": state.exists,
                "models": state.models,
                "problems": list(state.problems),
            }
            for state in await lender_states(request)
        ],
    }


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/models/borrowed", show),
    ("PUT", "/models/borrowed", change),
)
