"""Clients of all kinds at once: each gets the picture that it asked for, and nobody a 5xx."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import FormData
from PIL import Image

from sdrest.outputs.infotext import parse_infotext
from tests.faults.jobs import Client
from tests.integration.conftest import ClientFactory
from tests.integration.pictures.generation_modes import base64_png, picture, place

ROUNDS = 2
NIGHT_SECONDS = 300
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
    form.add_field("image", base64.b64decode(base64_png(picture())), filename="a.png", content_type="image/png")
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
WAYS: Final[tuple[Way, ...]] = (native, openai, openai_stream, openai_response, a1111, sdcpp, server_b, mcp)


def wishes(kind: str) -> Iterator[Wish]:
    """No two alike, also not between kinds."""
    chance = random.Random(kind)
    for number in itertools.count():
        sides = [chance.choice((64, 128)) for _ in range(2)]
        yield Wish(f"{kind} {number}", chance.randrange(2**32), chance.randint(1, 4), *sides)


async def one_client(client: Client, way: Way, rounds: Iterator[int]) -> int:
    """Ask for one picture after another, and look at each; how many there were."""
    done = 0
    for _, wish in zip(rounds, wishes(way.__name__), strict=False):
        made = Image.open(io.BytesIO(base64.b64decode(await way(client, wish))))
        told = parse_infotext(made.text["parameters"])  # type: ignore[attr-defined]
        assert made.size == (wish.width, wish.height)
        got = (told["prompt"], int(told["Seed"]), int(told["Steps"]))
        assert got == (wish.prompt, wish.seed, wish.steps)
        done += 1
    return done


async def mixed(client: Client, ways: tuple[Way, ...], rounds: Callable[[], Iterator[int]]) -> list[int]:
    """Let one client for each way ask for as many pictures as there are ``rounds``; how many each was given."""
    async with asyncio.TaskGroup() as clients:
        tasks = [clients.create_task(one_client(client, way, rounds())) for way in ways]
    status = await answer(await client.get("/api/queue/status"))
    done = [task.result() for task in tasks]
    assert (status["completed_count"], status["total_count"]) == (sum(done), sum(done))
    return done


@pytest.mark.slow
async def test_each_client_gets_its_own_pictures(client: Client) -> None:
    assert await mixed(client, WAYS, lambda: iter(range(ROUNDS))) == [ROUNDS] * len(WAYS)


@pytest.mark.nightly
async def test_each_client_gets_its_own_pictures_for_minutes(client_factory: ClientFactory, models_dir: Path) -> None:
    place(models_dir, "ovis", "tae16")
    until = time.monotonic() + NIGHT_SECONDS

    def while_there_is_time() -> Iterator[int]:
        return itertools.takewhile(lambda _number: time.monotonic() < until, itertools.count())

    assert min(await mixed(await client_factory(), (*WAYS, openai_edit), while_there_is_time)) > 0
