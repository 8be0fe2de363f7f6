"""Another server on this machine, that models are downloaded from: with ranges, redirects, breaks and a gate."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Seen:
    """One request that came."""

    path: str
    range: str
    if_range: str
    authorization: str
    method: str


@dataclass
class Elsewhere:
    """What the server serves under ``/files/…``, and how."""

    body: bytes
    etag: str = '"first"'
    ranges: bool = True
    #: Whether answers tell how long they are.
    tells_length: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    #: Bytes after which the next answers break off, one after another.
    breaks: Iterator[int] = field(default_factory=lambda: iter(()))
    #: When closed, an answer stops half-way until it is opened.
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    half_sent: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    host: str = ""
    #: Origin that ``/away/…`` and the hubs' files redirect to; empty: this server.
    cdn: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def note(self, request: web.Request) -> None:
        get = request.headers.get
        sent = get("Range", ""), get("If-Range", ""), get("Authorization", "")
        self.seen.append(Seen(request.path, *sent, request.method))

    async def file(self, request: web.Request) -> web.StreamResponse:
        """The body, or a range of it."""
        self.note(request)
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        fresh = request.headers.get("If-Range", self.etag) == self.etag
        if wanted and self.ranges and fresh:
            start = int(wanted[1])
        headers = {
            **({"ETag": self.etag} if self.etag else {}),
            "Content-Type": "application/octet-stream",
            **self.headers,
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        rest = self.body[start:]
        if self.tells_length:
            response.content_length = len(rest)
        await response.prepare(request)
        if (end := next(self.breaks, None)) is not None:
            await response.write(rest[:end])
            assert request.transport is not None
            request.transport.close()
            return response
        half = len(rest) // 2
        for part in (rest[:half], rest[half:]):
            for begin in range(0, len(part), 65536):
                await response.write(part[begin : begin + 65536])
            self.half_sent.set()
            await self.gate.wait()
        return response

    async def away(self, request: web.Request) -> web.Response:
        """A redirect, to this server or to another."""
        self.note(request)
        raise web.HTTPFound(f"{self.cdn or self.url}/files/{request.match_info['name']}")

    async def anywhere(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    async def loop(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(request.path)

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    async def status(self, request: web.Request) -> web.Response:
        self.note(request)
        return web.Response(status=int(request.match_info["status"]))

    async def hub(self, request: web.Request) -> web.Response:
        """A large file of a repository as Hugging Face answers for it: hash and size, and where it lies."""
        self.note(request)
        if request.match_info["repo"] != "fruits":
            return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
        if request.match_info["path"] != "sub/model.gguf":
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        headers = {
            "X-Repo-Commit": "c" * 40,
            "X-Linked-Etag": f'"{self.sha256}"',
            "X-Linked-Size": str(len(self.body)),
            "Location": f"{self.cdn or self.url}/files/lfs",
        }
        return web.Response(status=302, headers=headers)

    def version(self) -> dict[str, Any]:
        """A model version as CivitAI describes it."""
        return {
            "id": 42,
            "modelId": 7,
            "name": "v2",
            "baseModel": "Other",
            "trainedWords": ["pomona"],
            "description": "<p>Fruit and nothing else</p>",
            "model": {"name": "Pomona", "type": "Checkpoint"},
            "files": [
                {"name": "training.zip", "type": "Training Data", "downloadUrl": f"{self.url}/files/no"},
                {
                    "name": "pomona_v2.gguf",
                    "type": "Model",
                    "primary": True,
                    "sizeKB": len(self.body) / 1024,
                    "hashes": {"SHA256": self.sha256.upper()},
                    "downloadUrl": f"{self.url}/away/civitai",
                },
            ],
        }

    async def civitai_version(self, request: web.Request) -> web.Response:
        self.note(request)
        if request.match_info["id"] != "42":
            return web.json_response({"error": "no"}, status=404)
        return web.json_response(self.version())

    async def civitai_model(self, request: web.Request) -> web.Response:
        version = self.version()
        model = version.pop("model")
        return web.json_response({"id": 7, **model, "modelVersions": [version]})


@asynccontextmanager
async def serving(body: bytes) -> AsyncIterator[Elsewhere]:
    """The server, for the length of the block; its gate is open."""
    state = Elsewhere(body)
    state.gate.set()
    app = web.Application()
    app.router.add_get("/files/{name}", state.file)
    app.router.add_get("/away/{name}", state.away)
    app.router.add_get("/anywhere", state.anywhere)
    app.router.add_get("/loop/model.gguf", state.loop)
    app.router.add_get("/page/model.gguf", state.page)
    app.router.add_get("/status/{status}/model.gguf", state.status)
    app.router.add_get("/owner/{repo}/resolve/{revision}/{path:.+}", state.hub)
    app.router.add_get("/api/v1/model-versions/{id}", state.civitai_version)
    app.router.add_get("/api/v1/models/7", state.civitai_model)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    state.host = f"127.0.0.1:{server.port}"
    state.url = f"http://{state.host}"
    try:
        yield state
    finally:
        state.gate.set()
        await server.close()
