"""The registry: what is in the model folders now, kept across starts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG

import structlog

from sdrest.core.background import Background
from sdrest.core.errors import InsufficientStorage
from sdrest.core.model import Model, Requirement
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.components import requirements
from sdrest.registry.contents import Contents
from sdrest.registry.copies import without_copies
from sdrest.registry.folders import Folder, Folders
from sdrest.registry.hashes import HashCache, Hashes, Progress
from sdrest.registry.loading import candidates
from sdrest.registry.readers.header import Header
from sdrest.registry.readers.reading import read_header
from sdrest.registry.scan import Scanned, load_entries, save_entries, scan

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What a refresh changed, as ids; ``skipped`` tells in words what was left out."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    total: int
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComponentState:
    """One component of a model: whether its file holds it, and which registered files would do."""

    requirement: Requirement
    embedded: bool
    candidates: tuple[Model, ...]

    @property
    def present(self) -> bool:
        """Whether the component can be had here."""
        return self.embedded or bool(self.candidates)


class Registry:
    """All models of this installation.

    Reading the folders blocks, so :meth:`refresh`, :meth:`header` and :meth:`hash` belong on a worker thread;
    :attr:`catalogue` is replaced as a whole and may be read from anywhere. ``state_dir`` holds what earlier runs found.
    ``follow_links``: see :class:`sdrest.registry.links.LinkRule`. ``builtin`` are models that come with the program; they
    are listed even when no folder holds any.
    """

    def __init__(
        self,
        folders: Folders,
        state_dir: Path | None = None,
        *,
        follow_links: bool = False,
        aliases: Mapping[str, str] | None = None,
        builtin: Sequence[Model] = (),
    ) -> None:
        self.folders = folders
        self.hashes = HashCache(state_dir / "hashes.json" if state_dir else None)
        self._cache_path = state_dir / "models.json" if state_dir else None
        self._follow_links = follow_links
        self._aliases = dict(aliases or {})
        self._builtin = tuple(builtin)
        self._contents = Contents()
        self._lock = threading.Lock()
        self._entries: dict[Path, Scanned] = {}
        self._directories: Mapping[str, int] = {}
        self._skipped: tuple[str, ...] = ()
        self._catalogue = Catalogue(self._builtin, self._aliases)
        #: Whether the catalogue holds what a scan found: entries from the cache file are in no catalogue yet.
        self._scanned = False

    @property
    def catalogue(self) -> Catalogue:
        """The models as the last refresh found them."""
        return self._catalogue

    @property
    def skipped(self) -> tuple[str, ...]:
        """What the last refresh left out, in words."""
        return self._skipped

    def refresh(self, cancelled: Callable[[], bool] = lambda: False) -> RefreshReport:
        """Look through the folders again; only new and changed files are read. A second caller waits for the first."""
        with self._lock:
            if not self._entries and self._cache_path is not None:
                self._entries = load_entries(self._cache_path)
            before = {model.id: model for model in self._catalogue.models}
            result = scan(self.folders, self._entries, follow_links=self._follow_links, cancelled=cancelled)
            if self._cache_path is not None and (result.read or result.entries.keys() != self._entries.keys()):
                save_entries(self._cache_path, result.entries)
            self._directories = result.directories
            for line in result.skipped:
                if line not in self._skipped:
                    log.warning("skipped in the model folders", what=line)
            self._skipped = result.skipped
            if self._scanned and not result.read and result.entries.keys() == self._entries.keys():
                return RefreshReport((), (), (), len(self._catalogue), result.skipped)
            self._scanned = True
            self._entries = dict(result.entries)
            found = without_copies((self._with_hashes(model) for model in result.models), self._contents)
            self._catalogue = Catalogue((*self._builtin, *found), self._aliases).prepare()
            after = {model.id: model for model in self._catalogue.models}
        changed = (i for i in before.keys() & after.keys() if _state(before[i]) != _state(after[i]))
        return RefreshReport(
            added=tuple(sorted(after.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - after.keys())),
            changed=tuple(sorted(changed)),
            total=len(after),
            skipped=result.skipped,
        )

    def is_stale(self) -> bool:
        """Whether something came or went in the model folders since the last refresh, so that another is worth while.

        Looks at the times of the folders, and at the size and time of each file that cannot be used (it may have been on its
        way here); a file of the same name changed in place is not noticed. Cheap enough to ask every few seconds.
        """
        if any(_time_of(path) != before for path, before in self._directories.items()):
            return True
        return any(_has_grown(path, entry) for path, entry in self._entries.items() if not entry.model.usable)

    def components(self, model: Model) -> tuple[ComponentState, ...]:
        """Every component that ``model`` takes, and what is here of it."""
        return tuple(
            ComponentState(need, need.component in model.embedded, candidates(self._catalogue, need.component, model))
            for need in requirements(model)
        )

    def header(self, model: Model) -> Header:
        """The model's full header, read now. Raises :class:`sdrest.registry.readers.header.HeaderError`."""
        return read_header(model.path)

    def hash(
        self, model: Model, progress: Progress | None = None, cancelled: Callable[[], bool] = lambda: False
    ) -> Hashes:
        """The model's hashes, computed now unless known; see :meth:`HashCache.compute`."""
        hashes = self.hashes.compute(model.path, progress, cancelled)
        with self._lock:
            self._catalogue = self._catalogue.with_hashes(model.id, hashes.sha256, hashes.short)
        return hashes

    def directories(self) -> tuple[Folder, ...]:
        """All folders that are scanned, our own and those of other programs."""
        return (*self.folders.all(), *self.folders.borrowed()[0])

    def _with_hashes(self, model: Model) -> Model:
        known = self.hashes.of(model)
        return model if known is None else replace(model, sha256=known.sha256, short_hashes=known.short)


def _time_of(directory: str) -> int:
    try:
        return Path(directory).stat().st_mtime_ns
    except OSError:
        return 0


def _has_grown(path: Path, entry: Scanned) -> bool:
    """Whether a file is another than the one that was read; folders tell that by their times."""
    try:
        stat = path.stat()
    except OSError:
        return True
    return S_ISREG(stat.st_mode) and (stat.st_size, stat.st_mtime_ns) != entry.signature[:2]


def _state(model: Model) -> tuple[object, ...]:
    return model.size, model.mtime_ns, model.type, model.title, model.description, model.notes, model.preview


log = structlog.get_logger(__name__)


class Watcher:
    """Refreshes a registry when something has changed in its folders; looks every ``seconds``, never when that is 0."""

    def __init__(self, registry: Registry, seconds: float) -> None:
        self._registry = registry
        self._seconds = seconds
        self.loop = Background("model-watcher", self._run)

    async def _run(self) -> None:
        while self._seconds > 0:
            await asyncio.sleep(self._seconds)
            try:
                await asyncio.to_thread(self._look)
            except (OSError, InsufficientStorage) as error:  # the list of models stays as it was
                log.warning("cannot look for new models", problem=str(error))

    def _look(self) -> None:
        if not self._registry.is_stale():
            return
        report = self._registry.refresh()
        if report.added or report.removed or report.changed:
            log.info(
                "models changed", added=len(report.added), removed=len(report.removed), changed=len(report.changed)
            )
