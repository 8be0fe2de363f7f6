"""How much memory a job takes: weights from the file headers, compute buffers from dry runs, kept across starts."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import psutil

from sdrest.core.errors import InsufficientMemory
from sdrest.core.files import atomic_file
from sdrest.core.parameters import GenerationParameters, VideoParameters
from sdrest.engine import messages
from sdrest.planning.context_specs import ContextPlan

#: Share of the machine's memory for models and what they compute, when the setting names none.
_RAM_SHARE: Final = 0.75
_DEVICE_SHARE: Final = 0.95
_KEPT: Final = 5000
#: Prompts up to this length are as good as all others of theirs, in steps of so many bytes.
_SHORT_TEXT_BYTES: Final = 512
_TEXT_STEP_BYTES: Final = 64
_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Memory of one job in bytes; ``compute`` is 0 while it is not known, and ``total`` then a lower bound."""

    weights: int
    compute: int
    budget: int

    @property
    def total(self) -> int:
        """Everything the job takes at its peak."""
        return self.weights + self.compute + messages.CONTEXT_OVERHEAD_BYTES

    @property
    def fits(self) -> bool:
        """Whether it fits the budget when nothing else is loaded."""
        return self.total <= self.budget


class ComputeSizes:
    """What dry runs told, kept in a file; safe to use from several threads."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._known: dict[str, int] = _read(file) if file else {}

    def get(self, key: str) -> int:
        """Bytes of the largest compute buffer; 0 while it is not known."""
        return self._known.get(key, 0)

    def keep(self, key: str, compute_bytes: int) -> None:
        """Keep what an engine found out, on disk too."""
        with self._lock:
            if not compute_bytes or self._known.get(key) == compute_bytes:
                return
            self._known[key] = compute_bytes
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
            if self._file is not None:
                with atomic_file(self._file) as stream:
                    stream.write(json.dumps(self._known).encode())


class MemoryPlanner:
    """Estimates jobs, and learns from an engine's dry runs.

    Args:
        sizes: What is known of compute buffers, of all engines.
        budget_bytes: What an engine may take; 0: most of its device's memory, or its share of the machine's.
        libraries: What the library said of itself in each engine that may get the jobs: the smallest says what fits.
        shared_by: How many engines share a device's or the machine's memory.
        elsewhere: What the largest engine of other machines may take that carries out the same jobs; 0 where there is none.
        works: Whether an engine of this machine carries any out. Where none does, nothing is too large: a larger one may come.
    """

    def __init__(
        self,
        sizes: ComputeSizes,
        *,
        budget_bytes: int = 0,
        libraries: Callable[[], Sequence[messages.Ready | None]] = lambda: [None],
        shared_by: int = 1,
        elsewhere: Callable[[], int] = lambda: 0,
        works: bool = True,
    ) -> None:
        self._sizes = sizes
        self._budget_bytes = budget_bytes
        self._libraries = libraries
        self._shared_by = shared_by
        self._elsewhere = elsewhere
        self._works = works

    def budget(self) -> int:
        """Bytes that loaded models and their work may take: the setting, or a share of the device's or machine's memory; or what
        they may take elsewhere, where that is more, or nothing is done here.
        """
        elsewhere = self._elsewhere()
        return elsewhere if elsewhere and not self._works else max(self._own(), elsewhere)

    def _own(self) -> int:
        return self._budget_bytes or min(_memory_of(library) for library in self._libraries()) // self._shared_by

    def estimate(self, plan: ContextPlan, parameters: GenerationParameters, *, offload: bool | None = None) -> Estimate:
        """What is known of a job's memory; ``offload`` as the plan has it, unless it is told."""
        offloads = (plan.offloads if offload is None else offload) and self.can_offload(plan)
        weights = plan.largest_bytes if offloads else plan.weights_bytes
        return Estimate(weights, self._sizes.get(_key(plan, parameters)), self.budget())

    def can_offload(self, plan: ContextPlan) -> bool:
        """Whether there is a device with memory of its own, and room beside it for the weights."""
        has_device = all(_devices_of(library) for library in self._libraries())
        return has_device and plan.weights_bytes <= machine_memory_bytes() * _RAM_SHARE / self._shared_by

    def check(self, plan: ContextPlan, parameters: GenerationParameters) -> Estimate:
        """The estimate of a job.

        Raises:
            InsufficientMemory: it cannot fit the budget even alone.
        """
        estimate = self.estimate(plan, parameters)
        if self._works and not estimate.fits:
            raise InsufficientMemory(
                f"this needs about {estimate.total >> 20} MiB ({estimate.weights >> 20} MiB of weights) and the memory budget is "
                f"{estimate.budget >> 20} MiB; choose a smaller size, VAE tiling, or a smaller quantization of the model, or "
                "raise memory_budget_bytes",
                needed_bytes=estimate.total,
                budget_bytes=estimate.budget,
            )
        return estimate

    def demand(self, plan: ContextPlan, parameters: GenerationParameters) -> messages.Demand:
        """The estimate as the engine takes it."""
        estimate = self.estimate(plan, parameters)
        return messages.Demand(budget=estimate.budget, weights=estimate.weights, compute=estimate.compute)

    def learn(self, plan: ContextPlan, parameters: GenerationParameters, compute_bytes: int) -> None:
        """Keep what the engine found out, on disk too."""
        self._sizes.keep(_key(plan, parameters), compute_bytes)


def _devices_of(library: messages.Ready | None) -> list[int]:
    """Memory of each device that has some of its own."""
    return [device.memory_total for device in library.devices if device.type == "gpu"] if library else []


def _memory_of(library: messages.Ready | None) -> int:
    devices = _devices_of(library)
    return int(max(devices) * _DEVICE_SHARE) if devices else int(machine_memory_bytes() * _RAM_SHARE)


@functools.cache
def machine_memory_bytes() -> int:
    """Memory of the machine, or of the container that we are in, as it was when first asked for."""
    total = int(psutil.virtual_memory().total)
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total


def _key(plan: ContextPlan, parameters: GenerationParameters) -> str:
    """Everything that buffers depend on; seeds, steps and strengths do not matter."""
    parts: dict[str, object] = {
        "context": msgspec.to_builtins(plan.spec),
        "weights": plan.weights_bytes,
        "size": (parameters.width, parameters.height),
        "tiling": dataclasses.asdict(parameters.vae_tiling),
        "hires": dataclasses.asdict(parameters.hires) if parameters.hires.enabled else None,
        "pictures": {field: len(names) for field, names in input_files(parameters).items()},
        "frames": parameters.video_frames if isinstance(parameters, VideoParameters) else 0,
        "texts": [_text_key(text, plan) for text in (parameters.prompt, parameters.negative_prompt)],
    }
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:24]


def _text_key(text: str, plan: ContextPlan) -> object:
    """What a prompt adds to buffers: its length in steps, where that bounds its tokens closely enough, else all of it.

    Text encoders' buffers grow with the square of the tokens, and texts of equal length may have four times as many.
    """
    length = len(text.encode(errors="surrogatepass"))
    if length > _SHORT_TEXT_BYTES or plan.spec.embeddings or "BREAK" in text:
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return -(-length // _TEXT_STEP_BYTES)


def _read(file: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.MsgspecError):
        return {}


#: Parameters that hold several pictures, with their names in the engine's messages.
_PICTURE_FIELDS: Final = (
    "init_image",
    "mask_image",
    "control_image",
    "end_image",
    "control_frames",
    "ref_images",
    "pm_id_images",
)


def input_files(parameters: object) -> dict[str, tuple[str, ...]]:
    """Names of a job's stored input pictures by parameter; absent ones are left out."""
    found: dict[str, tuple[str, ...]] = {}
    for field in _PICTURE_FIELDS:
        value = getattr(parameters, field, "")
        if value:
            found[field] = (value,) if isinstance(value, str) else tuple(value)
    return found
