"""Answering a request that was answered before: the same parameters and seed on the same files give the same bytes.

The key of a result is a digest of everything that shapes it; where one of these things is not known, there is no key and the
picture is made. Every reuse is a job of its own, with files of its own: deleting either job leaves the other's alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from sdrest import __version__
from sdrest.core.job import Job, JobState
from sdrest.core.parameters import RANDOM_SEED, GenerationParameters, to_json
from sdrest.engine import messages
from sdrest.jobs.adapters import Adapters
from sdrest.jobs.contexts import ContextPlan
from sdrest.jobs.files import JobFiles
from sdrest.jobs.store import JobStore
from sdrest.jobs.submission import Submission


class ResultKeys:
    """Makes the keys; ``engine`` tells what the native library is, ``enabled`` whether there are keys at all."""

    def __init__(self, engine: Callable[[], messages.Ready | None], *, enabled: bool) -> None:
        self._engine = engine
        self._enabled = enabled

    def of(
        self,
        submission: Submission,
        parameters: GenerationParameters,
        plan: ContextPlan,
        adapters: Adapters,
        upscalers: Iterable[Path] = (),
    ) -> str:
        """The key of what a submission asks for with complete ``parameters``; empty when its result is not to be shared.

        Looks at files: not for the event loop.
        """
        ready = self._engine()
        if not self._enabled or not submission.reuse or parameters.seed == RANDOM_SEED or ready is None:
            return ""
        files = [*plan.spec.files, *adapters.embeddings, *((item.path, item.path) for item in adapters.loras)]
        files += [(str(path), str(path)) for path in upscalers]
        try:
            states = [(name, path, _state(path)) for name, path in files]
        except OSError:
            return ""
        parts = {
            "type": submission.type,
            "parameters": to_json(parameters),
            "files": states,
            "options": plan.spec.options,
            "pictures": [
                (field, [(picture.mode, picture.size, hashlib.sha256(picture.tobytes()).digest()) for picture in items])
                for field, items in sorted(submission.pictures.items())
            ],
            "made_by": (__version__, ready.version, ready.commit, ready.system_info),
        }
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class EarlierResults:
    """Finds what was made before and gives it to new jobs."""

    def __init__(self, store: JobStore, files: JobFiles) -> None:
        self._store = store
        self._files = files

    async def given_to(self, job: Job, now: datetime) -> Job | None:
        """``job``, complete, with the outputs of an earlier job of its principal; None when there is none or its files are gone.

        :meth:`JobFiles.keep` must be called when it is stored.
        """
        old = await self._store.by_result(job.principal, job.result_key)
        if old is None or not await asyncio.to_thread(self._files.share_outputs, old, job.id):
            return None
        return dataclasses.replace(
            job,
            state=JobState.COMPLETED,
            started_at=now,
            finished_at=now,
            seconds=0.0,
            outputs=old.outputs,
            warnings=tuple(dict.fromkeys((*job.warnings, *old.warnings))),
            reused_from=old.reused_from or old.id,
        )


def _state(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_size, found.st_mtime_ns
