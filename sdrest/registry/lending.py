"""Which other programs lend their models: those that the settings name, and those that a running server was told of."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from sdrest.core.errors import FieldProblem, InsufficientStorage, InvalidInput
from sdrest.core.files import atomic_file
from sdrest.registry.borrowed import Lender, lenders_of

_FILE: Final = "folders.json"
#: Most folders that a running server is told of.
MOST_ADDED: Final = 64


class Lending:
    """The lenders. Making one reads a file.

    Args:
        named: What the settings name; see :func:`lenders_of`.
        folder: Where further ones are kept, and what is written here of borrowed models; None: nowhere.

    Raises:
        InvalidInput: the settings name a program that is not known.
    """

    def __init__(self, named: Iterable[str] = (), folder: Path | None = None) -> None:
        self.named = tuple(named)
        #: What is written of borrowed models, by id.
        self.notes_dir = folder
        self._lock = threading.Lock()
        lenders_of(self.named)
        self.added = _read(folder / _FILE) if folder is not None else ()
        self.lenders: tuple[Lender, ...] = lenders_of((*self.named, *self.added))

    def change(self, added: Iterable[str]) -> None:
        """Take these in the place of those that were added before, and keep them. Writes a file.

        Raises:
            InvalidInput: one of them is no folder here, or of an unknown program; names the field ``folders``.
            InsufficientStorage: they cannot be kept.
        """
        wanted = tuple(dict.fromkeys(text for text in map(str.strip, added) if text and text not in self.named))
        problems = [FieldProblem("folders", problem) for text in wanted if (problem := _problem(text))]
        if len(wanted) > MOST_ADDED:
            problems.append(FieldProblem("folders", f"at most {MOST_ADDED} folders"))
        if problems:
            raise InvalidInput(problems)
        with self._lock:
            if self.notes_dir is not None:
                try:
                    self.notes_dir.mkdir(parents=True, exist_ok=True)
                    with atomic_file(self.notes_dir / _FILE) as file:
                        file.write(msgspec.json.format(msgspec.json.encode(wanted)))
                except OSError as error:
                    raise InsufficientStorage(f"{self.notes_dir} cannot be written to ({error.strerror})") from error
            self.added = wanted
            self.lenders = lenders_of((*self.named, *wanted))


def _problem(text: str) -> str:
    """What is wrong with a folder that is to be added; empty where nothing is."""
    try:
        (lender,) = lenders_of([text])
    except InvalidInput as error:
        return error.problems[0].message
    if not (text.partition(":")[2] or text).startswith(("/", "~")) and not Path(text).is_absolute():
        return f"{text}: a whole path is wanted, from / on"
    if lender.root == Path(lender.root.anchor):
        return f"{text}: the whole disk is no folder of models"
    return "" if lender.root.is_dir() else f"{lender.root}: there is no such folder on the server"


def _read(file: Path) -> tuple[str, ...]:
    """What was kept; nothing where the file is missing, damaged, or holds what is understood no more."""
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=tuple[str, ...])
        lenders_of(kept)
    except (OSError, msgspec.MsgspecError, InvalidInput):
        return ()
    return kept
