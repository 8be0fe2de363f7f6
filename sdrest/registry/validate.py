"""Everything that can be said about a model's fitness without loading it."""

from __future__ import annotations

from dataclasses import dataclass

from sdrest.core.architecture import Architecture
from sdrest.core.errors import SdrestError
from sdrest.core.model import MAIN_TYPES, TEXT_TYPES, Component, Model, ModelFormat, ModelType, Problem
from sdrest.registry.loading import missing_components
from sdrest.registry.presets import read_preset, read_templates
from sdrest.registry.readers.header import HeaderError
from sdrest.registry.recognition.inspect import header_problems
from sdrest.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Validation:
    """The verdict on one model.

    ``valid`` speaks of the file alone, ``compatible`` also of its components here: both true means that it can be
    loaded.
    """

    model: Model
    valid: bool
    compatible: bool
    problems: tuple[Problem, ...]
    missing: tuple[Component, ...]

    @property
    def architecture(self) -> Architecture | None:
        """The model's architecture."""
        return self.model.architecture

    @property
    def format(self) -> ModelFormat:
        """The model's container."""
        return self.model.format


def validate(registry: Registry, model: Model) -> Validation:
    """Read the header again and check all of it: layout, shapes, pickles, and which components are here."""
    if model.type & TEXT_TYPES:
        problems = _check_text(model)
    else:
        try:
            problems = header_problems(registry.header(model))
        except HeaderError as error:
            problems = (Problem(error.slug, error.message),)
    missing = missing_components(registry.catalogue, model) if model.type & MAIN_TYPES else ()
    if missing:
        parts = ", ".join(component.value for component in missing)
        problems += (Problem("missing_components", f"no registered file can be its {parts}", fatal=False),)
    valid = not any(problem.fatal for problem in problems)
    return Validation(model, valid, valid and not missing, problems, missing)


def _check_text(model: Model) -> tuple[Problem, ...]:
    try:
        if model.type is ModelType.PRESETS:
            read_preset(model.path)
        else:
            read_templates(model.path)
    except SdrestError as error:
        return (Problem(error.slug, error.message),)
    return ()
