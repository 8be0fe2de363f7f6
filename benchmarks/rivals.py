"""sdrest and the peers behind one face, so that one measurement serves all: make this picture, and give back its pixels' digest."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from benchmarks.calls import Client, digest_of_png, picture
from benchmarks.peers import READY_PATH, Files, Peers
from benchmarks.process import ServerProcess, start_sdrest


class Rival(Protocol):
    """A running server."""

    server: ServerProcess
    #: A GET that says how the server is; asked while it generates.
    status_path: str

    async def draw(self, size: int, steps: int, seed: int, model: Files | None = None) -> str:
        """Make one picture and receive it; the digest of its pixels."""
        ...


class Sdrest:
    """sdrest through its synchronous route."""

    status_path = "/api/status"

    def __init__(self, server: ServerProcess, session: aiohttp.ClientSession, model: Files) -> None:
        self.server = server
        self._model = model
        self._client = Client(server, session)

    async def draw(self, size: int, steps: int, seed: int, model: Files | None = None) -> str:
        """See :class:`Rival`."""
        names = (model or self._model).names()
        reply = await self._client.generate(picture(size, steps, seed, **names))
        return digest_of_png(reply["images"][0]["data"])


class SdServer:
    """sd-server through its A1111 route, the one of its routes that takes all parameters and answers with the picture."""

    status_path = READY_PATH

    def __init__(self, server: ServerProcess, session: aiohttp.ClientSession, model: Files) -> None:
        self.server = server
        self._model = model
        self._client = Client(server, session)

    async def draw(self, size: int, steps: int, seed: int, model: Files | None = None) -> str:
        """See :class:`Rival`; it has one model only."""
        del model
        reply = await self._client.post("/sdapi/v1/txt2img", picture(size, steps, seed))
        return digest_of_png(reply["images"][0])


def cli_command(peers: Peers, model: Files, threads: int, size: int, steps: int, seed: int, output: Path) -> list[str]:
    """``sd-cli`` for the picture that the servers are asked for."""
    body = picture(size, steps, seed)
    options: dict[str, Any] = {
        "-p": body["prompt"], "-W": size, "-H": size, "--steps": steps, "--cfg-scale": 1.0, "-s": seed,
        "-t": threads, "-o": output,
    }  # fmt: skip
    return [str(peers.cli), *model.flags(), *(str(item) for pair in options.items() for item in pair)]


async def run_cli(command: list[str]) -> float:
    """Run ``sd-cli`` to its end; seconds.

    Raises:
        RuntimeError: it failed; the message holds the end of its output.
    """
    started_at = time.perf_counter()
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).decode(errors="replace")[-2000:])
    return time.perf_counter() - started_at


@contextlib.asynccontextmanager
async def both(
    peers: Peers, model: Files, folder: Path, threads: int, *flags: str
) -> AsyncIterator[tuple[Sdrest, SdServer]]:
    """The two servers, ready, with ``model`` loaded in both; ``flags`` go to sdrest."""
    for name in ("sdrest", "sd-server"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ours = start_sdrest(folder / "sdrest", *sdrest_flags(threads), *flags, models=model.main.parents[1])
    theirs = peers.start(model, folder / "sd-server", threads=threads)
    try:
        await asyncio.gather(ours.ready("/api/health"), theirs.ready(READY_PATH))
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            pair = Sdrest(ours, session, model), SdServer(theirs, session, model)
            for rival in pair:
                await rival.draw(64, 1, 1)
            yield pair
    finally:
        ours.stop()
        theirs.stop()


def sdrest_flags(threads: int) -> tuple[str, ...]:
    """Flags that give sdrest the threads that the peers get."""
    return ("--threads", str(threads))
