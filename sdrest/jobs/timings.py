"""How long pictures take on this machine: measured from the jobs that were carried out, used to estimate those to come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sdrest.core.events import Event, JobChanged, JobProgressed
from sdrest.core.job import Job, JobState, Phase
from sdrest.jobs.events import Broadcast, Listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What one model took at one size; seconds."""

    model_id: str
    width: int
    height: int
    #: Whether every step was computed twice, with and without the prompt (cfg_scale other than 1).
    guided: bool
    seconds_per_step: float
    #: Everything beside the steps, for each picture: encoding the prompt, decoding, writing.
    seconds_per_picture: float
    samples: int = 1

    @property
    def pixels(self) -> int:
        """Size of the picture."""
        return self.width * self.height


class TimingStore(Protocol):
    """Keeps timings across restarts."""

    async def record(self, timing: Timing) -> None:
        """Mix a measurement into what is known for its model, size and guidance."""
        ...

    async def of_model(self, model_id: str) -> list[Timing]:
        """All that is known of a model."""
        ...


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """Expected seconds, without loading the model; ``basis`` tells in words where they come from."""

    seconds: float | None
    basis: str


async def estimate_seconds(
    store: TimingStore, model_id: str, *, width: int, height: int, guided: bool, steps: int, count: int
) -> TimeEstimate:
    """The time for ``count`` pictures of ``steps`` steps.

    Without a measurement of this very size the nearest one is scaled by the number of pixels, which is too little for sizes much
    larger than the measured one: attention grows faster.
    """
    known = await store.of_model(model_id)
    if not known:
        return TimeEstimate(None, "this model has not made a picture on this machine yet")
    pixels = width * height

    def distance(timing: Timing) -> tuple[float, bool]:
        return max(timing.pixels, pixels) / min(timing.pixels, pixels), timing.guided is not guided

    best = min(known, key=distance)
    scale = pixels / best.pixels
    work = (1 + guided) / (1 + best.guided)
    seconds = count * scale * (steps * best.seconds_per_step * work + best.seconds_per_picture)
    same = (best.width, best.height, best.guided) == (width, height, guided)
    measured = f"{best.samples} measurement{'s' if best.samples > 1 else ''} at {best.width}×{best.height}"
    return TimeEstimate(round(seconds, 3), measured if same else f"scaled from {measured}")


@dataclass(slots=True)
class _Sampling:
    """The first and the last step seen of a running job, as (time, steps done)."""

    first: tuple[float, int]
    last: tuple[float, int]


#: The steps of a quick job may all be over before the first one is told.
_UNSEEN: Final = _Sampling((0.0, 0), (0.0, 0))


class TimingRecorder:
    """Listens to the jobs and records what they took."""

    def __init__(
        self, store: TimingStore, broadcast: Broadcast, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._running: dict[str, _Sampling] = {}
        self.listener = Listener(
            "timing-recorder",
            broadcast,
            self._heard,
            lambda event: isinstance(event, JobChanged | JobProgressed),
            is_own=True,
        )

    async def _heard(self, event: Event) -> None:
        match event:
            case JobProgressed(job_id=job_id, progress=progress) if progress.phase is Phase.SAMPLE:
                now = (self._clock(), (max(1, progress.image) - 1) * progress.steps + progress.step)
                sampling = self._running.setdefault(job_id, _Sampling(now, now))
                # A batch decodes between its pictures: only the steps of one picture follow each other closely.
                if progress.image <= 1:
                    sampling.last = now
            case JobChanged(job=job, previous=previous):
                # Of an attempt that ended nothing, nothing is kept: its steps are not the next one's.
                sampling = self._running.pop(job.id, _UNSEEN)
                if previous is JobState.RUNNING and (timing := measured(job, sampling.first, sampling.last)):
                    await self._store.record(timing)
            case _:
                pass


def measured(job: Job, first: tuple[float, int], last: tuple[float, int]) -> Timing | None:
    """The timing of a completed job whose sampling was seen at two moments; None when it tells nothing.

    The steps of a quick job are over before a second one is told: then all of its time is taken for that of its steps.
    """
    if job.state is not JobState.COMPLETED or not job.model_id or not job.seconds:
        return None
    parameters = job.parameters
    count, steps = int(parameters.get("batch_count", 1)), int(parameters.get("steps", 0))
    if steps < 1:
        return None
    seen = last[1] - first[1]
    per_step = (last[0] - first[0]) / seen if seen > 0 else job.seconds / count / steps
    return Timing(
        model_id=job.model_id,
        width=int(parameters["width"]),
        height=int(parameters["height"]),
        guided=float(parameters.get("cfg_scale", 1.0)) != 1.0,
        seconds_per_step=per_step,
        seconds_per_picture=max(0.0, job.seconds / count - per_step * steps),
    )
