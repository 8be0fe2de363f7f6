"""Changing which programs lend their folders of models, and what there is in them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from sdrest.core.errors import Unsupported
from sdrest.registry.borrowed import Lender
from sdrest.registry.lending import Lending
from sdrest.web.http.keys import MODELS, REFRESHER


@dataclass(frozen=True, slots=True)
class LenderState:
    """A lender as it is now: whether its folder is there, how many models are read from it, and what is wrong, in words."""

    lender: Lender
    #: Named by the settings, not added to the running server.
    fixed: bool
    exists: bool
    models: int
    problems: tuple[str, ...]


def lending_of(request: web.Request) -> Lending:
    """Who lends here."""
    lending = request.app[MODELS].folders.lending
    if lending is None:
        raise Unsupported("this server reads no folders of other programs")
    return lending


async def lender_states(request: web.Request) -> tuple[LenderState, ...]:
    """Every lender as it is now."""
    lending, models = lending_of(request), request.app[MODELS].catalogue.models

    def look() -> tuple[LenderState, ...]:
        return tuple(
            LenderState(
                lender,
                number < len(lending.named),
                lender.root.is_dir(),
                sum(model.lender == lender.label for model in models),
                lender.lent().problems,
            )
            for number, lender in enumerate(lending.lenders)
        )

    return await asyncio.to_thread(look)


async def borrow(request: web.Request, folders: Sequence[str]) -> None:
    """Read the models of these folders, beside those of the settings, from now on. Raises as :meth:`Lending.change`."""
    await asyncio.to_thread(lending_of(request).change, folders)
    await request.app[REFRESHER].refresh()
