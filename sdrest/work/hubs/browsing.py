"""Looking for models on the hubs, and for newer versions of those that are here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sdrest.core.errors import NotFound, SdrestError
from sdrest.core.model import Model
from sdrest.net.streaming import Open
from sdrest.registry.model_sets import HEADROOM_BYTES
from sdrest.registry.origins import Origin, origin_of
from sdrest.work.downloads.hubs import Hubs
from sdrest.work.hubs.previews import Previews
from sdrest.work.hubs.values import Answer, Found, Hub, HubFile, HubModel, Newer, Rating, Wanted

_MAIN_FOLDERS: Final = frozenset({"checkpoints", "diffusion_models"})
_CHECKED_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What was found. ``cursors`` lead on, by hub; ``hidden`` counts what does not run here or does not fit."""

    models: tuple[HubModel, ...]
    cursors: Mapping[Hub, str] = field(default_factory=dict)
    hidden: int = 0
    #: Which hubs could not be asked, and why.
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A model that is here, and what is newer; None: nothing, or ``problem`` says why that is not known."""

    model: Model
    newer: Newer | None = None
    problem: str = ""


class HubBrowser:
    """The hubs, for this machine.

    Args:
        hubs: Their addresses and keys.
        open_url: Opens addresses on them.
        previews: Their pictures.
        memory_bytes: What a model may take.
        rating: The most explicit rating that is shown.
    """

    def __init__(
        self, hubs: Hubs, open_url: Open, previews: Previews, *, memory_bytes: Callable[[], int], rating: Rating
    ) -> None:
        self._civitai = hubs.civitai(open_url)
        self._hugging_face = hubs.hugging_face(open_url)
        self.previews = previews
        self.memory_bytes = memory_bytes
        self.rating = rating

    async def search(
        self,
        query: str,
        *,
        hubs: Sequence[Hub] = tuple(Hub),
        kind: str = "",
        runs: bool = True,
        fits: bool = True,
        limit: int = 20,
        cursors: Mapping[Hub, str] | None = None,
    ) -> Listing:
        """What the hubs have, those of one after those of the other.

        Args:
            query: Words.
            hubs: Where to look.
            kind: Key of a folder (``lora``), or empty.
            runs: Leave out what the library cannot run.
            fits: Leave out what does not fit the memory.
            limit: Models of each hub on a page.
            cursors: Where the last page ended.
        """
        asked = [hub for hub in hubs if not cursors or cursors.get(hub)]
        pages = await asyncio.gather(
            *(
                self._page(
                    hub,
                    Wanted(
                        query=query, type=kind, rating=self.rating, limit=limit, cursor=(cursors or {}).get(hub, "")
                    ),
                )
                for hub in asked
            )
        )
        found = [model for page, _ in pages for model in page.models if model.rating <= self.rating]
        shown = [
            model
            for model in found
            if not (runs and model.runs is Answer.NO) and not (fits and self.fits(model) is Answer.NO)
        ]
        return Listing(
            models=tuple(shown),
            cursors={hub: page.cursor for hub, (page, _) in zip(asked, pages, strict=True) if page.cursor},
            hidden=len(found) - len(shown),
            problems=tuple(problem for _, problem in pages if problem),
        )

    def fits(self, model: HubModel) -> Answer:
        """Whether a file of it fits the memory."""
        answers = {self.file_fits(file) for file in model.files if file.readable}
        return next((answer for answer in (Answer.YES, Answer.UNKNOWN, Answer.NO) if answer in answers), Answer.UNKNOWN)

    def file_fits(self, file: HubFile) -> Answer:
        """Whether a file fits the memory; a model that paints needs some to work in."""
        if file.size is None:
            return Answer.UNKNOWN
        needed = file.size + (HEADROOM_BYTES if file.type in _MAIN_FOLDERS else 0)
        return Answer.YES if needed <= self.memory_bytes() else Answer.NO

    def preview_keys(self, model: HubModel) -> tuple[str, ...]:
        """The keys of the pictures that may be shown."""
        return tuple(self.previews.key(item) for item in model.previews if item.rating <= self.rating)

    async def check(self, models: Sequence[Model], *, by_hash: bool = False) -> tuple[Checked, ...]:
        """Look for newer versions of models whose origin is known, or with ``by_hash`` of all whose hash is.

        What cannot be told of a model is its problem; models of which nothing is known are left out.
        """
        gate = asyncio.Semaphore(_CHECKED_AT_ONCE)

        async def one(model: Model) -> Checked | None:
            origin = await asyncio.to_thread(origin_of, model)
            if not origin.is_known and not (by_hash and origin.sha256):
                return None
            async with gate:
                try:
                    return Checked(model=model, newer=await self._newest(origin))
                except SdrestError as error:
                    return Checked(model=model, problem=error.message)

        found = await asyncio.gather(*map(one, models))
        return tuple(item for item in found if item is not None)

    async def newer(self, model: Model) -> Newer | None:
        """What is newer than a model; None where it is the newest.

        Raises:
            NotFound: neither its origin nor its hash is known, or no hub knows it.
            InvalidInput, Unavailable: the hub does not tell.
        """
        origin = await asyncio.to_thread(origin_of, model)
        if not origin.is_known and not origin.sha256:
            raise NotFound(
                f"where {model.name} came from is not known; with its hash, CivitAI can be asked: hash it first"
            )
        return await self._newest(origin)

    async def _newest(self, origin: Origin) -> Newer | None:
        if origin.hf_repository and origin.hf_file:
            return await self._hugging_face.newest(
                repo_id=origin.hf_repository, file=origin.hf_file, sha256=origin.sha256
            )
        return await self._civitai.newest(
            model_id=origin.civitai_model, version_id=origin.civitai_version, sha256=origin.sha256
        )

    async def _page(self, hub: Hub, wanted: Wanted) -> tuple[Found, str]:
        """A hub's page, or why there is none."""
        try:
            match hub:
                case Hub.CIVITAI:
                    return await self._civitai.search(wanted), ""
                case Hub.HUGGING_FACE:
                    return await self._hugging_face.search(wanted), ""
        except SdrestError as error:
            message = error.message
            return Found(), message if hub.label in message else f"{hub.label}: {message}"
