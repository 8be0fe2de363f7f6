"""What the servers on one PostgreSQL tell each other of their workers; see :class:`sdrest.work.roster.Board`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sdrest.storage.postgres.database import PostgresDatabase
from sdrest.storage.sql.database import ONE_ROW, Connection

#: What was not told again for so long is not there any more.
_GONE_SECONDS: Final = 30

_TELL: Final = """
    INSERT INTO workers SELECT told.session, :server, told.card, false, clock_timestamp()
    FROM json_to_recordset(:told::json) AS told (session text, card text, is_there boolean)
    WHERE told.is_there OR NOT EXISTS (
        SELECT FROM workers WHERE workers.session = told.session AND workers.server <> :server
    )
    ON CONFLICT (session) DO UPDATE SET server = excluded.server, card = excluded.card, seen_at = excluded.seen_at
"""
_FORGET: Final = """
    DELETE FROM workers WHERE seen_at < clock_timestamp() - :gone * interval '1 second'
        OR server = :server AND session NOT IN (SELECT session FROM json_to_recordset(:told::json) AS told (session text))
"""
_TOLD: Final = """
    SELECT session, card, leaves, server = :server FROM workers WHERE seen_at > clock_timestamp() - :gone * interval '1 second'
"""


class PostgresBoard:
    """See :class:`sdrest.work.roster.Board`.

    Args:
        database: Where the servers meet.
        server: Id of this one, known once it has started.
    """

    def __init__(self, database: PostgresDatabase, server: Callable[[], str]) -> None:
        self._database = database
        self._server = server

    async def tell(self, cards: Mapping[str, tuple[str, bool]]) -> None:
        """See :meth:`sdrest.work.roster.Board.tell`."""
        told = [{"session": session, "card": text, "is_there": is_there} for session, (text, is_there) in cards.items()]
        values = {"server": self._server(), "told": json.dumps(told), "gone": _GONE_SECONDS}

        def change(db: Connection) -> None:
            db.execute(_FORGET, values)
            db.execute(_TELL, values)

        await self._database.write(change, durable=False, alone=ONE_ROW)

    async def told(self) -> Sequence[tuple[str, str, bool, bool]]:
        """See :meth:`sdrest.work.roster.Board.told`."""
        values = {"server": self._server(), "gone": _GONE_SECONDS}
        return await self._database.read(
            lambda db: [(row[0], row[1], row[2], row[3]) for row in db.execute(_TOLD, values)]
        )

    async def ask_to_leave(self, session: str) -> None:
        """See :meth:`sdrest.work.roster.Board.ask_to_leave`."""
        values = {"session": session}
        statement = "UPDATE workers SET leaves = true WHERE session = :session"
        await self._database.write(lambda db: db.execute(statement, values).rowcount, alone=ONE_ROW)
