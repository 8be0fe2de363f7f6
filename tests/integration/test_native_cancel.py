"""Cancelling real generations: how fast they end, and that nothing of them remains."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from sdrest.core.parameters import GenerationParameters
from sdrest.engine.child.binding import Cancelled, Context, ContextParams, Inputs, NativeError, NativeLibrary
from sdrest.engine.messages import LoraFile
from tests.native_child import in_child
from tests.tiny.fixtures import cached

SMALL = GenerationParameters(prompt="a red circle", width=64, height=64, seed=7, steps=2)
LARGE = replace(SMALL, width=512, height=512)
#: A loose bound for a shared machine; the measured milliseconds are printed.
SOON_MS = 2000


class Canceller:
    """Cancels from another thread, a while after a message or step; remembers when."""

    def __init__(self, library: NativeLibrary) -> None:
        self.library = library
        self.at = 0.0

    def _fire(self) -> None:
        self.at = time.perf_counter()
        self.library.cancel()

    def after_message(self, start: str, delay: float = 0.0) -> None:
        def heard(_level: str, text: str) -> None:
            if text.startswith(start):
                # Without a delay, the very next graph must find the request.
                threading.Timer(delay, self._fire).start() if delay else self._fire()

        self.library.on_log(heard)

    def after_step(self, wanted: int, delay: float) -> None:
        def heard(step: int, _steps: int, _seconds: float) -> None:
            if step == wanted:
                threading.Timer(delay, self._fire).start()

        self.library.on_progress(heard)

    def outcome(self, call: Callable[[], object]) -> float:
        """Milliseconds from the request to the end of ``call``, which must be cancelled."""
        with pytest.raises(Cancelled):
            call()
        took = (time.perf_counter() - self.at) * 1000
        self.library.on_log(None)
        self.library.on_progress(None)
        return took


def same(context: Context, reference: np.ndarray) -> bool:
    return bool((context.generate(SMALL)[0] == reference).all())


def _places(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    canceller = Canceller(library)
    took: dict[str, list[float]] = {}
    intact = []
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=2)) as context:
        reference = context.generate(SMALL)[0]
        cases: list[tuple[str, Callable[[float], None], GenerationParameters]] = [
            ("encoding", lambda _: canceller.after_message("sampling using"), SMALL),
            ("first step", lambda _: canceller.after_message("get_learned_condition completed"), SMALL),
            (
                "inside a step",
                lambda delay: canceller.after_step(1, delay / 10),
                replace(LARGE, steps=50),
            ),
            ("VAE decode", lambda delay: canceller.after_message("decoding", delay), LARGE),
        ]
        for place, arrange, params in cases:
            for delay in (0.2, 0.5, 0.9):
                arrange(delay)
                took.setdefault(place, []).append(canceller.outcome(lambda: context.generate(params)))  # noqa: B023
                intact.append(same(context, reference))
    return {"took": took, "intact": intact}


def test_soft_cancel_is_quick_everywhere_and_the_next_picture_is_the_same() -> None:
    result = in_child(_places, cached("ernie"))
    for place, times in result["took"].items():
        print(f"cancel, {place}: {', '.join(f'{t:.1f}' for t in times)} ms")
        assert max(times) < SOON_MS, place
    assert all(result["intact"])


def _requests(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=2)) as context:
        graphs = library.graphs_computed
        library.cancel()
        with pytest.raises(Cancelled):
            context.generate(SMALL)
        early = library.graphs_computed - graphs
        honoured = len(context.generate(SMALL))
        library.cancel()
        library.arm()
        forgotten = len(context.generate(SMALL))
        # After the last graph the picture is whole: it is delivered, and the request waits for the next call.
        library.on_log(
            lambda _level, text: library.cancel() if text.startswith("decode_first_stage completed") else None
        )
        late = len(context.generate(SMALL))
        library.on_log(None)
        with pytest.raises(Cancelled):
            context.generate(SMALL)
    return {"early": early, "honoured": honoured, "forgotten": forgotten, "late": late}


def test_a_request_is_honoured_once_and_can_be_withdrawn() -> None:
    assert in_child(_requests, cached("ernie")) == {"early": 0, "honoured": 1, "forgotten": 1, "late": 1}


def _many(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    canceller = Canceller(library)
    process = psutil.Process()
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=2)) as context:
        reference = context.generate(SMALL)[0]
        memory = []
        for i in range(60):
            if i % 2:
                canceller.after_step(1, 0.0)
                params = replace(SMALL, steps=50)
            else:
                canceller.after_message("decoding", 0.02)
                params = replace(LARGE, steps=1, width=256, height=256)
            canceller.outcome(lambda: context.generate(params))  # noqa: B023
            if i >= 9:
                memory.append(process.memory_info().rss)
        return {"first": memory[0], "last": memory[-1], "peak": max(memory), "intact": same(context, reference)}


def test_fifty_cancels_do_not_grow_memory() -> None:
    result = in_child(_many, cached("ernie"))
    grown = (result["last"] - result["first"]) / 2**20
    print(f"50 cancels: {result['first'] / 2**20:.1f} MiB → {result['last'] / 2**20:.1f} MiB ({grown:+.2f} MiB)")
    assert result["intact"]
    assert grown < 8


def _lora_merge(model: str, lora: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    canceller = Canceller(library)
    style = Inputs(loras=(LoraFile(path=lora, multiplier=0.8),))
    how = ContextParams(model=Path(model), vae_decode_only=True, threads=2, lora_apply_mode="immediately")
    with library.open_context(how) as context:
        plain = context.generate(SMALL)[0]
        reference = context.generate(SMALL, style)[0]
    with library.open_context(how) as context:
        canceller.after_message("apply lora immediately")
        canceller.outcome(lambda: context.generate(SMALL, style))
        after = context.generate(SMALL, style)[0]
        return {"same": bool((after == reference).all()), "styled": not bool((plain == reference).all())}


def test_cancel_while_lora_weights_are_merged_leaves_the_model_whole() -> None:
    assert in_child(_lora_merge, cached("ernie"), cached("ernie_lora")) == {"same": True, "styled": True}


def _upscaler(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    canceller = Canceller(library)
    tiles = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    picture = tiles[:16, :16]
    with library.open_upscaler(Path(model), 2, tile_size=32) as upscaler:
        reference = upscaler.upscale(picture)
        canceller.after_step(1, 0.0)
        took = canceller.outcome(lambda: upscaler.upscale(tiles))
        return {
            "factor": upscaler.factor,
            "shape": reference.shape,
            "took": took,
            "same": bool((upscaler.upscale(picture) == reference).all()),
        }


def test_upscaling_is_cancelled_between_operations() -> None:
    result = in_child(_upscaler, cached("esrgan"))
    print(f"cancel, upscaling: {result['took']:.1f} ms")
    side = 16 * result["factor"]
    assert result["factor"] in (2, 4)
    assert result["shape"] == [side, side, 3]
    assert result["took"] < SOON_MS
    assert result["same"]


def _without_interposition(model: str) -> dict[str, Any]:
    library = NativeLibrary.load(interpose=False)
    canceller = Canceller(library)
    refused = ""
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=2)) as context:
        reference = context.generate(SMALL)[0]
        canceller.after_step(2, 0.0)
        took = canceller.outcome(lambda: context.generate(replace(SMALL, steps=200)))
        try:
            with library.dry_run():
                pass
        except NativeError as error:
            refused = str(error)
        return {
            "soft": library.soft_cancel_available,
            "took": took,
            "same": same(context, reference),
            "dry_run": refused,
        }


def test_without_interposition_cancel_waits_for_the_step() -> None:
    result = in_child(_without_interposition, cached("ernie"))
    assert result["soft"] is False
    assert result["took"] < SOON_MS
    assert result["same"]
    assert "intercepted" in result["dry_run"]


def _loaded_before() -> dict[str, Any]:
    import stable_diffusion_cpp.stable_diffusion_cpp  # noqa: F401

    return {"soft": NativeLibrary.load().soft_cancel_available}


def test_a_library_that_was_loaded_before_the_shim_is_not_taken_for_interposed() -> None:
    assert in_child(_loaded_before) == {"soft": False}
