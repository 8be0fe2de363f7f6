"""Whether a torch pickle refers to more than weights need.

Neither sdrest nor the native library runs pickles, but tools that people use beside them do. What a state dictionary
needs is a short list; what only an attacker needs is another, kept by ``picklescan``; the rest is told without a verdict.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from sdrest.core.model import Problem
from sdrest.registry.readers.header import Header
from sdrest.registry.readers.pickles import COMPUTED, STORAGES

_NEEDED = frozenset(
    {
        *STORAGES,
        "collections.OrderedDict",
        "collections.defaultdict",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.storage.UntypedStorage",
        "torch.storage.TypedStorage",
        "torch.Size",
        "torch.device",
        "torch.serialization._get_layout",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "_codecs.encode",
    }
)
_HARMLESS_MODULES = ("torch.nn.", "torch.optim.", "pytorch_lightning.", "lightning.", "omegaconf.")
#: What only an attacker needs and ``picklescan`` does not call dangerous: modules, and single names of modules.
# fmt: off
_ALSO_HOSTILE = (
    "code", "codeop", "ftplib", "http", "importlib", "marshal", "multiprocessing", "pathlib", "platform", "requests", "signal",
    "tempfile", "urllib", "builtins.__import__", "builtins.globals", "__builtin__.__import__", "__builtin__.globals",
    "__builtin__.execfile",
)
# fmt: on
_LISTED = 5


def check_pickle(header: Header) -> Iterator[Problem]:
    """Problems of a torch file's references: hostile ones are fatal, unusual ones are only told."""
    hostile = [name for name in header.pickle_globals if _is_hostile(name)]
    unusual = [name for name in header.pickle_globals if name not in hostile and not _is_usual(name)]
    if hostile:
        names = ", ".join(hostile[:_LISTED])
        yield Problem("hostile_pickle", f"the pickle would run code when loaded elsewhere: it refers to {names}")
    if unusual:
        names = ", ".join(unusual[:_LISTED])
        yield Problem("unusual_pickle", f"the pickle refers to more than weights: {names}", fatal=False)


@functools.cache
def _hostile() -> frozenset[str]:
    """Names that are hostile with all below them: modules, and functions and classes with their modules."""
    from picklescan.scanner import _unsafe_globals  # noqa: PLC0415 - slow to import, and for few files only

    known = {
        module if name == "*" else f"{module}.{name}"
        for module, names in _unsafe_globals.items()
        for name in ([names] if isinstance(names, str) else names)
    }
    return frozenset(known.union(_ALSO_HOSTILE))


def _is_hostile(name: str) -> bool:
    parts = name.split(".")
    return name == COMPUTED or not _hostile().isdisjoint(".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _is_usual(name: str) -> bool:
    return name in _NEEDED or name.startswith(_HARMLESS_MODULES) or _is_element_type(name)


def _is_element_type(name: str) -> bool:
    """Whether it is one of torch's element types, such as ``torch.float16``."""
    return name.startswith(("torch.float", "torch.bfloat", "torch.int", "torch.uint", "torch.bool"))
