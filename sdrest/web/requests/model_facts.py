"""All that is known here of one model beside its file: what uses it, and what it takes of disk, memory and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import InvalidInput, SdrestError
from sdrest.core.job import Job, JobType, Output
from sdrest.core.model import MAIN_TYPES, TEXT_TYPES, Component, Model, ModelType
from sdrest.core.parameters import Lora
from sdrest.jobs.listing import JobFilter
from sdrest.jobs.timings import Timing
from sdrest.planning.context_specs import COMPONENT_FIELDS
from sdrest.planning.loras_and_embeddings import extract_loras
from sdrest.planning.size_memory import SizeMemory, SizePlanner
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.components import fits, requirements
from sdrest.registry.disk_use import DiskUse, disk_use, parts_taken
from sdrest.registry.model_sets import ModelSet
from sdrest.registry.presets import contents_of
from sdrest.registry.registry import Registry
from sdrest.registry.variants import variants_of
from sdrest.web.http.keys import JOBS, MODEL_SETS, MODELS, PRINCIPAL, SETTINGS, SIZE_PLANNER, TIMINGS

#: Jobs, newest first, that are looked through for parts that they name.
_JOBS_LOOKED_THROUGH: Final = 200
#: Jobs whose pictures are shown, and main models and presets that are looked through.
_SHOWN_JOBS, _MAINS, _PRESETS = 8, 500, 200
#: Parameters that name a file.
_NAMING: Final = (*COMPONENT_FIELDS.values(), "upscale_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model; the caller's jobs only, unless it may see all."""

    model: Model
    #: Model sets with a file of this name.
    sets: tuple[ModelSet, ...]
    #: Main models that would be loaded with this file as a part, and which part.
    taken_by: tuple[tuple[Component, Model], ...]
    presets: tuple[str, ...]
    #: Further names that the settings give it.
    aliases: tuple[str, ...]
    #: How many jobs had it as their main model, or of the newest ones as a part.
    job_count: int
    #: The newest of them.
    jobs: tuple[Job, ...]
    disk: DiskUse
    budget_bytes: int
    #: Empty for files that make no pictures, and where parts are missing: ``memory_problem`` says so.
    memory: tuple[SizeMemory, ...]
    memory_problem: str
    speed: tuple[Timing, ...]
    #: The same model in other quantisations.
    variants: tuple[Model, ...]

    @property
    def pictures(self) -> tuple[tuple[Job, Output], ...]:
        """Still pictures of the newest jobs that had it as their main model."""
        own = (job for job in self.jobs if job.model_id == self.model.id)
        return tuple((job, item) for job in own for item in job.outputs if item.media_type.startswith("image/"))


async def model_facts(request: web.Request, model: Model) -> ModelFacts:
    """What is known of a model, for this caller."""
    app = request.app
    registry, planner = app[MODELS], app[SIZE_PLANNER]
    count, jobs = await _jobs_of(request, model)
    found, _ = await app[MODEL_SETS].all(fetch=False)
    speed = await app[TIMINGS].of_model(model.id) if model.type & MAIN_TYPES else []
    disk, taken_by, presets = await asyncio.to_thread(_looked_up, registry, model)
    memory, problem = await asyncio.to_thread(_memory, planner, model)
    return ModelFacts(
        model=model,
        sets=tuple(item for item in found if _has(item, model)),
        taken_by=taken_by,
        presets=presets,
        aliases=tuple(
            alias for alias, name in app[SETTINGS].model_aliases.items() if registry.catalogue.find(name) is model
        ),
        job_count=count,
        jobs=tuple(jobs),
        disk=disk,
        budget_bytes=planner.budget(),
        memory=memory,
        memory_problem=problem,
        speed=tuple(sorted(speed, key=lambda timing: (timing.pixels, timing.guided))),
        variants=variants_of(registry.catalogue, model),
    )


def _looked_up(
    registry: Registry, model: Model
) -> tuple[DiskUse, tuple[tuple[Component, Model], ...], tuple[str, ...]]:
    return disk_use(registry, model), tuple(_taken_by(registry, model)), tuple(_presets(registry.catalogue, model))


def _memory(planner: SizePlanner, model: Model) -> tuple[tuple[SizeMemory, ...], str]:
    if not model.type & MAIN_TYPES:
        return (), ""
    try:
        return planner.of(model), ""
    except SdrestError as error:
        return (), error.message


def _has(item: ModelSet, model: Model) -> bool:
    """Whether a set has this very file: of its hash where both are known, else of its name and kind."""
    files = (file for choice in item.choices for file in choice.files)
    return any(
        file.known_sha256 == model.sha256
        if file.known_sha256 and model.sha256
        else file.file_name == model.file_name and bool(file.kind.types & model.type)
        for file in files
    )


def _taken_by(registry: Registry, model: Model) -> Iterator[tuple[Component, Model]]:
    for component in Component:
        if not model.type & component.model_type:
            continue
        for main in registry.catalogue.of_type(MAIN_TYPES)[:_MAINS]:
            # A tiny autoencoder stands in for the one that is required.
            takes = component is Component.TAESD or any(need.component is component for need in requirements(main))
            if takes and fits(component, model, main) and parts_taken(registry.catalogue, main).get(component) is model:
                yield component, main


def _presets(catalogue: Catalogue, model: Model) -> Iterator[str]:
    if model.type & TEXT_TYPES:
        return
    for preset in catalogue.of_type(ModelType.PRESETS)[:_PRESETS]:
        try:
            contents = contents_of(preset)
        except (SdrestError, OSError):
            continue
        if any(catalogue.find(name) is model for name in {*names_in(contents), *_text(contents.get("model"))}):
            yield preset.name


def names_in(parameters: Mapping[str, Any]) -> set[str]:
    """The files that parameters name beside the main model: parts, LoRAs (also in the prompt), upscalers."""
    tagged: tuple[Lora, ...] = ()
    with contextlib.suppress(InvalidInput):
        _, tagged = extract_loras(str(parameters.get("prompt", "")))
    hires = parameters.get("hires")
    loras = parameters.get("loras")
    found = [parameters.get(field) for field in _NAMING]
    found += [hires.get("upscale_model")] if isinstance(hires, Mapping) else []
    found += [item.get("name") for item in loras if isinstance(item, Mapping)] if isinstance(loras, Sequence) else []
    return {name for value in found for name in _text(value)} | {lora.name for lora in tagged}


def _text(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else ()


async def _jobs_of(request: web.Request, model: Model) -> tuple[int, Sequence[Job]]:
    """How many of the jobs that this caller sees have the model, and the newest of them."""
    jobs, principal, catalogue = request.app[JOBS], request[PRINCIPAL], request.app[MODELS].catalogue
    if model.type & MAIN_TYPES:
        wanted = JobFilter(model_id=model.id, types=_MAKING, limit=_SHOWN_JOBS)
        found = await jobs.find(wanted, principal)
        return await jobs.count(wanted, principal), found
    newest = await jobs.find(JobFilter(types=_MAKING, limit=_JOBS_LOOKED_THROUGH), principal)
    using = [job for job in newest if any(catalogue.find(name) is model for name in names_in(job.parameters))]
    return len(using), using[:_SHOWN_JOBS]


#: Jobs that make something with a model.
_MAKING: Final = frozenset(
    {
        JobType.TXT2IMG,
        JobType.IMG2IMG,
        JobType.INPAINT,
        JobType.CONTROLNET,
        JobType.UPSCALE,
        JobType.VIDEO,
    }
)
