"""From the engine's phases to one fraction that never goes back, and the time that is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from sdrest.core.job import Phase, Progress

#: Shares of the whole by phase; sampling, decoding and upscaling are shared by all pictures of the job.
LOAD_SHARE: Final = 0.05
_PICTURE_PHASES: Final = {
    Phase.ENCODE: (0.0, 0.05),
    Phase.SAMPLE: (0.05, 0.85),
    Phase.DECODE: (0.85, 0.95),
    Phase.UPSCALE: (0.95, 1.0),
    Phase.SAVE: (1.0, 1.0),
}


class ProgressTracker:
    """Progress of one attempt; feed it what the engine reports."""

    def __init__(self, images: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._images = max(1, images)
        self._clock = clock
        self._sampling_since: tuple[float, float] | None = None
        self.current = Progress(images=self._images)

    def advance(self, phase: Phase, step: int, steps: int, image: int) -> Progress:
        """The progress after step ``step`` of ``steps`` in ``phase`` of picture ``image`` (from 1)."""
        within = min(1.0, step / steps) if steps > 0 else 0.0
        if phase is Phase.LOAD:
            fraction = LOAD_SHARE * within
        elif phase in _PICTURE_PHASES:
            begin, end = _PICTURE_PHASES[phase]
            done = (max(1, image) - 1 + begin + (end - begin) * within) / self._images
            fraction = LOAD_SHARE + (1 - LOAD_SHARE) * done
        else:
            fraction = within
        fraction = min(1.0, max(self.current.fraction, fraction))
        self.current = Progress(
            phase=phase,
            step=step,
            steps=steps,
            image=max(image, self.current.image),
            images=self._images,
            fraction=round(fraction, 4),
            eta_seconds=self._eta(phase, fraction),
        )
        return self.current

    def _eta(self, phase: Phase, fraction: float) -> float | None:
        """Seconds left at the rate seen since sampling began; loading says nothing of the speed of sampling."""
        now = self._clock()
        if self._sampling_since is None:
            if phase is Phase.SAMPLE:
                self._sampling_since = (now, fraction)
            return None
        since, first = self._sampling_since
        if fraction <= first:
            return None
        return round((now - since) * (1 - fraction) / (fraction - first), 1)


#: Work on files is reported in steps of this size, at most this often, with the rate of the last seconds.
_BYTES_A_STEP: Final = 1024 * 1024
_PAUSE_SECONDS: Final = 0.1
_RATE_SECONDS: Final = 5.0


class ByteMeter:
    """Progress of work on files: bytes, rate and time left. What was done before the first call does not count as speed."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = float("-inf")
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done: int, total: int | None) -> Progress | None:
        """The progress after ``done`` bytes of ``total`` (None: not known); None when the last one was told just now."""
        now = self._clock()
        if now - self._last < _PAUSE_SECONDS and done != total:
            return None
        self._last = now
        while len(self._seen) > 1 and now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        if self._seen and done < self._seen[-1][1]:  # begun again
            self._seen.clear()
        self._seen.append((now, done))
        since, before = self._seen[0]
        rate = (done - before) / (now - since) if now > since else 0.0
        left = None if total is None else max(0, total - done)
        return Progress(
            phase=Phase.WORK,
            step=done // _BYTES_A_STEP,
            steps=0 if total is None else max(1, total // _BYTES_A_STEP),
            fraction=0.0 if total is None else round(done / total, 4) if total else 1.0,
            eta_seconds=round(left / rate, 1) if left is not None and rate > 0 else None,
            done_bytes=done,
            total_bytes=total,
            bytes_per_second=round(rate, 1) if rate > 0 else None,
        )
