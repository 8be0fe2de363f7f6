"""Telling apart what the native library is doing: it has one progress counter for everything, its log lines say the rest.

The runner itself knows when loading and encoding begin; what follows is read from the lines of library 0.4.7
(``stable-diffusion.cpp``, ``upscaler.cpp``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_ENTERED: Final = (
    ("sample", re.compile(r"get_learned_condition completed|^generating image: \d+/\d+|hires fix: \d+ steps")),
    ("decode", re.compile(r"^decoding \d+ latents|^generating latent video completed")),
    ("upscale", re.compile(r"^upscaling from|^hires fix: upscaling to")),
)

#: ``report(phase, step, steps, image, images)``.
Report = Callable[[str, int, int, int, int], None]


class Phases:
    """Follows one task. Feed it every log line and progress call; it reports phase changes and steps."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.phase = ""
        self._image = (0, 0)
        #: Sampling steps of all models together (0: of one model, which counts them itself), those of models that are
        #: done, and the last step heard of.
        self._total = self._done = self._step = 0
        #: True while a dry run goes through all phases without doing anything.
        self.muted = False

    def picture(self, number: int, count: int, *, total_steps: int = 0) -> None:
        """Picture ``number`` (from 1) of ``count`` is made from now on.

        ``total_steps`` is for two models that sample one after the other: the library counts the steps of each from 0.
        """
        self._image = (number, count)
        self._total, self._done, self._step = total_steps, 0, 0
        self.phase = ""

    def enter(self, phase: str) -> None:
        """Begin a phase; beginning the current one again reports nothing."""
        if not self.muted and phase != self.phase:
            self.phase = phase
            self._report(phase, 0, 0, *self._image)

    def log_line(self, text: str) -> None:
        """One line of the library's log."""
        for phase, pattern in _ENTERED:
            if pattern.search(text):
                self.enter(phase)
                return

    def progress(self, step: int, steps: int) -> None:
        """One call of the progress callback: ``step`` of ``steps`` of whatever runs now."""
        if self.muted:
            return
        if self._total and self.phase == "sample":
            if step < self._step:
                self._done += self._step
            self._step = step
            step, steps = self._done + step, self._total
        self._report(self.phase, step, steps, *self._image)
