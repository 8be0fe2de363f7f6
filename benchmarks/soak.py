"""Two thousand mixed jobs: memory and file descriptors must stay flat.

``python -m benchmarks.soak``; ``SDREST_SOAK_SECONDS`` bounds its time (the number of jobs done is reported), ``SDREST_SOAK_JOBS`` sets
the number.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image

from benchmarks.beside import MODELS, tiny
from benchmarks.calls import Client, picture
from benchmarks.figures import median
from benchmarks.process import ServerProcess, sdrest
from benchmarks.results import Result, say
from tests.tiny.build import build, file_of

JOBS = int(os.environ.get("SDREST_SOAK_JOBS", "2000"))
SECONDS = float(os.environ.get("SDREST_SOAK_SECONDS", "3600"))
#: Tiny model → its folder.
_OTHERS = {
    "esrgan": "esrgan",
    "ernie_lora": "lora",
    "ovis": "checkpoints",
    "tae16": "taesd",
    "wan": "diffusion_models",
    "taehv": "taesd",
}
_SAMPLE_EVERY = 25
#: Kind of job → how many of hundred.
_KINDS = {
    "plain": 40,
    "batch": 4,
    "lora": 6,
    "hires": 3,
    "init": 6,
    "inpaint": 5,
    "outpaint": 3,
    "reference": 3,
    "upscale": 4,
    "video": 1,
    "cancel_waiting": 6,
    "cancel_running": 8,
    "bad": 11,
}
#: Growth of the later half's median over that of the earlier half, once all models have been loaded.
_FLAT_MIB = 30.0
_FLAT_FILES = 10


async def measure(jobs: int = JOBS, seconds: float = SECONDS) -> Result:
    """Run it."""
    result = Result(
        "soak",
        "Soak",
        f"{jobs:,} mixed jobs, at most {seconds:.0f} s: text to image in three sizes, batches, LoRA, hires fix, image "
        f"to image, inpainting, outpainting, reference pictures, upscaling, videos; four models in turn; cancels while waiting and while "
        f"running, malformed bodies, unknown models. Memory and file descriptors of server and engine are "
        f"noted every {_SAMPLE_EVERY} jobs; the second half is held against the first, the first tenth left out.",
    )
    chance = random.Random(11)
    endings: Counter[str] = Counter()
    samples: list[tuple[float, float, int]] = []
    first = tiny("ernie")
    other = first.main.with_name("other.gguf")
    if not other.exists():
        shutil.copy(first.main, other)
    for name, folder in _OTHERS.items():
        if not file_of(name, MODELS / folder).exists():
            build(name, MODELS / folder)
    with tempfile.TemporaryDirectory() as name:
        async with sdrest(Path(name), models=MODELS) as server, aiohttp.ClientSession() as session:
            client = Client(server, session)
            until = time.perf_counter() + seconds
            for number in range(jobs):
                if time.perf_counter() > until:
                    break
                endings[await _one(client, chance, number)] += 1
                if number % _SAMPLE_EVERY == _SAMPLE_EVERY - 1:
                    samples.append(_sample(server))
            status = await client.get("/api/status")
    done = sum(endings.values())
    result.add_table("What was done", ("ending", "number"), sorted(endings.items()))
    result.add("jobs", f"{done:,}")
    result.add("engine restarts", str(status["engine"]["restarts"]), "0", met=status["engine"]["restarts"] == 0)
    unexpected = endings["failed"] + endings["5xx"] + endings["refused by mistake"]
    result.add("failed jobs, good ones refused, and 5xx replies", str(unexpected), "0", met=unexpected == 0)
    _flatness(result, samples)
    return result


def _sample(server: ServerProcess) -> tuple[float, float, int]:
    engine = server.engine()
    child = engine.memory_info().rss / 2**20 if engine else 0.0
    return server.memory_mib() - child, child, server.open_files()


def _flatness(result: Result, samples: list[tuple[float, float, int]]) -> None:
    kept = samples[len(samples) // 10 :]
    half = len(kept) // 2
    if half < 2:
        say("too few jobs to tell whether anything grows")
        return
    for index, (what, unit, most) in enumerate(
        (
            ("memory of the server", "MiB", _FLAT_MIB),
            ("memory of the engine", "MiB", _FLAT_MIB),
            ("open files", "", _FLAT_FILES),
        )
    ):
        earlier, later = (median([row[index] for row in part]) for part in (kept[:half], kept[half:]))
        result.add(
            f"{what}, earlier → later half",
            f"{earlier:.0f} → {later:.0f} {unit}".rstrip(),
            f"+{most:.0f}",
            met=later - earlier < most,
        )


def _request(kind: str, chance: random.Random, number: int) -> tuple[str, dict[str, Any]]:
    """Route and body of one job of that kind."""
    body = picture(chance.choice((64, 64, 64, 128, 192)), chance.choice((1, 2, 4)), number)
    ernie = {**body, "model": chance.choice(("ernie", "other"))}
    small = {**picture(64, 2, number), "model": "ovis", "taesd_model": "tae16"}
    match kind:
        case "batch":
            return "text2img", {**ernie, "batch_count": 3}
        case "lora":
            return "text2img", {
                **body,
                "model": "ernie",
                "prompt": f"a circle <lora:ernie_lora:{chance.uniform(0, 2):.2f}>",
            }
        case "hires":
            return "text2img", {**picture(64, 2, number), "model": "ernie", "hires": {"enabled": True, "scale": 1.5}}
        case "init":
            return "img2img", {**ernie, "vae_model": "flux2_vae", "init_image": _png(64), "width": 64, "height": 64}
        case "inpaint":
            return "inpainting", {**small, "source_image": _png(64), "mask_image": _png(48)}
        case "outpaint":
            sizeless = {name: value for name, value in small.items() if name not in {"width", "height"}}
            return "inpainting", {**sizeless, "source_image": _png(48), "outpaint": {"right": 16, "bottom": 16}}
        case "reference":
            return "text2img", {**small, "ref_images": [_png(64)]}
        case "upscale":
            return "upscale", {"image": _png(16), "esrgan_model": "esrgan"}
        case "video":
            return "video", {**picture(32, 1, number), "model": "wan", "video_frames": 5, "video_format": "webp"}
        case "cancel_running":
            return "text2img", {**ernie, "steps": 1000, "width": 256, "height": 256}
        case "bad":
            wrong = ({"width": -1}, {"model": "unknown"}, {"steps": "many"}, {"prompt": None}, {"sampling_method": "?"})
            return "text2img", ernie | chance.choice(wrong)
        case _:
            return "text2img", ernie


async def _one(client: Client, chance: random.Random, number: int) -> str:
    """One job of some kind; how it ended."""
    kind = chance.choices(tuple(_KINDS), tuple(_KINDS.values()))[0]
    route, body = _request(kind, chance, number)
    async with client.session.post(f"{client.url}/api/generate/{route}", json=body) as reply:
        if reply.status != 202:
            if kind != "bad":
                say(f"{kind}: {await reply.text()}")
            return "5xx" if reply.status >= 500 else "refused" if kind == "bad" else "refused by mistake"
        job: str = (await reply.json())["job_id"]
    if kind.startswith("cancel"):
        await asyncio.sleep(chance.uniform(0.05, 0.6) if kind == "cancel_running" else 0)
        async with client.session.post(client.url + "/api/queue/cancel", json={"job_id": job}) as reply:
            await reply.read()
    ended: dict[str, Any] = await client.ended(job)
    if ended["status"] == "failed":
        say(f"{kind}: {ended['error']}")
    return str(ended["status"])


def _png(size: int) -> str:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((size, size)).convert("RGB").save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


if __name__ == "__main__":
    asyncio.run(measure()).save()
