"""What a conversion will write, decided from headers before a byte is written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import msgspec

from sdrest.conversion.rules import TypeRule, choose, is_unused
from sdrest.conversion.sources import readable_header
from sdrest.core.errors import InvalidInput, ModelUnusable, NotFound
from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import TensorType
from sdrest.registry.readers.header import Header, TensorInfo
from sdrest.registry.readers.layout import NAME_LIMIT
from sdrest.registry.readers.reading import DIFFUSERS_PARTS
from sdrest.registry.recognition.identify import Identity, identify
from sdrest.registry.recognition.naming import convert_names
from sdrest.registry.recognition.versions import Names, library_version

_VAE_PREFIX = "vae."
_VAE_STARTS = ("first_stage_model.", "vae.")
_ALIGNMENT = 32
#: What a safetensors file may hold here: the library reads no other of its types as it stands.
_SAFETENSORS_TYPES = frozenset({TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.I32})
#: What the library turns element types into as it reads them.
_READ_AS = {
    TensorType.F8_E4M3: TensorType.F16,
    TensorType.F8_E5M2: TensorType.F16,
    TensorType.F64: TensorType.F32,
    TensorType.I64: TensorType.I32,
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is asked for.

    ``type`` None keeps every type that no rule changes. ``search``: see :meth:`sdrest.conversion.ggml.Ggml.quantize`.
    ``convert_names`` renames diffusers and other layouts to the library's own names (it reads both).
    """

    source: Path
    target: Path
    type: TensorType | None = None
    vae: Path | None = None
    rules: tuple[TypeRule, ...] = ()
    convert_names: bool = False
    search: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor of the result.

    ``shape`` is outermost first and has at most four dimensions; ``file`` and ``source`` say where its values are now.
    """

    name: str
    shape: tuple[int, ...]
    type: TensorType
    file: Path
    source: TensorInfo
    kept: str | None = None

    @property
    def source_type(self) -> TensorType:
        """Element type in the source file."""
        assert self.source.type is not None
        return self.source.type

    @property
    def nbytes(self) -> int:
        """Bytes in the result."""
        return self.type.nbytes(self.shape)

    @property
    def rows(self) -> int:
        """Rows of :attr:`row_length` values."""
        return prod(self.shape) // self.row_length

    @property
    def row_length(self) -> int:
        """Values in one row (ggml's ``ne[0]``)."""
        return self.shape[-1]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole conversion. ``notes`` are sentences for people; ``dropped`` names tensors that are left out, with the
    reason.
    """

    request: Conversion
    identity: Identity
    tensors: tuple[PlannedTensor, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    gguf_source: Path | None = None

    @property
    def format(self) -> ModelFormat:
        """Container of the result, by its name's extension."""
        return target_format(self.request.target)

    @property
    def nbytes(self) -> int:
        """Size of the result's tensor data, padding included."""
        return sum(-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in self.tensors)

    @property
    def source_bytes(self) -> int:
        """Bytes that will be read."""
        return sum(tensor.source.nbytes for tensor in self.tensors)

    def types(self) -> Mapping[TensorType, int]:
        """Tensors of the result by element type."""
        return dict(Counter(tensor.type for tensor in self.tensors).most_common())


def target_format(path: Path) -> ModelFormat:
    """The container that a result's name asks for. Raises :class:`InvalidInput` for an unknown extension."""
    match path.suffix.lower():
        case ".gguf":
            return ModelFormat.GGUF
        case ".safetensors" | ".sft":
            return ModelFormat.SAFETENSORS
        case _:
            raise InvalidInput(f"{path.name}: the result must be named .gguf or .safetensors", field="output")


def make_plan(request: Conversion) -> Plan:
    """Read the headers and decide everything.

    Raises :class:`InvalidInput`, :class:`NotFound` or :class:`ModelUnusable` for whatever would go wrong later.
    """
    check_paths(request)
    header = readable_header(request.source)
    identity = identify(header)
    entries, dropped = _entries(request, header)
    gguf_source = request.source if header.format is ModelFormat.GGUF else None
    notes = []
    if request.vae is not None:
        vae = readable_header(request.vae)
        replaced = [entry for entry in entries if entry[0].startswith(_VAE_STARTS)]
        entries = [entry for entry in entries if not entry[0].startswith(_VAE_STARTS)]
        dropped += [(name, "replaced by the given VAE") for name, _, _ in replaced]
        entries += _with_prefix(vae.tensors, request.vae, _VAE_PREFIX)
    if request.convert_names:
        entries = _rename(entries)
    tensors = tuple(_planned(request, *entry) for entry in entries)
    if not tensors:
        raise ModelUnusable(f"{request.source.name} has no tensors that the library reads")
    _check_result(request, tensors)
    if request.type is not None and not request.rules and not any(t.type is request.type for t in tensors):
        notes.append(f"no tensor can be stored as {request.type.value}; all keep their types")
    metadata = {key: value for key, value in header.metadata.items() if isinstance(value, str)}
    return Plan(request, identity, tensors, tuple(dropped), tuple(notes), metadata, gguf_source)


def check_paths(request: Conversion) -> None:
    """Raise a clear error when source and target cannot be what they should."""
    for path, name in ((request.source, "input"), (request.vae, "vae")):
        if path is None:
            continue
        if not path.exists():
            raise NotFound(f"{path} does not exist", field=name)
        if request.target.exists() and path.samefile(request.target):
            raise InvalidInput(f"{request.target} would overwrite the {name} while it is read", field="output")
    target_format(request.target)
    folder = request.target.parent
    if not folder.is_dir():
        raise NotFound(f"the folder {folder} does not exist", field="output")
    if not os.access(folder, os.W_OK):
        raise InvalidInput(f"the folder {folder} cannot be written to", field="output")
    if request.target.is_dir():
        raise InvalidInput(f"{request.target} is a folder", field="output")
    if request.target.exists() and not request.overwrite:
        raise InvalidInput(
            f"{request.target} exists; it is overwritten only on request (--force, or overwrite=true)", field="output"
        )


_Entry = tuple[str, Path, TensorInfo]


def _entries(request: Conversion, header: Header) -> tuple[list[_Entry], list[tuple[str, str]]]:
    dropped: list[tuple[str, str]] = []
    entries: list[_Entry] = []
    for tensor in header.tensors:
        if is_unused(tensor.name):
            dropped.append((tensor.name, "never read by the library"))
        elif tensor.type is TensorType.U8:
            dropped.append((tensor.name, "bytes are no weights"))
        else:
            entries.append((tensor.name, *_located(request.source, header.format, tensor)))
    return entries, dropped


def _located(source: Path, container: ModelFormat, tensor: TensorInfo) -> tuple[Path, TensorInfo]:
    """The file that holds a tensor: one of several when the source is a diffusers folder."""
    if container is not ModelFormat.DIFFUSERS:
        return source, tensor
    # "te.1." begins with "te.": the longest prefix that fits is the right one.
    part, _ = max((p for p in DIFFUSERS_PARTS if tensor.name.startswith(p[1])), key=lambda p: len(p[1]))
    return source / part, tensor


def _with_prefix(tensors: Iterable[TensorInfo], file: Path, prefix: str) -> list[_Entry]:
    return [
        (tensor.name if tensor.name.startswith(prefix) else prefix + tensor.name, file, tensor)
        for tensor in tensors
        if not is_unused(tensor.name) and tensor.type is not TensorType.U8
    ]


def _rename(entries: list[_Entry]) -> list[_Entry]:
    """Entries under the library's own names; where two get one name, the later counts, as it does for the library."""
    version = library_version(Names(msgspec.structs.replace(tensor, name=name) for name, _, tensor in entries))
    names = convert_names((name for name, _, _ in entries), version)
    renamed = {new: (new, file, tensor) for new, (_, file, tensor) in zip(names, entries, strict=True)}
    return list(renamed.values())


def _planned(request: Conversion, name: str, file: Path, tensor: TensorInfo) -> PlannedTensor:
    assert tensor.type is not None
    shape = tensor.shape or (1,)
    if len(shape) == 5:
        # ggml has four dimensions; the library folds the channels of 3-D convolutions in this way.
        shape = (shape[0] * shape[1], *shape[2:])
    read_as = _READ_AS.get(tensor.type, tensor.type)
    choice = choose(name, shape, read_as, request.type, request.rules)
    return PlannedTensor(name, shape, choice.type, file, tensor, choice.kept)


def _check_result(request: Conversion, tensors: tuple[PlannedTensor, ...]) -> None:
    twice = [name for name, count in Counter(t.name for t in tensors).items() if count > 1]
    if twice:
        raise ModelUnusable(f"the result would hold the tensor {twice[0]!r} twice")
    if target_format(request.target) is ModelFormat.SAFETENSORS:
        wrong = next((t for t in tensors if t.type not in _SAFETENSORS_TYPES), None)
        if wrong is not None:
            raise InvalidInput(
                f"safetensors files hold f32, f16 and bf16 only; {wrong.name} would be {wrong.type.value}. "
                "Name the result .gguf",
                field="output",
            )
        return
    long = next((t for t in tensors if len(t.name.encode()) > NAME_LIMIT), None)
    if long is not None:
        raise ModelUnusable(
            f"the tensor name {long.name!r} is longer than the {NAME_LIMIT} bytes that GGUF allows here"
        )
