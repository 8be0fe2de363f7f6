"""The official `mcp` client against a running server."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from PIL import Image

from tests.acceptance.conftest import SMALL, Server


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Client]:
    async with Client(f"{server.url}/mcp") as client:
        yield client


def said(result: Any) -> Any:
    """The JSON text of a result."""
    return json.loads(result.content[-1].text)


async def test_tools_and_resources_are_listed(server: Server) -> None:
    async with connected(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        resources = {str(resource.uri) for resource in (await client.list_resources()).resources}
    assert tools.keys() >= {"generate_image", "edit_image", "upscale_image", "list_models", "use_model"}
    assert tools.keys() >= {"get_job", "list_jobs", "cancel_job"}
    assert "context" not in tools["generate_image"].input_schema["properties"]
    assert resources == {"sdrest://models", "sdrest://queue"}


async def test_the_picture_is_content_and_has_the_bytes_of_the_native_route(server: Server) -> None:
    heard: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with connected(server) as client:
        result = await client.call_tool("generate_image", SMALL, progress_callback=note)
    assert not result.is_error
    assert result.content[0].type == "image"
    assert base64.b64decode(result.content[0].data) == server.native_picture()
    assert said(result)["seeds"] == [7]
    assert heard == sorted(heard)
    assert heard


async def test_a_job_can_be_left_and_fetched_later(server: Server) -> None:
    async with connected(server) as client:
        job_id = said(await client.call_tool("generate_image", {**SMALL, "wait": False}))["job_id"]
    async with connected(server) as client:
        result = await client.call_tool("get_job", {"job_id": job_id, "wait": True})
        listed = await client.call_tool("list_jobs", {"limit": 50})
        resource = await client.read_resource(f"sdrest://jobs/{job_id}")
    assert result.content[0].type == "image"
    assert job_id in str(listed.content)
    assert json.loads(resource.contents[0].text)["status"] == "completed"  # type: ignore[union-attr]


async def test_a_running_job_can_be_cancelled(server: Server) -> None:
    slow = {**SMALL, "steps": 1000, "width": 256, "height": 256, "wait": False}
    async with connected(server) as client:
        job_id = said(await client.call_tool("generate_image", slow))["job_id"]
        await client.call_tool("cancel_job", {"job_id": job_id})
        result = await client.call_tool("get_job", {"job_id": job_id, "wait": True})
    assert said(result)["status"] == "cancelled"


async def test_models_and_the_queue_are_resources(server: Server) -> None:
    async with connected(server) as client:
        models = json.loads((await client.read_resource("sdrest://models")).contents[0].text)  # type: ignore[union-attr]
        queue = json.loads((await client.read_resource("sdrest://queue")).contents[0].text)  # type: ignore[union-attr]
        listed = await client.call_tool("list_models", {"type": "checkpoint"})
        chosen = await client.call_tool("use_model", {"name": "embedded"})
    assert models["default"] == "embedded"
    assert queue["counts"].keys() >= {"pending", "running", "completed"}
    assert "ovis" in str(listed.content)
    assert not chosen.is_error


async def test_a_picture_is_changed_where_the_mask_is_white(server: Server) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(stream, "PNG")
    text = base64.b64encode(stream.getvalue()).decode()
    arguments = {"prompt": "p", "image": text, "mask": text, "model": "ovis", "steps": 1, "seed": 1}
    async with connected(server) as client:
        edited = await client.call_tool("edit_image", arguments)
        enlarged = await client.call_tool("upscale_image", {"image": text, "factor": 2})
    assert Image.open(io.BytesIO(base64.b64decode(edited.content[0].data))).size == (64, 64)  # type: ignore[union-attr]
    assert Image.open(io.BytesIO(base64.b64decode(enlarged.content[0].data))).size == (128, 128)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("generate_image", {"prompt": "p", "steps": 0}, "steps"),
        ("generate_image", {"prompt": "p", "model": "embeddet"}, "did you mean 'embedded'"),
        ("get_job", {"job_id": "nothing"}, "no job nothing"),
        ("edit_image", {"prompt": "p", "image": "%%"}, "image"),
        ("list_models", {"type": "nothing"}, "no model type"),
    ],
)
async def test_what_is_wrong_is_said(server: Server, tool: str, arguments: dict[str, Any], message: str) -> None:
    async with connected(server) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert message in str(result.content)
