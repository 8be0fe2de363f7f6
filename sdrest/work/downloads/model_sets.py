"""Pulling model sets: which sets there are, which quantisation fits, and a download for every file that is not here yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from sdrest.core.errors import Conflict, InvalidInput, NotFound, SdrestError
from sdrest.core.principal import Principal
from sdrest.net.streaming import Open
from sdrest.registry.model_sets import (
    MAX_CATALOGUE_BYTES,
    UNKNOWN,
    Choice,
    ModelSet,
    SetFile,
    is_address,
    read_catalogue,
    read_catalogue_file,
    shipped_sets,
)
from sdrest.registry.registry import Registry
from sdrest.work.downloads.first_seen import FirstSeen
from sdrest.work.downloads.requests import DownloadRequest, Downloads


@dataclass(frozen=True, slots=True)
class PulledFile:
    """A file of a pulled set, and the download that brings it; None: it is here."""

    file: SetFile
    job_id: str | None
    #: Whether its hash is compared: the catalogue's, or that of its first download.
    compared: bool


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull came to."""

    model_set: ModelSet
    choice: Choice
    #: Why this choice.
    reason: str
    files: tuple[PulledFile, ...]


def catalogue_hosts(catalogues: Sequence[str]) -> tuple[str, ...]:
    """``host:port`` of the catalogues at addresses: whoever names one wants it reached."""
    return tuple(urlsplit(item).netloc.rpartition("@")[2] for item in catalogues if is_address(item))


class ModelSets:
    """The sets of all catalogues.

    Args:
        catalogues: Paths and addresses of further catalogues; their sets go before the package's of the same name.
        memory_bytes: What a model may take.
    """

    def __init__(
        self,
        downloads: Downloads,
        registry: Registry,
        seen: FirstSeen,
        open_url: Open,
        *,
        catalogues: Sequence[str],
        memory_bytes: Callable[[], int],
    ) -> None:
        self._downloads = downloads
        self._registry = registry
        self._seen = seen
        self._open = open_url
        self._catalogues = tuple(catalogues)
        self.memory_bytes = memory_bytes
        #: What was fetched from addresses; kept until the server ends.
        self._fetched: dict[str, tuple[ModelSet, ...]] = {}

    async def all(self, *, fetch: bool = True) -> tuple[tuple[ModelSet, ...], tuple[str, ...]]:
        """Every set by order of catalogues, and what is wrong with catalogues that could not be read.

        ``fetch``: whether catalogues at addresses that were not read yet are fetched, else they are passed over.
        """
        found: dict[str, ModelSet] = {}
        problems: list[str] = []
        for origin in self._catalogues:
            try:
                for item in await self._sets_at(origin, fetch=fetch):
                    found.setdefault(item.name, item)
            except SdrestError as error:
                problems.append(error.message)
        for item in await asyncio.to_thread(shipped_sets):
            found.setdefault(item.name, item)
        return tuple(found.values()), tuple(problems)

    async def find(self, name: str) -> ModelSet:
        """The set of that name.

        Raises:
            NotFound: there is none; says what comes near, and which catalogues could not be read.
        """
        sets, problems = await self.all()
        found = next((item for item in sets if item.name == name), None)
        if found is None:
            near = get_close_matches(name, [item.name for item in sets], n=3)
            words = [f"there is no model set {name!r}", *([f"near it: {', '.join(near)}"] if near else []), *problems]
            raise NotFound("; ".join(words))
        return found

    async def pull(self, name: str, principal: Principal, *, quantisation: str = "") -> Pulled:
        """Queue the downloads of what is not here yet; a file that is on its way already is waited for, not fetched twice.

        Raises:
            NotFound: there is no such set.
            InvalidInput: there is no such quantisation, or an address is not allowed.
            Conflict: another file has the name of one of the set's.
        """
        model_set = await self.find(name)
        choice, reason = model_set.choose(self.memory_bytes(), quantisation)
        missing = set(await asyncio.to_thread(self.missing, choice))
        files = [
            await self._fetch(model_set, file, principal) if file in missing else PulledFile(file, None, compared=False)
            for file in choice.files
        ]
        return Pulled(model_set, choice, reason, tuple(files))

    def has(self, choice: Choice) -> bool:
        """Whether all files are here. Blocks."""
        try:
            return not self.missing(choice)
        except Conflict:
            return False

    def missing(self, choice: Choice) -> tuple[SetFile, ...]:
        """The files that are not here. Blocks.

        Raises:
            Conflict: another file has the name of one of them.
        """
        return tuple(file for file in choice.files if not self._is_here(file))

    def _is_here(self, file: SetFile) -> bool:
        path = file.path_in(self._registry.folders)
        try:
            size = path.stat().st_size
        except OSError:
            models = self._registry.catalogue.models
            return bool(file.known_sha256) and any(model.sha256 == file.known_sha256 for model in models)
        if file.size not in {UNKNOWN, size}:
            raise Conflict(f"{path.name} in {path.parent.name} is another file: it has {size} bytes, not {file.size}")
        return True

    async def _fetch(self, model_set: ModelSet, file: SetFile, principal: Principal) -> PulledFile:
        sha256 = file.known_sha256 or await asyncio.to_thread(self._seen.sha256, file.url)
        is_main = file.part in {"checkpoint", "diffusion_model"}
        wanted = DownloadRequest(
            source=file.url,
            type=file.kind.key,
            path=file.file_name,
            sha256=sha256,
            note_hash=not sha256,
            defaults=model_set.defaults if is_main else {},
        )
        try:
            job = await self._downloads.submit(wanted, principal)
        except Conflict as error:
            if "job_id" in error.details:
                return PulledFile(file, str(error.details["job_id"]), compared=bool(sha256))
            # It may have come since it was found missing.
            if await asyncio.to_thread(self._is_here, file):
                return PulledFile(file, None, compared=False)
            raise
        return PulledFile(file, job.id, compared=bool(sha256))

    async def _sets_at(self, origin: str, *, fetch: bool) -> tuple[ModelSet, ...]:
        """The sets of one catalogue: a file's as it is now, an address's as it was first read."""
        if not is_address(origin):
            return await asyncio.to_thread(read_catalogue_file, origin)
        if origin not in self._fetched and fetch:
            self._fetched[origin] = await asyncio.to_thread(read_catalogue, await self._body(origin), origin)
        return self._fetched.get(origin, ())

    async def _body(self, url: str) -> bytes:
        body = bytearray()
        async with self._open(url, {}) as answer:
            if answer.status != 200:
                raise InvalidInput(f"{url} answered {answer.status}", field="model_sets")
            async for chunk in answer.chunks:
                body += chunk
                if len(body) > MAX_CATALOGUE_BYTES:
                    raise InvalidInput(f"{url} is longer than {MAX_CATALOGUE_BYTES} bytes", field="model_sets")
        return bytes(body)
