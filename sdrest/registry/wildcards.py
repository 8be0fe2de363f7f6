"""Wildcards: text files of which prompts take a line by the file's name, ``__colours__``."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from sdrest.core.errors import InvalidInput, NotFound, did_you_mean
from sdrest.core.files import atomic_file

_PART: Final = r"[\w][\w .+()-]*"
_NAME: Final = re.compile(rf"{_PART}(/{_PART}){{0,7}}")
#: Longest file in bytes.
MOST_BYTES: Final = 2 * 1024 * 1024
_MOST_FILES: Final = 10_000


class Wildcards:
    """The ``.txt`` files of a folder and those below it; ``animals/cats.txt`` is called ``animals/cats``. Blocks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The names of all files, in order."""
        found = (path.relative_to(self.folder).with_suffix("").as_posix() for path in self.folder.rglob("*.txt"))
        return sorted(name for name, _ in zip(found, range(_MOST_FILES), strict=False) if _NAME.fullmatch(name))

    def options(self, pattern: str) -> list[str]:
        """The lines that a name stands for; ``*`` in it stands for anything. Empty lines and those that begin with # are none.

        Raises:
            NotFound: there is no such file, or none has a line; the nearest name is given.
        """
        known = self.names()
        chosen = [name for name in known if fnmatchcase(name.lower(), pattern.strip().lower())]
        lines = [line.strip() for name in chosen for line in self._text(name).splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if not chosen:
            raise NotFound(f"there is no wildcard {pattern!r}{did_you_mean(pattern, known)}")
        if not lines:
            raise NotFound(f"the wildcard {pattern!r} has no lines")
        return lines

    def read(self, name: str) -> str:
        """The text of a file.

        Raises:
            NotFound: there is none.
        """
        if name not in self.names():
            raise NotFound(f"there is no wildcard {name!r}")
        return self._text(name)

    def save(self, name: str, text: str) -> None:
        """Write a file, in the place of one of that name.

        Raises:
            InvalidInput: the name or the text cannot be.
            InsufficientStorage: the disk is full.
        """
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                "a wildcard's name has letters, digits, spaces and . _ - + ( ), with / for folders", field="name"
            )
        data = text.replace("\r\n", "\n").encode()
        if len(data) > MOST_BYTES:
            raise InvalidInput(f"at most {MOST_BYTES} bytes", field="text")
        with atomic_file(self._path(name)) as stream:
            stream.write(data)

    def remove(self, name: str) -> None:
        """Delete a file.

        Raises:
            NotFound: there is none.
        """
        if name not in self.names():
            raise NotFound(f"there is no wildcard {name!r}")
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    def _text(self, name: str) -> str:
        try:
            with self._path(name).open("rb") as stream:
                return stream.read(MOST_BYTES).decode("utf-8-sig", errors="replace")
        except OSError:
            return ""
