"""A language model makes more of prompts: a small HTTP server plays its part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sdrest.core.errors import InvalidInput
from sdrest.core.parameters import MAX_PROMPT_CHARACTERS
from sdrest.settings import Settings
from sdrest.work.prompt_expansion import expander_of
from tests.integration.conftest import ClientFactory

Client = TestClient[Any, Any]
SECRET = "sk-a-very-secret-key"


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


class Model:
    """The other server: what it is to answer, and what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = {
            "choices": [{"message": {"role": "assistant", "content": "a red apple in the morning light"}}]
        }
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.waits = asyncio.Event()
        self.waits.set()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("Authorization", ""))
        await self.waits.wait()
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status, headers=self.headers)
        return web.json_response(self.answer, status=self.status, headers=self.headers)

    def says(self, text: str) -> None:
        self.answer = {"choices": [{"message": {"content": text}}]}


@pytest.fixture
async def model() -> Model:
    return Model()


@pytest.fixture
async def url(model: Model) -> AsyncIterator[str]:
    """Address of the other server, in a private network."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", model.handle)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("/v1"))
    await server.close()


@pytest.fixture
async def client(client_factory: ClientFactory, url: str, tmp_path: Path) -> Client:
    """A server that has the other one make more of prompts."""
    key = tmp_path / "key"
    key.write_text(f"{SECRET}\n")
    return await client_factory(
        prompt_expansion_url=f"{url}/", prompt_expansion_model="gemma", prompt_expansion_key_file=key
    )


async def expanded(client: Client, prompt: str = "a red apple") -> tuple[int, dict[str, Any]]:
    reply = await client.post("/api/prompts/expand", json={"prompt": prompt})
    return reply.status, await reply.json()


async def test_a_prompt_becomes_more_and_keeps_its_loras(client: Client, model: Model) -> None:
    status, body = await expanded(client, "a red  apple\n<lora:ink:0.7>, <lora:x>")
    assert (status, body) == (200, {"prompt": "a red apple in the morning light <lora:ink:0.7> <lora:x>"})
    (asked,) = model.asked
    assert (asked["model"], asked["stream"]) == ("gemma", False)
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert asked["messages"][1]["content"] == "a red apple ,"
    assert model.keys == [f"Bearer {SECRET}"]


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        ('"a red apple"', "a red apple"),
        ("<think>what is red?</think>\n\na red\napple", "a red apple"),
        ("```text\na red apple\n```", "a red apple"),
        ("“a red apple”", "a red apple"),
        ('a "red" apple', 'a "red" apple'),
    ],
)
async def test_what_models_write_around_an_answer_is_left_out(
    client: Client, model: Model, answer: str, prompt: str
) -> None:
    model.says(answer)
    assert await expanded(client) == (200, {"prompt": prompt})


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (401, {"error": {"message": f"the key {SECRET} is wrong"}}, "answered 401: the key … is wrong"),
        (404, {"detail": "no model gemma"}, "answered 404: no model gemma"),
        (500, "<h1>" + "x" * 1000, "answered 500: <h1>xxx"),
        (200, "no JSON", "answered without a text"),
        (200, {"choices": []}, "answered without a text"),
        (200, {"choices": [{"message": {"content": None}}]}, "answered without a text"),
        (200, {"choices": [{"message": {"content": '""'}}]}, "answered with 0 characters"),
        (200, {"choices": [{"message": {"content": "x" * (MAX_PROMPT_CHARACTERS + 1)}}]}, "characters, where 1 to"),
        (200, "x" * 300_000, "the answer is larger than"),
        (200, "[" * 100_000, "answered without a text"),
    ],
)
async def test_what_goes_wrong_there_is_told(client: Client, model: Model, status: int, answer: Any, told: str) -> None:
    model.status, model.answer = status, answer
    got, body = await expanded(client)
    assert (got, body["code"]) == (502, "upstream_failed")
    assert told in body["error"]
    assert SECRET not in str(body)
    assert len(body["error"]) < 400


async def test_the_key_is_taken_nowhere_else(client: Client, model: Model, url: str) -> None:
    model.status, model.headers = 307, {"Location": f"{url}/elsewhere"}
    status, body = await expanded(client)
    assert (status, "answered 307" in body["error"]) == (502, True)
    assert len(model.asked) == 1


async def test_one_user_may_ask_a_few_times_at_once(client: Client, model: Model) -> None:
    model.waits.clear()
    asking = [asyncio.create_task(expanded(client)) for _ in range(4)]
    while len(model.asked) < 4:
        await asyncio.sleep(0)
    status, body = await expanded(client)
    assert (status, body["code"]) == (429, "too_many_requests")
    model.waits.set()
    assert [status for status, _ in await asyncio.gather(*asking)] == [200] * 4


async def test_an_endpoint_that_does_not_answer_is_given_up(
    client_factory: ClientFactory, model: Model, url: str
) -> None:
    model.waits.clear()
    client = await client_factory(
        prompt_expansion_url=url, prompt_expansion_model="m", prompt_expansion_timeout_seconds=0.05
    )
    status, body = await expanded(client)
    assert (status, "no answer within 0.05 s" in body["error"]) == (502, True)
    model.waits.set()
    assert model.keys == [""]


async def test_without_words_or_without_a_model_there_is_nothing_to_do(
    client_factory: ClientFactory, client: Client, model: Model, tmp_path: Path
) -> None:
    status, body = await expanded(client, "<lora:ink>")
    assert (status, body["details"]["errors"][0]["field"]) == (400, "prompt")
    assert model.asked == []
    assert "data-expand" in await (await client.get("/ui/")).text()
    plain = await client_factory(data_dir=tmp_path / "other")
    status, body = await expanded(plain)
    assert (status, "prompt_expansion_url" in body["error"]) == (400, True)
    assert "data-expand" not in await (await plain.get("/ui/")).text()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"prompt_expansion_url": "ftp://host/v1", "prompt_expansion_model": "m"}, "prompt_expansion_url"),
        ({"prompt_expansion_url": "http://[", "prompt_expansion_model": "m"}, "prompt_expansion_url"),
        ({"prompt_expansion_url": "http://host/v1"}, "prompt_expansion_model"),
        (
            {
                "prompt_expansion_url": "http://host/v1",
                "prompt_expansion_model": "m",
                "prompt_expansion_key_file": "none",
            },
            "prompt_expansion_key_file",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        expander_of(Settings(**values))
    assert [problem.field for problem in caught.value.problems] == [field]


def test_a_key_file_holds_the_key_and_nothing_else(tmp_path: Path) -> None:
    for text in ("", "two words", "line\nline"):
        file = tmp_path / "key"
        file.write_text(text)
        with pytest.raises(InvalidInput, match="nothing else"):
            expander_of(
                Settings(prompt_expansion_url="http://h/v1", prompt_expansion_model="m", prompt_expansion_key_file=file)
            )
