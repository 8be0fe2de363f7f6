"""How much one principal may ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NoReturn

from sdrest.core.errors import FieldProblem, Forbidden
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters
from sdrest.core.principal import Permission, Principal, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The bounds of a kind of principal; None: no bound beyond the server's."""

    max_pending: int | None = None
    #: Width × height of the largest picture made on the way, second pass included.
    max_pixels: int | None = None
    #: Sampling steps, of either pass.
    max_steps: int | None = None
    #: Pictures of a batch, or frames of a video.
    max_images: int | None = None

    def check_size(self, width: int, height: int, *, field: str = "width") -> None:
        """Refuse a picture that is too large.

        Raises:
            Forbidden: as :meth:`check`.
        """
        if self.max_pixels is not None and width * height > self.max_pixels:
            _refuse([_too_many(field, width * height, "pixels (width × height)", self.max_pixels)])

    def check(
        self, parameters: GenerationParameters | UpscaleParameters, picture: tuple[int, int] | None = None
    ) -> None:
        """Refuse what goes beyond.

        Args:
            parameters: What is asked for.
            picture: Width and height of the picture that is to be enlarged, in pixels, where that is what is asked for.

        Raises:
            Forbidden: with one problem for each field, under ``errors`` in its details.
        """
        if isinstance(parameters, UpscaleParameters):
            if picture is not None:
                width, height = (round(side * parameters.upscale_factor) for side in picture)
                self.check_size(width, height, field="upscale_factor")
            return
        problems: list[FieldProblem] = []
        steps = max(parameters.steps, len(parameters.custom_sigmas) - 1, parameters.hires.steps)
        frames = parameters.video_frames if isinstance(parameters, VideoParameters) else 1
        for name, value, bound in (
            ("width", _pixels(parameters), self.max_pixels),
            ("steps", steps, self.max_steps),
            ("batch_count", parameters.batch_count, self.max_images),
            ("video_frames", frames, self.max_images),
        ):
            if bound is not None and value > bound:
                what = "pixels (width × height, second pass included)" if name == "width" else name
                problems.append(_too_many(name, value, what, bound))
        if problems:
            _refuse(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowances:
    """Who has which allowance."""

    user: Allowance = field(default_factory=Allowance)
    guest: Allowance = field(default_factory=Allowance)

    def of(self, principal: Principal) -> Allowance:
        """The principal's allowance; who manages the queue has no bounds."""
        if principal.may(Permission.MANAGE_QUEUE):
            return Allowance()
        return self.guest if principal.role is Role.GUEST else self.user


def _too_many(field: str, value: int, what: str, bound: int) -> FieldProblem:
    return FieldProblem(field, f"{value} {what} are more than the {bound} you may ask for")


def _refuse(problems: list[FieldProblem]) -> NoReturn:
    raise Forbidden(
        "; ".join(problem.message for problem in problems),
        errors=[{"field": problem.field, "message": problem.message} for problem in problems],
    )


def _pixels(parameters: GenerationParameters) -> int:
    return max(
        parameters.width * parameters.height, math.prod(parameters.sampled_size), math.prod(parameters.final_size)
    )
