"""``speed`` chooses a step cache that the library has for the architecture."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.job import JobType
from sdrest.core.model import Model, ModelFormat, ModelType
from sdrest.core.names import CacheMode, Speed
from sdrest.core.parameters import Cache, GenerationParameters, VideoParameters
from sdrest.planning.checks import VIDEO_FAMILIES, mode_problems
from sdrest.planning.speed import with_speed


def model(architecture: Architecture) -> Model:
    path = Path("one.safetensors")
    return Model(
        "one", "one", ModelType.CHECKPOINT, path, str(path), 1, 1, ModelFormat.SAFETENSORS, architecture=architecture
    )


@pytest.mark.parametrize("architecture", list(Architecture))
@pytest.mark.parametrize("speed", list(Speed))
def test_what_is_chosen_is_never_refused(architecture: Architecture, speed: Speed) -> None:
    kind = VideoParameters if architecture.family in VIDEO_FAMILIES else GenerationParameters
    chosen = with_speed(kind(prompt="p", speed=speed), model(architecture))
    assert (chosen.cache == Cache()) is (speed is Speed.EXACT)
    job_type = JobType.VIDEO if isinstance(chosen, VideoParameters) else JobType.TXT2IMG
    problems = mode_problems(job_type, chosen, model(architecture), lambda _field: False)
    assert not [problem for problem in problems if problem.field.startswith("cache")]


def test_a_cache_that_is_named_goes_before_it() -> None:
    own = Cache(mode=CacheMode.DBCACHE)
    given = GenerationParameters(prompt="p", speed=Speed.FAST, cache=own)
    assert with_speed(given, model(Architecture.FLUX)).cache == own
