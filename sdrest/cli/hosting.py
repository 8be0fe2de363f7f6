"""A server in this process: the application on its sockets, from the first connection to the last."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from sdrest.app import build_app
from sdrest.cli.listening import Listening, listen, listen_locally
from sdrest.core.errors import InvalidInput
from sdrest.engine.engines import Engines
from sdrest.settings import Settings
from sdrest.web.http.keys import LIFECYCLE
from sdrest.web.http.lifecycle import Lifecycle
from sdrest.web.http.mounting import mounted

_SHUTDOWN_SECONDS = 5.0


class Server:
    """A server that is listening."""

    def __init__(self, url: str, lifecycle: Lifecycle) -> None:
        self.url = url
        self.lifecycle = lifecycle

    async def stopped(self) -> None:
        """Wait for SIGTERM, SIGINT or a restart."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, self.lifecycle.stop)
        await self.lifecycle.stopped()


@asynccontextmanager
async def hosting(settings: Settings, engines: Engines, listening: Listening | None = None) -> AsyncIterator[Server]:
    """A listening server for the length of the block.

    Raises:
        SdrestError: the settings or the data folder cannot be used.
        OSError: the address cannot be listened on.
    """
    app = build_app(settings, engines)
    tls = tls_context(settings)
    runner = web.AppRunner(mounted(app), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    owned = None if listening else listen(settings.host, settings.port)
    used = listening or owned
    assert used is not None
    cleanup = contextlib.ExitStack()
    try:
        await runner.setup()
        await web.SockSite(runner, used.duplicate(), ssl_context=tls).start()
        if settings.socket is not None and listening is not None:
            await web.SockSite(runner, listen_locally(settings.socket)).start()
            cleanup.callback(settings.socket.unlink, missing_ok=True)
        yield Server(used.url("https" if tls else "http").removesuffix("/") + f"{settings.base_path}/", app[LIFECYCLE])
    finally:
        await runner.cleanup()
        cleanup.close()
        if owned is not None:
            owned.close()


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS side of the listener; None when neither certificate nor key is given.

    Raises:
        InvalidInput: only one of them is given, or they cannot be used.
    """
    if settings.cert is None and settings.key is None:
        return None
    if settings.cert is None or settings.key is None:
        raise InvalidInput("a certificate and a key go together", field="key" if settings.key is None else "cert")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"{settings.cert} and {settings.key} cannot be used: {error}", field="cert") from None
    return context
