"""Measuring memory without computing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sdrest.core.parameters import GenerationParameters
from sdrest.engine.child.binding import BufferReport, ContextParams, Inputs, NativeLibrary
from sdrest.engine.messages import LoraFile
from tests.native_child import in_child
from tests.tiny.fixtures import cached

SMALL = GenerationParameters(prompt="a red circle on white", width=128, height=128, seed=7, steps=2)


def _dry(model: str, lora: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    how = ContextParams(model=Path(model), vae_decode_only=True, threads=1, lora_apply_mode="immediately")
    real = BufferReport()
    with library.open_context(how) as context:
        library.on_log(lambda _level, text: real.feed(text))
        reference = context.generate(SMALL)[0]
        library.on_log(None)
        graphs = library.graphs_computed
        with library.dry_run() as dry:
            nothing = context.generate(SMALL)
        computed = library.graphs_computed - graphs
        with library.dry_run() as large:
            context.generate(replace(SMALL, width=1024, height=1024, batch_count=2, steps=20))
        same = bool((context.generate(SMALL)[0] == reference).all())
        style = Inputs(loras=(LoraFile(path=lora, multiplier=1.0),))
        with library.dry_run():
            context.generate(SMALL, style)
        merged = context.generate(SMALL, style)[0]
    with library.open_context(how) as context:
        same_merge = bool((context.generate(SMALL, style)[0] == merged).all())
    return {
        "real": [(buffer.part, buffer.bytes) for buffer in real.compute],
        "dry": [(buffer.part, buffer.bytes) for buffer in dry.compute],
        "largest": large.largest_compute_bytes,
        "small": dry.largest_compute_bytes,
        "pictures": len(nothing),
        "computed": computed,
        "same": same,
        "same_merge": same_merge,
    }


def test_a_dry_run_reserves_what_a_real_one_does_and_computes_nothing() -> None:
    found = in_child(_dry, cached("ernie"), cached("ernie_lora"))
    assert found["dry"] == found["real"]
    assert {"ernie_image", "vae"} <= {part for part, _ in found["dry"]}
    assert found["computed"] == 0
    assert found["pictures"] == 0
    assert found["largest"] > 10 * found["small"] > 0
    assert found["same"]
    assert found["same_merge"]
