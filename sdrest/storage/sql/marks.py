"""Marks as statements."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sdrest.jobs.marks import FileId, Mark, MarkKind
from sdrest.storage.sql.database import Connection, Database


@dataclass(frozen=True, slots=True)
class _Statements:
    of: str
    add: str
    take: str
    names: str
    copy_name: str
    remove_name: str


class SqlMarkStore:
    """The :class:`sdrest.jobs.marks.MarkStore` of a real server, on any database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _Statements(**database.statements("marks"))

    async def of(self, job_ids: Collection[str]) -> Mapping[FileId, Sequence[Mark]]:
        """See :meth:`MarkStore.of`."""

        def query(db: Connection) -> dict[FileId, list[Mark]]:
            found: dict[FileId, list[Mark]] = {}
            for row in db.execute(self._sql.of, {"ids": json.dumps([*job_ids])}):
                found.setdefault(FileId(row["id"], row["file"]), []).append(Mark(row["kind"], row["name"]))
            return found

        return await self._database.read(query) if job_ids else {}

    async def change(self, files: Collection[FileId], *, add: Collection[Mark], take: Collection[Mark]) -> None:
        """See :meth:`MarkStore.change`."""

        def change(db: Connection) -> None:
            for item in sorted(files):  # in order, so that two changes do not wait for each other
                for statement, marks in ((self._sql.take, take), (self._sql.add, add)):
                    for mark in marks:
                        values = {"id": item.job_id, "file": item.file, "kind": mark.kind, "name": mark.name}
                        db.execute(statement, values)

        await self._database.write(change)

    async def names(self, kind: MarkKind, principal: str | None) -> Sequence[str]:
        """See :meth:`MarkStore.names`."""
        values = {"kind": kind, "principal": principal}
        return await self._database.read(lambda db: [row["name"] for row in db.execute(self._sql.names, values)])

    async def rename(self, kind: MarkKind, old: str, new: str, principal: str | None) -> int:
        """See :meth:`MarkStore.rename`."""

        def change(db: Connection) -> int:
            values = {"kind": kind, "old": old, "principal": principal}
            if new == old:
                return 0
            if new:
                db.execute(self._sql.copy_name, {**values, "new": new})
            return db.execute(self._sql.remove_name, values).rowcount

        return await self._database.write(change)
