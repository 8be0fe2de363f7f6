"""Pictures from the real library through the binding."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from sdrest.core.parameters import GenerationParameters, Tiling
from sdrest.engine.child.binding import ContextParams, Inputs, NativeLibrary, Picture
from tests.native_child import in_child
from tests.tiny.fixtures import cached

PARAMS = GenerationParameters(prompt="a red circle", width=64, height=64, seed=7, steps=4)


def digest(picture: Picture) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def _pictures(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        first = context.generate(PARAMS)[0]
        pair = context.generate(replace(PARAMS, batch_count=2))
        return {
            "shape": first.shape,
            "type": str(first.dtype),
            "deviation": float(first.std()),
            "first": digest(first),
            "again": digest(context.generate(PARAMS)[0]),
            "next_seed": digest(context.generate(replace(PARAMS, seed=8))[0]),
            "pair": [digest(picture) for picture in pair],
            "other_prompt": digest(context.generate(replace(PARAMS, prompt="two blue squares"))[0]),
            "wide": context.generate(replace(PARAMS, width=96))[0].shape,
            "graphs": library.graphs_computed,
        }


def test_same_seed_gives_same_bytes_and_a_batch_counts_seeds_up() -> None:
    made = in_child(_pictures, cached("ernie"))
    assert made["shape"] == [64, 64, 3]
    assert made["type"] == "uint8"
    assert made["deviation"] > 1
    assert made["first"] == made["again"]
    assert made["pair"] == [made["first"], made["next_seed"]]
    assert len({made["first"], made["next_seed"], made["other_prompt"]}) == 3
    assert made["wide"] == [64, 96, 3]
    assert made["graphs"] > 0


def _about(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        return {
            "version": library.version,
            "info": library.system_info,
            "cores": library.physical_cores,
            "soft": library.soft_cancel_available,
            "devices": [(d.type, d.backend, d.memory_total) for d in library.devices()],
            "image": context.supports_image,
            "video": context.supports_video,
            "weights": [buffer.bytes for buffer in context.weights.weights],
            "parts": [buffer.part for buffer in context.weights.weights],
        }


def test_library_and_model_tell_what_they_can() -> None:
    about = in_child(_about, cached("ernie"))
    assert about["version"].startswith("0.4")
    assert "=" in about["info"]
    assert about["cores"] >= 1
    assert about["soft"] is True
    assert any(kind == "cpu" and memory > 1 << 28 for kind, _, memory in about["devices"])
    assert (about["image"], about["video"]) == (True, False)
    assert "vae" in about["parts"]
    assert sum(about["weights"]) > 1 << 20


def _callbacks(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    steps: list[tuple[int, int]] = []
    levels: set[str] = set()
    frames: list[tuple[int, ...]] = []
    library.on_log(lambda level, text: levels.add(f"{level}:{text.partition(' ')[0]}"))
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        library.on_progress(lambda step, count, seconds: steps.append((step, count)))
        library.on_preview(lambda step, pictures, noisy: frames.append((step, *pictures[0].shape)), mode="proj")
        context.generate(PARAMS)
        library.on_preview(None)
        library.on_progress(None)
        context.generate(PARAMS)
    return {"steps": steps, "logged": sorted(levels), "frames": frames}


def test_callbacks_hear_of_steps_previews_and_messages() -> None:
    heard = in_child(_callbacks, cached("ernie"))
    assert heard["steps"] == [[step, 4] for step in range(5)]
    assert [frame[0] for frame in heard["frames"]] == [1, 2, 3, 4]
    assert {tuple(frame[1:]) for frame in heard["frames"]} == {(8, 8, 3)}
    assert "info:generate_image" in heard["logged"]


def _callback_error(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()

    def fail(step: int, steps: int, seconds: float) -> None:
        raise LookupError(f"at step {step}")

    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        library.on_progress(fail)
        with pytest.raises(LookupError, match="at step 0"):
            context.generate(PARAMS)
        library.on_progress(None)
        return {"after": len(context.generate(PARAMS))}


def test_an_exception_in_a_callback_ends_the_call_and_comes_out_of_it() -> None:
    assert in_child(_callback_error, cached("ernie"))["after"] == 1


def _results(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    large = replace(PARAMS, width=512, height=512, batch_count=4, steps=1)
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        kept = context.generate(PARAMS)[0]
        before = digest(kept)
        view = kept[10:20]
        del kept
        rss = 0
        with library.dry_run():  # the library allocates the same results, only their bytes are undefined
            for i in range(15):
                context.generate(large)
                rss = rss or (psutil.Process().memory_info().rss if i == 2 else 0)
        grown = psutil.Process().memory_info().rss - rss
        return {"grown": grown, "kept": before == digest(np.asarray(view.base))}


@pytest.mark.slow
def test_results_live_as_long_as_an_array_and_no_longer() -> None:
    result = in_child(_results, cached("ernie"))
    print(f"12 × 4 pictures of 512×512 dropped: memory grew by {result['grown'] / 2**20:.1f} MiB (pictures: 36 MiB)")
    assert result["kept"]
    assert result["grown"] < 12 << 20


def _path(model: str) -> dict[str, Any]:
    with NativeLibrary.load().open_context(
        ContextParams(model=Path(model), vae_decode_only=True, threads=1)
    ) as context:
        return {"sha256": digest(context.generate(PARAMS)[0])}


@pytest.mark.slow
def test_paths_with_spaces_and_accents(tmp_path: Path) -> None:
    odd = tmp_path / "mes modèles – 模型" / "cercle à 50 %.gguf"
    odd.parent.mkdir()
    shutil.copyfile(cached("ernie"), odd)
    assert in_child(_path, odd) == in_child(_path, cached("ernie"))


def _from_pictures(ovis: str, tae: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    generator = np.random.default_rng(1)
    start = generator.integers(0, 256, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    with library.open_context(ContextParams(model=Path(ovis), taesd=Path(tae), threads=1)) as context:
        asked = replace(PARAMS, strength=0.5)
        pictures = {"init_image": [start]}
        plain = context.generate(asked, Inputs(pictures=pictures))[0]
        masked = context.generate(asked, Inputs(pictures={**pictures, "mask_image": [mask]}))[0]
        tiling = Tiling(enabled=True, tile_size_x=4, tile_size_y=4)
        tiled = context.generate(replace(asked, vae_tiling=tiling), Inputs(pictures=pictures))[0]
        sizes = []
        for field, wrong in (("init_image", start[:32]), ("mask_image", mask[:, :8]), ("control_image", mask)):
            with pytest.raises(ValueError, match=field):
                context.generate(asked, Inputs(pictures={**pictures, field: [wrong]}))
            sizes.append(field)
        return {
            "prompt_only": digest(context.generate(PARAMS)[0]),
            "plain": digest(plain),
            "masked": digest(masked),
            "tiled": digest(tiled),
            "refused": sizes,
        }


def test_initial_pictures_and_masks_matter_and_wrong_sizes_are_refused() -> None:
    made = in_child(_from_pictures, cached("ovis"), cached("tae16"))
    assert len({made["prompt_only"], made["plain"], made["masked"], made["tiled"]}) == 4
    assert made["refused"] == ["init_image", "mask_image", "control_image"]
