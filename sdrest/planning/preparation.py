"""Checking a submission against the models that are here, and filling in what the client left open.

Whatever a number or a file header can tell is said now, all at once, before a job exists and long before native code sees it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from sdrest.core.architecture import Family
from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.model import MAIN_TYPES, Model, Need
from sdrest.core.parameters import (
    MAX_SIDE_PX,
    RANDOM_SEED,
    SEED_BOUND,
    GenerationParameters,
    UpscaleParameters,
    VideoParameters,
)
from sdrest.core.principal import Principal
from sdrest.core.space import FreeSpace
from sdrest.jobs.store import Waiting
from sdrest.jobs.submission import Parameters, Picture, Prepared, Submission
from sdrest.outputs.encoding import Encoding
from sdrest.outputs.picture_files import encoding_of
from sdrest.outputs.video import check_format
from sdrest.planning.checks import encoder_problems, mode_problems, number_problems
from sdrest.planning.context_specs import ContextBuilder, chosen_components
from sdrest.planning.default_model import DefaultModel
from sdrest.planning.dynamic_prompts import Options, drawn
from sdrest.planning.loras_and_embeddings import AdapterFinder
from sdrest.planning.memory import MemoryPlanner
from sdrest.planning.prompt_tokens import text_problems
from sdrest.planning.result_keys import ResultKeys
from sdrest.planning.upscaler_models import enlargement_problems, find_upscaler
from sdrest.registry.defaults import Defaults, defaults_of
from sdrest.registry.registry import Registry
from sdrest.registry.wildcards import Wildcards

T = TypeVar("T")
P = TypeVar("P", bound=GenerationParameters)


class ModelPreparer:
    """Prepares submissions with the models of the registry."""

    def __init__(
        self,
        registry: Registry,
        default_model: DefaultModel,
        contexts: ContextBuilder,
        adapters: AdapterFinder,
        memory: MemoryPlanner,
        space: FreeSpace,
        result_keys: ResultKeys,
        encoding: Encoding,
        wildcards: Wildcards,
        notices: Callable[[Waiting], Sequence[str]] = lambda _waiting: (),
    ) -> None:
        """``notices``: what the sender of a job is to know of where it will be carried out."""
        self._notices = notices
        self._registry = registry
        self._default_model = default_model
        self._contexts = contexts
        self._memory = memory
        self._space = space
        self._result_keys = result_keys
        self._adapters = adapters
        self._encoding = encoding
        self._wildcards = wildcards

    async def prepare(self, submission: Submission) -> Prepared:
        """See :data:`sdrest.jobs.submission.Prepare`."""
        parameters = self._with_encoding(submission)
        if isinstance(parameters, UpscaleParameters):
            prepared = await asyncio.to_thread(self._prepare_upscaling, parameters, submission)
        else:
            prepared = await asyncio.to_thread(self._prepare, parameters, submission)
        return dataclasses.replace(
            prepared, warnings=(*prepared.warnings, *self._notices(_waiting(submission, prepared)))
        )

    def model(self, name: str, principal: Principal) -> Model:
        """The main model that ``name`` means; the caller's default one when it is empty.

        Raises:
            ModelNotFound: there is none; near names are given.
        """
        return self._registry.catalogue.resolve(name, MAIN_TYPES) if name else self._default_model.model(principal)

    def _with_encoding(self, submission: Submission) -> Parameters:
        """The parameters with the server's own file format and quality where the request leaves them open.

        Raises:
            Unsupported: such files cannot be written here.
        """
        default = {"output_format": self._encoding.format, "output_quality": self._encoding.quality}
        missing: dict[str, Any] = {name: value for name, value in default.items() if name not in submission.given}
        parameters = dataclasses.replace(submission.parameters, **missing)
        encoding_of(parameters).check()
        return parameters

    def _prepare(self, parameters: GenerationParameters, submission: Submission) -> Prepared:
        model, given = self.model(parameters.model, submission.principal), submission.given
        if parameters.dynamic_prompts:
            parameters = with_drawn_prompts(parameters, self._wildcards.options)
        defaults = defaults_of(model)
        missing = {name: value for name, value in defaults.parameters().items() if name not in given}
        complete = dataclasses.replace(parameters, model=model.name, **missing)
        complete, warnings = with_picture_size(complete, given, submission.pictures, defaults)
        complete = _with_frames(complete, model)

        def has(field: str) -> bool:
            return bool(submission.pictures.get(field) or getattr(complete, field, ""))

        problems = [
            *number_problems(complete, defaults),
            *mode_problems(submission.type, complete, model, has),
            *self._upscaler_problems(complete),
        ]
        if isinstance(complete, VideoParameters):
            check_format(complete.video_format)
        adapters = _collect(problems, lambda: self._adapters.find(model, complete))
        if adapters is not None:
            problems.extend(text_problems(model, complete.negative_prompt, adapters))
        plan = _collect(problems, lambda: self._contexts.plan(model, complete, adapters))
        if plan is not None and not plan.encodes:
            problems.extend(encoder_problems(complete, model, has))
        if problems or plan is None or adapters is None:
            raise InvalidInput(problems)
        estimate = self._memory.check(plan, complete)
        self._space.check()
        key = self._result_keys.of(submission, complete, plan, adapters, self._upscaler_files(complete))
        return Prepared(complete, model, (*warnings, *self._wanting(model, complete)), key, estimate.total)

    def _wanting(self, model: Model, parameters: GenerationParameters) -> Iterator[str]:
        """Parts that are not there and whose absence shows."""
        chosen = chosen_components(parameters)
        for state in self._registry.components(model):
            component = state.requirement.component
            if state.requirement.need is Need.WANTED and not state.present and component not in chosen:
                yield f"no {component.value} file is there for {model.name}: the prompt has no effect"

    def _upscaler_problems(self, parameters: GenerationParameters) -> list[FieldProblem]:
        problems: list[FieldProblem] = []
        hires = parameters.hires
        if hires.enabled and hires.upscale_model:
            _collect(problems, lambda: find_upscaler(self._registry, hires.upscale_model, field="hires.upscale_model"))
        if parameters.upscale_model:
            found = _collect(problems, lambda: find_upscaler(self._registry, parameters.upscale_model))
            if found is not None:
                grown = hires.scale if hires.enabled else 1
                width = hires.target_width or round(parameters.width * grown)
                height = hires.target_height or round(parameters.height * grown)
                problems.extend(enlargement_problems(found, width, height, parameters.upscale_factor))
        return problems

    def _upscaler_files(self, parameters: GenerationParameters) -> Iterator[Path]:
        hires = parameters.hires.upscale_model if parameters.hires.enabled else ""
        for name in filter(None, (hires, parameters.upscale_model)):
            yield find_upscaler(self._registry, name).path

    def _prepare_upscaling(self, parameters: UpscaleParameters, submission: Submission) -> Prepared:
        pictures = submission.pictures.get("image")
        if not pictures:
            raise InvalidInput("a picture is needed", field="image")
        model = find_upscaler(self._registry, parameters.upscale_model)
        problems = list(enlargement_problems(model, *pictures[0].size, parameters.upscale_factor))
        if problems:
            raise InvalidInput(problems)
        self._space.check()
        return Prepared(dataclasses.replace(parameters, upscale_model=model.name), model)


def _waiting(submission: Submission, prepared: Prepared) -> Waiting:
    """A job that is about to wait for an engine."""
    model = prepared.model
    return Waiting(
        type=submission.type,
        model_id=model.id if model else "",
        model_name=model.name if model else "",
        memory_bytes=prepared.memory_bytes,
    )


def with_drawn_prompts(parameters: P, options: Options) -> P:
    """``parameters`` with the prompts that their seed draws, and what these were drawn from; with a seed, if there was none.

    Raises:
        InvalidInput: one of the prompts cannot be drawn.
    """
    seed = secrets.randbelow(SEED_BOUND) if parameters.seed == RANDOM_SEED else parameters.seed
    prompt, negative = parameters.prompt, parameters.negative_prompt
    return dataclasses.replace(
        parameters,
        seed=seed,
        prompt=drawn(prompt, seed, options),
        negative_prompt=drawn(negative, seed, options, field="negative_prompt"),
        prompt_source=prompt,
        negative_prompt_source=negative,
    )


def _collect(problems: list[FieldProblem], ask: Callable[[], T]) -> T | None:
    """The answer, or None with its problems added to ``problems``."""
    try:
        return ask()
    except InvalidInput as error:
        problems.extend(error.problems)
        return None


def _with_frames(parameters: GenerationParameters, model: Model) -> GenerationParameters:
    """Frame counts as the library makes them: Wan's latents hold four frames each, after the first."""
    if isinstance(parameters, VideoParameters) and model.architecture and model.architecture.family is Family.WAN:
        return dataclasses.replace(parameters, video_frames=(parameters.video_frames - 1) // 4 * 4 + 1)
    return parameters


#: Sizes taken over from pictures stay within this many times the area that the architecture is made for.
_MOST_AREAS: Final = 4
#: The picture that decides, in this order.
_DECIDING: Final = ("init_image", "control_image", "ref_images", "control_frames")


def with_picture_size(
    parameters: P, given: frozenset[str], pictures: Mapping[str, Sequence[Picture]], defaults: Defaults
) -> tuple[P, tuple[str, ...]]:
    """``parameters`` with width and height from the first input picture, where the request left them open; and warnings.

    One side alone given keeps the picture's proportions. Sizes are rounded to the architecture's multiple. Where the masked part
    alone is painted, they have nothing to do with the picture's.
    """
    picture = next((pictures[name][0] for name in _DECIDING if pictures.get(name)), None)
    if picture is None or {"width", "height"} <= given or parameters.inpaint.only_masked:
        return parameters, ()
    frame = parameters.outpaint
    extra_width, extra_height = frame.left + frame.right, frame.top + frame.bottom
    width, height = float(picture.width), float(picture.height)
    if "width" in given:
        height *= max(1, parameters.width - extra_width) / width
        width = parameters.width - extra_width
    elif "height" in given:
        width *= max(1, parameters.height - extra_height) / height
        height = parameters.height - extra_height
    width, height = max(1.0, width) + extra_width, max(1.0, height) + extra_height
    most = _MOST_AREAS * defaults.width * defaults.height
    shrink = 1.0
    if not given & {"width", "height"}:
        shrink = min(1.0, math.sqrt(most / (width * height)), MAX_SIDE_PX / max(width, height))
    result = tuple(_rounded(side * shrink, defaults.multiple) for side in (width, height))
    warnings: tuple[str, ...] = ()
    if shrink < 1:
        warnings = (
            f"the picture is large; the result is {result[0]}×{result[1]}, give width and height for another size",
        )
    chosen_width = parameters.width if "width" in given else result[0]
    chosen_height = parameters.height if "height" in given else result[1]
    return dataclasses.replace(parameters, width=chosen_width, height=chosen_height), warnings


def _rounded(side: float, multiple: int) -> int:
    least = -(-16 // multiple) * multiple
    most = MAX_SIDE_PX // multiple * multiple
    return min(most, max(least, round(side / multiple) * multiple))
