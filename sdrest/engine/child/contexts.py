"""The models that the child holds in memory, within a budget."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sdrest.engine import messages
from sdrest.engine.child import binding
from sdrest.engine.child.phases import Phases


class OutOfBudget(Exception):
    """A task needs more memory than the budget allows, even alone; the text says how much.

    ``compute_bytes`` is what its computing alone takes, 0 where that was not asked for.
    """

    def __init__(self, message: str, compute_bytes: int = 0) -> None:
        super().__init__(message)
        self.compute_bytes = compute_bytes


@dataclass(slots=True)
class _Held:
    context: binding.Context
    #: What loading it takes of the budget, in bytes.
    nbytes: int
    weights_bytes: int


def memory_bytes() -> int:
    """Resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def trim() -> None:
    """Give freed memory back to the system: glibc keeps it otherwise."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


class Contexts:
    """Loaded contexts by their spec, the least recently used first."""

    def __init__(
        self, library: binding.NativeLibrary, phases: Phases, changed: Callable[[messages.ContextChanged], None]
    ) -> None:
        self._library = library
        self._phases = phases
        self._changed = changed
        self._held: dict[messages.ContextSpec, _Held] = {}

    @property
    def loaded(self) -> tuple[str, ...]:
        """Main files of the held contexts, the least recently used first."""
        return tuple(spec.main for spec in tuple(self._held))

    def get(self, spec: messages.ContextSpec, demand: messages.Demand) -> tuple[binding.Context, float]:
        """The context of ``spec``, loaded if need be, and the seconds that loading took.

        Others are freed, least recently used first, until it fits the budget.

        Raises:
            OutOfBudget: it does not fit the budget even alone.
            binding.NativeError: it cannot be loaded; contexts held before may be gone.
        """
        if spec in self._held:
            held = self._held[spec] = self._held.pop(spec)  # now the most recently used
            self.make_room(demand, spec)
            return held.context, 0.0
        self._phases.enter("load")
        self._make_room(demand.budget, demand.weights + demand.compute + messages.CONTEXT_OVERHEAD_BYTES)
        before = memory_bytes()
        started_at = time.monotonic()
        context = self._library.open_context(_params(spec))
        seconds = time.monotonic() - started_at
        weights = sum(buffer.bytes for buffer in context.weights.weights)
        # Weights that stay in the machine's memory take none of the device's but for what is computed with.
        offloads = dict(spec.options).get("offload_params_to_cpu")
        nbytes = demand.weights if offloads else max(weights, memory_bytes() - before)
        self._held[spec] = _Held(context, nbytes, weights)
        self._tell(spec, loaded=True, seconds=seconds)
        return context, seconds

    def make_room(self, demand: messages.Demand, keep: messages.ContextSpec) -> None:
        """Free others until what ``keep`` computes fits beside it.

        Raises:
            OutOfBudget: it does not fit even alone.
        """
        self._make_room(demand.budget, demand.compute, keep)

    def weights_bytes(self, spec: messages.ContextSpec) -> int:
        """Memory of the weights of a held context."""
        return self._held[spec].weights_bytes

    def discard(self, spec: messages.ContextSpec) -> None:
        """Free a context that is not needed, or that a failure may have spoilt."""
        held = self._held.pop(spec, None)
        if held is not None:
            held.context.close()
            trim()
            self._tell(spec, loaded=False)

    def close(self, main: str = "") -> int:
        """Free the contexts whose main file is ``main``, or all; how many there were."""
        chosen = [spec for spec in self._held if not main or spec.main == main]
        for spec in chosen:
            self.discard(spec)
        return len(chosen)

    def _make_room(self, budget: int, needed: int, keep: messages.ContextSpec | None = None) -> None:
        while budget and sum(held.nbytes for held in self._held.values()) + needed > budget:
            oldest = next((spec for spec in self._held if spec != keep), None)
            if oldest is None:
                total = needed + (self._held[keep].nbytes if keep else 0)
                raise OutOfBudget(
                    f"this needs about {_mib(total)} MiB and the memory budget is {_mib(budget)} MiB; choose a smaller size, "
                    "VAE tiling, or a smaller quantization of the model, or raise memory_budget_bytes",
                    needed if keep else 0,
                )
            self.discard(oldest)

    def _tell(self, spec: messages.ContextSpec, *, loaded: bool, seconds: float = 0.0) -> None:
        self._changed(
            messages.ContextChanged(context=spec, loaded=loaded, seconds=seconds, memory_bytes=memory_bytes())
        )


def _params(spec: messages.ContextSpec) -> binding.ContextParams:
    values: dict[str, Any] = {field: Path(path) for field, path in spec.files}
    values |= dict(spec.options)
    embeddings = tuple(binding.Embedding(name=name, path=Path(path)) for name, path in spec.embeddings)
    return binding.ContextParams(**values, embeddings=embeddings)


def _mib(nbytes: int) -> int:
    return -(-nbytes // (1 << 20))
