"""What can be asked of a server, written once for both clients; each of them has its own way to send, listen and pause."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from sdrest.client import exchange
from sdrest.client.errors import JobFailed
from sdrest.client.exchange import JobEvents, OnPreview, OnProgress
from sdrest.client.replies import HubListing, Image, Job, ModelSet, ModelSummary, Pulled


class Calls(ABC):
    """All calls, on top of three that carry the bytes."""

    @abstractmethod
    async def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        """The reply, read to its end, whatever its status."""

    @abstractmethod
    async def _listen(self, path: str, events: JobEvents) -> None:
        """Feed the lines of a stream until the job or the stream ends. Raises :class:`ServerError` when it is refused."""

    @abstractmethod
    async def _pause(self, seconds: float) -> None:
        """Wait."""

    async def submit(self, /, mode: str = "text2img", **parameters: Any) -> Job:
        """Queue a job on ``/api/generate/{mode}``; it is on the server's disk when this returns.

        Args:
            mode: text2img, img2img, inpainting, controlnet, upscale or video.
            parameters: The route's fields. Pictures may be bytes, paths, base64 text or URLs.

        Raises:
            ServerError: a parameter is wrong, the model is not there, the queue is full …
        """
        body = exchange.body_of(parameters)
        return exchange.checked(await self._request("POST", f"/api/generate/{mode}", json=body), Job)

    async def job(self, job: Job | str) -> Job:
        """The job as it is now. Raises :class:`ServerError` when it is not there."""
        return exchange.checked(await self._request("GET", f"/api/queue/job/{_id(job)}"), Job)

    async def cancel(self, job: Job | str) -> None:
        """Cancel a pending or running job. Raises :class:`ServerError` when it has ended."""
        exchange.refuse(await self._request("POST", "/api/queue/cancel", json={"job_id": _id(job)}))

    async def wait(
        self, job: Job | str, *, on_progress: OnProgress | None = None, on_preview: OnPreview | None = None
    ) -> Job:
        """The job when it has ended, however it ended. A lost connection is taken up again for a minute.

        Raises:
            ServerError: there is no such job.
            httpx.TransportError: the server is gone.
        """
        lost_at: float | None = None
        while True:
            events = JobEvents(on_progress, on_preview)
            try:
                await self._listen(f"/api/jobs/{_id(job)}/events", events)
                if events.ended:
                    return await self.job(job)
                lost_at = None
            except httpx.TransportError:
                lost_at = time.monotonic() if lost_at is None or events.heard else lost_at
                if time.monotonic() - lost_at > exchange.RECONNECT_SECONDS:
                    raise
            await self._pause(exchange.PAUSE_SECONDS)

    async def download(self, job: Job, image: Image | int = 0) -> bytes:
        """The bytes of one finished picture, by its number or as listed in ``job.images``.

        Raises:
            ServerError: the file is not there (any more).
        """
        chosen = job.images[image] if isinstance(image, int) else image
        path = f"/api/v1/jobs/{_id(job)}/output/{quote(chosen.filename)}"
        reply = await self._request("GET", path)
        exchange.refuse(reply)
        return reply.content

    async def save(self, job: Job, target: str | PathLike[str]) -> list[Path]:
        """Write all pictures of a job to ``target``, further ones to names with -1, -2 … before the ending; the files."""
        files = []
        for index, image in enumerate(job.images):
            path = exchange.target_of(target, index)
            path.write_bytes(await self.download(job, image))
            files.append(path)
        return files

    async def generate(
        self, /, mode: str = "text2img", *, on_progress: OnProgress | None = None, **parameters: Any
    ) -> list[bytes]:
        """Submit, wait, and download: the finished pictures.

        Raises:
            ServerError: as :meth:`submit`.
            JobFailed: the job failed or was cancelled.
        """
        job = await self.wait(await self.submit(mode, **parameters), on_progress=on_progress)
        if job.status != "completed":
            raise JobFailed(job)
        return [await self.download(job, image) for image in job.images]

    async def models(self, /, **query: str | int) -> Sequence[ModelSummary]:
        """The models; ``type``, ``search``, ``page`` and the other fields of ``GET /api/models`` restrict the list."""
        listed = exchange.checked(await self._request("GET", "/api/models", params=query), dict[str, Any])
        return [exchange.model_of(item) for item in listed.get("models", ())]

    async def download_model(self, source: str, *, type: str = "", path: str = "", sha256: str = "") -> Job:  # noqa: A002
        """Queue a download on the server; see ``POST /api/models/download``.

        Args:
            source: A URL, ``hf:owner/repository/file@revision``, or ``civitai:VERSION``.
            type: Which folder it goes to; CivitAI tells it.
            path: Sub-folder, file name, or both, within that folder.
            sha256: Hash that the file must have.

        Raises:
            ServerError: a field is wrong, the file exists …
        """
        body = {"source": source, "type": type, "path": path, "sha256": sha256}
        return exchange.checked(await self._request("POST", "/api/models/download", json=body), Job)

    async def model_sets(self) -> Sequence[ModelSet]:
        """The model sets that the server knows."""
        listed = exchange.checked(await self._request("GET", "/api/model-sets"), dict[str, Any])
        return [msgspec.convert(item, ModelSet) for item in listed.get("sets", ())]

    async def search_hubs(
        self,
        query: str,
        *,
        hub: str = "",
        type: str = "",  # noqa: A002 - as the route calls it
        runs: bool = True,
        fits: bool = True,
        limit: int = 20,
    ) -> HubListing:
        """Models on CivitAI and Hugging Face, as the server sees them; see ``GET /api/hubs/search``.

        Raises:
            ServerError: not allowed, or a value is wrong. A hub that does not answer is among the reply's ``problems``.
        """
        asked: dict[str, Any] = {"query": query, "hub": hub, "type": type, "limit": limit}
        asked |= {"runs": str(runs).lower(), "fits": str(fits).lower()}
        return exchange.checked(await self._request("GET", "/api/hubs/search", params=asked), HubListing)

    async def pull(self, name: str, *, quantisation: str = "") -> Pulled:
        """Queue the downloads of a model set's files that are not there; see ``POST /api/model-sets/{name}/pull``.

        Raises:
            ServerError: there is no such set, or no such quantisation of it …
        """
        path = f"/api/model-sets/{quote(name, safe='')}/pull"
        return exchange.checked(await self._request("POST", path, json={"quantisation": quantisation}), Pulled)


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.job_id
