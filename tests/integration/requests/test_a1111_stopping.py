"""Progress, interrupt and skip of the A1111 API among many jobs, on an engine that works until it is told to stop."""

from __future__ import annotations

import asyncio
import base64
import functools
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.web.http.keys import ENGINES
from tests.engine import EngineOnDemand, EngineWithGate
from tests.integration.conftest import SMALL, ClientFactory
from tests.stub_child import Behaviour
from tests.stub_engine import StubEngine

Client = TestClient[Any, Any]


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.fixture
async def client(client_factory: ClientFactory, stub_engine: StubEngine) -> Client:
    """A client of a server whose engine begins jobs and ends none by itself."""
    stub_engine.behave(Behaviour.SLOW)
    return await client_factory(functools.partial(EngineOnDemand, command=stub_engine.command))


@pytest.fixture
async def elsewhere(client: Client) -> AsyncIterator[ClientSession]:
    """Another client of the same server, on another machine as far as addresses tell."""
    connector = TCPConnector(local_addr=("127.0.0.2", 0))
    async with ClientSession(client.make_url("/"), connector=connector) as session:
        yield session


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` finds, once it finds anything."""
    while not (found := await look()):
        await asyncio.sleep(0.01)
    return found


async def progress(client: Any, **query: str) -> dict[str, Any]:
    reply = await client.get("/sdapi/v1/progress", params=query)
    return dict(await reply.json())


async def running(client: Any, job: str = "") -> None:
    async def is_running() -> bool:
        state = (await progress(client))["state"]
        return state["sampling_step"] > 0 and job in {"", state["job"]}

    await until(is_running)


def asking(client: Any, path: str = "/sdapi/v1/txt2img", **more: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(client.post(path, json={**SMALL, **more}))


@pytest.mark.parametrize("route", ["interrupt", "skip"])
async def test_who_waits_for_a_stopped_job_gets_the_last_preview(client: Client, route: str) -> None:
    waiting = asking(client)
    await running(client)

    async def preview() -> Any:
        return (await progress(client))["current_image"]

    seen = await until(preview)
    assert Image.open(io.BytesIO(base64.b64decode(seen))).size == (8, 8)
    assert (await client.post(f"/sdapi/v1/{route}")).status == 200
    reply = await waiting
    answer = await reply.json()
    assert reply.status == 200, answer
    (image,) = answer["images"]
    picture = Image.open(io.BytesIO(base64.b64decode(image)))
    assert (picture.format, picture.size) == ("PNG", (8, 8))
    assert json.loads(answer["info"])["extra_generation_params"]["Interrupted"] == "True"


async def test_a_skipped_picture_is_left_out_and_the_others_are_made(client: Client) -> None:
    waiting = asking(client, n_iter=3, seed=7)
    await running(client)
    assert (await client.post("/sdapi/v1/skip")).status == 200
    reply = await waiting
    answer = await reply.json()
    assert reply.status == 200, answer
    info = json.loads(answer["info"])
    assert (len(answer["images"]), info["all_seeds"]) == (2, [8, 9])
    assert "skipped while they were made: 1" in info["extra_generation_params"]["Warnings"]
    # What is not whole is no result of the same request later.
    again = asking(client, n_iter=3, seed=7)
    await running(client)
    await client.post("/sdapi/v1/interrupt")
    assert (await again).status == 200


async def test_without_a_preview_there_is_no_picture_and_no_error(client: Client) -> None:
    waiting = asking(client)
    await until(lambda: _is_running_natively(client))
    await client.post("/sdapi/v1/interrupt")
    reply = await waiting
    assert (reply.status, (await reply.json())["images"]) == (200, [])


async def _is_running_natively(client: Client) -> bool:
    return bool((await (await client.get("/api/queue/status")).json())["running_count"] == 1)


async def test_finished_pictures_are_delivered(client_factory: ClientFactory) -> None:
    client = await client_factory(EngineWithGate)
    waiting = asking(client, n_iter=2, steps=20)

    async def first_is_there() -> bool:
        jobs = (await (await client.get("/api/queue/status")).json())["jobs"]
        return bool(jobs and jobs[0]["outputs"])

    await until(first_is_there)
    await client.post("/sdapi/v1/interrupt")
    assert client.app is not None
    client.app[ENGINES].first.gate.set()  # the other one may have been finished before
    reply = await waiting
    answer = await reply.json()
    assert reply.status == 200, answer
    assert len(answer["images"]) >= 1
    assert json.loads(answer["info"])["all_seeds"][0] == SMALL["seed"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("/v1/images/generations", ("error", "code")), ("/api/v1/generate", ("code",))],
)
async def test_other_dialects_say_that_the_job_was_cancelled(client: Client, path: str, code: tuple[str, ...]) -> None:
    waiting = asking(client, path)
    await running(client)
    job = (await progress(client))["state"]["job"]
    assert (await client.post("/api/queue/cancel", json={"job_id": job})).status == 200
    reply = await waiting
    answer = await reply.json()
    assert reply.status == 409, answer
    assert functools.reduce(lambda part, key: part[key], code, answer) == "cancelled"


async def test_a_bare_interrupt_stops_no_job_of_another_dialect(client: Client) -> None:
    await client.post("/api/generate/text2img", json=SMALL)
    await running(client)
    await client.post("/sdapi/v1/interrupt")
    now = await progress(client)
    assert not now["state"]["interrupted"]
    # By its name it is stopped.
    await client.post("/sdapi/v1/interrupt", json={"task_id": now["state"]["job"]})

    async def is_idle() -> bool:
        return bool((await progress(client))["state"]["job_count"] == 0)

    await until(is_idle)


async def test_a_bare_interrupt_stops_no_job_of_another_machine(client: Client, elsewhere: ClientSession) -> None:
    waiting = asking(client, force_task_id="mine")
    await running(client)
    await elsewhere.post("/sdapi/v1/interrupt")
    now = await progress(client)
    assert (now["state"]["job"], now["state"]["interrupted"]) == ("mine", False)
    await client.post("/sdapi/v1/interrupt")
    assert (await waiting).status == 200


async def test_only_who_asked_for_a_picture_sees_it_grow(client: Client, elsewhere: ClientSession) -> None:
    waiting = asking(client, force_task_id="mine")
    await running(client)

    async def preview() -> Any:
        return (await progress(client))["current_image"]

    assert await until(preview)
    assert (await progress(elsewhere, force_task_id="mine"))["current_image"] is None
    asked = {"id_task": "mine", "live_preview": True}
    assert (await (await elsewhere.post("/internal/progress", json=asked)).json())["live_preview"] is None
    assert (await (await client.post("/internal/progress", json=asked)).json())["live_preview"] is not None
    assert (await progress(client, skip_current_image="true"))["current_image"] is None
    await client.post("/sdapi/v1/interrupt")
    await waiting


async def test_progress_means_the_callers_own_job_also_while_it_waits(client: Client, elsewhere: ClientSession) -> None:
    first = asking(client, force_task_id="first")
    await running(client)
    second = asyncio.create_task(elsewhere.post("/sdapi/v1/txt2img", json={**SMALL, "force_task_id": "second"}))

    async def second_waits() -> bool:
        return bool((await progress(elsewhere))["state"]["job"] == "second")

    await until(second_waits)
    waits = await progress(elsewhere)
    assert (waits["progress"], waits["state"]["job_count"]) == (0, 2)
    assert (await progress(client))["state"]["job"] == "first"
    await client.post("/sdapi/v1/interrupt")
    assert (await first).status == 200
    await running(elsewhere, "second")
    await elsewhere.post("/sdapi/v1/interrupt")
    assert (await second).status == 200
