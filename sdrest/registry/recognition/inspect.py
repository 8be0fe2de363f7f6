"""One file on disk → one :class:`Model`."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sdrest.core.model import MAIN_TYPES, TEXT_TYPES, UPSCALER_TYPES, Model, ModelFormat, ModelType, Problem
from sdrest.core.tensor_types import TensorType
from sdrest.registry.folders import ANY_KIND, FolderKind
from sdrest.registry.readers.header import Header, HeaderError
from sdrest.registry.readers.layout import check_layout
from sdrest.registry.readers.pickle_safety import check_pickle
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.identify import Identity, identify
from sdrest.registry.recognition.nearest import why_unrecognised
from sdrest.registry.recognition.versions import Names
from sdrest.registry.sidecars import Notes, read_notes

_ID_DIGITS = 12


def model_id(kind: FolderKind, relative_path: str) -> str:
    """A short id without path or punctuation, the same as long as folder kind and relative path are."""
    return hashlib.sha256(f"{kind.key}\0{relative_path}".encode()).hexdigest()[:_ID_DIGITS]


def inspect_model(
    path: Path,
    kind: FolderKind,
    relative_path: str,
    stat: os.stat_result,
    beside: frozenset[str] = frozenset(),
    notes: Path | None = None,
) -> Model:
    """Read, recognise and check one model.

    Never raises for what the file holds: a broken file becomes a model with a fatal :class:`Problem`. ``beside`` are
    the names in its folder (for side files); ``notes`` is a file elsewhere that goes before those; ``stat`` gives size and time.
    """
    name = path.name if path.is_dir() else path.stem
    base = Model(
        id=model_id(kind, relative_path),
        name=name,
        type=kind.type,
        path=path,
        relative_path=relative_path,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        format=ModelFormat.TEXT,
    )
    if kind.type & TEXT_TYPES:
        return base
    try:
        header = read_header(path)
    except HeaderError as error:
        return _broken(base, error)
    return _describe(base, kind, header, identify(header), read_notes(path, name, header.metadata, beside, notes))


def _broken(base: Model, error: HeaderError) -> Model:
    suffix = base.path.suffix.lower()
    guess = {".gguf": ModelFormat.GGUF, ".safetensors": ModelFormat.SAFETENSORS, ".sft": ModelFormat.SAFETENSORS}
    return replace(
        base, format=guess.get(suffix, ModelFormat.TORCH_ZIP), problems=(Problem(error.slug, error.message),)
    )


def _describe(base: Model, kind: FolderKind, header: Header, identity: Identity, notes: Notes) -> Model:
    problems = header_problems(header, identity)
    types = count_types(header)
    elements = elements_by_type(header)
    return replace(
        base,
        type=_settle_type(kind, identity.type),
        format=header.format,
        size=header.file_size,
        architecture=identity.architecture,
        variant=identity.variant,
        loading_method=identity.loading_method,
        quantization=max((kind for kind in elements if kind), key=lambda kind: elements[kind], default=None),
        types=types,
        tensor_count=len(header.tensors),
        parameter_count=sum(elements.values()),
        weights_bytes=sum(tensor.nbytes for tensor in header.tensors),
        embedded=identity.embedded,
        traits=dict(identity.traits),
        title=notes.title,
        description=notes.description,
        trigger_words=notes.trigger_words,
        base_model=notes.base_model,
        notes=notes.notes,
        licence=notes.licence,
        preview=notes.preview,
        defaults=notes.defaults,
        parts=notes.parts,
        holding=notes.holding,
        problems=problems,
    )


def header_problems(header: Header, identity: Identity | None = None) -> tuple[Problem, ...]:
    """Everything that a header alone proves wrong with a model."""
    identity = identity or identify(header)
    problems = (*check_layout(header), *check_pickle(header), *identity.problems)
    if identity.type is None:
        problems += (Problem("unrecognised", why_unrecognised(Names(header.tensors))),)
    return problems


def _settle_type(kind: FolderKind, found: ModelType | None) -> ModelType:
    """The folder says what a file is for, unless its content cannot be that."""
    if found is None or found is kind.type:
        return kind.type
    if kind is ANY_KIND:
        return found
    # Checkpoints and bare diffusion models, and the two words for upscalers, stand for each other.
    for group in (MAIN_TYPES, UPSCALER_TYPES):
        if found & group and kind.type & group:
            return kind.type
    return found


def count_types(header: Header) -> Mapping[TensorType, int]:
    """Tensors by element type, the most frequent first."""
    return dict(Counter(tensor.type for tensor in header.tensors if tensor.type is not None).most_common())


def elements_by_type(header: Header) -> Mapping[TensorType | None, int]:
    """Values by the element type that holds them; None stands for types that are not known."""
    found: dict[TensorType | None, int] = {}
    for tensor in header.tensors:
        found[tensor.type] = found.get(tensor.type, 0) + tensor.elements
    return found
