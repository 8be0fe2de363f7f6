"""Every bound of ``sdrest/core/bounds.py``, at it and one beyond it, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient
from PIL import Image

from sdrest.core import bounds
from sdrest.core.parameters import MAX_PROMPT_CHARACTERS
from sdrest.web.requests.uploads import UPLOADS
from tests.integration.conftest import SMALL, ClientFactory

Client = TestClient[Any, Any]
Body = dict[str, Any]


def _picture() -> str:
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


PICTURE = _picture()


def tags(number: int) -> str:
    return "<lora:x>" * number


#: Name of the bound, route, body that is as large as told, and a word of the complaint.
JSON_CASES: tuple[tuple[str, str, Callable[[int], Body], str], ...] = (
    ("PICTURES", "/sdcpp/v1/img_gen", lambda n: {**SMALL, "ref_images": [PICTURE] * n}, "pictures are more"),
    (
        "FETCHED_PICTURES",
        "/sdcpp/v1/img_gen",
        lambda n: {**SMALL, "ref_images": ["http://192.0.2.1/"] * n},
        "URLs of pictures are more",
    ),
    (
        "ENLARGED_PICTURES",
        "/sdapi/v1/extra-batch-images",
        lambda n: {"imageList": [{"data": PICTURE}] * n, "upscaling_resize": 1},
        "at most 64 items",
    ),
    ("OPENAI_PICTURES", "/v1/images/generations", lambda n: {"prompt": "x", "n": n, "size": "none"}, "from 1 to 10"),
    ("OPENAI_SECONDS", "/v1/videos", lambda n: {"prompt": "x", "seconds": n}, "less than or equal to 60"),
    (
        "MASK_BLUR_PX",
        "/sdapi/v1/img2img",
        lambda n: {**SMALL, "init_images": ["x"], "mask_blur": n},
        "from 0 to 256",
    ),
    ("LORA_TAGS", "/api/generate/text2img", lambda n: {**SMALL, "prompt": tags(n)}, "LoRA tags are more"),
    ("IDEMPOTENCY_KEY", "/api/generate/text2img", lambda n: {**SMALL, "idempotency_key": "k" * n}, "200 characters"),
    (
        "WEBHOOK_URL",
        "/api/generate/text2img",
        lambda n: {**SMALL, "webhook_url": "http://192.0.2.1/".ljust(n, "x")},
        "2000 characters",
    ),
    ("TASK_ID", "/sdapi/v1/txt2img", lambda n: {**SMALL, "steps": 0, "force_task_id": "t" * n}, "200 characters"),
    ("MODELS", "/api/models/hash", lambda n: {"models": ["none"] * n}, "at most 1000"),
    ("MODELS", "/api/models/batch", lambda n: {"operation": "hash", "models": ["none"] * n}, "at most 1000"),
    ("ACCOUNT_BODY_BYTES", "/api/auth/refresh", lambda n: {"refresh_token": "x" * (n - 21)}, "Too Large"),
    ("JSON_DEPTH", "/api/validate", lambda n: {"x": _nested(n - 1)}, "64 deep"),
    ("JSON_VALUES", "/api/validate", lambda n: {"prompt": "," * (n - 1)}, "values"),
    ("JSON_DIGITS", "/api/validate", lambda n: {**SMALL, "steps": 10**n - 1}, "100 digits"),
)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("name", "path", "body", "complaint"), JSON_CASES, ids=[f"{name}-{path}" for name, path, *_ in JSON_CASES]
)
async def test_a_bound_of_a_body(
    client: Client, name: str, path: str, body: Callable[[int], Body], complaint: str
) -> None:
    bound = getattr(bounds, name)
    await client.post("/api/queue/pause")
    for size, beyond in ((bound, False), (bound + 1, True)):
        reply = await client.post(path, json=body(size))
        text = await reply.text()
        assert reply.status < 500, text
        assert (complaint in text) is beyond, text
        assert not beyond or reply.status in {400, 413, 422}, text


async def test_the_length_and_the_letters_of_an_idempotency_header(client: Client) -> None:
    await client.post("/api/queue/pause")
    for key, status in (
        ("k" * bounds.IDEMPOTENCY_KEY, 202),
        ("k" * (bounds.IDEMPOTENCY_KEY + 1), 400),
    ):
        for path in ("/api/generate/text2img", "/sdcpp/v1/img_gen"):
            reply = await client.post(path, json=SMALL, headers={"Idempotency-Key": key})
            assert reply.status == status, (path, await reply.text())
    head = b"POST /api/generate/text2img HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: caf\xe9\r\nContent-Length: 15\r\n\r\n"
    assert b" 400 " in await _raw(client, head + b'{"prompt": "x"}')


async def test_jobs_that_one_request_deletes(client: Client) -> None:
    for number, status in ((bounds.JOB_IDS, 200), (bounds.JOB_IDS + 1, 400)):
        reply = await client.delete("/api/queue/jobs", json={"job_ids": ["none"] * number})
        assert reply.status == status


async def test_fields_of_a_form(client: Client) -> None:
    await client.post("/api/queue/pause")
    form = {"prompt": "x", "width": "64", "height": "64", "steps": "1"}
    for number, status in ((bounds.FORM_FIELDS, 302), (bounds.FORM_FIELDS + 1, 413)):
        more = {f"f{index}": "x" for index in range(number - len(form))}
        reply = await client.post("/text-to-image", data={**form, **more}, allow_redirects=False)
        assert reply.status in ({status} if status == 302 else {400, 413}), await reply.text()


async def test_the_text_that_a_page_reads_parameters_from(client: Client) -> None:
    for size, status in ((bounds.INFOTEXT, 200), (bounds.INFOTEXT + 1, 413)):
        assert (await client.post("/ui/parameters", data="x" * size)).status == status


async def test_a_login_form(client_factory: ClientFactory, cheap_hashes: None) -> None:
    client = await client_factory(auth="jwt")
    for size, status in ((bounds.ACCOUNT_BODY_BYTES, 401), (bounds.ACCOUNT_BODY_BYTES + 1, 413)):
        text = "username=a&password=b&next=".ljust(size, "x")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await client.post("/ui/login", data=text, headers=headers)).status == status


async def test_uploads_of_models_at_the_same_time(client: Client) -> None:
    assert client.app is not None
    uploads = client.app[UPLOADS]

    def form() -> aiohttp.FormData:
        data = aiohttp.FormData(default_to_multipart=True)
        data.add_field("type", "checkpoint")
        return data

    with uploads.one(), uploads.one(), uploads.one(), uploads.one(), uploads.one(), uploads.one(), uploads.one():
        assert (await client.post("/api/models/upload", data=form())).status == 400
        with uploads.one():
            full = await client.post("/api/models/upload", data=form())
            assert full.status == 429
            assert "Retry-After" in full.headers
    assert (await client.post("/api/models/upload", data=form())).status == 400


async def test_a_message_on_a_websocket(client: Client) -> None:
    async with client.ws_connect("/api/ws") as socket:
        await socket.send_str("x" * bounds.SOCKET_MESSAGE_BYTES)
        await client.post("/api/generate/text2img", json=SMALL)
        assert (await socket.receive_json())["event"] == "job_added"
        await socket.send_str("x" * (bounds.SOCKET_MESSAGE_BYTES + 1))
        async with asyncio.timeout(30):
            while (message := await socket.receive()).type is WSMsgType.TEXT:
                pass
        assert message.type is WSMsgType.CLOSE
        assert socket.close_code == 1009


@pytest.mark.parametrize(
    "path", ["/v1/images/generations", "/sdapi/v1/txt2img", "/sdcpp/v1/img_gen", "/api/generate/text2img"]
)
@pytest.mark.parametrize(
    "text",
    ['{"prompt": "\\ud800"}', '{"prompt": "x", "steps": 1e999}', '{"prompt": "x", "\\udfff": 1}', "{" * 9000],
)
async def test_half_characters_and_endless_numbers_are_no_json(client: Client, path: str, text: str) -> None:
    reply = await client.post(path, data=text, headers={"Content-Type": "application/json"})
    assert reply.status in {400, 422}
    assert "is not JSON" in await reply.text() or "deep" in await reply.text()


async def test_half_characters_in_a_form_are_refused(client: Client) -> None:
    head = 'Content-Disposition: form-data; name="prompt"\r\nContent-Type: text/plain; charset=unicode_escape'
    form = f"--b\r\n{head}\r\n\r\n\\ud800\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for path in ("/text-to-image", "/v1/images/edits", "/ui/generate/txt2img"):
        reply = await client.post(path, data=form, headers=headers)
        assert reply.status == 400, path


async def test_what_nobody_thought_of_while_reading_a_body_is_the_clients_mistake_and_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiohttp import StreamReader

    async def broken(_self: StreamReader) -> bytes:
        raise MemoryError("surprise")

    monkeypatch.setattr("sdrest.web.http.bodies.log.exception", seen := _Seen())
    with monkeypatch.context() as patch:
        patch.setattr(StreamReader, "readany", broken)
        body = await _raw(client, b"POST /api/validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    assert b" 400 " in body
    assert b"cannot be read (request " in body
    assert b"surprise" not in body
    assert seen.events == ["a body could not be read"]


class _Seen:
    def __init__(self) -> None:
        self.events: list[str] = []

    def __call__(self, event: str, **_values: object) -> None:
        self.events.append(event)


async def _raw(client: Client, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(sent)
    await writer.drain()
    reply = await reader.read(4096)
    writer.close()
    return reply


def test_the_values_of_json_leave_room_for_what_the_parameters_allow() -> None:
    frames, sigmas, job_ids = 1025, 1001, bounds.JOB_IDS
    assert 2 * MAX_PROMPT_CHARACTERS + frames + sigmas + job_ids < bounds.JSON_VALUES
