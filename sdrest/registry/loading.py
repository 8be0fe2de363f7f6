"""From a model's name to the files that the library has to be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import SequenceMatcher

from sdrest.core.errors import FieldProblem, InvalidInput, ModelNotFound, ModelUnusable
from sdrest.core.model import MAIN_TYPES, Component, Loading, LoadingMethod, Model, Need, Requirement
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.components import fits, missing, requirements

#: Words in file names that speak for a candidate, by family of the main model.
_FAVOURED: Mapping[str, tuple[str, ...]] = {
    "sd1": ("mse", "sd1", "sd-v1", "1.5"),
    "sd2": ("mse", "sd2"),
    "sdxl": ("xl",),
    "flux": ("ae", "flux"),
    "flux2": ("flux2", "flux-2"),
    "wan": ("wan",),
    "qwen_image": ("qwen",),
}


#: What an equal name counts for the other half of a two-model pair: more than everything else together.
_PAIR_SCORE = 100
_DECODERS = frozenset({Component.VAE, Component.TAESD})


def resolve_loading(catalogue: Catalogue, model: Model, chosen: Mapping[Component, str] | None = None) -> Loading:
    """The files with which ``model`` can be loaded.

    ``chosen`` names components by any name the catalogue knows; they override what the model's file holds. After them come
    those that a file beside the model names. Required
    and wanted parts that are neither held nor chosen are looked for among the registered files (a tiny autoencoder will
    do where no VAE fits). Raises :class:`ModelUnusable` naming every part that is missing, or :class:`InvalidInput` for
    choices that are not there or cannot fit.
    """
    check_usable(model)
    parts = {**_own_parts(catalogue, model, chosen or {}), **chosen_parts(catalogue, model, chosen or {})}
    absent: list[Requirement] = []
    for need in requirements(model):
        if need.need is Need.RECOMMENDED or need.component in parts or need.component in model.embedded:
            continue
        if need.component is Component.VAE and (Component.TAESD in parts or Component.TAESD in model.embedded):
            continue
        found = best_candidate(catalogue, need.component, model)
        if found is None and need.component is Component.VAE:
            found = best_candidate(catalogue, Component.TAESD, model)
            if found is not None:
                parts[Component.TAESD] = found
                continue
        if found is not None:
            parts[need.component] = found
        elif need.need is Need.REQUIRED:
            absent.append(need)
    if absent:
        names = ", ".join(need.component.value for need in absent)
        raise ModelUnusable(
            f"{model.name} ({model.architecture.label if model.architecture else 'unknown'}) needs {names}; "
            "no registered file fits. Put the files into the model folders and refresh",
            model=model.id,
            missing=[need.component.value for need in absent],
        )
    return loading_of(model, parts)


def check_usable(model: Model) -> None:
    """Raise :class:`ModelUnusable` with the reason when ``model`` cannot be a main model."""
    if not model.type & MAIN_TYPES:
        raise ModelUnusable(
            f"{model.name} is of type {model.type.slug}, not a model that makes pictures", model=model.id
        )
    for problem in model.problems:
        if problem.fatal:
            raise ModelUnusable(f"{model.name}: {problem.message}", model=model.id, problem=problem.code)
    if model.architecture is None or model.loading_method is None:
        raise ModelUnusable(f"{model.name} is of an architecture that the library does not know", model=model.id)


def candidates(catalogue: Catalogue, component: Component, model: Model) -> tuple[Model, ...]:
    """Registered files that can be that component of ``model``, best first."""
    found = (c for c in catalogue.of_type(component.model_type) if fits(component, c, model))
    return tuple(sorted(found, key=lambda c: (-_score(c, model, component), c.size, c.relative_path)))


def best_candidate(catalogue: Catalogue, component: Component, model: Model) -> Model | None:
    """The first of :func:`candidates`, or None."""
    found = candidates(catalogue, component, model)
    if component is Component.HIGH_NOISE:
        found = tuple(c for c in found if "high" in c.name.lower())
    return found[0] if found else None


def missing_components(catalogue: Catalogue, model: Model) -> tuple[Component, ...]:
    """Required components for which neither the model's file nor any registered file will do."""
    return tuple(
        part
        for part in missing(model)
        if best_candidate(catalogue, part, model) is None
        and not (part is Component.VAE and _has_tiny_autoencoder(catalogue, model))
    )


def _has_tiny_autoencoder(catalogue: Catalogue, model: Model) -> bool:
    """Whether a tiny autoencoder can stand in for a VAE."""
    return Component.TAESD in model.embedded or best_candidate(catalogue, Component.TAESD, model) is not None


def _own_parts(catalogue: Catalogue, model: Model, chosen: Mapping[Component, str]) -> dict[Component, Model]:
    """What a file beside the model names, but for what is chosen."""
    try:
        return chosen_parts(
            catalogue, model, {component: name for component, name in model.parts.items() if component not in chosen}
        )
    except InvalidInput as error:
        told = "; ".join(f"{problem.field}: {problem.message}" for problem in error.problems)
        raise ModelUnusable(f"the notes on {model.name} name its parts, and {told}", model=model.id) from None


def chosen_parts(catalogue: Catalogue, model: Model, chosen: Mapping[Component, str]) -> dict[Component, Model]:
    """The registered files that the names mean. Raises :class:`InvalidInput` for what is not there or cannot fit."""
    parts: dict[Component, Model] = {}
    problems: list[FieldProblem] = []
    for component, name in chosen.items():
        try:
            candidate = catalogue.resolve(name, component.model_type)
        except ModelNotFound as error:
            problems.append(FieldProblem(component.value, error.message))
            continue
        if fits(component, candidate, model):
            parts[component] = candidate
            continue
        broken = next((problem.message for problem in candidate.problems if problem.fatal), None)
        label = model.architecture.label if model.architecture else model.name
        problems.append(FieldProblem(component.value, f"{candidate.name} {broken or f'does not fit {label}'}"))
    if problems:
        raise InvalidInput(problems)
    return parts


def _score(candidate: Model, model: Model, component: Component) -> int:
    name = candidate.name.lower()
    score = 0
    if candidate.name.startswith(model.name):
        score += 8
    if candidate.path.parent == model.path.parent:
        score += 2
    family = model.architecture.family.value if model.architecture else ""
    score += any(word in name for word in _FAVOURED.get(family, ()))
    if component is Component.VAE and family != "sdxl" and "xl" in name:
        score -= 1
    if candidate.traits.get("decoder_only"):
        score -= 4
    if component is Component.HIGH_NOISE:
        # The two halves of a pair are named alike but for one word.
        alike = SequenceMatcher(None, model.name.lower().replace("low", "high"), name, autojunk=False).ratio()
        score += round(_PAIR_SCORE * alike)
    return score


def loading_of(model: Model, parts: Mapping[Component, Model]) -> Loading:
    """``model`` with exactly these parts, whether that is all it needs or not."""
    is_whole = model.loading_method is LoadingMethod.MODEL_PATH
    loading = Loading(
        model_id=model.id,
        architecture=model.architecture,
        model_path=model.path if is_whole else None,
        diffusion_model_path=None if is_whole else model.path,
        weights_bytes=model.weights_bytes + sum(part.weights_bytes for part in parts.values()),
        components={component: part.id for component, part in parts.items()},
    )
    paths = {component.parameter: part.path for component, part in parts.items()}
    if Component.TAESD in model.embedded and Component.VAE not in model.embedded and not parts.keys() & _DECODERS:
        # A tiny autoencoder is used when it is named, also when it lies in the main file.
        paths[Component.TAESD.parameter] = model.path
    return replace(loading, **paths)  # type: ignore[arg-type]
