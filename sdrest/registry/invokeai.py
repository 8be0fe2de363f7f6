"""What InvokeAI calls its models: its files have the names of keys, their own names are in its database."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DATABASE: Final = Path("databases/invokeai.db")
_SIZE_LIMIT: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Installed:
    """A model as the database has it; a relative ``path`` lies in InvokeAI's folder ``models``."""

    name: str
    path: Path


def installed_models(root: Path) -> tuple[Installed, ...]:
    """The models that InvokeAI has installed; none where it has no database. The database is not written to.

    Raises:
        ValueError: it cannot be read; says why.
    """
    file = root / _DATABASE
    if not file.is_file():
        return ()
    try:
        if file.stat().st_size > _SIZE_LIMIT:
            raise ValueError(f"{_DATABASE} is larger than expected")
        rows = _rows(file)
    except (OSError, sqlite3.Error) as error:
        raise ValueError(f"{_DATABASE} cannot be read ({error})") from None
    found = []
    for (text,) in rows:
        try:
            record = json.loads(text)
            name, path = record["name"], record["path"]
        except (ValueError, TypeError, KeyError):  # of a version that keeps something else there
            continue
        if isinstance(name, str) and isinstance(path, str) and name.strip() and "\0" not in path:
            found.append(Installed(name.strip(), Path(path)))
    return tuple(found)


def _rows(file: Path) -> list[tuple[str]]:
    """The records of models. To open a database for reading, SQLite makes files beside it, if it is in WAL mode; "immutable"
    keeps it from that, and from what is in its log: where there is a log, a copy is read.
    """
    log = file.with_name(file.name + "-wal")
    if not log.is_file() or log.stat().st_size == 0:
        return _select(f"{file.absolute().as_uri()}?immutable=1")
    with tempfile.TemporaryDirectory(prefix="sdrest-") as folder:
        for item in (file, log):
            shutil.copyfile(item, Path(folder) / item.name)
        return _select((Path(folder) / file.name).as_uri())


def _select(uri: str) -> list[tuple[str]]:
    database = sqlite3.connect(uri, uri=True)
    try:
        return database.execute("SELECT config FROM models").fetchall()
    finally:
        database.close()
