"""Notes between the servers on one PostgreSQL, by NOTIFY, and what is done on the one connection that listens.

Notifications of one connection come in order and each once; one that breaks loses what was sent meanwhile. So whoever listens is
told whenever the connection is new, and in between from time to time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import psycopg
import structlog

from sdrest.core.background import Background
from sdrest.core.events import JobPreviewed
from sdrest.jobs.relay import Seen
from sdrest.storage.postgres.database import CONNECTING, PostgresDatabase
from sdrest.storage.sql.database import ONE_ROW, Connection

log = structlog.get_logger(__name__)

_CHANNEL: Final = "sdrest"
#: PostgreSQL takes less than 8000 bytes.
_PAYLOAD_BYTES: Final = 7900
_POLL_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0
#: A statement on the connection that takes longer has lost it.
_PATIENCE_SECONDS: Final = 15.0
#: A server that has not been seen for so long is gone.
_GONE_SECONDS: Final = 30.0

_SIGN_IN: Final = """
    INSERT INTO servers VALUES (%(id)s, %(name)s, clock_timestamp(), clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, seen_at = clock_timestamp()
"""
_OTHERS: Final = (
    "SELECT id, name FROM servers WHERE id <> :id AND seen_at > clock_timestamp() - :gone * interval '1 second'"
)
_SHOW: Final = """
    INSERT INTO previews VALUES (:job_id, :step, :width, :height, decode(:jpeg, 'hex'), clock_timestamp())
    ON CONFLICT (job_id) DO UPDATE SET
        step = excluded.step, width = excluded.width, height = excluded.height, jpeg = excluded.jpeg, shown_at = excluded.shown_at
"""


class PostgresChannel:
    """See :class:`sdrest.jobs.relay.Channel`.

    Args:
        database: Where the servers meet.
        server: Id of this one, known once it has started.
        name: What people call it.
        poll_seconds: How often the connection is looked after, and things are read again.
    """

    def __init__(
        self, database: PostgresDatabase, server: Callable[[], str], name: str, *, poll_seconds: float = _POLL_SECONDS
    ) -> None:
        self._database = database
        self._server = server
        self._name = name
        self._poll_seconds = poll_seconds
        #: Hears notes of other servers, and that some may have been lost (``at_all``: for sure).
        self.heard: Callable[[Iterable[str]], None] = lambda _notes: None
        self.look_again: Callable[[bool], None] = lambda _at_all: None
        #: Whether this server does what one alone is to do; at most one does.
        self.leads = False
        self.loop = Background("channel", self._run)

    # ------------------------------------------------------------------ listening

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, TimeoutError) as error:
                log.warning("the database cannot be listened to at the moment", problem=str(error).strip())
            finally:
                self.leads = False
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._database.url, autocommit=True, **CONNECTING)
        async with connection:
            await connection.execute(f"LISTEN {_CHANNEL}")
            self.look_again(True)
            while True:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._look_after(connection)
                async for note in connection.notifies(timeout=self._poll_seconds):
                    sender, *notes = json.loads(note.payload)
                    if sender != self._server():
                        self.heard(notes)
                self.look_again(False)

    async def _look_after(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Ask the time, say that this server lives, and take the lead if nobody has it."""
        cursor = await connection.execute("SELECT clock_timestamp()")
        if (row := await cursor.fetchone()) is not None:
            self._database.clock.told(row[0])
        await connection.execute(_SIGN_IN, {"id": self._server(), "name": self._name})
        if not self.leads:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtext('sdrest'), hashtext('leader'))")
            row = await cursor.fetchone()
            self.leads = bool(row and row[0])
        if self.leads:
            await connection.execute("DELETE FROM previews WHERE shown_at < clock_timestamp() - interval '10 minutes'")
            await connection.execute("DELETE FROM servers WHERE seen_at < clock_timestamp() - interval '1 day'")

    # ------------------------------------------------------------------ telling

    async def sign_in(self) -> dict[str, str]:
        """Say that this server is there; the names of the others that are, by id."""
        mine = {"id": self._server(), "name": self._name}
        statement = _SIGN_IN.replace("%(id)s", ":id").replace("%(name)s", ":name")
        await self._database.write(lambda db: db.execute(statement, mine).rowcount, alone=ONE_ROW)
        values = {"id": self._server(), "gone": _GONE_SECONDS}
        return await self._database.read(
            lambda db: {row["id"]: row["name"] for row in db.execute(_OTHERS, values).fetchall()}
        )

    async def sign_out(self) -> None:
        """Say that this server has gone."""
        values = {"id": self._server()}
        await self._database.write(
            lambda db: db.execute("DELETE FROM servers WHERE id = :id", values).rowcount, alone=ONE_ROW
        )

    async def send(self, notes: Sequence[str]) -> None:
        """See :meth:`sdrest.jobs.relay.Channel.send`."""
        payloads = list(self._packed(notes))

        def tell(db: Connection) -> None:
            for payload in payloads:
                db.execute("SELECT pg_notify(:channel, :payload)", {"channel": _CHANNEL, "payload": payload})

        # In a transaction of its own: the commits of all that notify wait for each other.
        await self._database.write(tell, durable=False, alone=ONE_ROW)

    def _packed(self, notes: Sequence[str]) -> Iterable[str]:
        """As few payloads as hold all notes."""
        begin = json.dumps([self._server()])[:-1]
        payload, size = begin, len(begin)
        for note in notes:
            text = f",{json.dumps(note, ensure_ascii=False)}"
            length = len(text.encode())
            if size + length > _PAYLOAD_BYTES and payload != begin:
                yield payload + "]"
                payload, size = begin, len(begin)
            payload, size = payload + text, size + length
        yield payload + "]"

    async def show(self, preview: JobPreviewed) -> None:
        """See :meth:`sdrest.jobs.relay.Channel.show`."""
        values = {
            "job_id": preview.job_id,
            "step": preview.step,
            "width": preview.width,
            "height": preview.height,
            "jpeg": preview.jpeg.hex(),
        }
        await self._database.write(lambda db: db.execute(_SHOW, values).rowcount, durable=False, alone=ONE_ROW)

    async def shown(self, note: Seen) -> JobPreviewed | None:
        """See :meth:`sdrest.jobs.relay.Channel.shown`."""
        values = {"id": note.job_id}
        row = await self._database.read(
            lambda db: db.execute(
                "SELECT step, width, height, jpeg FROM previews WHERE job_id = :id", values
            ).fetchone()
        )
        return JobPreviewed(note.job_id, note.principal, row[0], row[1], row[2], bytes(row[3])) if row else None
