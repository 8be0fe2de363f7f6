"""The form API: redirects, ids by content, states, pictures by number; its documented command lines, also over TLS."""

from __future__ import annotations

import asyncio
import io
import json
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import FormData
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.engine.engines import Engines
from sdrest.web.http.keys import ENGINES
from tests.engine import EngineOnDemand, EngineWithGate, options_of
from tests.integration.conftest import ClientFactory
from tests.integration.pictures.generation_modes import half_mask, picture, place
from tests.needs import needs

Client = TestClient[Any, Any]
SMALL = {"prompt": "a red apple", "steps": "2", "width": "64", "height": "64", "guidanceScale": "1"}

#: As the server's own documentation has them.
TEXT_TO_IMAGE = r"""
curl https://0.0.0.0:8888/text-to-image \
--form prompt="A digital illustration of a beautiful mountain landscape, detailed, thom tenerys, epic composition, 4k, trending on artstation, fantasy vivid colors" \
--form iterations="3" \
--form steps="8" \
--form seed="42" \
--header "Content-Type: multipart/form-data" \
--location
"""  # noqa: E501
IMAGE_TO_IMAGE = r"""
curl https://0.0.0.0:8888/image-to-image \
--form prompt="A digital illustration of a beautiful mountain landscape, detailed, thom tenery, epic composition, 4k, trending on artstation, fantasy vivid colors" \
--form image=@./image.png \
--form iterations="3" \
--form steps="24" \
--form seed="42" \
--header "Content-Type: multipart/form-data" \
--location
"""  # noqa: E501
INPAINT_IMAGE = r"""
curl https://0.0.0.0:8888/inpaint-image \
--form image=@./image.png \
--form mask=@./image-mask.png \
--form steps="32" \
--form seed="42" \
--header "Content-Type: multipart/form-data" \
--location
"""
STATUS = "curl https://0.0.0.0:8888"


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the folders of others."""
    return shared_models


def form(fields: dict[str, str], **pictures: Image.Image) -> FormData:
    data = FormData(default_to_multipart=True)
    for name, value in fields.items():
        data.add_field(name, value)
    for name, image in pictures.items():
        data.add_field(name, png(image), filename=f"{name}.png", content_type="image/png")
    return data


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


async def post(client: Client, path: str, fields: dict[str, str], **pictures: Image.Image) -> dict[str, Any]:
    """Post a form; the body of the redirect."""
    reply = await client.post(path, data=form(fields, **pictures), allow_redirects=False)
    body: dict[str, Any] = await reply.json()
    assert reply.status == 302, body
    assert reply.headers["Location"] == body["resultUrl"]
    return body


async def ended(client: Client, url: str) -> dict[str, Any]:
    """The job's state after its end."""
    while True:
        body: dict[str, Any] = await (await client.get(url)).json()
        if body["status"] not in {"QUEUED", "IN_PROGRESS"}:
            return body
        await asyncio.sleep(0.02)


async def test_a_form_becomes_a_job_and_its_pictures(client: Client) -> None:
    body = await post(client, "/text-to-image", {**SMALL, "iterations": "2", "batchSize": "2"})
    task_id = body["resultUrl"].removeprefix("/text-to-image/")
    assert len(task_id) == 32
    assert int(task_id, 16)
    done = await ended(client, body["resultUrl"])
    assert done == {
        "status": "COMPLETE",
        "resultUrl": body["resultUrl"],
        "imageUrls": [f"{body['resultUrl']}/{number}.png" for number in (1, 2, 3, 4)],
    }
    reply = await client.get(done["imageUrls"][3])
    assert reply.content_type == "image/png"
    assert Image.open(io.BytesIO(await reply.read())).size == (64, 64)
    for missing in ("0.png", "5.png", "x.png", "..%2f1.png"):
        assert (await client.get(f"{body['resultUrl']}/{missing}")).status == 404


async def test_the_same_form_is_the_same_job_and_another_is_not(client: Client) -> None:
    await client.post("/api/queue/pause")
    first = await post(client, "/text-to-image", SMALL)
    again = await post(client, "/text-to-image", {**SMALL, "seed": "42", "unknown": "ignored"})
    other = await post(client, "/text-to-image", {**SMALL, "seed": "43"})
    assert first == again
    assert first["resultUrl"] != other["resultUrl"]
    counts = await (await client.get("/api/queue/status")).json()
    assert counts["pending_count"] == 2


async def test_a_cancelled_job_is_queued_again_when_it_is_posted_again(client: Client) -> None:
    await client.post("/api/queue/pause")
    first = await post(client, "/text-to-image", SMALL)
    await client.post("/api/queue/clear")
    assert (await ended(client, first["resultUrl"]))["status"] == "CANCELLED"
    assert await post(client, "/text-to-image", SMALL) == first
    await client.post("/api/queue/resume")
    assert (await ended(client, first["resultUrl"]))["status"] == "COMPLETE"


async def test_progress_names_the_pictures_that_are_finished(client_factory: ClientFactory) -> None:
    client = await client_factory(EngineWithGate)
    body = await post(client, "/text-to-image", {**SMALL, "iterations": "3"})
    seen = []
    while (state := await (await client.get(body["resultUrl"])).json())["status"] != "COMPLETE":
        if state["status"] == "IN_PROGRESS":
            seen.append(state)
            for url in state["imageUrls"][-1:]:
                assert (await client.get(url)).status == 200
                client.app[ENGINES].first.gate.set()
        await asyncio.sleep(0.02)
    assert seen
    assert any(state["imageUrls"] for state in seen)
    places = [(s["progress"]["currentImageIndex"], s["progress"]["currentImageProgress"]) for s in seen]
    assert places == sorted(places)
    assert all(1 <= index <= 3 and 0 <= within <= 1 for index, within in places)
    assert all(len(s["imageUrls"]) >= s["progress"]["currentImageIndex"] - 1 - 2 for s in seen)


@pytest.mark.parametrize(
    ("path", "fields", "field"),
    [
        ("/text-to-image", {}, "prompt"),
        ("/text-to-image", {**SMALL, "steps": "many"}, "steps"),
        ("/text-to-image", {**SMALL, "iterations": "0"}, "iterations"),
        ("/text-to-image", {**SMALL, "guidanceScale": "nan"}, "guidanceScale"),
        ("/text-to-image", {**SMALL, "channels": "3"}, "channels"),
        ("/image-to-image", SMALL, "image"),
        ("/inpaint-image", {}, "mask"),
    ],
)
async def test_a_faulty_form_names_the_field(client: Client, path: str, fields: dict[str, str], field: str) -> None:
    reply = await client.post(path, data=form(fields), allow_redirects=False)
    assert reply.status == 400
    assert field in {item["field"] for item in (await reply.json())["details"]["errors"]}


async def test_a_status_is_asked_with_a_bare_form_header_and_no_body(client: Client) -> None:
    body = await post(client, "/text-to-image", SMALL)
    reply = await client.get(body["resultUrl"], headers={"Content-Type": "multipart/form-data"})
    assert reply.status == 200
    assert (await client.get("/image-to-image/" + body["resultUrl"].rpartition("/")[2])).status == 404
    assert (await client.get("/text-to-image/nothing")).status == 404


async def test_incomplete_jobs_are_kept_or_dropped_at_the_start(client_factory: ClientFactory) -> None:
    first = await client_factory()
    await first.post("/api/queue/pause")
    url = (await post(first, "/text-to-image", SMALL))["resultUrl"]
    await first.close()
    second = await client_factory()
    assert (await (await second.get(url)).json())["status"] == "QUEUED"
    await second.close()
    third = await client_factory(delete_incomplete=True)
    assert (await (await third.get(url)).json())["status"] == "CANCELLED"


@pytest_asyncio.fixture
async def home(request: pytest.FixtureRequest, tmp_path: Path, certificate: tuple[Path, Path]) -> AsyncIterator[Path]:
    """A folder in which curl finds a server over TLS under its documented address; the parameter gives more settings."""
    place(tmp_path / "models", "ovis", "tae16")
    folders = {"models_dir": tmp_path / "models", "data_dir": tmp_path / "data", "log_level": "error"}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    settings = load_settings({**folders, **request.param})
    server = TestServer(build_app(settings, Engines([EngineOnDemand(**options_of(settings))])), scheme="https")
    await server.start_server(ssl=context)
    home = tmp_path / "home"
    home.mkdir()
    place_of_server = f'connect-to = "0.0.0.0:8888:127.0.0.1:{server.port}"'
    (home / ".curlrc").write_text(f'{place_of_server}\ncacert = "{certificate[0]}"\nsilent\n')
    (home / "image.png").write_bytes(png(picture(64, 64)))
    (home / "image-mask.png").write_bytes(png(half_mask(64, 64)))
    yield home
    await server.close()


async def shell(home: Path, command: str) -> dict[str, Any]:
    """What a command line prints, as JSON."""
    environment = {"HOME": str(home), "CURL_HOME": str(home), "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_shell(
        command, cwd=home, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, problem = await process.communicate()
    assert process.returncode == 0, (printed, problem)
    reply: dict[str, Any] = json.loads(printed)
    return reply


OVIS = "./models/ovis.gguf"


@needs("curl")
@pytest.mark.parametrize("home", [{}], indirect=True)
async def test_the_documented_text_to_image_line_works_over_tls(home: Path) -> None:
    first = await shell(home, TEXT_TO_IMAGE)
    assert first["status"] in {"QUEUED", "IN_PROGRESS"}
    assert (await shell(home, TEXT_TO_IMAGE))["resultUrl"] == first["resultUrl"]
    later = first
    while later["status"] == "QUEUED":
        later = await shell(home, f"{STATUS}{first['resultUrl']}")
    assert later["progress"]["totalImages"] == 3 if later["status"] == "IN_PROGRESS" else len(later["imageUrls"]) == 3


@needs("curl")
@pytest.mark.parametrize("home", [{"text_to_image_model": OVIS, "inpaint_image_model": OVIS}], indirect=True)
@pytest.mark.parametrize(("command", "pictures"), [(IMAGE_TO_IMAGE, 3), (INPAINT_IMAGE, 1)], ids=["image", "inpaint"])
async def test_the_documented_lines_with_pictures_work_over_tls(home: Path, command: str, pictures: int) -> None:
    state = await shell(home, command)
    url = state["resultUrl"]
    while state["status"] in {"QUEUED", "IN_PROGRESS"}:
        await asyncio.sleep(0.1)
        state = await shell(home, f"{STATUS}{url}")
    urls = [f"{url}/{number}.png" for number in range(1, pictures + 1)]
    assert state == {"status": "COMPLETE", "resultUrl": url, "imageUrls": urls}
    await shell(home, f"curl --output one.png https://0.0.0.0:8888{urls[-1]} && echo '{{}}'")
    with Image.open(home / "one.png") as one:
        assert one.size == (64, 64)
