"""Both hubs on one address of this machine, answering as their public documentation has it.

CivitAI: developer.civitai.com/site/reference (models, model-versions). Hugging Face: huggingface.co/docs/hub/api, and what
huggingface_hub's ``ModelInfo`` reads.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from tests.integration.server.elsewhere import Elsewhere

#: What the hubs may answer instead.
FAILURES = {
    401: web.HTTPUnauthorized,
    429: web.HTTPTooManyRequests,
    500: web.HTTPInternalServerError,
}
GB_IN_KB = 1_000_000_000 / 1024


@dataclass
class Twin(Elsewhere):
    """The hubs' models, beside the files of :class:`Elsewhere`; ``queries`` are those of searches, ``fails`` the next statuses."""

    queries: list[dict[str, list[str]]] = field(default_factory=list)
    fails: list[int] = field(default_factory=list)
    #: The newest version of the model on CivitAI.
    newest: int = 42
    #: Hash of the file on Hugging Face.
    lfs_sha256: str = ""
    pictures: int = 0

    def _note(self, request: web.Request) -> None:
        self.note(request)
        self.queries.append({name: request.query.getall(name) for name in request.query})
        if self.fails:
            raise FAILURES[self.fails.pop(0)]

    def civitai_item(self, **changes: Any) -> dict[str, Any]:
        version = {
            **self.version(),
            "id": self.newest,
            "name": f"v{self.newest}",
            "images": [
                {"url": f"{self.url}/pictures/mild.png", "nsfwLevel": 1, "type": "image", "width": 400, "height": 300},
                {"url": f"{self.url}/pictures/bold.png", "nsfwLevel": 8, "type": "image"},
                {"url": f"{self.url}/pictures/unrated.png", "type": "image"},
                {"url": f"{self.url}/pictures/film.mp4", "nsfwLevel": 1, "type": "video"},
            ],
        }
        del version["model"]
        return {
            "id": 7,
            "name": "Pomona",
            "type": "Checkpoint",
            "nsfw": False,
            "nsfwLevel": 1,
            "allowNoCredit": False,
            "allowCommercialUse": ["Image", "Rent"],
            "allowDerivatives": True,
            "allowDifferentLicense": True,
            "stats": {"downloadCount": 1234},
            "creator": {"username": "vertumnus"},
            "tags": ["fruit"],
            "modelVersions": [{**version, "baseModel": "SDXL 1.0"}, {"id": 41, "name": "older"}],
            **changes,
        }

    async def civitai_search(self, request: web.Request) -> web.Response:
        self._note(request)
        small = self.civitai_item()
        big = self.civitai_item(id=8, name="Colossus")
        big["modelVersions"] = [
            {**big["modelVersions"][0], "id": 80, "files": [dict(big["modelVersions"][0]["files"][1])]}
        ]
        big["modelVersions"][0]["files"][0] |= {"sizeKB": 9000 * GB_IN_KB, "name": "colossus.safetensors"}
        odd = self.civitai_item(id=9, name="Hunyuan thing")
        odd["modelVersions"] = [{**odd["modelVersions"][0], "baseModel": "Hunyuan Video"}]
        nothing = self.civitai_item(id=10, name="Empty", modelVersions=[])
        if request.query.get("cursor"):
            return web.json_response({"items": [self.civitai_item(id=11, name="Page two")], "metadata": {}})
        return web.json_response(
            {
                "items": [small, big, odd, nothing],
                "metadata": {"nextCursor": "more", "nextPage": "http://elsewhere.invalid/"},
            }
        )

    async def civitai_one(self, request: web.Request) -> web.Response:
        self._note(request)
        return web.json_response(self.civitai_item())

    async def civitai_by_hash(self, request: web.Request) -> web.Response:
        self._note(request)
        if request.match_info["hash"].lower() != self.sha256:
            return web.json_response({"error": "Model not found"}, status=404)
        return web.json_response({**self.version(), "id": 41})

    def repository(self, *, blobs: bool) -> dict[str, Any]:
        lfs = {"sha256": self.lfs_sha256 or self.sha256, "size": len(self.body), "pointerSize": 135}
        weights = {"rfilename": "sub/model.gguf", **({"size": len(self.body), "lfs": lfs} if blobs else {})}
        part = {"rfilename": "transformer/diffusion_pytorch_model.safetensors", **({"size": 5} if blobs else {})}
        return {
            "id": "owner/fruits",
            "modelId": "owner/fruits",
            "author": "owner",
            "sha": "c" * 40,
            "lastModified": "2026-01-31T10:00:00.000Z",
            "private": False,
            "gated": "auto",
            "downloads": 77,
            "likes": 3,
            "tags": [
                "gguf",
                "text-to-image",
                "license:apache-2.0",
                "base_model:quantized:black-forest-labs/FLUX.1-dev",
            ],
            "cardData": {
                "license": "apache-2.0",
                "instance_prompt": "pomona style",
                "widget": [{"text": "a pear", "output": {"url": "images/pear.png"}}],
            },
            "siblings": [{"rfilename": "README.md"}, weights, part, {"rfilename": "model-00001-of-00002.safetensors"}],
        }

    async def hf_search(self, request: web.Request) -> web.Response:
        self._note(request)
        headers = {"Link": f'<{self.url}/api/models?cursor=onwards&limit=2>; rel="next"'}
        return web.json_response([self.repository(blobs=False)], headers=headers)

    async def hf_one(self, request: web.Request) -> web.Response:
        self._note(request)
        if request.match_info["name"] != "fruits":
            return web.json_response({"error": "Repository not found"}, status=404)
        return web.json_response(self.repository(blobs="blobs" in request.query))

    async def picture(self, request: web.Request) -> web.Response:
        self.note(request)
        self.pictures += 1
        stream = io.BytesIO()
        Image.new("RGB", (900, 600), "teal").save(stream, "PNG")
        return web.Response(body=stream.getvalue(), content_type="image/png")


@asynccontextmanager
async def serving_hubs(body: bytes) -> AsyncIterator[Twin]:
    """Both hubs, for the length of the block."""
    twin = Twin(body)
    twin.gate.set()
    app = web.Application()
    app.router.add_get("/files/{name}", twin.file)
    app.router.add_get("/away/{name}", twin.away)
    app.router.add_get("/pictures/{name}", twin.picture)
    app.router.add_get("/owner/fruits/resolve/main/images/{name}", twin.picture)
    app.router.add_get("/owner/{repo}/resolve/{revision}/{path:.+}", twin.hub)
    app.router.add_get("/api/v1/models", twin.civitai_search)
    app.router.add_get("/api/v1/models/7", twin.civitai_one)
    app.router.add_get("/api/v1/model-versions/by-hash/{hash}", twin.civitai_by_hash)
    app.router.add_get("/api/v1/model-versions/{id}", twin.civitai_version)
    app.router.add_get("/api/models", twin.hf_search)
    app.router.add_get("/api/models/owner/{name}", twin.hf_one)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    twin.host = f"127.0.0.1:{server.port}"
    twin.url = f"http://{twin.host}"
    try:
        yield twin
    finally:
        await server.close()
