"""Checking a submission against the models that are here, and filling in what the client left open.

Whatever a number or a file header can tell is said now, all at once, before a job exists and long before native code sees it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Final

from sdrest.core.errors import FieldProblem, InvalidInput, Unsupported
from sdrest.core.model import MAIN_TYPES, Component, Loading, Model
from sdrest.core.names import Scheduler
from sdrest.core.parameters import Components, GenerationParameters
from sdrest.core.principal import Principal
from sdrest.engine.messages import ContextSpec
from sdrest.jobs.default_model import DefaultModel
from sdrest.jobs.submission import Parameters, Submission
from sdrest.registry.defaults import Defaults, defaults_of
from sdrest.registry.registry import Registry

#: Parameter field by component.
_COMPONENT_FIELDS: Final = {
    Component.VAE: "vae_model",
    Component.TAESD: "taesd_model",
    Component.CLIP_L: "clip_l_model",
    Component.CLIP_G: "clip_g_model",
    Component.T5XXL: "t5xxl_model",
    Component.LLM: "llm_model",
    Component.LLM_VISION: "llm_vision_model",
    Component.CLIP_VISION: "clip_vision_model",
    Component.HIGH_NOISE: "high_noise_model",
    Component.CONTROLNET: "control_net_model",
    Component.PHOTOMAKER: "photo_maker_model",
}


class ModelPreparer:
    """The :class:`sdrest.jobs.service.Preparer` over the registry."""

    def __init__(self, registry: Registry, default_model: DefaultModel) -> None:
        self._registry = registry
        self._default_model = default_model

    async def prepare(self, submission: Submission) -> tuple[Parameters, Model | None, tuple[str, ...]]:
        """See :class:`sdrest.jobs.service.Preparer`."""
        parameters = submission.parameters
        if not isinstance(parameters, GenerationParameters):
            raise Unsupported(f"jobs of type {submission.type} are not carried out yet")
        return await asyncio.to_thread(self._prepare, parameters, submission)

    def model(self, name: str, principal: Principal) -> Model:
        """The main model that ``name`` means; the caller's default one when it is empty.

        Raises:
            ModelNotFound: there is none; near names are given.
        """
        return self._registry.resolve(name, MAIN_TYPES) if name else self._default_model.model(principal)

    def _prepare(
        self, parameters: GenerationParameters, submission: Submission
    ) -> tuple[Parameters, Model, tuple[str, ...]]:
        model, given = self.model(parameters.model, submission.principal), submission.given
        defaults = defaults_of(model)
        missing = {name: value for name, value in defaults.parameters().items() if name not in given}
        complete = dataclasses.replace(parameters, model=model.name, **missing)
        problems = list(_problems(complete, defaults))
        try:
            self._registry.loading(model, chosen_components(complete))
        except InvalidInput as error:
            problems.extend(error.problems)
        if problems:
            raise InvalidInput(problems)
        return complete, model, ()


def chosen_components(parameters: Components) -> dict[Component, str]:
    """The components that the parameters name."""
    named = {component: getattr(parameters, field) for component, field in _COMPONENT_FIELDS.items()}
    return {component: name for component, name in named.items() if name}


def _problems(parameters: GenerationParameters, defaults: Defaults) -> Iterator[FieldProblem]:
    for name in ("width", "height"):
        value = getattr(parameters, name)
        if value % defaults.multiple:
            lower = max(defaults.multiple, value - value % defaults.multiple)
            yield FieldProblem(
                name,
                f"must be a multiple of {defaults.multiple} for this model; {lower} or {lower + defaults.multiple} would do",
            )
    if parameters.scheduler is Scheduler.GITS and parameters.steps < 2:
        yield FieldProblem("steps", "the scheduler gits needs at least 2 steps")
    if parameters.custom_sigmas and len(parameters.custom_sigmas) < 2:
        yield FieldProblem("custom_sigmas", "needs at least 2 values")
    if parameters.seed + parameters.batch_count > 2**63:
        yield FieldProblem("seed", "seed + batch_count passes 2⁶³")


class ContextBuilder:
    """Makes the engine's context for a job: which files, and how they are held."""

    def __init__(self, registry: Registry, *, threads: int) -> None:
        self._registry = registry
        self._threads = threads

    def __call__(self, model_id: str, parameters: GenerationParameters) -> ContextSpec:
        """The context for a job on the model with that id.

        Raises:
            ModelNotFound, ModelUnusable: it has gone or changed since the job was submitted.
        """
        model = self._registry.resolve(model_id, MAIN_TYPES)
        loading = self._registry.loading(model, chosen_components(parameters))
        options: dict[str, bool | int | float | str] = {"lora_apply_mode": str(parameters.lora_apply_mode)}
        if self._threads:
            options["threads"] = self._threads
        if not _encodes(parameters):
            options["vae_decode_only"] = True
        for name in ("circular_x", "circular_y"):
            if getattr(parameters, name):
                options[name] = True
        return ContextSpec(files=_files(loading), options=tuple(sorted(options.items())))


def _encodes(parameters: GenerationParameters) -> bool:
    """Whether the job needs the VAE's encoder: a context without it ends the process when given a picture."""
    return bool(parameters.init_image or parameters.ref_images or parameters.mask_image or parameters.control_image)


def _files(loading: Loading) -> tuple[tuple[str, str], ...]:
    names = [field.name for field in dataclasses.fields(loading) if field.name.endswith("_path")]
    return tuple((name.removesuffix("_path"), str(getattr(loading, name))) for name in names if getattr(loading, name))
