"""The `ollama` package, told that its server is at ``/ollama``."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest

from tests.acceptance.clients.other_clients import PICTURE, as_base64, decoded, until_cancelled
from tests.acceptance.conftest import SMALL, Server

QUICK: dict[str, Any] = {"prompt": SMALL["prompt"], "width": 64, "height": 64, "steps": 2, "options": {"seed": 7}}


@pytest.fixture
def client(server: Server) -> Iterator[ollama.Client]:
    with ollama.Client(host=f"{server.url}/ollama", timeout=60) as client:
        yield client


def test_the_picture_is_that_of_the_native_route(client: ollama.Client, server: Server) -> None:
    made = client.generate("embedded", **QUICK)
    assert base64.b64decode(made.image or "") == server.native_picture()
    assert (made.done, made.done_reason, made.response) == (True, "stop", "")
    assert (made.total_duration or 0) > 0
    lines = list(client.generate("embedded:latest", stream=True, **{**QUICK, "options": {"seed": 8}}))
    assert {line.model for line in lines} == {"embedded:latest"}
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    assert all(0 <= (line.completed or 0) <= (line.total or 0) == 2 for line in lines[:-1])
    assert base64.b64decode(lines[-1].image or "") == server.native_picture(seed=8)


def test_pictures_are_changed(client: ollama.Client) -> None:
    options = {"seed": 1, "cfg_scale": 1, "strength": 0.5}
    made = client.generate("ovis", prompt="a dog", images=[as_base64(PICTURE)], steps=2, options=options)
    assert decoded(made.image or "").size == PICTURE.size


def test_models_are_listed_and_described(client: ollama.Client, server: Server) -> None:
    listed = {model.model: model for model in client.list().models}
    assert {"embedded", "ovis"} <= listed.keys()
    assert (listed["ovis"].size or 0) > 0
    assert client.show("ovis").capabilities == ["image"]
    assert client.generate("ovis").done_reason == "load"
    assert httpx.get(f"{server.url}/ollama/").text == "Ollama is running"
    assert httpx.get(f"{server.url}/ollama/api/version").json()["version"]


def test_errors_are_told_as_it_expects(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match=r"named 'llama3\.2'") as unknown:
        client.generate("llama3.2", prompt="p")
    assert unknown.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="width: ") as wrong:
        client.generate("embedded", prompt="p", width=1_000_000)
    assert wrong.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="no text model"):
        client.chat("embedded", messages=[{"role": "user", "content": "hello"}])


def test_who_hangs_up_ends_the_job(server: Server) -> None:
    slow = {**QUICK, "width": 256, "height": 256, "steps": 1000, "stream": True}
    with httpx.stream("POST", f"{server.url}/ollama/api/generate", json=slow, timeout=60) as reply:
        next(reply.iter_lines())
    until_cancelled(server)
