"""The Responses API by the `openai` package: pictures in conversations."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from tests.acceptance.conftest import Server, StartServer

#: What makes a picture in no time; parameters may stand beside the tool's own fields.
TOOL: dict[str, Any] = {"type": "image_generation", "size": "64x64", "steps": 2, "seed": 7}
EDIT: dict[str, Any] = {
    "type": "image_generation",
    "model": "ovis",
    "steps": 2,
    "seed": 1,
    "cfg_scale": 1,
    "strength": 0.5,
}
RED = Image.new("RGB", (80, 48), (200, 30, 30))


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=60) as client:
        yield client


def decoded(result: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(result)))


def as_url(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def said(text: str, *pictures: str) -> dict[str, Any]:
    """A message of the user."""
    parts: list[dict[str, str]] = [{"type": "input_text", "text": text}]
    return {"role": "user", "content": parts + [{"type": "input_image", "image_url": url} for url in pictures]}


def params(server: Server, response: Any) -> dict[str, Any]:
    job = httpx.get(f"{server.url}/api/queue/job/{response.job_id}").json()
    return {"type": job["type"], **job["params"]}


def test_a_response_is_the_picture_of_the_native_route_and_is_kept(client: Any, server: Server) -> None:
    made = client.responses.create(model="gpt-5", input="a red apple", tools=[TOOL], metadata={"a": "b"})
    (call,) = made.output
    assert (made.status, made.error, made.metadata) == ("completed", None, {"a": "b"})
    assert (call.type, call.status) == ("image_generation_call", "completed")
    assert base64.b64decode(call.result) == server.native_picture()
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens == 3 + 2
    kept = client.responses.retrieve(made.id)
    assert (kept.id, kept.output, kept.metadata) == (made.id, made.output, made.metadata)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_response_can_be_changed_by_the_next_one(client: Any, server: Server) -> None:
    first = client.responses.create(model="gpt-5", input="a red apple", tools=[{**TOOL, "output_format": "webp"}])
    assert decoded(first.output[0].result).format == "WEBP"
    second = client.responses.create(model="gpt-5", input="make it green", previous_response_id=first.id, tools=[EDIT])
    assert second.previous_response_id == first.id
    made = params(server, second)
    assert (made["type"], made["prompt"], made["width"], made["height"]) == ("img2img", "make it green", 64, 64)
    by_item = client.responses.create(
        model="gpt-5",
        input=[said("a red apple"), {"type": "image_generation_call", "id": first.output[0].id}, said("make it green")],
        tools=[EDIT],
    )
    assert by_item.output[0].result == second.output[0].result


def test_the_clients_own_copy_of_a_conversation_does_as_well(client: Any, server: Server) -> None:
    first = client.responses.create(model="gpt-5", input="a red apple", tools=[TOOL])
    history = [said("a red apple"), *(item.to_dict() for item in first.output), said("make it green")]
    second = client.responses.create(model="gpt-5", input=history, tools=[EDIT])
    assert params(server, second)["type"] == "img2img"
    anew = client.responses.create(model="gpt-5", input=history, tools=[{**TOOL, "action": "generate"}])
    assert params(server, anew)["type"] == "txt2img"


def test_pictures_and_a_mask_may_come_with_the_words(client: Any, server: Server) -> None:
    mask = Image.new("L", RED.size)
    mask.paste(255, (0, 0, 40, 48))
    tool = {**EDIT, "input_image_mask": {"image_url": as_url(mask)}}
    one = client.responses.create(model="gpt-5", input=[said("a dog", as_url(RED))], tools=[tool])
    assert params(server, one)["type"] == "inpaint"
    assert decoded(one.output[0].result).size == RED.size
    two = client.responses.create(
        model="gpt-5", input=[said("both", as_url(RED), as_url(RED.rotate(180)))], tools=[{**EDIT, "size": "64x64"}]
    )
    assert len(params(server, two)["ref_images"]) == 2


def test_a_stream_tells_the_whole_story_in_order(client: Any) -> None:
    tool = {**TOOL, "model": "ovis", "cfg_scale": 1, "steps": 200, "partial_images": 2}
    events = list(client.responses.create(model="gpt-5", input="p", tools=[tool], stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    partial = [event for event in events if event.type == "response.image_generation_call.partial_image"]
    assert 1 <= len(partial) <= 2
    assert [event.partial_image_index for event in partial] == list(range(len(partial)))
    assert all(decoded(event.partial_image_b64).size == (64, 64) for event in partial)
    begun = ["response.created", "response.in_progress", "response.output_item.added"]
    calls = [f"response.image_generation_call.{step}" for step in ("in_progress", "generating")]
    ended = ["response.image_generation_call.completed", "response.output_item.done", "response.completed"]
    assert kinds == [*begun, *calls, *(event.type for event in partial), *ended]
    last = events[-1].response
    assert last.output[0].result == events[-2].item.result
    assert client.responses.retrieve(last.id).output == last.output


def test_the_sdks_stream_helper_understands_the_stream(client: Any) -> None:
    with client.responses.stream(model="gpt-5", input="p", tools=[TOOL]) as stream:
        final = stream.get_final_response()
    assert final.output[0].type == "image_generation_call"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "none"}, "tool_choice"),
        ({"tools": [{**TOOL, "quality": "superb"}]}, "tools.0.quality"),
        ({"tools": [{**TOOL, "action": "edit"}]}, "input"),
        ({"tools": [TOOL], "previous_response_id": "resp_0"}, "previous_response_id"),
        ({"tools": [TOOL], "input": []}, "input"),
        ({"tools": [TOOL], "input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input.0.content.0"),
        ({"tools": [TOOL], "input": [said("p", "data:image/png;base64,AAAA")]}, "input"),
        ({"tools": [TOOL], "input": [{"type": "image_generation_call", "id": "ig_0"}, said("p")]}, "input.0.id"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client: Any, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**{"model": "gpt-5", "input": "Why is the sky blue?", **fields})
    assert caught.value.param == param
    if param == "tools":
        assert "no text model" in str(caught.value)


@pytest.mark.timeout(120)  # two servers, one after the other
def test_in_the_background_it_is_asked_for_later_survives_a_restart_and_can_be_cancelled(
    start_server: StartServer,
) -> None:
    server = start_server()
    httpx.post(f"{server.url}/api/queue/pause").raise_for_status()
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=60) as client:
        ask: Any = client.responses.create
        one, two = (ask(model="gpt-5", input=text, tools=[TOOL], background=True) for text in ("one", "two"))
        assert (one.status, one.output, one.background) == ("queued", [], True)
        assert client.responses.cancel(two.id).status == "cancelled"
        httpx.post(f"{server.url}/api/queue/resume").raise_for_status()
        while client.responses.retrieve(one.id).status != "completed":
            time.sleep(0.05)
        kept = client.responses.retrieve(one.id)
    server.stop()
    with openai.OpenAI(base_url=f"{start_server().url}/v1", api_key="unused", timeout=60) as again:
        assert again.responses.retrieve(one.id).output == kept.output
        ask = again.responses.create
        more = ask(model="gpt-5", input="more", previous_response_id=one.id, tools=[{**TOOL, "action": "generate"}])
        assert more.previous_response_id == one.id


def test_a_finished_picture_is_a_file_that_later_requests_may_name(client: Any, server: Server) -> None:
    made = client.images.generate(prompt="a red apple", size="64x64", extra_body={"steps": 2, "seed": 7})
    name = made.data[0].file_id
    found = client.files.retrieve(name)
    assert client.files.content(name).content == server.native_picture()
    assert (found.id, found.bytes, found.status) == (name, len(server.native_picture()), "processed")
    asked = {"role": "user", "content": [{"type": "input_text", "text": "p"}, {"type": "input_image", "file_id": name}]}
    changed = client.responses.create(model="gpt-5", input=[asked], tools=[EDIT])
    assert params(server, changed)["type"] == "img2img"
    body = {"images": [{"file_id": name}], "prompt": "p", "model": "ovis", "steps": 2, "cfg_scale": 1}
    edited = httpx.post(f"{server.url}/v1/images/edits", json=body, timeout=60)
    assert edited.status_code == 200, edited.text
    unknown = httpx.post(f"{server.url}/v1/images/edits", json={**body, "images": [{"file_id": "file-0"}]})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "images")
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve("file-0")


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_to_be_stored_is_gone_when_it_is_answered(client: Any, server: Server, stream: bool) -> None:
    asked = {"model": "gpt-5", "input": "a red apple", "tools": [TOOL], "store": False}
    answer = client.responses.create(**asked, stream=stream)
    made = list(answer)[-1].response if stream else answer
    assert base64.b64decode(made.output[0].result) == server.native_picture()
    assert made.store is False
    assert httpx.get(f"{server.url}/api/queue/job/{made.job_id}").status_code == 404
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="gpt-5", input="p", previous_response_id=made.id, tools=[EDIT])
    named = [{"type": "image_generation_call", "id": made.output[0].id}, said("make it green")]
    with pytest.raises(openai.BadRequestError, match="there is no picture"):
        client.responses.create(model="gpt-5", input=named, tools=[EDIT])


def test_what_is_asked_for_later_must_be_stored(client: Any, server: Server) -> None:
    before = httpx.get(f"{server.url}/api/queue/status").json()["total_count"]
    with pytest.raises(openai.BadRequestError, match="must be stored"):
        client.responses.create(model="gpt-5", input="p", tools=[TOOL], store=False, background=True)
    assert httpx.get(f"{server.url}/api/queue/status").json()["total_count"] == before
