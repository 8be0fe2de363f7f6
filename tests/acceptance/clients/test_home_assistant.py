"""Home Assistant's requests, as its integration "OpenAI" makes them with the `openai` package, and as a `rest_command` does."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
import yaml
from jinja2 import Template
from PIL import Image

from tests.acceptance.clients.other_clients import PICTURE, as_base64, decoded
from tests.acceptance.conftest import Server

DOCUMENT = Path(__file__).parents[3] / "docs" / "clients.md"
#: What the action `ai_task.generate_image` sends beside the messages.
TASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "max_output_tokens": 3000,
    "top_p": 1.0,
    "temperature": 1.0,
    "user": "01JZ8K5V3N6Q2R7T9W4X1Y0ABC",
    "store": True,
    "stream": True,
    "tools": [{"type": "image_generation", "input_fidelity": "high", "output_format": "png"}],
    "tool_choice": {"type": "image_generation"},
}
SYSTEM = {
    "type": "message",
    "role": "developer",
    "content": "You are a Home Assistant expert and help users with their tasks.",
}


@pytest_asyncio.fixture
async def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[openai.AsyncOpenAI]:
    """The integration has no field for an address: the package reads it from the environment."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    async with httpx.AsyncClient() as connections:
        yield openai.AsyncOpenAI(api_key="unused", http_client=connections)


async def generated(client: Any, *messages: dict[str, Any], **more: Any) -> Any:
    """The picture that the integration finds in the events."""
    stream = await client.responses.create(input=[SYSTEM, *messages], **{**TASK, **more})
    calls = []
    async for event in stream:
        assert event.type not in {"error", "response.failed", "response.incomplete"}, event
        if event.type == "response.output_item.done":
            calls.append(event.item)
        if event.type == "response.completed":
            assert event.response.usage.input_tokens > 0
    (call,) = calls
    assert call.type == "image_generation_call"
    width, height = map(int, call.size.split("x"))
    made = decoded(call.result)
    assert (made.size, made.format) == ((width, height), call.output_format.upper())
    return call


async def test_an_ai_task_makes_a_picture(client: Any) -> None:
    assert [model.id async for model in await client.with_options(timeout=10.0).models.list()]
    call = await generated(client, {"type": "message", "role": "user", "content": "a red apple"})
    assert call.revised_prompt == "a red apple"


async def test_an_ai_task_changes_an_attached_picture(client: Any) -> None:
    url = f"data:image/png;base64,{as_base64(PICTURE)}"
    parts = [
        {"type": "input_text", "text": "a dog"},
        {"type": "input_image", "image_url": url, "detail": "auto"},
    ]
    call = await generated(client, {"type": "message", "role": "user", "content": parts}, model="ovis")
    assert call.action == "edit"


def test_the_documented_rest_command_gets_the_address_of_a_picture(server: Server) -> None:
    block = DOCUMENT.read_text(encoding="utf-8").partition("```yaml\nrest_command:")[2].partition("```")[0]
    command = yaml.safe_load(block)["paint"]
    payload = Template(command["payload"].replace("512x512", "64x64")).render(prompt='a "red" apple')
    url = command["url"].replace("http://HOST:8080", server.url)
    headers = {"Content-Type": command["content_type"]}
    reply = httpx.request(command["method"].upper(), url, content=payload, headers=headers, timeout=command["timeout"])
    content = reply.json()
    assert Image.open(io.BytesIO(httpx.get(content["data"][0]["url"]).content)).size == (64, 64)
