"""Cancelling real generations: they end where they are, and nothing of them remains."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from sdrest.core.parameters import GenerationParameters
from sdrest.engine import messages
from sdrest.engine.child.binding import Cancelled, Context, ContextParams, Inputs, NativeError, NativeLibrary
from sdrest.engine.child.runner import Runner
from sdrest.engine.messages import LoraFile
from tests.native_child import in_child
from tests.tiny.fixtures import cached

SMALL = GenerationParameters(prompt="a red circle", width=64, height=64, seed=7, steps=2)
#: Its decoding takes long enough to be cut short.
LARGE = replace(SMALL, width=512, height=512, steps=1)
MANY = replace(SMALL, width=256, height=256, steps=50)


class Canceller:
    """Cancels from another thread, a while after a message or step, and notes what the library says and does after it."""

    def __init__(self, library: NativeLibrary) -> None:
        self.library = library
        self.cancelled = False
        #: Messages and steps after the request.
        self.messages_after: list[str] = []
        self.steps_after = 0

    def _fire(self) -> None:
        self.library.cancel()
        self.cancelled = True

    def _watch(self, message: Callable[[str], bool], step: int | None, delay: float) -> None:
        def fire() -> None:
            # Without a delay, the very next graph must find the request.
            threading.Timer(delay, self._fire).start() if delay else self._fire()

        def said(_level: str, text: str) -> None:
            if self.cancelled:
                self.messages_after.append(text)
            elif message(text):
                fire()

        def stepped(number: int, _steps: int, _seconds: float) -> None:
            if self.cancelled:
                self.steps_after += 1
            elif number == step:
                fire()

        self.cancelled, self.messages_after, self.steps_after = False, [], 0
        self.library.on_log(said)
        self.library.on_progress(stepped)

    def after_message(self, start: str, delay: float = 0.0) -> None:
        self._watch(lambda text: text.startswith(start), None, delay)

    def after_step(self, wanted: int, delay: float = 0.0) -> None:
        self._watch(lambda _text: False, wanted, delay)

    def ends(self, call: Callable[[], object]) -> None:
        """``call`` is cancelled."""
        with pytest.raises(Cancelled):
            call()
        self.library.on_log(None)
        self.library.on_progress(None)


def same(context: Context, reference: np.ndarray) -> bool:
    return bool((context.generate(SMALL)[0] == reference).all())


def _places(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    canceller = Canceller(library)
    steps: dict[str, int] = {}
    decoded = []
    intact = []
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        reference = context.generate(SMALL)[0]
        cases: list[tuple[str, Callable[[], None], GenerationParameters]] = [
            ("encoding", lambda: canceller.after_message("sampling using"), SMALL),
            ("first step", lambda: canceller.after_message("get_learned_condition completed"), SMALL),
            ("between steps", lambda: canceller.after_step(1), MANY),
            ("inside a step", lambda: canceller.after_step(1, 0.03), MANY),
            ("VAE decode", lambda: canceller.after_message("decoding"), SMALL),
            ("inside the VAE decode", lambda: canceller.after_message("decoding", 0.01), LARGE),
        ]
        for place, arrange, params in cases:
            arrange()
            canceller.ends(lambda: context.generate(params))  # noqa: B023
            steps[place] = canceller.steps_after
            decoded += [text for text in canceller.messages_after if text.startswith("decode_first_stage completed")]
            intact.append(same(context, reference))
    return {"steps": steps, "decoded": decoded, "intact": intact}


def test_soft_cancel_works_everywhere_and_the_next_picture_is_the_same() -> None:
    result = in_child(_places, cached("ernie"))
    assert all(number <= 1 for number in result["steps"].values()), result["steps"]
    assert not result["decoded"]
    assert all(result["intact"])


def _requests(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
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


class _Skipper(Runner):
    """Runs tasks of three pictures, and skips the one that it is told to when it hears how far the work is."""

    def __init__(self, model: str, folder: str) -> None:
        super().__init__(NativeLibrary.load(), self._hear)
        spec = messages.ContextSpec(files=(("model", model),), options=(("threads", 1), ("vae_decode_only", True)))
        three = replace(SMALL, batch_count=3)
        self._task = messages.Generate(task="three", context=spec, parameters=three, folder=folder)
        self._skips: Callable[[int], int] = int
        self._heard: list[messages.Report] = []

    def _hear(self, report: messages.Report) -> None:
        self._heard.append(report)
        if isinstance(report, messages.Progressed) and report.phase == "sample" and (it := self._skips(report.image)):
            self.turns.skip("three", it)

    def ending(self, skips: Callable[[int], int]) -> list[Any]:
        """The seeds that are made when, during each picture, ``skips`` names one to skip (0: none); and the task's end."""
        self._heard, self._skips = [], skips
        self.run(self._task)
        last = self._heard[-1]
        seeds = [report.seed for report in self._heard if isinstance(report, messages.PictureMade)]
        return [seeds, last.result["skipped"] if isinstance(last, messages.Done) else getattr(last, "slug", "")]


def _skips(model: str, folder: str) -> dict[str, Any]:
    skipper = _Skipper(model, folder)
    return {
        "none": skipper.ending(lambda _image: 0),
        "the running": skipper.ending(lambda image: 2 if image == 2 else 0),
        "a waiting": skipper.ending(lambda image: 3 if image == 1 else 0),
        "a finished": skipper.ending(lambda image: 1 if image == 2 else 0),
        "all": skipper.ending(lambda image: image),
    }


def test_single_pictures_are_skipped_and_the_others_are_made(tmp_path: Path) -> None:
    seed = SMALL.seed
    assert in_child(_skips, cached("ernie"), tmp_path) == {
        "none": [[seed, seed + 1, seed + 2], 0],
        "the running": [[seed, seed + 2], 1],
        "a waiting": [[seed, seed + 1], 1],
        "a finished": [[seed, seed + 1, seed + 2], 0],
        "all": [[], "cancelled"],
    }


def _many(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    canceller = Canceller(library)
    process = psutil.Process()
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        reference = context.generate(SMALL)[0]
        memory = []
        for i in range(60):
            if i % 2:
                canceller.after_step(1)
                params = replace(SMALL, steps=50)
            else:
                canceller.after_message("decoding")
                params = replace(SMALL, steps=1, width=128, height=128)
            canceller.ends(lambda: context.generate(params))  # noqa: B023
            if i >= 9:
                memory.append(process.memory_info().rss)
        return {"first": memory[0], "last": memory[-1], "peak": max(memory), "intact": same(context, reference)}


@pytest.mark.slow
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
    how = ContextParams(model=Path(model), vae_decode_only=True, threads=1, lora_apply_mode="immediately")
    with library.open_context(how) as context:
        plain = context.generate(SMALL)[0]
        reference = context.generate(SMALL, style)[0]
    with library.open_context(how) as context:
        canceller.after_message("apply lora immediately")
        canceller.ends(lambda: context.generate(SMALL, style))
        after = context.generate(SMALL, style)[0]
        return {"same": bool((after == reference).all()), "styled": not bool((plain == reference).all())}


@pytest.mark.slow
def test_cancel_while_lora_weights_are_merged_leaves_the_model_whole() -> None:
    assert in_child(_lora_merge, cached("ernie"), cached("ernie_lora")) == {"same": True, "styled": True}


def _upscaler(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    canceller = Canceller(library)
    tiles = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    picture = tiles[:16, :16]
    with library.open_upscaler(Path(model), 2, tile_size=32) as upscaler:
        reference = upscaler.upscale(picture)
        canceller.after_step(1)
        canceller.ends(lambda: upscaler.upscale(tiles))
        return {
            "factor": upscaler.factor,
            "shape": reference.shape,
            "tiles": canceller.steps_after,
            "same": bool((upscaler.upscale(picture) == reference).all()),
        }


def test_upscaling_is_cancelled_between_operations() -> None:
    result = in_child(_upscaler, cached("esrgan"))
    side = 16 * result["factor"]
    assert result["factor"] in (2, 4)
    assert result["shape"] == [side, side, 3]
    assert result["tiles"] <= 1
    assert result["same"]


def _without_interposition(model: str) -> dict[str, Any]:
    library = NativeLibrary.load(interpose=False)
    canceller = Canceller(library)
    refused = ""
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        reference = context.generate(SMALL)[0]
        canceller.after_step(2)
        canceller.ends(lambda: context.generate(replace(SMALL, steps=200)))
        try:
            with library.dry_run():
                pass
        except NativeError as error:
            refused = str(error)
        return {
            "soft": library.soft_cancel_available,
            "steps": canceller.steps_after,
            "same": same(context, reference),
            "dry_run": refused,
        }


def test_without_interposition_cancel_waits_for_the_step() -> None:
    result = in_child(_without_interposition, cached("ernie"))
    assert result["soft"] is False
    assert result["steps"] <= 1
    assert result["same"]
    assert "intercepted" in result["dry_run"]


def _loaded_before() -> dict[str, Any]:
    import stable_diffusion_cpp.stable_diffusion_cpp  # noqa: F401

    return {"soft": NativeLibrary.load().soft_cancel_available}


def test_a_library_that_was_loaded_before_the_shim_is_not_taken_for_interposed() -> None:
    assert in_child(_loaded_before) == {"soft": False}
