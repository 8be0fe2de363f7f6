"""Whether a torch pickle refers to more than weights need.

Neither sdrest nor the native library runs pickles, but tools that people use beside them do. What a state dictionary
needs is a short list; what only an attacker needs is another; the rest is told without a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator

from sdrest.core.model import Problem
from sdrest.registry.readers.header import Header
from sdrest.registry.readers.pickles import STORAGES

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
# fmt: off
_HOSTILE_MODULES = frozenset(
    {"os", "posix", "nt", "subprocess", "sys", "socket", "shutil", "pty", "runpy", "importlib", "code",
     "codeop", "ctypes", "multiprocessing", "webbrowser", "requests", "urllib", "http", "ftplib", "asyncio",
     "signal", "pickle", "marshal", "platform", "pathlib", "tempfile"}
)
# fmt: on
_HOSTILE_NAMES = frozenset(
    f"{module}.{name}"
    for module in ("builtins", "__builtin__")
    for name in (
        "eval",
        "exec",
        "compile",
        "open",
        "getattr",
        "__import__",
        "globals",
        "apply",
        "execfile",
        "breakpoint",
    )
)
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


def _is_hostile(name: str) -> bool:
    return name.partition(".")[0] in _HOSTILE_MODULES or name in _HOSTILE_NAMES


def _is_usual(name: str) -> bool:
    return name in _NEEDED or name.startswith(_HARMLESS_MODULES) or _is_element_type(name)


def _is_element_type(name: str) -> bool:
    """Whether it is one of torch's element types, such as ``torch.float16``."""
    return name.startswith(("torch.float", "torch.bfloat", "torch.int", "torch.uint", "torch.bool"))
