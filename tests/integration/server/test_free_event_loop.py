"""Nothing blocks the event loop on any dialect's main routes: no file, no database, no picture, no hashing, no large JSON."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import io
import threading
import traceback
import types
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import blockbuster.blockbuster as detector
import msgspec
import numpy as np
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image, ImageChops, ImageOps

import sdrest
from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.outputs import png
from sdrest.outputs.pictures import decode_picture
from sdrest.outputs.thumbnails import Thumbnails
from sdrest.web.http.bodies import INLINE_BYTES
from tests.integration.pictures.generation_modes import Client, place
from tests.tiny.fixtures import cached

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SMALL: dict[str, Any] = {"prompt": "a boat", "model": "ovis", "steps": 1, "cfg_scale": 1, "seed": 3}
SIZE: dict[str, Any] = {"width": 64, "height": 64}


#: The detector takes the first folder of a package for all of it; that of an editable installation is not where the code lies.
_HERE = types.ModuleType("sdrest")
_HERE.__path__ = [str(Path(sdrest.__file__).parent)]


def _noise() -> bytes:
    """A picture whose file is larger than what may be worked on at once."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (192, 192, 4), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


FILE = _noise()
PICTURE = base64.b64encode(FILE).decode()
assert len(PICTURE) > INLINE_BYTES


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("free")
    place(folder / "models", "ovis", "tae16", "esrgan")
    values = {"models_dir": folder / "models", "data_dir": folder / "data", "default_model": "ovis"}
    async with TestClient(TestServer(build_app(load_settings({**values, "log_level": "error"})))) as client:
        # What is loaded when it is first used is loaded now.
        await mcp(client, "list_jobs", {})
        await ok(client.post("/api/v1/generate", json={**SMALL, **SIZE}))
        await look_at_pages(client)
        yield client


@pytest.fixture(autouse=True)
def blocked(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What blocked the loop during the test; there must be nothing."""
    found: list[str] = []
    mine = threading.get_ident()

    def note(what: str) -> None:
        stack = [frame for frame in traceback.extract_stack() if "/sdrest/" in frame.filename]
        if threading.get_ident() == mine and stack:
            found.append(f"{what} in {stack[-1].filename}:{stack[-1].lineno}")

    class Noted(detector.BlockingError):
        def __init__(self, func: str) -> None:
            note(func)
            super().__init__(func)

    def watch(owner: Any, name: str, size: Callable[..., int] = lambda *_, **__: INLINE_BYTES + 1) -> None:
        original = getattr(owner, name)

        @functools.wraps(original, updated=())
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if size(*args, **kwargs) > INLINE_BYTES or (isinstance(result, bytes) and len(result) > INLINE_BYTES):
                note(name)
            return result

        monkeypatch.setattr(owner, name, watched)

    class Digest:
        """A digest that tells where it is fed."""

        def __init__(self, original: Any) -> None:
            self._original = original

        def update(self, data: bytes) -> None:
            if len(data) > INLINE_BYTES:
                note("hashing")
            self._original.update(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._original, name)

    for name in ("convert", "resize", "save", "crop", "filter", "getchannel", "tobytes", "thumbnail"):
        watch(Image.Image, name)
    for owner, names in (
        (Image, ("open", "fromarray")),
        (ImageOps, ("fit", "pad", "invert", "contain", "exif_transpose")),
        (ImageChops, ("invert",)),
        (png, ("encoded",)),
    ):
        for name in names:
            watch(owner, name)
    for name in ("b64encode", "b64decode"):
        watch(base64, name, lambda data, **_: len(data))
    watch(msgspec.json, "decode", lambda data, **_: len(data))
    watch(msgspec.json, "encode", lambda *_, **__: 0)
    for name in ("sha256", "blake2b"):
        original = getattr(hashlib, name)
        monkeypatch.setattr(hashlib, name, lambda *a, original=original, **k: Digest(original(*a, **k)))
    monkeypatch.setattr(detector, "BlockingError", Noted)
    with detector.blockbuster_ctx(_HERE):
        yield found
    assert not found, "\n".join(sorted(set(found)))


async def ok(call: Any) -> Any:
    """The JSON, or the bytes, of a reply that went well."""
    reply = await call
    data = await reply.read()
    assert reply.status < 400, (reply.status, data[:500])
    return await reply.json() if reply.content_type == "application/json" else data


async def mcp(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {"Accept": "application/json, text/event-stream"}
    text = (await ok(client.post("/mcp", json=message, headers=headers))).decode()
    reply: dict[str, Any] = msgspec.json.decode(text.rpartition("data: ")[2])
    assert not reply["result"].get("isError"), text[:500]
    return reply


def form(**fields: str | bytes) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in fields.items():
        data.add_field(name, value, filename="a.png" if isinstance(value, bytes) else None)
    return data


async def test_a_blocking_call_is_noticed(blocked: list[str]) -> None:
    decode_picture(FILE, field="image", max_pixels=10**6)
    with pytest.raises(detector.BlockingError):
        Thumbnails().jpeg(Path(__file__), 16)
    assert len(blocked) >= 2
    blocked.clear()


async def test_the_native_routes(client: Client) -> None:
    made = await ok(client.post("/api/v1/generate", json={**SMALL, **SIZE, "seed": 4}))
    file = f"/api/v1/jobs/{made['job_id']}/output/image_0.png"
    for path in (file, file + "?thumb=1", "/api/queue/status", "/api/status", "/api/queue", "/api/models", "/metrics"):
        await ok(client.get(path))
    queued = await ok(client.post("/api/generate/img2img", json={**SMALL, **SIZE, "init_image": PICTURE}))
    await ok(client.get(f"/api/jobs/{queued['job_id']}/events"))
    upscaled = await ok(client.post("/api/generate/upscale", json={"image": f"job:{made['job_id']}/image_0.png"}))
    await ok(client.get(f"/api/jobs/{upscaled['job_id']}/events"))
    await ok(client.post("/api/image/resize", json={"image": PICTURE, "width": 160, "height": 160}))
    await ok(client.post("/api/image/crop", json={"image": PICTURE, "width": 160, "height": 160}))
    await ok(client.post("/api/validate", json={**SMALL, "type": "img2img", "init_image": PICTURE}))
    await ok(client.post("/api/models/refresh"))
    hashed = await ok(client.post("/api/models/hash", json={"models": ["ovis"]}))
    if "job_id" in hashed:
        await ok(client.get(f"/api/jobs/{hashed['job_id']}/events"))


async def test_the_openai_routes(client: Client) -> None:
    asked = {"prompt": "a boat", "model": "ovis", "size": "64x64", "steps": 1, "cfg_scale": 1, "seed": 5}
    await ok(client.post("/v1/images/generations", json=asked))
    await ok(client.post("/v1/images/generations", json={**asked, "stream": True, "seed": 6}))
    await ok(client.post("/v1/images/edits", json={**asked, "image": PICTURE, "mask": PICTURE}))
    texts = {name: str(value) for name, value in asked.items()}
    await ok(client.post("/v1/images/edits", data=form(**texts, image=FILE, mask=FILE)))
    await ok(client.post("/v1/images/variations", data=form(**texts, image=FILE)))


async def test_the_a1111_routes(client: Client) -> None:
    asked = {"prompt": "a boat", **SIZE, "steps": 1, "cfg_scale": 1, "seed": 8}
    made = await ok(client.post("/sdapi/v1/txt2img", json=asked))
    for mode in (0, 1, 2):
        body = {**asked, "init_images": [PICTURE], "mask": PICTURE, "mask_blur": 4, "inpainting_mask_invert": 1}
        await ok(client.post("/sdapi/v1/img2img", json={**body, "resize_mode": mode, "include_init_images": True}))
    await ok(client.post("/sdapi/v1/extra-single-image", json={"image": PICTURE, "upscaling_resize": 1.5}))
    await ok(
        client.post(
            "/sdapi/v1/extra-batch-images",
            json={"imageList": [{"data": made["images"][0], "name": "a"}], "upscaler_1": "esrgan"},
        )
    )
    assert (await ok(client.post("/sdapi/v1/png-info", json={"image": made["images"][0]})))["info"]
    await ok(client.get("/sdapi/v1/progress"))


async def test_the_librarys_own_routes(client: Client) -> None:
    asked = {"prompt": "a boat", **SIZE, "seed": 9, "init_image": PICTURE, "mask_image": PICTURE}
    job = await ok(client.post("/sdcpp/v1/img_gen", json={**asked, "output_format": "webp"}))
    await ok(client.get(f"/api/jobs/{job['id']}/events"))
    await ok(client.get(job["poll_url"]))


async def test_the_form_routes(client: Client) -> None:
    for path, fields in (
        ("/text-to-image", {"prompt": "a boat", "width": "64", "height": "64", "steps": "1"}),
        ("/image-to-image", {"prompt": "a boat", "image": FILE, "steps": "1"}),
        ("/inpaint-image", {"image": FILE, "mask": FILE, "steps": "1"}),
    ):
        await ok(client.post(path, data=form(**fields)))


async def test_the_tools_of_assistants(client: Client) -> None:
    await mcp(client, "generate_image", {"prompt": "a boat", **SIZE, "steps": 1, "seed": 11})
    await mcp(client, "edit_image", {"prompt": "a boat", "image": PICTURE, "mask": PICTURE, "steps": 1})
    await mcp(client, "upscale_image", {"image": PICTURE, "factor": 1})


async def test_the_pages(client: Client) -> None:
    await look_at_pages(client)


async def look_at_pages(client: Client) -> None:
    fields: dict[str, Any] = {"prompt": "a boat", "width": "64", "height": "64", "steps": "1", "model": "ovis"}
    await ok(client.post("/ui/generate/img2img", data=form(**fields, init_image=FILE)))
    for path in ("/ui/", "/ui/queue", "/ui/gallery", "/ui/models", "/ui/system"):
        await ok(client.get(path))


async def test_a_model_on_its_way_in(client: Client) -> None:
    data = aiohttp.FormData()
    data.add_field("type", "checkpoint")
    data.add_field("file", io.BytesIO(await asyncio.to_thread(cached("ernie").read_bytes)), filename="new.gguf")
    await ok(client.post("/api/models/upload", data=data))
