"""Whether the loaded library has the interface that is known: it is asked, before anything is trusted to it.

A library of another version has the same functions, mostly, and structures with a field more: calls then read and write in the
wrong places, and nothing says so. Costs less than a millisecond.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from typing import Any, Final

from sdrest.engine.child.binding.abi import Abi, Filled

_ADDRESS_BYTES: Final = 8
#: Behind a structure: what a longer one of another version would fill.
_GUARD_BYTES: Final = 1024
_FILLINGS: Final = (b"\xa5", b"\x5a")
_TOLD: Final = 3


def differences(sd: Any, lib: Any, abi: Abi) -> tuple[str, ...]:
    """How the library differs from what is known, in words; empty where it does not.

    Args:
        sd: The package's low-level module, with its structures.
        lib: The loaded library.
        abi: What is known.
    """
    found = [*_sizes(sd, abi), *(text for filled in abi.filled for text in _filled(sd, lib, filled)), *_enums(lib, abi)]
    return (*found[:_TOLD], f"and {len(found) - _TOLD} more") if len(found) > _TOLD + 1 else tuple(found)


def _sizes(sd: Any, abi: Abi) -> Iterator[str]:
    """The structures of the Python module against the known sizes."""
    if ctypes.sizeof(ctypes.c_void_p) != _ADDRESS_BYTES:
        return
    for name, size in abi.sizes.items():
        structure = getattr(sd, name, None)
        if structure is None:
            yield f"the Python module has no {name}"
        elif ctypes.sizeof(structure) != size:
            yield f"{name} has {ctypes.sizeof(structure)} bytes in the Python module, and {size} in {abi.version}"


def _filled(sd: Any, lib: Any, filled: Filled) -> Iterator[str]:
    """A structure that the library fills, against the module's size of it and the known defaults."""
    structure = getattr(sd, filled.structure, None)
    if structure is None:
        return
    size = ctypes.sizeof(structure)
    memories = []
    for filling in _FILLINGS:
        memory = ctypes.create_string_buffer(filling * (size + _GUARD_BYTES), size + _GUARD_BYTES)
        getattr(lib, filled.function)(memory)
        memories.append(memory)
    # What the library writes is the same, whatever was there before.
    written = next(
        (at for at in range(size + _GUARD_BYTES, 0, -1) if memories[0].raw[at - 1] == memories[1].raw[at - 1]), 0
    )
    if written != size:
        yield f"{filled.structure} has {written} bytes in the library, and {size} in the Python module"
        return
    for name, value in _fields(structure.from_buffer(memories[0])):
        expected = filled.defaults.get(name, 0)
        if expected is not None and not _is(value, expected):
            yield f"{filled.structure}.{name} is {value} by default, and not {expected}"


def _fields(made: Any, before: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a structure by its name; of a pointer, whether it leads anywhere."""
    for name, *_ in made._fields_:
        value = getattr(made, name)
        if isinstance(value, ctypes.Structure):
            yield from _fields(value, f"{before}{name}.")
        elif isinstance(value, int | float):
            yield before + name, value
        else:
            yield before + name, int(bool(value))


def _is(value: float, expected: float) -> bool:
    """Whether a number is the expected one, as far as the library's single precision goes."""
    return value == expected or math.isclose(value, expected, rel_tol=1e-6)


def _enums(lib: Any, abi: Abi) -> Iterator[str]:
    for kind, names in abi.enums.items():
        name_of = getattr(lib, f"sd_{kind}_name")
        for number, name in enumerate(names):
            told = (name_of(number) or b"").decode(errors="replace")
            if name and told != name:
                yield f"{kind} {number} is called {told!r}, and not {name!r}"
        after = (name_of(len(names)) or b"NONE").decode(errors="replace")
        if after != "NONE":
            yield f"{kind} has more than the known {len(names)}: {after!r}"
