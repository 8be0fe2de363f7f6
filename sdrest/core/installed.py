"""Where the files lie that are no modules: templates, static files, and libraries built from ``native/``."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1]
SOURCE_TREE: Final = PACKAGE.parent


def data_folder(name: str) -> Path:
    """``templates`` or ``static``: in the package of a wheel, beside it in a checkout or an editable install."""
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else SOURCE_TREE / name


def built_file_candidates(room: str, file: str) -> list[Path]:
    """Where a library built from ``native/`` is looked for, the likeliest first.

    Args:
        room: The sub-folder of the package that it is installed to (``engine/child``).
        file: Its name.
    """
    return [
        PACKAGE / room / file,
        # An editable install puts built files among the environment's packages, and leaves the modules where they are.
        Path(sysconfig.get_path("platlib")) / "sdrest" / room / file,
        SOURCE_TREE / "build" / file,
        *sorted(SOURCE_TREE.glob(f"build/*/{file}")),
    ]
