"""Conversions in a process of their own and by the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from sdrest.conversion.ggml import ggml
from sdrest.conversion.plan import Conversion
from sdrest.conversion.process import ConversionRefused, convert_in_process
from sdrest.conversion.progress import Progress
from sdrest.conversion.rules import parse_rules
from sdrest.core.errors import Cancelled
from sdrest.core.tensor_types import TensorType
from tests.integration.conversion.test_conversion import SOURCE, converted, left
from tests.model_files import safetensors_header

# --- in a process of its own ---------------------------------------------------------------------------------------


def _large(path: Path) -> Path:
    """Enough work for a second or two: 24 M values that are not all equal."""
    data = np.resize(np.random.default_rng(5).standard_normal(1 << 16).astype(np.float16), 24 << 20)
    entry = {"dtype": "F16", "shape": [24 << 10, 1 << 10], "data_offsets": [0, data.nbytes]}
    with path.open("wb") as file:
        file.write(safetensors_header({"a.weight": entry}))
        file.write(data.data)
    return path


def test_conversion_in_a_process_gives_the_same_bytes(tmp_path: Path) -> None:
    here = converted(SOURCE, tmp_path / "here.gguf", TensorType.Q4_0)
    steps: list[Progress] = []
    request = Conversion(SOURCE, tmp_path / "there.gguf", TensorType.Q4_0, rules=parse_rules("nothing=f16"))
    there = convert_in_process(request, progress=steps.append)
    assert there.path.read_bytes() == here.read_bytes()
    assert steps[-1].done_tensors == there.tensors == 166


def test_errors_come_back_from_the_process(tmp_path: Path) -> None:
    request = Conversion(tmp_path / "none.gguf", tmp_path / "o.gguf", TensorType.Q4_0)
    with pytest.raises(ConversionRefused, match="does not exist") as caught:
        convert_in_process(request)
    assert caught.value.slug == "not_found"


def test_the_process_stops_when_asked_and_leaves_nothing(tmp_path: Path) -> None:
    source = _large(tmp_path / "a.safetensors")
    request = Conversion(source, tmp_path / "o.gguf", TensorType.Q2_K, search=True)
    stop: list[bool] = []
    with pytest.raises(Cancelled):
        convert_in_process(request, progress=lambda _: stop.append(True), cancelled=lambda: bool(stop))
    assert left(tmp_path) == ["a.safetensors"]


def _cli(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sdrest.cli.sd_convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **more)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_command_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    source = _large(tmp_path / "a.safetensors")
    command = [
        sys.executable,
        "-m",
        "sdrest.cli.sd_convert",
        str(source),
        str(tmp_path / "o.gguf"),
        "-t",
        "q2_k",
        "--best",
    ]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while len(left(tmp_path)) < 2:
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(number)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "nothing was written" in stderr
    assert left(tmp_path) == ["a.safetensors"]


def test_what_a_killed_command_left_goes_with_the_next(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    (tmp_path / f".o.gguf.{child.pid}.part").write_bytes(b"half")
    (tmp_path / f".o.gguf.{os.getppid()}.part").write_bytes(b"still being written by another")
    converted(SOURCE, tmp_path / "o.gguf", TensorType.Q8_0)
    assert left(tmp_path) == [f".o.gguf.{os.getppid()}.part", "o.gguf"]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_converts_and_verifies(tmp_path: Path) -> None:
    done = _cli(SOURCE, tmp_path / "o.gguf", "--type", "Q4_K_S", "--rules", r"layers=q8_0", "--verify")
    assert done.returncode == 0, done.stderr
    assert "is written as q4_k" in done.stderr
    assert "166 tensors" in done.stdout
    assert "verified" in done.stdout
    again = _cli(SOURCE, tmp_path / "o.gguf", "--type", "q8_0")
    assert (again.returncode, again.stdout) == (2, "")
    assert "--force" in again.stderr
    assert "Traceback" not in again.stderr


def test_the_command_plans_without_writing(tmp_path: Path) -> None:
    done = _cli(SOURCE, tmp_path / "o.gguf", "-t", "q8_0", "--plan", "--json")
    plan = json.loads(done.stdout)
    assert len(plan["tensors"]) == 166
    assert {"name", "shape", "from", "to", "nbytes", "kept"} <= plan["tensors"][0].keys()
    assert left(tmp_path) == []
    assert "x_embedder.proj.weight" in _cli(SOURCE, tmp_path / "o.gguf", "-t", "q8_0", "--plan").stdout


def test_the_command_inspects(tmp_path: Path) -> None:
    shown = json.loads(_cli("inspect", SOURCE, "--json").stdout)
    assert (shown["architecture"], shown["type"], len(shown["tensors"])) == ("ernie_image", "checkpoint", 166)
    assert "Ernie Image" in _cli("inspect", SOURCE).stdout
    broken = tmp_path / "x.gguf"
    broken.write_bytes(b"GGUF")
    refused = _cli("inspect", broken)
    assert refused.returncode == 1
    assert "x.gguf: the file ends inside its header" in refused.stderr


def test_the_command_compares_and_draws(tmp_path: Path) -> None:
    result = converted(SOURCE, tmp_path / "o.gguf", TensorType.Q8_0)
    done = _cli("compare", SOURCE, result, "--chart", tmp_path / "c.png", "--json")
    found = json.loads(done.stdout)
    assert len(found["tensors"]) == 166
    changed = [t for t in found["tensors"] if t["rmse"]]
    assert changed
    assert all(t["snr_db"] > 40 and t["max"] >= t["rmse"] for t in changed)
    from PIL import Image

    with Image.open(tmp_path / "c.png") as chart:
        assert chart.size == (1280, 640)
        assert len(chart.getcolors(1 << 20) or []) > 5
    assert "dB" in _cli("compare", SOURCE, result).stdout


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    source = _large(tmp_path / "a.safetensors")
    command = [sys.executable, "-m", "sdrest.cli.sd_convert", str(source), str(tmp_path / "o.gguf"), "-t", "q8_0", "-q"]
    # A child's peak counts its parent's memory at its start, so the parent is a small process.
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 * 1024


def test_the_quantisers_are_those_of_the_installed_library() -> None:
    values = np.linspace(-1, 1, 256, dtype=np.float32).reshape(1, 256)
    raw = ggml().quantize(values, TensorType.Q8_0, search=True)
    assert raw.tobytes() == gguf.quantize(values, gguf.GGMLQuantizationType.Q8_0).tobytes()
    with pytest.raises(ValueError, match="cannot be stored"):
        ggml().quantize(values[:, :100].copy(), TensorType.Q8_0, search=False)
