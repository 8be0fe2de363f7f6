"""The model files of a worker: what it has, by content, and getting from its server what it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from sdrest.core.errors import InsufficientStorage, ModelUnusable, NotFound
from sdrest.core.files import confined, disk_is_full
from sdrest.core.job import Progress
from sdrest.core.model import Model
from sdrest.registry.contents import Contents
from sdrest.registry.registry import Registry
from sdrest.work.progress import ByteMeter
from sdrest.work.worker_frames import Needed

log = structlog.get_logger(__name__)


class Download(Protocol):
    """Gets a file of the server; see :meth:`sdrest.net.front.Front.download`."""

    def __call__(self, path: str, target: Path, told: Callable[[int], None] = ...) -> Awaitable[None]:
        """Get it."""
        ...


class FetchedModels:
    """What is in the model folders of a worker, which gets what it lacks at the same place as it has at the server."""

    def __init__(self, registry: Registry, download: Download) -> None:
        self._registry = registry
        self._download = download
        self._contents = Contents()
        self._lock = asyncio.Lock()
        #: How many were got.
        self.fetched = 0

    async def inventory(self) -> dict[str, str]:
        """The models by id, and what is in them."""
        return await asyncio.to_thread(self._inventory)

    def _inventory(self) -> dict[str, str]:
        found = {}
        for model in self._registry.catalogue.models:
            content = self._content(model)
            if content:
                found[model.id] = content
        return found

    def _content(self, model: Model) -> str:
        try:
            return self._contents.of(str(model.path))
        except OSError:
            return ""

    async def fetch(self, needed: Sequence[Needed], reached: Callable[[Progress], None]) -> dict[str, str]:
        """Have all that is needed; the ids here by those at the server. One at a time: jobs may need the same files.

        Raises:
            ModelUnusable: another file has the place of one that is needed, or what has come is another one.
            InsufficientStorage: the disk is full.
            Gone, NotFound: the server has it no longer.
        """
        async with self._lock:
            names = {}
            for item in needed:
                model = await asyncio.to_thread(self._find, item)
                names[item.model_id] = (model or await self._fetch(item, reached)).id
            return names

    def _find(self, needed: Needed) -> Model | None:
        """The model here that has the content: the one of the same id, else one that has its path in its folder."""
        same = self._registry.catalogue.get(needed.model_id)
        if same is not None and self._content(same) == needed.content:
            return same
        inner = needed.path.partition("/")[2]
        for model in self._registry.catalogue.models:
            if model.relative_path.partition("/")[2] == inner and self._content(model) == needed.content:
                return model
        return None

    async def _fetch(self, needed: Needed, reached: Callable[[Progress], None]) -> Model:
        try:
            target = confined(self._registry.folders.models_dir, *needed.path.split("/"))
        except NotFound:
            raise ModelUnusable(f"{needed.path} is no place for a model") from None
        if await asyncio.to_thread(target.exists):
            raise ModelUnusable(
                f"the worker has another file at {needed.path} than the server: remove one of them", path=needed.path
            )
        log.info("a model is fetched", path=needed.path, size=needed.size)
        meter = ByteMeter()

        def told(done: int) -> None:
            if (progress := meter.at(done, needed.size)) is not None:
                reached(progress)

        try:
            await self._download(f"workers/models/{needed.model_id}", target, told)
        except OSError as error:
            if disk_is_full(error):
                raise InsufficientStorage("the worker's disk is full: there is no room for the model") from error
            raise
        await asyncio.to_thread(self._registry.refresh)
        model = await asyncio.to_thread(self._find, needed)
        if model is None:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            raise ModelUnusable(f"what has come for {needed.path} is another file than the server has")
        self.fetched += 1
        return model
