"""Every sampler with every scheduler, on the tiny ERNIE model and the real library."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.names import Sampler, Scheduler
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import submit

#: Schedules made for the noise levels of Stable Diffusion: on a flow model they may come to no number.
UNFIT = {Scheduler.AYS}


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.mark.nightly
@pytest.mark.parametrize("sampler", Sampler)
async def test_sampler_works_with_every_scheduler(client_factory: ClientFactory, sampler: Sampler) -> None:
    client = await client_factory()
    for scheduler in Scheduler:
        job = await submit(
            client, "text2img", {**SMALL, "steps": 4, "sampling_method": sampler, "scheduler": scheduler}
        )
        if scheduler in UNFIT:
            assert job["status"] == "completed" or "one flat colour" in job["error"]
        else:
            assert job["status"] == "completed", (scheduler, job["error"])
