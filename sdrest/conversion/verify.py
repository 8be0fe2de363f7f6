"""Reading a result back: nothing is taken for converted that another reader does not see."""

from __future__ import annotations

from pathlib import Path

import gguf
from safetensors import SafetensorError, safe_open

from sdrest.conversion.plan import Plan
from sdrest.core.errors import SdrestError
from sdrest.core.model import ModelFormat
from sdrest.core.tensor_types import BY_GGML_ID, TensorType
from sdrest.registry.readers.header import HeaderError
from sdrest.registry.readers.layout import check_layout
from sdrest.registry.readers.reading import read_header


class ConversionFailed(SdrestError):
    """The written file is not what was planned."""

    slug = "conversion_failed"


_Entries = dict[str, tuple[tuple[int, ...], TensorType | None]]


def verify_structure(plan: Plan, path: Path) -> None:
    """Compare names, shapes and types in the file with the plan, and its layout with its size.

    They are read by the packages ``gguf`` and ``safetensors``, not by the reader that the plan was made with. Raises
    :class:`ConversionFailed`.
    """
    found = _read_gguf(path) if plan.format is ModelFormat.GGUF else _read_safetensors(path)
    wanted: _Entries = {tensor.name: (tensor.shape, tensor.type) for tensor in plan.tensors}
    if len(found) != len(wanted):
        raise ConversionFailed(f"{len(found)} tensors were written instead of {len(wanted)}")
    for name, (shape, kind) in wanted.items():
        if name not in found:
            raise ConversionFailed(f"the tensor {name!r} is missing in the result")
        if found[name] != (shape, kind):
            raise ConversionFailed(f"the tensor {name!r} was written as {found[name]} instead of {(shape, kind)}")
    try:
        problems = check_layout(read_header(path))
    except HeaderError as error:
        raise ConversionFailed(error.message) from error
    if problems:
        raise ConversionFailed(problems[0].message)


def _read_gguf(path: Path) -> _Entries:
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise ConversionFailed(f"the result cannot be read back: {error}") from error
    return {
        tensor.name: (tuple(int(size) for size in reversed(tensor.shape)), BY_GGML_ID.get(int(tensor.tensor_type)))
        for tensor in reader.tensors
    }


def _read_safetensors(path: Path) -> _Entries:
    try:
        with safe_open(path, framework="np") as file:
            tensors = [(name, file.get_slice(name)) for name in file.offset_keys()]
            return {name: (tuple(found.get_shape()), TensorType[found.get_dtype()]) for name, found in tensors}
    except (SafetensorError, OSError) as error:
        raise ConversionFailed(f"the result cannot be read back: {error}") from error
