"""Accepting downloads: what can be told from a request alone is told before there is a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdrest.core.errors import Conflict
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.principal import Principal
from sdrest.jobs.intake import Intake
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.store import JobStore
from sdrest.net.streaming import Streams
from sdrest.registry.folders import FolderKind, Folders
from sdrest.registry.placing import kind_of, place
from sdrest.work.downloads.hubs import Hubs, name_of
from sdrest.work.downloads.sources import CivitaiSource, Source, checked_sha256, part_key

_MAX_JOBS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadRequest:
    """A download as it was asked for; see ``POST /api/models/download``."""

    source: str
    type: str = ""
    path: str = ""
    sha256: str = ""
    #: Whether the file's hash is noted as the one seen first; see :mod:`sdrest.work.downloads.first_seen`.
    note_hash: bool = False
    #: Generation parameters that the model works best with, to be kept beside it.
    defaults: Mapping[str, int | float] = field(default_factory=dict)


class Downloads:
    """Makes jobs of requests for downloads."""

    def __init__(self, intake: Intake, store: JobStore, folders: Folders, hubs: Hubs, streams: Streams) -> None:
        self._intake = intake
        self._store = store
        self._folders = folders
        self._hubs = hubs
        self._streams = streams

    async def submit(self, request: DownloadRequest, principal: Principal) -> Job:
        """Check a request and queue its job.

        Raises:
            InvalidInput, Unsupported: it cannot be carried out; names the field.
            Conflict: the file exists, or is being downloaded already.
        """
        source = self._hubs.parse(request.source)
        self._streams.check(self._hubs.address(source))
        kind = None if not request.type.strip() and isinstance(source, CivitaiSource) else kind_of(request.type)
        parameters: dict[str, Any] = {
            "source": request.source.strip(),
            # Empty where only the source knows.
            "type": kind.key if kind else "",
            "path": request.path.strip(),
            "sha256": checked_sha256(request.sha256),
            **({"note_hash": True} if request.note_hash else {}),
            **({"defaults": dict(request.defaults)} if request.defaults else {}),
        }
        # A download's file is there before its job ends: looked for in this order, one that is just coming is not missed.
        await self._refuse_a_second(part_key(parameters))
        if kind:
            self._check_place(request.path.strip(), source, kind)
        return await self._intake.submit_task(JobType.DOWNLOAD, parameters, principal, model_name=name_of(source))

    def _check_place(self, path: str, source: Source, kind: FolderKind) -> None:
        """Refuse a place that no file may have; a name that is known already is checked as well."""
        name = "" if isinstance(source, CivitaiSource) else name_of(source)
        if path.lower().endswith(kind.extensions) or name.lower().endswith(kind.extensions):
            place(self._folders, kind, path, name)
        elif path:
            place(self._folders, kind, path.rstrip("/") + "/", f"any{kind.extensions[0]}")

    async def _refuse_a_second(self, key: str) -> None:
        wanted = JobFilter(types=(JobType.DOWNLOAD,), states=(JobState.PENDING, JobState.RUNNING), limit=_MAX_JOBS)
        for job in await self._store.find(wanted):
            if part_key(job.parameters) == key:
                raise Conflict("this is being downloaded already", field="source", job_id=job.id)
