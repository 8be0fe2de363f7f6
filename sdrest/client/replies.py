"""What the server answers, as values. Fields that a newer server adds are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. ``stage`` is wait, load, encode, sample, decode, upscale, save or work; work on files tells its bytes."""

    stage: str = "wait"
    step: int = 0
    total_steps: int = 0
    percent: float = 0.0
    fraction: float = 0.0
    image: int = 0
    images: int = 0
    eta_seconds: float | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: float | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One finished file of a job; ``url`` is its path on the server."""

    filename: str
    url: str
    media_type: str = "image/png"
    seed: int | None = None
    width: int = 0
    height: int = 0
    size_bytes: int = 0


class ModelName(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a job."""

    id: str = ""
    name: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed, with the last words of the native library."""

    slug: str
    message: str
    log_tail: tuple[str, ...] = ()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job. ``status`` is pending, running, completed, failed or cancelled; ``params`` what it was really made with."""

    job_id: str
    status: str
    type: str = ""
    progress: Progress = Progress()
    position: int | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    params: dict[str, Any] = {}
    model: ModelName = ModelName()
    images: tuple[Image, ...] = ()
    outputs: tuple[str, ...] = ()
    output_urls: tuple[str, ...] = ()
    generation_time: float | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    failure: Failure | None = None

    @property
    def is_finished(self) -> bool:
        """Whether it has reached one of its three ends."""
        return self.status in {"completed", "failed", "cancelled"}


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One model in the list of models."""

    id: str = ""
    name: str = ""
    type: str = ""
    filename: str = ""
    architecture: str | None = None
    quantization: str | None = None
    path: str = ""
    size: int = 0


class SetFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a model set, and which part of it it is: checkpoint, diffusion_model, vae, t5xxl …"""

    name: str
    part: str = ""
    type: str = ""


class SetChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One way to get a model set; sizes in bytes, partly rounded, None where one is unknown."""

    quantisation: str = ""
    size_bytes: int | None = None
    memory_bytes: int | None = None
    here: bool = False
    files: tuple[SetFile, ...] = ()


class ModelSet(msgspec.Struct, frozen=True, kw_only=True):
    """A model with all the files that it needs; ``chosen`` is the quantisation that fits the server's machine."""

    name: str
    title: str = ""
    about: str = ""
    licence: str = ""
    chosen: str = ""
    reason: str = ""
    choices: tuple[SetChoice, ...] = ()


class PulledFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a pulled set, and the job that downloads it; None: it is there."""

    name: str
    type: str = ""
    size_bytes: int | None = None
    job_id: str | None = None
    hash_compared: bool = False


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What a pull came to: which quantisation, why, and the files."""

    name: str
    quantisation: str = ""
    reason: str = ""
    files: tuple[PulledFile, ...] = ()


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A preview of a running job; ``image`` is a ``data:`` URL."""

    step: int
    width: int
    height: int
    image: str


class HubFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file on a hub; ``source`` is what downloads it. ``size`` in bytes, None where it is not told."""

    name: str
    source: str
    type: str
    size: int | None = None
    fits: str = "unknown"


class HubModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model on a hub; ``runs`` and ``fits`` are yes, no or unknown."""

    hub: str
    id: str
    name: str
    creator: str = ""
    type: str = ""
    base_model: str = ""
    version: str = ""
    licence: str = ""
    trigger_words: tuple[str, ...] = ()
    rating: str = "pg"
    downloads: int = 0
    page: str = ""
    gated: bool = False
    runs: str = "unknown"
    fits: str = "unknown"
    here: bool = False
    files: tuple[HubFile, ...] = ()
    previews: tuple[str, ...] = ()


class HubListing(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found; ``hidden`` models do not run or fit, ``problems`` says which hubs could not be asked."""

    models: tuple[HubModel, ...]
    hidden: int = 0
    problems: tuple[str, ...] = ()
