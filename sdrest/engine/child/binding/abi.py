"""The interface of one version of the native library, and which one is meant by the version that is found."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from sdrest.engine.child.binding.errors import NativeError

#: The Python package that brings the library, and the ctypes structures.
PACKAGE: Final = "stable-diffusion-cpp-python"
#: Version of the package → the package here that knows its interface.
_KNOWN: Final[Mapping[str, str]] = {"0.4.7": "v0_4_7"}

#: A C function: its declaration, and what ctypes makes of it, the type of the result and those of the arguments.
Prototype = tuple[str, Any, list[Any]]


@dataclass(frozen=True, slots=True)
class Filled:
    """A structure that the library fills with its defaults: by which function, and what the fields hold then.

    Fields within structures have dots in their names. Those that are not named are 0, false or null; None: whatever it is.
    """

    structure: str
    function: str
    defaults: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abi:
    """What there is to know of the interface of one version."""

    #: Of the Python package.
    version: str
    #: Of the repository that the package was published from; pins the library's sources.
    commit: str
    #: The functions that are called here.
    functions: Sequence[Prototype]
    #: Bytes of each structure where addresses have 8.
    sizes: Mapping[str, int]
    filled: Sequence[Filled]
    #: What ``sd_KIND_name`` says of each number, by kind; empty for numbers that stand for nothing that can be used.
    enums: Mapping[str, Sequence[str]]
    #: Names, by number, of enumerations that the library has no names for.
    cache_modes: Sequence[str]
    device_types: Sequence[str]
    #: Fills structures; see :class:`sdrest.engine.child.binding.v0_4_7.structures.Structures`.
    structures: type[Any]


def known_abi() -> Abi:
    """The interface of the version that is installed.

    Raises:
        NativeError: no version is installed, or one that is not known here.
    """
    try:
        found = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise NativeError(f"{PACKAGE} is not installed; ./install.sh does that") from None
    return abi_of(found)


def abi_of(version: str) -> Abi:
    """The interface of a version of the Python package. Raises :class:`NativeError` for one that is not known here."""
    name = _KNOWN.get(version)
    if name is None:
        known = ", ".join(_KNOWN)
        raise NativeError(
            f"{PACKAGE} {version} is installed, and its interface is not known to this sdrest, which knows {known}; "
            f"install that: pip install {PACKAGE}=={list(_KNOWN)[-1]}"
        )
    abi: Abi = import_module(f"{__package__}.{name}.interface").ABI
    return abi
