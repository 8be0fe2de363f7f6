"""A library of another version than the known one shows itself before anything is trusted to it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from sdrest.engine.child.binding.abi import Abi, Filled, abi_of, known_abi
from sdrest.engine.child.binding.abi_check import differences
from sdrest.engine.child.binding.errors import NativeError


class Inner(ctypes.Structure):
    _fields_ = (("scale", ctypes.c_float), ("layers", ctypes.c_void_p))


class Params(ctypes.Structure):
    _fields_ = (("steps", ctypes.c_int), ("on", ctypes.c_bool), ("inner", Inner), ("threads", ctypes.c_int))


class Longer(ctypes.Structure):
    _fields_ = (*Params._fields_, ("new", ctypes.c_double))


class Shorter(ctypes.Structure):
    _fields_ = (("steps", ctypes.c_int), ("on", ctypes.c_bool), ("inner", Inner))


ABI = Abi(
    version="1.0",
    commit="c0ffee",
    functions=(),
    sizes={"params_t": ctypes.sizeof(Params)},
    filled=(Filled("params_t", "params_init", {"steps": 20, "on": True, "inner.scale": 0.01, "threads": None}),),
    enums={"mode": ("slow", "", "quick")},
    cache_modes=(),
    device_types=(),
    structures=object,
)
SD = SimpleNamespace(params_t=Params)


def library(
    structure: type[ctypes.Structure] = Params,
    names: tuple[bytes, ...] = (b"slow", b"gone", b"quick", b"NONE"),
    **values: Any,
) -> SimpleNamespace:
    """One that fills this structure with these values."""

    def init(memory: Any) -> None:
        ctypes.memset(memory, 0, ctypes.sizeof(structure))
        made = structure.from_buffer(memory)
        made.steps, made.on, made.inner.scale = 20, True, 0.01
        for name, value in values.items():
            setattr(made, name, value)

    name_of: Callable[[int], bytes] = lambda number: names[number]  # noqa: E731
    return SimpleNamespace(params_init=init, sd_mode_name=name_of)


def test_the_known_library_differs_in_nothing() -> None:
    assert differences(SD, library(threads=7), ABI) == ()


@pytest.mark.parametrize(
    ("lib", "told"),
    [
        (library(Longer), "params_t has 40 bytes in the library, and 32 in the Python module"),
        (library(Shorter), "params_t has 24 bytes in the library, and 32 in the Python module"),
        (library(steps=21), "params_t.steps is 21 by default, and not 20"),
        (library(on=False), "params_t.on is False by default, and not True"),
        (library(inner=Inner(0.02, None)), "params_t.inner.scale is 0.01999"),
        (library(inner=Inner(0.01, 4096)), "params_t.inner.layers is 4096 by default, and not 0"),
        (library(names=(b"slow", b"gone", b"fast", b"NONE")), "mode 2 is called 'fast', and not 'quick'"),
        (library(names=(b"slow", b"gone", b"quick", b"best")), "mode has more than the known 3: 'best'"),
    ],
)
def test_each_difference_is_told(lib: SimpleNamespace, told: str) -> None:
    (found,) = differences(SD, lib, ABI)
    assert found.startswith(told)


def test_a_python_module_of_another_version_is_told() -> None:
    (found,) = differences(SimpleNamespace(params_t=Shorter), library(Shorter), replace(ABI, enums={}))
    assert found == "params_t has 24 bytes in the Python module, and 32 in 1.0"
    (found,) = differences(SimpleNamespace(), library(), ABI)
    assert found == "the Python module has no params_t"


def test_the_installed_version_is_known_and_another_one_refused() -> None:
    assert known_abi() is abi_of("0.4.7")
    with pytest.raises(
        NativeError, match=r"0\.5\.0 is installed.*knows 0\.4\.7.*pip install stable-diffusion-cpp-python==0\.4\.7"
    ):
        abi_of("0.5.0")
