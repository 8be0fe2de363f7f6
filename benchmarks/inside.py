"""An application in the benchmark's own process, whose queue and engine can be looked at from inside."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import structlog
from aiohttp.test_utils import TestClient, TestServer

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.core.events import ModelChanged
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.parameters import GenerationParameters
from sdrest.core.principal import ANYONE, Principal
from sdrest.engine.client import Engine
from sdrest.jobs.intake import Intake
from sdrest.jobs.service import JobService
from sdrest.jobs.submission import Submission
from sdrest.jobs.worker import Worker
from sdrest.registry.registry import Registry
from sdrest.web.api.validation import WORKSHOP
from sdrest.web.http import keys
from sdrest.work.loaded_models import Residency
from tests.tiny.fixtures import cached

#: Folder of each tiny model that is not a checkpoint.
_FOLDERS = {"tae16": "taesd", "taesd": "taesd"}


class Inside:
    """A running application and its parts."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        app = client.app
        assert app is not None
        self.client = client
        self.jobs: JobService = app[keys.JOBS]
        self.intake: Intake = app[keys.INTAKE]
        self.engine: Engine = app[keys.ENGINES].first
        self.residency: Residency = app[keys.RESIDENCY]
        self.registry: Registry = app[keys.MODELS]
        self.workshop = app[WORKSHOP]
        self.worker: Worker = app[keys.WORKERS][0]

    async def submit(self, model: str, principal: Principal = ANYONE, **values: Any) -> Job:
        """Queue a picture."""
        parameters = GenerationParameters(model=model, **values)
        return await self.intake.submit(
            Submission(type=JobType.TXT2IMG, parameters=parameters, given=frozenset(values), principal=principal)
        )

    async def ended(self, job: Job) -> Job:
        """The job after its end."""
        return await self.jobs.wait(job.id, ANYONE)

    async def picture(self, model: str, **values: Any) -> Job:
        """Make a picture; it must succeed."""
        job = await self.ended(await self.submit(model, **values))
        assert job.state is JobState.COMPLETED, job.failure
        return job

    async def load(self, model: str) -> Job:
        """Load a model as POST /api/models/{id}/load does."""
        found = self.registry.catalogue.resolve(model)
        return await self.ended(
            await self.intake.submit_task(JobType.LOAD, {}, ANYONE, model_id=found.id, model_name=found.name)
        )

    def engine_process(self) -> psutil.Process:
        """The engine child."""
        pid = self.engine.supervisor.pid
        assert pid is not None
        return psutil.Process(pid)

    def memory_mib(self) -> float:
        """Resident memory of the engine child."""
        return float(self.engine_process().memory_info().rss) / 2**20


@asynccontextmanager
async def inside(folder: Path, models: Sequence[str] = (), **settings: Any) -> AsyncIterator[Inside]:
    """An application over tiny models, for the length of the block."""
    for name in models:
        source = cached(name)
        target = folder / "models" / _FOLDERS.get(name, "checkpoints") / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (folder / "models").mkdir(parents=True, exist_ok=True)
    values = {
        "models_dir": folder / "models",
        "data_dir": folder / "data",
        "log_level": "error",
        "reuse_results": False,  # what is measured is the making of pictures
        **settings,
    }
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    async with TestClient(TestServer(build_app(load_settings(values)))) as client:
        app = Inside(client)
        await app.engine.info()
        yield app


def count_loads(app: Inside) -> list[str]:
    """A list that grows by a model's name whenever it is loaded."""
    loaded: list[str] = []
    publish = app.jobs.broadcast.publish

    def listening(event: Any) -> None:
        if isinstance(event, ModelChanged) and event.state == "loaded":
            loaded.append(event.model_name)
        publish(event)

    app.residency._publish = listening
    return loaded
