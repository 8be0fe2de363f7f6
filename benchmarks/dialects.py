"""What each dialect adds to a picture against the native route.

``python -m benchmarks dialects``: the same 64×64 picture in 4 steps through every dialect, in turns with ``POST /api/v1/generate``.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.calls import Client, picture
from benchmarks.figures import median, percentile
from benchmarks.process import sdrest
from benchmarks.results import Result

ROUNDS = 40

#: Makes one picture with a seed; base64 of its file.
Call = Callable[[Client, int], Awaitable[str]]


async def _native(client: Client, seed: int) -> str:
    reply = await client.post("/api/v1/generate", picture(seed=seed))
    return str(reply["images"][0]["data"])


async def _openai(client: Client, seed: int) -> str:
    body = {**picture(seed=seed), "size": "64x64", "response_format": "b64_json"}
    return str((await client.post("/v1/images/generations", body))["data"][0]["b64_json"])


async def _a1111(client: Client, seed: int) -> str:
    return str((await client.post("/sdapi/v1/txt2img", picture(seed=seed)))["images"][0])


async def _sdcpp(client: Client, seed: int) -> str:
    body = picture(seed=seed)
    body["sample_params"] = {"sample_steps": body.pop("steps"), "guidance": {"txt_cfg": body.pop("cfg_scale")}}
    path = str((await client.post("/sdcpp/v1/img_gen", body))["poll_url"])
    while True:
        job = await client.get(path)
        if job["status"] not in {"queued", "generating"}:
            return str(job["result"]["images"][0]["b64_json"])


async def _mcp(client: Client, seed: int) -> str:
    call: dict[str, Any] = {"name": "generate_image", "arguments": picture(seed=seed)}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    async with client.session.post(client.url + "/mcp", json=body, headers=headers) as reply:
        text = await reply.text()
    return text.partition('"data":"')[2].partition('"')[0]


WAYS: dict[str, Call] = {
    "POST /v1/images/generations": _openai,
    "POST /sdapi/v1/txt2img": _a1111,
    "POST /sdcpp/v1/img_gen, polled": _sdcpp,
    "POST /mcp, tools/call": _mcp,
}


async def measure(rounds: int = ROUNDS) -> Result:
    """Run it."""
    result = Result(
        "dialects",
        "What each dialect adds",
        f"One 64×64 picture in 4 steps on the embedded model, {rounds} times through each dialect, each time right after the same "
        "picture through POST /api/v1/generate; the difference of the two is shown. Bytes are compared each time.",
    )
    added: dict[str, list[float]] = {way: [] for way in WAYS}
    equal = 0
    with tempfile.TemporaryDirectory() as name:
        async with sdrest(Path(name)) as server, aiohttp.ClientSession() as session:
            client = Client(server, session)
            for number in range(-1, rounds):  # the first round warms up
                for way, call in WAYS.items():
                    before, digest = await _timed(_native, client, 42 + number)
                    after, same = await _timed(call, client, 42 + number)
                    if number >= 0:
                        added[way].append(after - before)
                        equal += digest == same
    result.add_table(
        "More than the native route (ms)",
        ("way", "median", "p90"),
        [(way, f"{median(samples):+.1f}", f"{percentile(samples, 90):+.1f}") for way, samples in added.items()],
    )
    total = rounds * len(WAYS)
    result.add("pictures equal to the native route's, byte by byte", f"{equal} of {total}", "all", met=equal == total)
    return result


async def _timed(call: Call, client: Client, seed: int) -> tuple[float, str]:
    started_at = time.perf_counter()
    text = await call(client, seed)
    milliseconds = (time.perf_counter() - started_at) * 1000
    return milliseconds, hashlib.sha256(base64.b64decode(text)).hexdigest()
