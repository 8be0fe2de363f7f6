"""What may be said to everybody of what goes wrong: no folder of this machine."""

from __future__ import annotations

import re
from typing import Final

_IN_QUOTES: Final = re.compile(r"(['\"])/[^'\"]*/(?=[^/'\"]*\1)")
_FOLDERS: Final = re.compile(r"(?<![\w.:/])/(?:[^\s/'\":;,()]+/)+")


def without_folders(text: str) -> str:
    """``text`` with every absolute path cut down to its last part."""
    return _FOLDERS.sub("", _IN_QUOTES.sub(r"\1", text))
