"""More pictures like one that is there: by new seeds, or made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from tests.integration.pictures.generation_modes import finished, place, submit

BODY = {"prompt": "a boat", "model": "ovis", "width": 64, "height": 64, "steps": 2, "cfg_scale": 1, "seed": 3}


async def test_new_seeds_and_small_changes(tmp_path: Path) -> None:
    place(tmp_path / "models", "ovis", "tae16")
    settings = load_settings({"models_dir": tmp_path / "models", "data_dir": tmp_path / "data", "log_level": "error"})
    async with TestClient(TestServer(build_app(settings))) as client:

        async def vary(job: dict[str, Any], **asked: Any) -> dict[str, Any]:
            reply = await client.post(f"/api/queue/job/{job['job_id']}/variations", json=asked)
            answer = await reply.json()
            assert reply.status == 202, answer
            return await finished(client, answer["job_id"])

        first = await submit(client, "text2img", {**BODY, "prompt": "a {red|red} boat", "dynamic_prompts": True})
        varied = await vary(first, count=2)
        assert (varied["status"], len(varied["output_urls"])) == ("completed", 2)
        same = ("model", "width", "height", "steps", "prompt", "prompt_source", "dynamic_prompts")
        assert {name: varied["params"][name] for name in same} == {name: first["params"][name] for name in same}
        assert varied["params"]["seed"] != first["params"]["seed"]

        closer = await vary(first, count=1, strength=0.4)
        assert (closer["status"], closer["type"], closer["params"]["strength"]) == ("completed", "img2img", 0.4)
        reply = await client.post(f"/api/queue/job/{first['job_id']}/variations")
        assert (reply.status, len((await finished(client, (await reply.json())["job_id"]))["output_urls"])) == (202, 4)
        # And of what was made from a picture, by that picture.
        again = await vary(closer, count=1)
        assert (again["status"], again["type"], again["params"]["strength"]) == ("completed", "img2img", 0.4)

        for path, asked, status in (
            (first["job_id"], {"strength": 0.4, "file": "image_9.png"}, 404),
            (first["job_id"], {"strength": 2}, 400),
            ("nothing", {}, 404),
        ):
            reply = await client.post(f"/api/queue/job/{path}/variations", json=asked)
            assert reply.status == status, await reply.text()
