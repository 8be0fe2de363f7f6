"""Clients of every dialect, each asking for pictures unlike all others; what is written in a picture tells whose it is.

A client here is anything with the calls of :class:`aiohttp.ClientSession` and the server's address before every path.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import FormData
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.outputs.infotext import parse_infotext

Client = aiohttp.ClientSession | TestClient[Any, Any]

_ENDED: Final = {"completed", "failed", "cancelled", "COMPLETE", "FAILED", "CANCELLED"}


@dataclass(frozen=True)
class Wish:
    """A picture unlike all others."""

    prompt: str
    seed: int
    steps: int
    width: int
    height: int

    @property
    def parameters(self) -> dict[str, Any]:
        return {"prompt": self.prompt, "seed": self.seed, "steps": self.steps}

    @property
    def sized(self) -> dict[str, Any]:
        return {**self.parameters, "width": self.width, "height": self.height}

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"


async def answer(reply: aiohttp.ClientResponse) -> Any:
    """What a client is answered, which is never an error here."""
    text = await reply.text()
    assert reply.status < 300, f"{reply.status} {text}"
    return json.loads(text)


async def native(client: Client, wish: Wish) -> str:
    reply = await answer(await client.post("/api/v1/generate", json=wish.sized))
    return str(reply["images"][0]["data"])


async def openai(client: Client, wish: Wish) -> str:
    body = {**wish.parameters, "size": wish.size, "model": "gpt-image-1"}
    return str((await answer(await client.post("/v1/images/generations", json=body)))["data"][0]["b64_json"])


async def openai_stream(client: Client, wish: Wish) -> str:
    body = {**wish.parameters, "size": wish.size, "stream": True}
    reply = await client.post("/v1/images/generations", json=body)
    text = await reply.text()
    assert reply.status == 200, text
    (event,) = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    return str(json.loads(event)["b64_json"])


async def openai_edit(client: Client, wish: Wish) -> str:
    form = FormData(
        {**{name: str(value) for name, value in wish.parameters.items()}, "model": "ovis", "cfg_scale": "1"}
    )
    form.add_field("size", wish.size)
    source = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(source, "PNG")
    form.add_field("image", source.getvalue(), filename="a.png", content_type="image/png")
    return str((await answer(await client.post("/v1/images/edits", data=form)))["data"][0]["b64_json"])


async def openai_response(client: Client, wish: Wish) -> str:
    tool = {"type": "image_generation", "size": wish.size, "steps": wish.steps, "seed": wish.seed}
    body = {"model": "gpt-5", "input": wish.prompt, "tools": [tool]}
    return str((await answer(await client.post("/v1/responses", json=body)))["output"][0]["result"])


async def a1111(client: Client, wish: Wish) -> str:
    return str((await answer(await client.post("/sdapi/v1/txt2img", json=wish.sized)))["images"][0])


async def sdcpp(client: Client, wish: Wish) -> str:
    body = {**wish.sized, "sample_params": {"sample_steps": wish.steps}}
    job = await _ended(client, (await answer(await client.post("/sdcpp/v1/img_gen", json=body)))["poll_url"])
    return str(job["result"]["images"][0]["b64_json"])


async def server_b(client: Client, wish: Wish) -> str:
    form = FormData({name: str(value) for name, value in wish.sized.items()})
    job = await _ended(client, (await answer(await client.post("/text-to-image", data=form)))["resultUrl"])
    return base64.b64encode(await (await client.get(job["imageUrls"][0])).read()).decode()


async def ollama(client: Client, wish: Wish) -> str:
    sides = {"width": wish.width, "height": wish.height, "steps": wish.steps}
    body = {"prompt": wish.prompt, "options": {"seed": wish.seed}, **sides}
    reply = await client.post("/ollama/api/generate", json=body)
    text = await reply.text()
    assert reply.status == 200, text
    return str(json.loads(text.splitlines()[-1])["image"])


async def mcp(client: Client, wish: Wish) -> str:
    call = {"name": "generate_image", "arguments": wish.sized}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    reply = await client.post("/mcp", json=body, headers={"Accept": "application/json, text/event-stream"})
    text = await reply.text()
    assert reply.status == 200, text
    (event,) = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith('data: {"jsonrpc'))
    return str(json.loads(event)["result"]["content"][0]["data"])


async def _ended(client: Client, path: str) -> Any:
    while (job := await answer(await client.get(path)))["status"] not in _ENDED:
        await asyncio.sleep(0.02)
    return job


Way = Callable[[Client, Wish], Awaitable[str]]
WAYS: Final[tuple[Way, ...]] = (native, openai, openai_stream, openai_response, a1111, sdcpp, server_b, ollama, mcp)


def wishes(kind: str) -> Iterator[Wish]:
    """No two alike, also not between kinds."""
    chance = random.Random(kind)
    for number in itertools.count():
        sides = [chance.choice((64, 128)) for _ in range(2)]
        yield Wish(f"{kind} {number}", chance.randrange(2**32), chance.randint(1, 4), *sides)


async def one_picture(client: Client, way: Way, wish: Wish) -> None:
    """Ask for a picture, and look at it.

    Raises:
        AssertionError: it is not the one that was asked for, or there is none.
    """
    made = Image.open(io.BytesIO(base64.b64decode(await way(client, wish))))
    told = parse_infotext(made.text["parameters"])  # type: ignore[attr-defined]
    assert made.size == (wish.width, wish.height)
    got = (told["prompt"], int(told["Seed"]), int(told["Steps"]))
    assert got == (wish.prompt, wish.seed, wish.steps)
