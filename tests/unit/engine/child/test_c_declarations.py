"""The C declarations beside the ctypes bindings are those of the headers, and ctypes is told what they say."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import pytest

from sdrest.engine.child.binding.abi import Prototype, known_abi
from sdrest.engine.child.binding.foreign import shim_functions

SHIM_HEADER = Path(__file__).parents[4] / "native" / "sdrest_shim.h"
LIBRARY_FUNCTIONS = list(known_abi().functions)


class Image(ctypes.Structure):
    """Stands for ``sd_image_t``, whose module would load the library."""


PLAIN: dict[str, Any] = {
    "void": None,
    "bool": c_bool,
    "int": c_int,
    "uint32_t": c_uint32,
    "uint64_t": c_uint64,
    "size_t": c_size_t,
    "const char*": c_char_p,
    "sdrest_image": Image,
}


def ctypes_of(c_type: str) -> Any:
    """What ctypes must be told; enumerations are ints, handles and structures without a meaning here are addresses."""
    if c_type in PLAIN:
        return PLAIN[c_type]
    if c_type.startswith("enum "):
        return c_int
    pointed = c_type.removesuffix("*")
    if c_type != pointed and (pointed.endswith("*") or pointed in PLAIN.keys() - {"void"}):
        return POINTER(ctypes_of(pointed))
    return c_void_p


def packed(text: str) -> str:
    """Without the white space that headers use to align."""
    return re.sub(r"\s+", " ", re.sub(r"\s*\*", "*", re.sub(r"\(\s+", "(", text)))


def library_headers() -> str:
    """The headers that lie beside the installed package."""
    found = importlib.util.find_spec("stable_diffusion_cpp")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parents[1] / "include"
    return "".join((folder / name).read_text() for name in ("stable-diffusion.h", "ggml-backend.h"))


@pytest.mark.parametrize("prototype", shim_functions(Image) + LIBRARY_FUNCTIONS, ids=lambda prototype: prototype[0])
def test_ctypes_is_told_what_the_declaration_says(prototype: Prototype) -> None:
    declaration, result, arguments = prototype
    match = re.fullmatch(r"(.+?) ?(\w+)\((.*)\)", declaration)
    assert match is not None
    parameters = [] if match[3] == "void" else [parameter.rpartition(" ")[0] for parameter in match[3].split(", ")]
    assert (result, arguments) == (ctypes_of(match[1]), [ctypes_of(parameter) for parameter in parameters])


def test_declarations_of_the_shim_are_those_of_its_header() -> None:
    header = packed(SHIM_HEADER.read_text())
    assert [text for text, _, _ in shim_functions(Image) if f" {text};" not in header] == []


def test_declarations_of_the_library_are_those_of_its_headers() -> None:
    headers = packed(library_headers())
    assert [text for text, _, _ in LIBRARY_FUNCTIONS if f" {text};" not in headers] == []
