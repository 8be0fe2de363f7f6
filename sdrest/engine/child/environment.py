"""What must be set before the native library is loaded: environment variables and the stack of its thread.

Standard library only, so that the parent may import it to build the environment of the child it starts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: Stack of the thread that makes native calls, in bytes. The tokenizers' ``std::regex`` recurses once per character: 8
#: MB overflow at about 24,000 characters.
NATIVE_STACK_BYTES: Final = 64 << 20

#: Bound of libgomp's busy waiting, in turns: long enough that its threads stay awake from one operation to the next.
#: :mod:`sdrest.engine.child.patience` shortens it while others want the processors.
SPIN_COUNT: Final = 100_000


def native_environment(current: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that loads the native library, made from ``current`` (usually ``os.environ``).

    Variables that the user has set stay as they are; the number of OpenMP threads is left to the contexts' ``threads``.
    """
    chosen = {
        # With OMP_WAIT_POLICY set, the user has decided how threads wait; a spin count would override that.
        **({} if "OMP_WAIT_POLICY" in current else {"GOMP_SPINCOUNT": str(SPIN_COUNT)}),
        # ggml would start a debugger to print a backtrace when an assertion fails.
        "GGML_NO_BACKTRACE": "1",
        # The child's own text must survive a container without a locale.
        "PYTHONUTF8": "1",
    }
    if (library := own_library()) is not None:
        chosen["STABLE_DIFFUSION_CPP_LIB"] = str(library)
    return {**chosen, **current}


def own_library() -> Path | None:
    """The library that ``install.sh --engine-source`` has built and put into this installation; None where it has not."""
    return next((Path(sys.prefix) / "lib" / "sdrest-engine").glob("libstable-diffusion.*"), None)
