"""LoRAs and embeddings of a job: which files, and whether they fit the model.

The library ends the process on a LoRA of another width, which is seen in the headers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sdrest.core import bounds
from sdrest.core.errors import FieldProblem, InvalidInput, ModelNotFound, ModelUnusable
from sdrest.core.model import Component, Loading, Model, ModelType
from sdrest.core.names import LoraApplyMode
from sdrest.core.parameters import GenerationParameters, Lora, limits_of
from sdrest.engine.messages import LoraFile
from sdrest.planning.embedding_files import Embeddings
from sdrest.registry.loading import loading_of, resolve_loading
from sdrest.registry.readers.header import HeaderError
from sdrest.registry.recognition.lora_fit import LoraFit, Shapes, check_lora, loaded_shapes
from sdrest.registry.registry import Registry

#: Comparisons kept: each reads two headers.
_FITS_KEPT: Final = 1000

_FileState = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Adapters:
    """What a job adds to its model: the prompt without tags, LoRA files, and embeddings as (word, file)."""

    prompt: str
    loras: tuple[LoraFile, ...] = ()
    embeddings: tuple[tuple[str, str], ...] = ()
    #: The embeddings' words, with the tokens that each stands for.
    vectors: tuple[tuple[str, int], ...] = ()


class AdapterFinder:
    """Finds and checks the adapters that parameters name."""

    def __init__(self, registry: Registry, embeddings: Embeddings) -> None:
        self._registry = registry
        self._files = embeddings
        self._fits: dict[tuple[_FileState, _FileState], LoraFit] = {}

    def find(self, model: Model, parameters: GenerationParameters) -> Adapters:
        """The adapters of a job. Reads headers: not for the event loop.

        Raises:
            InvalidInput: with one problem for each that is unknown, broken or does not fit.
        """
        problems: list[FieldProblem] = []
        prompt = parameters.prompt
        tagged: tuple[Lora, ...] = ()
        try:
            prompt, tagged = extract_loras(parameters.prompt)
        except InvalidInput as error:
            problems.extend(error.problems)
        files: list[LoraFile] = []
        named = [(f"loras.{index}.name", lora) for index, lora in enumerate(parameters.loras)]
        for field, lora in (*named, *(("prompt", lora) for lora in tagged)):
            try:
                files.append(self._lora(model, lora))
            except (ModelNotFound, InvalidInput) as error:
                problems.append(FieldProblem(field, error.message.removeprefix("body: ")))
        if files and parameters.lora_apply_mode is LoraApplyMode.IMMEDIATELY and _is_quantized(model):
            problems.append(
                FieldProblem(
                    "lora_apply_mode", f"{model.name} is quantized: LoRAs can only be applied at_runtime to it"
                )
            )
        embeddings: list[tuple[str, str]] = []
        vectors: list[tuple[str, int]] = []
        for word, embedding in self._embeddings(model, prompt, parameters.negative_prompt):
            try:
                embeddings.append((word, str(self._embedding_file(embedding))))
                vectors.append((word, embedding.traits.get("vectors", 1)))
            except InvalidInput as error:
                why = error.message.removeprefix("body: ")
                problems.append(FieldProblem("prompt", f"the word {word!r} means an embedding: {why}"))
        if problems:
            raise InvalidInput(problems)
        return Adapters(prompt, tuple(files), tuple(embeddings), tuple(vectors))

    def loras_for(self, model: Model) -> list[Model]:
        """The LoRAs that can be applied to a model. Reads headers: not for the event loop."""
        weights = self._weights(model)
        found: list[Model] = []
        for lora in self._registry.catalogue.of_type(ModelType.LORA):
            with contextlib.suppress(InvalidInput):
                if lora.usable and self._fit(lora, model, weights).usable:
                    found.append(lora)
        return found

    def embeddings_for(self, model: Model) -> Mapping[str, Model]:
        """The embeddings whose names are words to a model's text encoders, by name."""
        if Component.CLIP_L not in {state.requirement.component for state in self._registry.components(model)}:
            return {}
        return {
            embedding.name: embedding
            for embedding in self._registry.catalogue.of_type(ModelType.EMBEDDING)
            if embedding.architecture is None
            or model.architecture is None
            or embedding.architecture.family is model.architecture.family
        }

    def _lora(self, model: Model, lora: Lora) -> LoraFile:
        found = self._registry.catalogue.resolve(lora.name, ModelType.LORA)
        broken = next((problem.message for problem in found.problems if problem.fatal), None)
        if broken:
            raise InvalidInput(f"{found.name}: {broken}")
        fit = self._fit(found, model, self._weights(model))
        if not fit.usable:
            # What the names alone point to is only worth telling when nothing else is known.
            tell = found.architecture is not None and not fit.mismatched
            made_for = f" (it was made for {found.architecture.label})" if tell and found.architecture else ""
            raise InvalidInput(f"{found.name} does not fit {model.name}{made_for}: {fit.reason}")
        return LoraFile(path=str(found.path), multiplier=lora.multiplier, high_noise=lora.high_noise)

    def _weights(self, model: Model) -> Callable[[], Shapes]:
        """Shapes of what a LoRA may change in a model, read when they are first wanted."""
        return functools.cache(lambda: loaded_shapes(self._parts(model)))

    def _fit(self, lora: Model, model: Model, weights: Callable[[], Shapes]) -> LoraFit:
        key = (_state(lora), _state(model))
        # Jobs are checked on several threads: what is kept may be cleared between any two lines.
        fit = self._fits.get(key)
        if fit is None:
            try:
                fit = check_lora(self._registry.header(lora), weights(), model.architecture)
            except HeaderError as error:
                raise InvalidInput(error.message) from None
            if len(self._fits) >= _FITS_KEPT:
                self._fits.clear()
            self._fits[key] = fit
        return fit

    def _parts(self, model: Model) -> Loading:
        """The files whose weights a LoRA may change: text encoders too, as far as they are here."""
        try:
            return resolve_loading(self._registry.catalogue, model)
        except (ModelUnusable, InvalidInput):
            return loading_of(model, {})

    def _embedding_file(self, embedding: Model) -> Path:
        broken = next((problem.message for problem in embedding.problems if problem.fatal), "")
        if broken:
            raise InvalidInput(broken)
        try:
            return self._files.file(embedding)
        except (HeaderError, OSError) as error:
            raise InvalidInput(f"{embedding.file_name} cannot be used: {error}") from None

    def _embeddings(self, model: Model, *prompts: str) -> Iterator[tuple[str, Model]]:
        """Embeddings for the model's text encoders whose names occur in the prompts; others are plain words."""
        known = self.embeddings_for(model)
        used = set[str]().union(*(words_in(prompt, known) for prompt in prompts))
        for name in sorted(used):
            yield name, known[name]


def cleaned(parameters: GenerationParameters, adapters: Adapters) -> GenerationParameters:
    """The parameters as the engine takes them: without tags in the prompt."""
    return dataclasses.replace(parameters, prompt=adapters.prompt)


def _state(model: Model) -> _FileState:
    return model.id, model.size, model.mtime_ns


def _is_quantized(model: Model) -> bool:
    return any(kind.is_quantized for kind in model.types)


_TAG: Final = re.compile(r"<lora:(?P<name>[^:<>]+)(?::(?P<multiplier>[^:<>]*))?(?::[^<>]*)?>", re.IGNORECASE)
#: Prefix of the name, as the native library's own tools write it, for the high-noise model of a video architecture.
_HIGH_NOISE: Final = "|high_noise|"
_MULTIPLIER: Final = limits_of(next(f for f in Lora.__dataclass_fields__.values() if f.name == "multiplier"))


def extract_loras(prompt: str, *, field: str = "prompt") -> tuple[str, tuple[Lora, ...]]:
    """The prompt without its LoRA tags, and the LoRAs that they name; without a multiplier it is 1.

    Raises:
        InvalidInput: a multiplier is no number, or out of range.
    """
    loras: list[Lora] = []
    problems: list[FieldProblem] = []

    def take(match: re.Match[str]) -> str:
        name = match["name"].strip()
        try:
            multiplier = float(match["multiplier"] or 1)
        except ValueError:
            problems.append(FieldProblem(field, f"{match[0]}: {match['multiplier']!r} is not a number"))
            return ""
        low, high = _MULTIPLIER.ge, _MULTIPLIER.le
        assert low is not None
        assert high is not None
        if not low <= multiplier <= high:
            problems.append(FieldProblem(field, f"{match[0]}: the multiplier must lie between {low:g} and {high:g}"))
        loras.append(
            Lora(name=name.removeprefix(_HIGH_NOISE), multiplier=multiplier, high_noise=name.startswith(_HIGH_NOISE))
        )
        return ""

    rest = _TAG.sub(take, prompt)
    if len(loras) > bounds.LORA_TAGS:
        problems.append(FieldProblem(field, f"{len(loras)} LoRA tags are more than the {bounds.LORA_TAGS} of a prompt"))
    if problems:
        raise InvalidInput(problems)
    return (re.sub(r"[ \t]{2,}", " ", rest).strip() if loras else prompt), tuple(loras)


def words_in(prompt: str, words: Iterable[str]) -> set[str]:
    """Those of ``words`` that occur in the prompt as whole words, case ignored."""
    text = prompt.casefold()
    return {
        word
        for word in words
        if word.casefold() in text and re.search(rf"(?<![\w-]){re.escape(word.casefold())}(?![\w-])", text)
    }
