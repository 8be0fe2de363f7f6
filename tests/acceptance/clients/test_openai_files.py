"""Files by the `openai` package: uploaded, listed, named in later requests, deleted."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from tests.acceptance.clients.test_openai_responses import EDIT, RED
from tests.acceptance.conftest import Server


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=60) as client:
        yield client


def as_png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_a_file_is_uploaded_listed_read_and_deleted(client: Any) -> None:
    sent = as_png(RED)
    life = {"anchor": "created_at", "seconds": 7200}
    one = client.files.create(file=("C:\\pictures\\dög.png", sent), purpose="vision", expires_after=life)
    two = client.files.create(file=("b.png", sent), purpose="user_data")
    assert (one.object, one.filename, one.bytes, one.purpose) == ("file", "dög.png", len(sent), "vision")
    assert (one.status, one.expires_at, two.expires_at) == ("processed", one.created_at + 7200, None)
    assert abs(one.created_at - time.time()) < 3600
    assert {one.id, two.id} <= {item.id for item in client.files.list()}
    assert [item.id for item in client.files.list(purpose="user_data")] == [two.id]
    first = client.files.list(limit=1, order="asc")
    assert (len(first.data), first.has_more) == (1, True)
    assert {one.id, two.id} <= {item.id for item in first}  # the package asks for page after page
    assert client.files.retrieve(one.id) == one
    assert client.files.content(one.id).content == sent
    assert client.files.delete(one.id).deleted
    for ask in (client.files.retrieve, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            ask(one.id)
    client.files.delete(two.id)


def test_an_uploaded_picture_is_named_in_an_edit_and_in_a_conversation(client: Any, server: Server) -> None:
    mask = Image.new("L", RED.size)
    mask.paste(255, (0, 0, 40, 48))
    picture, area = (client.files.create(file=("a.png", as_png(item)), purpose="vision") for item in (RED, mask))
    said = {
        "role": "user",
        "content": [{"type": "input_text", "text": "a dog"}, {"type": "input_image", "file_id": picture.id}],
    }
    tool = {**EDIT, "input_image_mask": {"file_id": area.id}}
    made = client.responses.create(model="gpt-5", input=[said], tools=[tool])
    fields = {name: value for name, value in EDIT.items() if name != "type"}
    body = {"prompt": "a dog", **fields, "images": [{"file_id": picture.id}], "mask": {"file_id": area.id}}
    reply = httpx.post(f"{server.url}/v1/images/edits", json=body, timeout=60).json()
    assert reply["data"][0]["b64_json"] == made.output[0].result
    # What was made of a file does not need it any more.
    client.files.delete(picture.id)
    again = httpx.post(f"{server.url}/api/queue/job/{reply['job_id']}/retry")
    assert again.status_code == 202, again.text


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"data": {"purpose": "vision"}, "files": {"file": ("a.png", b"no picture")}}, "file"),
        ({"data": {"purpose": "vision", "file": "text"}, "files": {"other": ("a.png", b"x")}}, "file"),
        ({"data": {"purpose": "fine-tune"}, "files": {"file": ("a.png", as_png(RED))}}, "purpose"),
        ({"data": {}, "files": {"file": ("a.png", as_png(RED))}}, "purpose"),
        (
            {
                "data": {"purpose": "vision", "expires_after[anchor]": "created_at", "expires_after[seconds]": "1"},
                "files": {"file": ("a.png", as_png(RED))},
            },
            "expires_after[seconds]",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_field(server: Server, asked: dict[str, Any], field: str) -> None:
    reply = httpx.post(f"{server.url}/v1/files", **asked)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, field)


def test_a_finished_picture_goes_with_its_job_only(client: Any) -> None:
    made = client.images.generate(prompt="p", size="64x64", extra_body={"steps": 1})
    with pytest.raises(openai.ConflictError, match="DELETE /api/jobs/"):
        client.files.delete(made.data[0].file_id)
