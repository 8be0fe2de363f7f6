"""What the library cannot do comes back as an exception, and the process goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdrest.core.parameters import GenerationParameters, Hires, VideoParameters
from sdrest.engine.child.binding import ContextParams, FailureKind, Inputs, NativeError, NativeLibrary
from sdrest.engine.messages import LoraFile
from tests.native_child import ChildDied, in_child
from tests.tiny.fixtures import cached

PARAMS = GenerationParameters(prompt="a red circle", width=64, height=64, seed=7, steps=2)


def failure(call: Callable[[], object]) -> dict[str, Any]:
    with pytest.raises(NativeError) as caught:
        call()
    return {"text": str(caught.value), "kind": caught.value.kind, "spoils": caught.value.spoils_context}


def _broken_files(model: str, folder: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    good = ContextParams(model=Path(model), vae_decode_only=True, threads=1)
    garbage = Path(folder) / "garbage.gguf"
    garbage.write_bytes(b"<html>404</html>")
    truncated = Path(folder) / "truncated.gguf"
    truncated.write_bytes(Path(model).read_bytes()[:100_000])
    wrong_json = Path(folder) / "list.safetensors"
    wrong_json.write_bytes((64).to_bytes(8, "little") + b"[1, 2, 3]".ljust(64))
    missing = Path(folder) / "no such model.gguf"
    found = {
        "missing": failure(lambda: library.open_context(replace(good, model=missing))),
        "garbage": failure(lambda: library.open_context(replace(good, model=garbage))),
        "truncated": failure(lambda: library.open_context(replace(good, model=truncated))),
        "wrong_json": failure(lambda: library.open_context(replace(good, model=wrong_json))),
        "broken_vae": failure(lambda: library.open_context(replace(good, vae=garbage))),
        "no_encoder": failure(lambda: library.open_context(replace(good, vae_decode_only=False))),
        "nothing": failure(lambda: library.open_context(ContextParams())),
        "upscaler": failure(lambda: library.open_upscaler(missing)),
    }
    with library.open_context(good) as context:
        found["after"] = {"pictures": len(context.generate(PARAMS))}
        context.close()
        found["closed"] = failure(lambda: context.generate(PARAMS))
    return found


def test_failed_loads_are_errors_that_name_the_reason(tmp_path: Path) -> None:
    found = in_child(_broken_files, cached("ernie"), tmp_path)
    assert "no such model.gguf" in found["missing"]["text"]
    assert found["missing"]["kind"] == FailureKind.REFUSED
    assert "garbage.gguf" in found["broken_vae"]["text"]
    assert "quant_conv" in found["no_encoder"]["text"]
    assert found["no_encoder"]["kind"] == FailureKind.FAILED
    assert found["wrong_json"]["kind"] in {FailureKind.EXCEPTION, FailureKind.FAILED, FailureKind.REFUSED}
    for name in ("garbage", "truncated", "wrong_json", "nothing"):
        assert found[name]["text"] != "load: the library gave no reason", name
    assert found["after"]["pictures"] == 1
    assert "closed" in found["closed"]["text"]


def _assertion(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    picture = np.zeros((64, 64, 3), np.uint8)
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        before = context.generate(PARAMS)[0]
        found = failure(lambda: context.generate(PARAMS, Inputs(pictures={"init_image": [picture]})))
        after = context.generate(PARAMS)[0]
        return {**found, "same": bool((before == after).all())}


def test_a_failed_assertion_is_an_error_and_the_next_picture_is_the_same() -> None:
    found = in_child(_assertion, cached("ernie"))
    assert found["kind"] == FailureKind.ASSERTION
    assert "GGML_ASSERT" in found["text"]
    assert found["spoils"] is False
    assert found["same"]


def _loras(model: str, folder: str, wrong_width: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    garbage = Path(folder) / "garbage.safetensors"
    garbage.write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    how = ContextParams(model=Path(model), vae_decode_only=True, threads=1, lora_apply_mode="immediately")

    def with_lora(path: Path) -> Inputs:
        return Inputs(loras=(LoraFile(path=str(path), multiplier=1.0),))

    with library.open_context(how) as context:
        before = context.generate(PARAMS)[0]
        missing = failure(lambda: context.generate(PARAMS, with_lora(Path(folder) / "none.safetensors")))
        broken = failure(lambda: context.generate(PARAMS, with_lora(garbage)))
        same = bool((context.generate(PARAMS)[0] == before).all())
        spoiling = failure(lambda: context.generate(PARAMS, with_lora(Path(wrong_width))))
    return {"missing": missing, "broken": broken, "same": same, "spoiling": spoiling}


def test_a_lora_that_cannot_be_applied_is_an_error_and_never_a_picture_without_it(tmp_path: Path) -> None:
    found = in_child(_loras, cached("ernie"), tmp_path, cached("ernie_lora_wrong_width"))
    assert "none.safetensors" in found["missing"]["text"]
    assert "garbage.safetensors" in found["broken"]["text"]
    assert found["same"]
    assert found["spoiling"]["kind"] == FailureKind.ASSERTION
    assert found["spoiling"]["spoils"] is True


def _deadly_values(model: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    refused = []
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        for name, params in {
            "width": replace(PARAMS, width=0),
            "height": replace(PARAMS, height=-64),
            "steps": replace(PARAMS, steps=0),
            "batch_count": replace(PARAMS, batch_count=0),
            "seed": replace(PARAMS, seed=-1),
            "strength": replace(PARAMS, strength=float("nan")),
            "sampler": replace(PARAMS, sampler="eulr"),  # type: ignore[arg-type]
            "scheduler": replace(PARAMS, scheduler="karas"),  # type: ignore[arg-type]
            "custom_sigmas": replace(PARAMS, custom_sigmas=(1.0,)),
            "hires upscaler": replace(PARAMS, hires=Hires(enabled=True, upscaler="magic")),  # type: ignore[arg-type]
            "prompt": replace(PARAMS, prompt="a\0b"),
        }.items():
            with pytest.raises(ValueError, match=name):
                context.generate(params)
            refused.append(name)
        for name, shape in {"init_image": (64, 64, 4), "ref_images": (0, 64, 3)}.items():
            with pytest.raises(ValueError, match=name):
                context.generate(PARAMS, Inputs(pictures={name: [np.zeros(shape, np.uint8)]}))
            refused.append(name)
        return {"refused": len(refused), "after": len(context.generate(PARAMS))}


def test_values_that_would_end_the_process_are_refused_by_name() -> None:
    assert in_child(_deadly_values, cached("ernie")) == {"refused": 13, "after": 1}


def _other_kind(picture_model: str, video_model: str, tae: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    video = VideoParameters(width=32, height=32, video_frames=1, seed=7, steps=1)
    with library.open_context(ContextParams(model=Path(picture_model), vae_decode_only=True, threads=1)) as context:
        pictures = failure(lambda: context.generate(video))
    how = ContextParams(diffusion_model=Path(video_model), taesd=Path(tae), threads=1)
    with library.open_context(how) as context:
        videos = failure(lambda: context.generate(PARAMS))
    return {"pictures": pictures["text"], "videos": videos["text"]}


@pytest.mark.slow
def test_what_a_model_does_not_make_is_refused() -> None:
    assert in_child(_other_kind, cached("ernie"), cached("wan"), cached("taehv")) == {
        "pictures": "this model makes pictures, not videos",
        "videos": "this model makes videos, not pictures",
    }


def _wrong_shim(path: str) -> dict[str, Any]:
    return failure(lambda: NativeLibrary.load(shim=Path(path)))


def test_a_missing_or_foreign_shim_is_named(tmp_path: Path) -> None:
    absent = in_child(_wrong_shim, tmp_path / "libsdrest_shim.so")
    assert "libsdrest_shim.so" in absent["text"]
    foreign = in_child(_wrong_shim, "libm.so.6")
    assert "another version" in foreign["text"]


def _leave(_: str) -> dict[str, Any]:
    import os

    os.abort()


def test_a_dying_child_is_reported_by_the_harness() -> None:
    with pytest.raises(ChildDied) as caught:
        in_child(_leave, "")
    assert caught.value.returncode == -6
