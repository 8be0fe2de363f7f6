"""The few requests that benchmarks make to sdrest."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from PIL import Image

from benchmarks.process import ServerProcess


def picture(size: int = 64, steps: int = 4, seed: int = 42, **more: Any) -> dict[str, Any]:
    """The body of one picture; the parameters that the peers are given too."""
    return {
        "prompt": "a red circle",
        "width": size,
        "height": size,
        "steps": steps,
        "cfg_scale": 1.0,
        "seed": seed,
        **more,
    }


def digest_of_png(text: str) -> str:
    """Digest of the pixels of a base64 PNG."""
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


class Client:
    """A connection to one server."""

    def __init__(self, server: ServerProcess, session: aiohttp.ClientSession) -> None:
        self.url = server.url
        self.session = session

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        """POST JSON; the reply. Raises RuntimeError with its text when the status is not 2xx."""
        async with self.session.post(self.url + path, json=body) as reply:
            text = await reply.text()
            if reply.status >= 300:
                raise RuntimeError(f"{path}: {reply.status} {text[:500]}")
            answer: dict[str, Any] = json.loads(text)
            return answer

    async def get(self, path: str) -> dict[str, Any]:
        """GET JSON; the reply. Raises RuntimeError as :meth:`post`."""
        async with self.session.get(self.url + path) as reply:
            text = await reply.text()
            if reply.status >= 300:
                raise RuntimeError(f"{path}: {reply.status} {text[:500]}")
            answer: dict[str, Any] = json.loads(text)
            return answer

    async def generate(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make pictures and wait for them."""
        return await self.post("/api/v1/generate", body)

    async def submit(self, body: dict[str, Any]) -> str:
        """Queue pictures; the job's id."""
        return str((await self.post("/api/generate/text2img", body))["job_id"])

    async def cancel(self, job_id: str) -> None:
        """Ask for the end of a job."""
        await self.post("/api/queue/cancel", {"job_id": job_id})

    async def events(self, job_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The job's Server-Sent Events as (name, data)."""
        async with self.session.get(f"{self.url}/api/jobs/{job_id}/events", timeout=None) as reply:
            name = ""
            async for raw in reply.content:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    yield name, json.loads(line[5:])

    async def ended(self, job_id: str) -> dict[str, Any]:
        """Wait for the end of a job; the job."""
        async for name, data in self.events(job_id):
            if name in {"snapshot", "state"} and data["status"] in {"completed", "failed", "cancelled"}:
                break
        return await self.get(f"/api/queue/job/{job_id}")
