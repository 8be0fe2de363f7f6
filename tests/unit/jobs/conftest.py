"""The queue on a store in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sdrest.core.job import Job, JobType
from sdrest.core.parameters import GenerationParameters
from sdrest.core.principal import ANYONE, Principal, Role, principal_of
from sdrest.jobs.allowance import Allowance, Allowances
from sdrest.jobs.files import JobFiles
from sdrest.jobs.intake import Intake
from sdrest.jobs.running import Attempt
from sdrest.jobs.service import JobService
from sdrest.jobs.submission import Submission
from tests.memory.groups import MemoryGroupStore
from tests.memory.jobs import MemoryJobStore
from tests.unit.jobs.queue_server import Clock, RecordingBroadcast, unchecked

ANN, BOB = (principal_of(name, Role.USER, "jwt") for name in ("ann", "bob"))


@dataclass
class Queue:
    """All parts of it but the worker."""

    service: JobService
    intake: Intake
    store: MemoryJobStore
    files: JobFiles
    broadcast: RecordingBroadcast
    clock: Clock
    folder: Path

    async def submit(self, prompt: str = "a", *, principal: Principal = ANYONE, **fields: object) -> Job:
        """A new text-to-picture job; ``fields`` are parameters."""
        parameters = GenerationParameters(prompt=prompt, **fields)  # type: ignore[arg-type]
        return await self.intake.submit(
            Submission(type=JobType.TXT2IMG, parameters=parameters, principal=principal, reuse=False)
        )

    async def claimed(self) -> Job:
        """The next job, running."""
        job = await self.store.claim(list(JobType), now=self.clock(), lease_seconds=60, worker="test")
        assert job is not None
        self.service.running.begin(Attempt(job, self.store, self.broadcast, self.files))
        return job

    def spool(self) -> list[str]:
        """All files in the spool."""
        spool = self.folder / "spool"
        return sorted(str(path.relative_to(spool)) for path in spool.rglob("*") if path.is_file())


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """With room for three jobs, two of each user; a user's picture may have 512 × 512 pixels."""
    store, clock, broadcast = MemoryJobStore(), Clock(), RecordingBroadcast()
    files = JobFiles(tmp_path / "output", tmp_path / "spool")
    allowances = Allowances(user=Allowance(max_pending=2, max_pixels=512 * 512))
    service = JobService(store, broadcast, files, clock=clock)
    intake = Intake(service, unchecked, MemoryGroupStore(store), max_pending=3, allowances=allowances)
    return Queue(service, intake, store, files, broadcast, clock, tmp_path)
