"""Copying everything from one database into another, an empty one; of whichever kinds they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sdrest.core.errors import Conflict, SdrestError
from sdrest.storage.sql.database import Connection, Database

#: All tables, each with what it is read in order of. The numbers of jobs are counted by the target itself.
_TABLES: Final = {
    "jobs": "sequence",
    "groups": "sequence",
    "marks": "job, file, kind, name",
    "turns": "principal",
    "key_values": "key",
    "timings": "model_id, width, height, guided",
    "accounts": "name",
    "sessions": "id",
    "api_keys": "id",
    "webhooks": "id",
    "day_use": "day, subject",
    "limits": "subject",
}
_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Statements:
    go_on: str


async def copy(source: Database, target: Database) -> dict[str, int]:
    """Copy all rows between two open databases that no server uses; the number of rows by table.

    Raises:
        Conflict: something is in the target already.
        SdrestError: the target has not got as many rows as the source has.
    """
    for table in _TABLES:
        if await target.read(partial(_count, table=table)):
            raise Conflict(f"there is something in the target already ({table}); copy into an empty database")
    for table, order in _TABLES.items():
        done = 0
        while rows := await source.read(partial(_page, table=table, order=order, offset=done)):
            await target.write(partial(_insert, table=table, rows=rows))
            done += len(rows)
    sql = _Statements(**target.statements("copying"))
    await target.write(lambda db: db.execute(sql.go_on).fetchall())
    counts = {}
    for table in _TABLES:
        counts[table] = await target.read(partial(_count, table=table))
        if counts[table] != (there := await source.read(partial(_count, table=table))):
            raise SdrestError(f"{table}: {counts[table]} of {there} rows were copied; remove the target and try again")
    return counts


def _count(db: Connection, *, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of ours


def _page(db: Connection, *, table: str, order: str, offset: int) -> list[dict[str, Any]]:
    statement = f"SELECT * FROM {table} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608 - names of ours
    found = db.execute(statement, (_ROWS_AT_ONCE, offset))
    return [_portable(dict(row)) for row in found.fetchall()]


def _portable(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the one value that databases have types of their own for."""
    return {**row, "guided": bool(row["guided"])} if "guided" in row else row


def _insert(db: Connection, *, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = [*rows[0]]
    values = ", ".join(f":{column}" for column in columns)
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608 - names of ours
    for row in rows:
        db.execute(statement, row)
