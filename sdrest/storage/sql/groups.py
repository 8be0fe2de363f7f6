"""Groups as statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from sdrest.core.group import Axis, Group
from sdrest.core.job import Job
from sdrest.jobs.quotas import Budget
from sdrest.storage.sql.database import ADDING, ONE_ROW, Connection, Database
from sdrest.storage.sql.job_rows import as_json
from sdrest.storage.sql.jobs import SqlJobStore
from sdrest.storage.sql.times import as_text

_AXES: Final = msgspec.json.Decoder(tuple[Axis, ...])


@dataclass(frozen=True, slots=True)
class _Statements:
    add: str
    get: str
    by_key: str
    find: str
    count: str
    remove: str


class SqlGroupStore:
    """The :class:`sdrest.jobs.group_store.GroupStore` of a real server, on any database."""

    def __init__(self, database: Database, jobs: SqlJobStore) -> None:
        self._database = database
        self._jobs = jobs
        self._sql = _Statements(**database.statements("groups"))

    async def add(
        self,
        group: Group,
        jobs: Sequence[Job],
        *,
        max_pending: int,
        max_pending_of_principal: int | None = None,
        budgets: Sequence[Budget] = (),
    ) -> Group:
        """See :meth:`GroupStore.add`."""
        values = {
            "id": group.id,
            "principal": group.principal,
            "name": group.name,
            "created_at": as_text(group.created_at),
            "axes": as_json(group.axes),
            "is_list": int(group.is_list),
            "idempotency_key": group.idempotency_key,
        }

        def change(db: Connection) -> Group:
            if group.idempotency_key:
                key = {"principal": group.principal, "key": group.idempotency_key}
                known = db.execute(self._sql.by_key, key).fetchone()
                if known is not None:
                    return _group_of(known)
            db.execute(self._sql.add, values)
            self._jobs.add_all(
                db,
                jobs,
                max_pending=max_pending,
                max_pending_of_principal=max_pending_of_principal,
                budgets=budgets,
            )
            return group

        return await self._database.write(change, alone=ADDING)

    async def get(self, group_id: str) -> Group | None:
        """See :meth:`GroupStore.get`."""
        row = await self._database.read(lambda db: db.execute(self._sql.get, {"id": group_id}).fetchone())
        return _group_of(row) if row else None

    async def find(self, principal: str | None, *, limit: int, offset: int = 0) -> Sequence[Group]:
        """See :meth:`GroupStore.find`."""
        values = {"principal": principal, "limit": limit, "offset": offset}
        rows = await self._database.read(lambda db: db.execute(self._sql.find, values).fetchall())
        return [_group_of(row) for row in rows]

    async def count(self, principal: str | None) -> int:
        """See :meth:`GroupStore.count`."""
        values = {"principal": principal}
        return await self._database.read(lambda db: int(db.execute(self._sql.count, values).fetchone()[0]))

    async def remove(self, group_id: str) -> bool:
        """See :meth:`GroupStore.remove`."""
        values = {"id": group_id}
        return await self._database.write(lambda db: db.execute(self._sql.remove, values).rowcount == 1, alone=ONE_ROW)


def _group_of(row: Any) -> Group:
    return Group(
        id=row["id"],
        principal=row["principal"],
        name=row["name"],
        created_at=datetime.fromisoformat(row["created_at"]),
        axes=_AXES.decode(row["axes"]),
        is_list=bool(row["is_list"]),
        idempotency_key=row["idempotency_key"],
    )
