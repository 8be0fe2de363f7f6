"""The file format of finished pictures: the server's own, or the one that a request names, by whichever way it came in."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from PIL import Image

from sdrest.core.principal import ANYONE
from sdrest.jobs.listing import JobFilter
from sdrest.outputs.marks import DigitalSource, told_source
from sdrest.outputs.written.reading import read_written
from sdrest.outputs.written.texts import xmp_of
from sdrest.web.http.keys import JOBS
from tests.integration.conftest import SMALL, ClientFactory
from tests.integration.pictures.generation_modes import finished, submit


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """Nothing is written there."""
    return shared_models


def _seen(data: bytes | str) -> tuple[str, str]:
    """Format and digital source of a picture that must tell its prompt."""
    data = base64.b64decode(data) if isinstance(data, str) else data
    assert read_written(data).infotext.startswith("a red apple\n")
    with Image.open(io.BytesIO(data)) as picture:
        return str(picture.format), told_source(xmp_of(picture))


async def test_every_way_in_has_its_format(client_factory: ClientFactory) -> None:
    client = await client_factory(output_format="webp", output_quality=80)
    made = DigitalSource.TRAINED

    async def post(path: str, **body: Any) -> Any:
        reply = await client.post(path, json={**SMALL, **body})
        assert reply.status in {200, 202}, await reply.text()
        return await reply.json()

    job = await submit(client, "text2img", SMALL)
    assert (job["params"]["output_format"], job["params"]["output_quality"]) == ("webp", 80)
    served = await client.get(job["output_urls"][0])
    assert (served.content_type, _seen(await served.read())) == ("image/webp", ("WEBP", made))
    job = await submit(client, "text2img", {**SMALL, "output_format": "avif"})
    served = await client.get(job["output_urls"][0])
    assert (served.content_type, _seen(await served.read())) == ("image/avif", ("AVIF", made))
    # What was made can be given again.
    source = f"job:{job['job_id']}/{job['output_urls'][0].rpartition('/')[2]}"
    resized = await client.post("/api/image/resize", json={"image": source, "width": 32, "height": 32})
    assert resized.status == 200, await resized.text()

    asked: dict[str, Any]
    for asked, seen in (({}, "PNG"), ({"output_format": "jpeg", "output_compression": 70}, "JPEG")):
        reply = await post("/v1/images/generations", size="64x64", response_format="b64_json", **asked)
        assert _seen(reply["data"][0]["b64_json"]) == (seen, made)

    assert (await (await client.get("/sdapi/v1/options")).json())["samples_format"] == "webp"
    for options, seen in (({}, "WEBP"), ({"samples_format": "jpg"}, "JPEG")):
        reply = await post("/sdapi/v1/txt2img", override_settings=options)
        assert _seen(reply["images"][0]) == (seen, made)

    for asked, seen in (({}, "PNG"), ({"output_format": "webp"}, "WEBP")):
        task = await post("/sdcpp/v1/img_gen", sample_params={"sample_steps": 2}, **asked)
        await finished(client, task["id"])
        reply = await (await client.get(task["poll_url"])).json()
        assert _seen(reply["result"]["images"][0]["b64_json"]) == (seen, made)

    form = FormData({"prompt": "a red apple", "steps": "2", "width": "64", "height": "64", "seed": "7"})
    address = (await client.post("/text-to-image", data=form, allow_redirects=False)).headers["Location"]
    assert client.app is not None
    (last,) = await client.app[JOBS].find(JobFilter(limit=1), ANYONE)
    await finished(client, last.id)
    assert _seen(await (await client.get(f"{address}/1.png")).read()) == ("PNG", made)


async def test_a_format_that_is_none_is_refused_by_name(client_factory: ClientFactory) -> None:
    client = await client_factory(ai_mark=False)
    reply = await client.post("/api/v1/generate/text2img", json={**SMALL, "output_format": "gif"})
    assert reply.status == 400
    assert "output_format" in await reply.text()
    data = (await (await client.post("/api/v1/generate", json=SMALL)).json())["images"][0]["data"]
    assert _seen(data) == ("PNG", "")
