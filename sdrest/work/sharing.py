"""Several servers on one queue: what one of them does at its start, and while it runs, to be one of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sdrest.core.background import Backgrounds
from sdrest.core.errors import Conflict, SdrestError
from sdrest.jobs.relay import Relay
from sdrest.jobs.service import JobService
from sdrest.outputs.data_dir import server_id
from sdrest.settings import Settings
from sdrest.storage.opening import channel_of
from sdrest.storage.sql.database import Database

if TYPE_CHECKING:
    from sdrest.storage.postgres.channel import PostgresChannel


class Sharing:
    """The way to the other servers on a database, where there may be any.

    Args:
        service: The queue of this server.
        database: Where it is.
        refresh: What reads again that this server keeps in memory and others may change.
    """

    def __init__(
        self, service: JobService, database: Database, refresh: Sequence[Callable[[], Awaitable[None]]]
    ) -> None:
        self._service = service
        self._database = database
        self._refresh = refresh
        self._channel = channel_of(database, lambda: service.server, socket.gethostname())

    def leads(self) -> bool:
        """Whether this server is to do what one server alone does."""
        return self._channel is None or self._channel.leads

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[None]:
        """Have the database open, as one of the servers on it; the data folder must be locked.

        Raises:
            Conflict: the folders of this server are not those of the others.
            SdrestError: as :meth:`Database.open`.
        """
        if self._channel is not None:
            self._service.server = await asyncio.to_thread(server_id, settings)
        await self._database.open(server=self._service.server)
        try:
            if self._channel is not None:
                await self._join(self._channel)
            yield
        finally:
            if self._channel is not None:
                with contextlib.suppress(SdrestError):
                    await self._channel.sign_out()
                await asyncio.to_thread(self._service.files.unsign, self._service.server)
            await self._database.close()

    async def _join(self, channel: PostgresChannel) -> None:
        files = self._service.files
        # Before the others can see this one: whoever finds it looks for its marks.
        await asyncio.to_thread(files.sign, self._service.server)
        for other, name in (await channel.sign_in()).items():
            if not await asyncio.to_thread(files.is_signed, other):
                raise Conflict(
                    f"the server on {name} works on this database as well, but not in these folders: all servers on a database "
                    "need the same --output and the same --spool"
                )
        for refresh in self._refresh:
            await refresh()

    @asynccontextmanager
    async def going_on(self, backgrounds: Backgrounds) -> AsyncIterator[None]:
        """Tell and hear what happens, for the length of the block."""
        if self._channel is None:
            yield
            return
        relay = Relay(self._service, self._channel, self._refresh)
        self._channel.heard = relay.heard
        self._channel.look_again = lambda at_all: relay.look_again(at_all=at_all)
        async with backgrounds.running(*relay.loops, self._channel.loop):
            yield
