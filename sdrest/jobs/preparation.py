"""Checking a submission against the models that are here, and filling in what the client left open.

Whatever a number or a file header can tell is said now, all at once, before a job exists and long before native code sees it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from sdrest.core.architecture import Family
from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.core.model import MAIN_TYPES, Model, Need
from sdrest.core.parameters import GenerationParameters, UpscaleParameters, VideoParameters
from sdrest.core.principal import Principal
from sdrest.jobs.adapters import AdapterFinder
from sdrest.jobs.checks import encoder_problems, mode_problems, number_problems
from sdrest.jobs.contexts import ContextBuilder, chosen_components
from sdrest.jobs.default_model import DefaultModel
from sdrest.jobs.memory import MemoryPlanner
from sdrest.jobs.prompt_tokens import text_problems
from sdrest.jobs.reuse import ResultKeys
from sdrest.jobs.sizes import with_picture_size
from sdrest.jobs.submission import Prepared, Submission
from sdrest.jobs.upscalers import enlargement_problems, find_upscaler
from sdrest.outputs.space import FreeSpace
from sdrest.outputs.video import check_format
from sdrest.registry.defaults import defaults_of
from sdrest.registry.registry import Registry

T = TypeVar("T")


class ModelPreparer:
    """The :class:`sdrest.jobs.intake.Preparer` over the registry."""

    def __init__(
        self,
        registry: Registry,
        default_model: DefaultModel,
        contexts: ContextBuilder,
        adapters: AdapterFinder,
        memory: MemoryPlanner,
        space: FreeSpace,
        result_keys: ResultKeys,
    ) -> None:
        self._registry = registry
        self._default_model = default_model
        self._contexts = contexts
        self._memory = memory
        self._space = space
        self._result_keys = result_keys
        self._adapters = adapters

    async def prepare(self, submission: Submission) -> Prepared:
        """See :class:`sdrest.jobs.intake.Preparer`."""
        parameters = submission.parameters
        if isinstance(parameters, UpscaleParameters):
            return await asyncio.to_thread(self._prepare_upscaling, parameters, submission)
        return await asyncio.to_thread(self._prepare, parameters, submission)

    def model(self, name: str, principal: Principal) -> Model:
        """The main model that ``name`` means; the caller's default one when it is empty.

        Raises:
            ModelNotFound: there is none; near names are given.
        """
        return self._registry.resolve(name, MAIN_TYPES) if name else self._default_model.model(principal)

    def _prepare(self, parameters: GenerationParameters, submission: Submission) -> Prepared:
        model, given = self.model(parameters.model, submission.principal), submission.given
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
        self._memory.check(plan, complete)
        self._space.check()
        key = self._result_keys.of(submission, complete, plan, adapters, self._upscaler_files(complete))
        return Prepared(complete, model, (*warnings, *self._wanting(model, complete)), key)

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
