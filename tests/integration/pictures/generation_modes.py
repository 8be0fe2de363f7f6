"""What the tests of the generation modes share: models in folders, small pictures, and one application for a whole module."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp.test_utils import TestClient
from PIL import Image

from tests.tiny.build import WRITERS
from tests.tiny.fixtures import cached

Client = TestClient[Any, Any]
#: Folder of each tiny model; the others are checkpoints.
FOLDERS = {
    "tae16": "taesd",
    "tae32": "taesd",
    "taesd": "taesd",
    "taehv": "taesd",
    "taehv48": "taesd",
    "clip_vision": "clip_vision",
    "clip_vision_other": "clip_vision",
    "flux2_vae": "vae",
    "esrgan": "esrgan",
    "controlnet": "controlnet",
    "photomaker": "photomaker",
    **dict.fromkeys((name for name in WRITERS if name.startswith("wan") and name != "wan_lora"), "diffusion_models"),
    "embedding": "embeddings",
    "embedding_f16": "embeddings",
}


def place(models_dir: Path, *names: str, **renamed: str) -> None:
    """Put tiny models into their folders; ``renamed`` gives the path below the folder."""
    for name, target in {**dict.fromkeys(names, ""), **renamed}.items():
        source = cached(name)
        folder = FOLDERS.get(name) or ("lora" if "lora" in name else "checkpoints")
        path = models_dir / folder / (target or source.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.hardlink_to(source)
        except OSError:  # another file system
            shutil.copyfile(source, path)


def picture(width: int = 64, height: int = 64, mode: str = "RGB") -> Image.Image:
    """A diagonal ramp in three colours."""
    ramp = np.add.outer(np.arange(height), np.arange(width)) * 255 // (width + height - 2)
    pixels = np.stack([ramp, 255 - ramp, np.full_like(ramp, 90)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def base64_png(image: Image.Image) -> str:
    """A picture as requests carry it."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def half_mask(width: int = 64, height: int = 64) -> Image.Image:
    """A mask whose right half is white."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 255
    return Image.fromarray(mask)


async def submit(client: Client, route: str, body: dict[str, Any]) -> dict[str, Any]:
    """Submit, and give the finished job; fails unless it was accepted."""
    response = await client.post(f"/api/generate/{route}", json=body)
    reply = await response.json()
    assert response.status == 202, reply
    return await finished(client, reply["job_id"])


async def finished(client: Client, job_id: str) -> dict[str, Any]:
    """The job after its end."""
    async with client.get(f"/api/jobs/{job_id}/events") as stream:
        await stream.read()
    return await (await client.get(f"/api/queue/job/{job_id}")).json()  # type: ignore[no-any-return]


async def images(client: Client, job: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    """All pictures of a completed job."""
    assert job["status"] == "completed", job
    found = []
    for url in job["output_urls"]:
        data = await (await client.get(url)).read()
        found.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    return found


async def paint(client: Client, route: str, body: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The one picture of a job."""
    (image,) = await images(client, await submit(client, route, body))
    return image


async def problems(client: Client, route: str, body: dict[str, Any]) -> dict[str, str]:
    """The problems by field with which a request is refused."""
    response = await client.post(f"/api/generate/{route}", json=body)
    reply = await response.json()
    assert response.status == 400, reply
    return {item["field"]: item["message"] for item in reply["details"]["errors"]}
