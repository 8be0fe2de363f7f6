"""Clients that go away, do not read, send nonsense or send half of something: the server goes on for all others."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.jobs import Client, ended, job, submitted, until_running, works
from tests.integration.conftest import SMALL
from tests.tiny.embedded import NAME


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


async def test_a_reader_that_does_not_read_holds_nobody_up_and_bounded_memory(client: Client) -> None:
    queued = await submitted(client, width=256, height=256, steps=1000)
    await until_running(client, queued)
    writers = []
    for _ in range(20):
        _reader, writer = await asyncio.open_connection(client.host, client.port, limit=1)
        writer.write(f"GET /api/jobs/{queued}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await writer.drain()
        writers.append(writer)
    begun = (await job(client, queued))["progress"]["step"]
    while (await job(client, queued))["progress"]["step"] < begun + 20:  # each step is told to all of them
        assert (await client.get("/api/health")).status == 200
    await client.post("/api/queue/cancel", json={"job_id": queued})
    assert (await ended(client, queued))["status"] == "cancelled"
    for writer in writers:
        writer.close()
    await works(client)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /api/v1/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n{",
        b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"POST /api/v1/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        b"GET /api/health HTTP/9.9\r\n\r\n",
        b"\0" * 70_000,
    ],
    ids=["nothing", "half a body", "endless header", "TLS", "absurd chunk", "version", "zeros"],
)
async def test_broken_http_ends_its_own_connection_only(client: Client, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(sent)
    await writer.drain()
    assert (await client.get("/api/health")).status == 200
    writer.close()
    del reader


#: One grey pixel.
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="

#: One body that each route takes.
_GOOD: dict[str, dict[str, dict[str, Any]]] = {
    "native": {
        "/api/generate/text2img": SMALL,
        "/api/v1/generate": SMALL,
        "/api/generate/img2img": {**SMALL, "init_image": "aGVsbG8="},
        "/api/queue/cancel": {"job_id": "x"},
        "/api/models/batch": {"operation": "hash", "models": ["nothing"]},
        "/api/image/resize": {"image": _PICTURE, "width": 4, "height": 4},
        "/api/image/crop": {"image": _PICTURE, "width": 1, "height": 1},
        "/api/estimate": SMALL,
        "/api/auth/refresh": {"refresh_token": "x"},
        "/api/validate": {"type": "txt2img", "parameters": SMALL},
    },
    "openai": {
        "/v1/images/generations": {
            "prompt": "a cat",
            "model": NAME,
            "n": 1,
            "size": "64x64",
            "response_format": "b64_json",
            "output_compression": 50,
        },
        "/v1/images/edits": {"prompt": "a cat", "image": _PICTURE, "mask": _PICTURE, "size": "64x64", "steps": 1},
        "/v1/videos": {"prompt": "a cat", "seconds": "1", "fps": 8, "size": "64x64"},
    },
    "a1111": {
        "/sdapi/v1/txt2img": {
            **SMALL,
            "sampler_name": "Euler",
            "override_settings": {"sd_model_checkpoint": NAME},
            "eta": 0.5,
            "force_task_id": "a",
            "enable_hr": False,
            "hr_upscaler": "Latent",
            "lora": [{"name": "x", "multiplier": 1}],
            "alwayson_scripts": {"ControlNet": {"args": [{"enabled": False, "model": "x", "guidance_end": 1}]}},
        },
        "/sdapi/v1/img2img": {
            **SMALL,
            "init_images": [_PICTURE],
            "mask": _PICTURE,
            "denoising_strength": 0.5,
            "resize_mode": 1,
            "mask_blur": 4,
            "inpainting_mask_invert": 1,
            "extra_images": [_PICTURE],
        },
        "/sdapi/v1/options": {"sd_model_checkpoint": NAME},
        "/sdapi/v1/png-info": {"image": _PICTURE},
        "/sdapi/v1/extra-single-image": {"image": _PICTURE, "upscaler_1": "None", "upscaling_resize": 2},
        "/sdapi/v1/extra-batch-images": {
            "imageList": [{"data": _PICTURE, "name": "a"}],
            "resize_mode": 1,
            "upscaling_resize_w": 16,
        },
        "/sdapi/v1/interrupt": {"force_task_id": "a"},
        "/internal/progress": {"id_task": "a"},
    },
    "sdcpp": {
        "/sdcpp/v1/img_gen": {
            **SMALL,
            "sample_params": {"sample_steps": 2, "guidance": {"txt_cfg": 1.0, "slg": {"layers": [1]}}},
            "batch_count": 1,
            "lora": [{"path": "x", "multiplier": 1}],
            "hires": {"enabled": False, "upscaler": "Latent"},
            "cache_mode": "ucache",
            "cache_option": "start=0.1",
            "output_compression": 90,
            "init_image": _PICTURE,
            "ref_images": [_PICTURE],
        },
    },
    "forms": {"/text-to-image": {"prompt": "a cat", "width": "64", "height": "64", "steps": "2"}},
}
_NONSENSE: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**63, 10**400, 1e308, "", "x" * 10_000, "\ud800", "\0", [], {}, [[]], {"a": {"b": []}}, "NaN",
    "../../etc/passwd", "<lora:../x:1>", "data:image/png;base64,AAAA", "http://127.0.0.1:1/", [None] * 300, -0.0, 7.5,
)  # fmt: skip


def _mutant(body: dict[str, Any], chance: random.Random) -> bytes:
    """A body with one to three faults: in its values, its names, its structure or its text."""
    wrong: Any = json.loads(json.dumps(body))
    for _ in range(chance.randint(1, 3)):
        holder: Any = wrong
        while isinstance(holder, dict) and holder:
            key = chance.choice(sorted(holder))
            if isinstance(holder[key], dict) and chance.random() < 0.6:
                holder = holder[key]
                continue
            match chance.randrange(4):
                case 0:
                    del holder[key]
                case 1:
                    holder[key + chance.choice(("s", "_", " ", "é"))] = holder.pop(key)
                case _:
                    holder[key] = chance.choice(_NONSENSE)
            break
    if chance.random() < 0.1:
        wrong = chance.choice(([wrong], wrong and [], "text", 7, None))
    text = json.dumps(wrong).encode()
    if chance.random() < 0.15:
        cut = chance.randrange(len(text) + 1)
        text = text[:cut] + bytes([chance.randrange(256)]) + text[cut + chance.randrange(3) :]
    return text


async def _fuzz(client: Client, dialect: str, number: int) -> None:
    chance = random.Random(dialect)
    await client.post("/api/queue/pause")
    for _ in range(number):
        path = chance.choice(sorted(_GOOD[dialect]))
        body = _mutant(_GOOD[dialect][path], chance)
        kind = (
            "application/json"
            if chance.random() < 0.95
            else chance.choice(("text/plain", "multipart/form-data", 'a/b;c="'))
        )
        reply = await client.post(path, data=body, headers={"Content-Type": kind})
        text = await reply.text()
        unfinished = reply.status == 503 and "not finished" in text
        assert reply.status < 500 or unfinished, (path, body[:300], reply.status, text[:300])
    await client.post("/api/queue/clear")
    await client.post("/api/queue/resume")
    assert (await ended(client, await submitted(client)))["status"] == "completed"


@pytest.mark.parametrize("dialect", sorted(_GOOD))
async def test_malformed_requests_get_a_4xx(client_factory: Any, dialect: str) -> None:
    await _fuzz(await client_factory(sync_timeout_seconds=0.02), dialect, 60)


@pytest.mark.nightly
@pytest.mark.parametrize("dialect", sorted(_GOOD))
async def test_a_thousand_malformed_requests_get_a_4xx(client_factory: Any, dialect: str) -> None:
    await _fuzz(await client_factory(sync_timeout_seconds=0.02), dialect, 1000)


async def test_a_job_known_to_nobody_is_no_job(client: Client) -> None:
    assert (await client.get("/api/queue/job/" + "x" * 3000)).status in {404, 414}
    assert "error" in await job(client, "none")
