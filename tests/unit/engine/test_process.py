"""What is told of the native library's output."""

from __future__ import annotations

import pytest

from sdrest.engine.process import without_build_path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "/tmp/pip-x/vendor/stable-diffusion.cpp/ggml/src/ggml.c:2201: GGML_ASSERT(a->ne[0] == b) failed",
            "ggml.c:2201: GGML_ASSERT(a->ne[0] == b) failed",
        ),
        ("assertion at (/a/b/ggml-cpu.cpp:12)", "assertion at (ggml-cpu.cpp:12)"),
        ("C:\\\\build\\\\src\\\\util.h:7 - x", "util.h:7 - x"),
        ("../src/a.cu:1, ./b.hpp:2", "a.cu:1, b.hpp:2"),
        ("loading '/models/lora/a.c/b.safetensors' failed", "loading '/models/lora/a.c/b.safetensors' failed"),
        ("ggml.c:2201: as it is", "ggml.c:2201: as it is"),
    ],
)
def test_source_files_are_named_without_their_folders(text: str, told: str) -> None:
    assert without_build_path(text) == told
