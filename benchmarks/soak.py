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

from benchmarks.calls import Client, picture
from benchmarks.comparison import MODELS, tiny
from benchmarks.figures import median
from benchmarks.process import ServerProcess, sdrest
from benchmarks.results import Result, say
from tests.tiny.build import build

JOBS = int(os.environ.get("SDREST_SOAK_JOBS", "2000"))
SECONDS = float(os.environ.get("SDREST_SOAK_SECONDS", "3600"))
_SAMPLE_EVERY = 25
#: Growth of the later half's median over that of the earlier half, once all models have been loaded.
_FLAT_MIB = 30.0
_FLAT_FILES = 10


async def measure(jobs: int = JOBS, seconds: float = SECONDS) -> Result:
    """Run it."""
    result = Result(
        "soak",
        "Soak",
        f"{jobs:,} mixed jobs, at most {seconds:.0f} s: text to image in three sizes, image to image, upscaling, two models in turn, "
        f"cancels while waiting and while running, malformed bodies, unknown models. Memory and file descriptors of server and engine are "
        f"noted every {_SAMPLE_EVERY} jobs; the second half is held against the first, the first tenth left out.",
    )
    chance = random.Random(11)
    endings: Counter[str] = Counter()
    samples: list[tuple[float, float, int]] = []
    first = tiny("ernie")
    other = first.main.with_name("other.gguf")
    if not other.exists():
        shutil.copy(first.main, other)
    upscaler = MODELS / "upscale_models" / "esrgan.safetensors"
    if not upscaler.exists():
        build("esrgan", upscaler.parent)
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
    unexpected = endings["failed"] + endings["5xx"]
    result.add("failed jobs and 5xx replies", str(unexpected), "0", met=unexpected == 0)
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


async def _one(client: Client, chance: random.Random, number: int) -> str:
    """One job of some kind; how it ended."""
    model = chance.choice(("ernie", "other"))
    body = picture(chance.choice((64, 64, 64, 128, 192)), chance.choice((1, 2, 4)), number, model=model)
    kind = chance.choices(("plain", "init", "upscale", "cancel_waiting", "cancel_running", "bad"), (10, 2, 1, 2, 2, 3))[
        0
    ]
    path = "/api/generate/text2img"
    match kind:
        case "init":
            path, body = (
                "/api/generate/img2img",
                {**body, "model": "ernie", "vae_model": "flux2_vae", "init_image": _png(64), "strength": 0.6},
            )
            body |= {"width": 64, "height": 64}
        case "upscale":
            path, body = "/api/generate/upscale", {"image": _png(16), "esrgan_model": "esrgan"}
        case "cancel_running":
            body |= {"steps": 400, "width": 256, "height": 256}
        case "bad":
            body |= chance.choice(
                ({"width": -1}, {"model": "unknown"}, {"steps": "many"}, {"prompt": None}, {"sampling_method": "?"})
            )
        case _:
            pass
    async with client.session.post(client.url + path, json=body) as reply:
        if reply.status != 202:
            if kind != "bad":
                say(f"{kind}: {await reply.text()}")
            return "5xx" if reply.status >= 500 else "refused"
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
