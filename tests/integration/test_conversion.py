"""Conversions equal the library's own, load, and paint; whatever interrupts one leaves nothing behind."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors import safe_open

from sdrest.conversion.compare import check_values, compare_files, compare_with_plan
from sdrest.conversion.ggml import ggml
from sdrest.conversion.plan import Conversion, make_plan
from sdrest.conversion.process import ConversionRefused, convert_in_process
from sdrest.conversion.rules import parse_rules
from sdrest.conversion.run import Progress, convert
from sdrest.conversion.verify import ConversionFailed, verify_structure
from sdrest.core.errors import Cancelled, InsufficientStorage, InvalidInput, ModelUnusable
from sdrest.core.model import Component
from sdrest.core.parameters import GenerationParameters
from sdrest.core.tensor_types import LAYOUTS, WRITABLE, TensorType
from sdrest.engine.child.binding import ContextParams, NativeLibrary
from sdrest.registry.folders import Folders
from sdrest.registry.loading import resolve_loading
from sdrest.registry.registry import Registry
from tests.model_files import safetensors_header, write_safetensors, write_torch_zip
from tests.native_child import in_child
from tests.needs import needs, require
from tests.tiny.fixtures import cached

_SOURCE = cached("ernie")
_COMPARED = (
    "f32",
    "f16",
    "bf16",
    "q8_0",
    "q6_k",
    "q5_k",
    "q5_1",
    "q5_0",
    "q4_k",
    "q4_1",
    "q4_0",
    "q3_k",
    "q2_k",
    "iq4_nl",
)


def _convert(source: Path, target: Path, kind: TensorType | None, **more: object) -> Path:
    return convert(make_plan(Conversion(source, target, kind, **more))).path  # type: ignore[arg-type]


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _wide(path: Path) -> Path:
    """A model whose rows every quantization type takes, with real values, in f16 and f32."""
    random = np.random.default_rng(3)
    shapes = {
        "model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight": (24, 512),
        "model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.bias": (24,),
        "model.diffusion_model.joint_blocks.0.x_block.attn.proj.weight": (16, 768),
        "model.diffusion_model.x_embedder.proj.weight": (32, 16, 2, 2),
        "model.diffusion_model.joint_blocks.0.norm.weight": (256,),
    }
    entries, data = dict[str, object](), b""
    for index, (name, shape) in enumerate(shapes.items()):
        values = (random.standard_t(5, shape) * 0.02).astype(np.float32 if index % 2 else np.float16)
        entry = {"dtype": "F32" if index % 2 else "F16", "shape": list(shape)}
        entries[name] = entry | {"data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    path.write_bytes(safetensors_header(entries) + data)
    return path


def library_conversions(source: str, folder: str, kinds: list[str]) -> dict[str, Any]:
    """The library's own converter; runs in a child."""
    from stable_diffusion_cpp import stable_diffusion_cpp as sd

    done = {}
    for kind in kinds:
        target = f"{folder}/library-{kind}.gguf"
        done[kind] = bool(
            sd.convert(source.encode(), b"", target.encode(), LAYOUTS[TensorType(kind)].ggml_id, b"", False)
        )
    return done


def _tensors(path: Path) -> dict[str, tuple[int, list[int], bytes]]:
    return {
        t.name: (int(t.tensor_type), [int(n) for n in t.shape], t.data.tobytes()) for t in gguf.GGUFReader(path).tensors
    }


def _trimmed(tensors: dict[str, tuple[int, list[int], bytes]]) -> dict[str, tuple[int, list[int], bytes]]:
    """The library does not write dimensions of one at the end."""
    for _, shape, _ in tensors.values():
        while len(shape) > 1 and shape[-1] == 1:
            shape.pop()
    return tensors


@pytest.mark.parametrize("kinds", [_COMPARED, ("f16", "q8_0", "q4_0")], ids=["safetensors", "gguf"])
def test_the_best_effort_equals_the_librarys_bytes(kinds: tuple[str, ...], tmp_path: Path) -> None:
    source = _wide(tmp_path / "source.safetensors") if kinds is _COMPARED else _SOURCE
    made = in_child(library_conversions, source, tmp_path, kinds)
    assert made == dict.fromkeys(kinds, True)
    for kind in kinds:
        ours = _convert(source, tmp_path / f"ours-{kind}.gguf", TensorType(kind), search=True)
        assert _trimmed(_tensors(ours)) == _trimmed(_tensors(tmp_path / f"library-{kind}.gguf")), kind


@needs("quantiser")
def test_the_projects_own_quantiser_gives_the_librarys_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    plain = (random.standard_normal((64, 1024)) * 0.02).astype(np.float32)
    sparse = np.where(random.random(plain.shape) < 0.3, plain, 0).astype(np.float32)
    cases = [plain, np.abs(plain), -np.abs(plain), sparse, plain * 1e5, np.round(plain * 200)]
    cases += [np.full((1, 256), value, np.float32) for value in (0.0, 0.5, -0.5)]
    quick = [ggml().quantize(values, TensorType.Q4_K, search=False) for values in cases]
    wild = [random.standard_cauchy((64, 1024)).astype(np.float32), plain * 1e-8]
    read: list[np.ndarray[Any, Any]] = []
    for _ in range(2):
        for values in wild:
            read.append(np.empty_like(values))
            ggml().to_floats(ggml().quantize(values, TensorType.Q4_K, search=False), TensorType.Q4_K, read[-1])
        monkeypatch.setattr("sdrest.conversion.ggml.quick_q4_k", lambda: None)
    for values, ours in zip(cases, quick, strict=True):
        assert np.array_equal(ours, ggml().quantize(values, TensorType.Q4_K, search=False))
    assert all(np.array_equal(a, b) for a, b in zip(read[:2], read[2:], strict=True))


def test_the_quick_way_loses_little_more(tmp_path: Path) -> None:
    source = _wide(tmp_path / "source.safetensors")
    for kind in _COMPARED[3:]:
        results = [_convert(source, tmp_path / f"{kind}-{s}.gguf", TensorType(kind), search=s) for s in (True, False)]
        best, quick = (compare_files(source, result).errors for result in results)
        for one, other in zip(best, quick, strict=True):
            assert one.second_type is other.second_type
            assert other.snr_db >= one.snr_db - 1.6, (kind, one.name)


# The quantisers of the smallest types search neighbours in tables that take them seconds to build.
_SLOW = ("iq2_s", "iq2_xs", "iq2_xxs", "iq1_m", "iq1_s")


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.nightly) if k in _SLOW else k for k in WRITABLE], ids=str
)
def test_every_writable_type_can_be_written_and_read_back(kind: TensorType, tmp_path: Path) -> None:
    source = _wide(tmp_path / "source.safetensors")
    plan = make_plan(Conversion(source, tmp_path / "o.gguf", kind))
    convert(plan)
    assert kind in plan.types()
    found = compare_with_plan(plan, tmp_path / "o.gguf")
    check_values(found)
    if kind.bits_per_weight >= 8:
        assert found.worst is not None
        assert found.worst.snr_db > 35


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for threads in (1, 2, 3):
        plan = make_plan(Conversion(_SOURCE, tmp_path / f"{threads}.gguf", TensorType.Q5_0))
        digests.add(hashlib.sha256(convert(plan, threads=threads).path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    plan = make_plan(Conversion(_SOURCE, tmp_path / "o.gguf", TensorType.Q8_0))
    steps: list[Progress] = []
    convert(plan, progress=steps.append)
    assert [step.done_bytes for step in steps] == sorted(step.done_bytes for step in steps)
    last = steps[-1]
    assert (last.done_bytes, last.done_tensors) == (last.total_bytes, last.total_tensors)
    assert last.total_tensors == len(plan.tensors) == 166


def test_metadata_is_kept(tmp_path: Path) -> None:
    source = write_safetensors(tmp_path / "a.safetensors", {"x.weight": (8, 64)}, {"modelspec.title": "Tïtle"})
    first = _convert(source, tmp_path / "first.gguf", TensorType.Q8_0)
    second = _convert(first, tmp_path / "second.gguf", TensorType.Q4_0)
    fields = gguf.GGUFReader(second).fields
    assert fields["modelspec.title"].contents() == "Tïtle"
    assert fields["general.file_type"].contents() == int(gguf.LlamaFileType.MOSTLY_Q4_0)
    back = _convert(second, tmp_path / "third.safetensors", TensorType.F16)
    with safe_open(back, framework="np") as file:
        assert file.metadata()["modelspec.title"] == "Tïtle"


def test_vocabularies_are_kept_whole(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "t5")
    tokens = [f"token {number}".encode() for number in range(500)] + [b"\xff\xfe"]
    writer.add_array("tokenizer.ggml.tokens", tokens)
    writer.add_array("tokenizer.ggml.scores", [0.5] * 501)
    writer.add_tensor("x.weight", np.ones((4, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    result = _convert(tmp_path / "a.gguf", tmp_path / "b.gguf", TensorType.Q8_0)
    field = gguf.GGUFReader(result).fields["tokenizer.ggml.tokens"]
    assert [bytes(field.parts[index]) for index in field.data] == tokens
    assert len(gguf.GGUFReader(result).fields["tokenizer.ggml.scores"].contents()) == 501


def test_torch_files_convert(tmp_path: Path) -> None:
    source = write_torch_zip(tmp_path / "a.ckpt", {"a.weight": (4, 32), "b.weight": (2, 3, 3, 3)})
    result = _convert(source, tmp_path / "o.gguf", TensorType.Q8_0)
    assert {name: kind for name, (kind, _, _) in _tensors(result).items()} == {"a.weight": 8, "b.weight": 1}


def test_eight_bit_floats_are_read_as_the_library_reads_them(tmp_path: Path) -> None:
    codes = bytes(code for code in range(256) if code & 0x7F != 0x7F)
    entry = {"dtype": "F8_E4M3", "shape": [len(codes)], "data_offsets": [0, len(codes)]}
    source = tmp_path / "a.safetensors"
    source.write_bytes(safetensors_header({"a.weight": entry}) + codes)
    in_child(library_conversions, source, tmp_path, ["f32"])
    ours = _convert(source, tmp_path / "o.gguf", TensorType.F32)
    assert _tensors(ours) == _tensors(tmp_path / "library-f32.gguf")


def generated(model: str) -> dict[str, Any]:
    """A picture by a model; runs in a child."""
    library = NativeLibrary.load()
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=2)) as context:
        params = GenerationParameters(prompt="a red circle", width=64, height=64, seed=7, steps=4)
        return {"pixels": context.generate(params)[0].reshape(-1).tolist()}


def test_converted_models_paint_nearly_the_same_picture(tmp_path: Path) -> None:
    """Mean difference of a grey value: under 2 of 255 at eight bits, under 0.5 at sixteen."""
    source = _SOURCE
    original = np.array(in_child(generated, source)["pixels"], dtype=float)
    assert original.std() > 3
    for kind, most in ((TensorType.F16, 0.5), (TensorType.Q8_0, 2.0)):
        result = _convert(source, tmp_path / f"{kind}.gguf", kind)
        picture = np.array(in_child(generated, result)["pixels"], dtype=float)
        assert np.abs(picture - original).mean() < most, kind


def test_a_converted_model_is_found_by_the_registry(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    _convert(_SOURCE, tmp_path / "checkpoints/small.gguf", TensorType.Q8_0)
    assert registry.refresh().total == 1
    model = registry.catalogue.resolve("small")
    assert model.usable
    assert Component.VAE in model.embedded
    assert resolve_loading(registry.catalogue, model).model_path == model.path


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_values_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    data = np.ones((4, 32), np.float32)
    data[2, 5] = np.nan
    entry = {"dtype": "F32", "shape": [4, 32], "data_offsets": [0, data.nbytes]}
    source = tmp_path / "a.safetensors"
    source.write_bytes(safetensors_header({"bad.weight": entry}) + data.tobytes())
    with pytest.raises(ModelUnusable, match=r"bad.weight holds values that are no finite numbers"):
        _convert(source, tmp_path / "o.gguf", TensorType.Q8_0)
    data[2, 5] = 1e6
    source.write_bytes(safetensors_header({"bad.weight": entry}) + data.tobytes())
    with pytest.raises(ModelUnusable, match="beyond the range of f16"):
        _convert(source, tmp_path / "o.gguf", TensorType.F16)
    assert _left(tmp_path) == ["a.safetensors"]
    kept = _convert(source, tmp_path / "o.gguf", TensorType.F16, rules=parse_rules("bad=bf16"))
    assert _tensors(kept)["bad.weight"][0] == 30


def test_a_stopped_conversion_leaves_nothing(tmp_path: Path) -> None:
    plan = make_plan(Conversion(_SOURCE, tmp_path / "o.gguf", TensorType.Q8_0))
    asked = iter(range(1000))
    with pytest.raises(Cancelled):
        convert(plan, cancelled=lambda: next(asked) > 20)
    assert _left(tmp_path) == []


def test_an_existing_result_survives_a_stopped_overwriting(tmp_path: Path) -> None:
    target = tmp_path / "o.gguf"
    target.write_bytes(b"precious")
    plan = make_plan(Conversion(_SOURCE, target, TensorType.Q8_0, overwrite=True))
    with pytest.raises(Cancelled):
        convert(plan, cancelled=lambda: True)
    assert target.read_bytes() == b"precious"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    require("mount")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_too_little_space_is_said_before_writing(full_disk: Path) -> None:
    with pytest.raises(InsufficientStorage, match="MiB free"):
        _convert(_SOURCE, full_disk / "o.gguf", TensorType.F32)
    assert _left(full_disk) == []


def test_a_disk_that_fills_up_meanwhile_leaves_no_half_file(full_disk: Path, tmp_path: Path) -> None:
    source = _wide(tmp_path / "a.safetensors")
    plan = make_plan(Conversion(source, full_disk / "o.gguf", TensorType.F32))

    def fill(_: Progress) -> None:
        with contextlib.suppress(OSError), (full_disk / "other").open("ab") as file:
            file.write(bytes(4 << 20))

    with pytest.raises(InsufficientStorage, match="became full"):
        convert(plan, progress=fill)
    assert _left(full_disk) == ["other"]


def test_a_folder_that_cannot_be_written_is_refused(full_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(full_disk)], check=True)
    with pytest.raises(InvalidInput, match="cannot be written"):
        _convert(_SOURCE, full_disk / "o.gguf", TensorType.Q8_0)


def test_a_file_written_wrong_does_not_get_its_name(tmp_path: Path) -> None:
    plan = make_plan(Conversion(_SOURCE, tmp_path / "o.gguf", TensorType.Q8_0))
    path = convert(plan).path
    verify_structure(plan, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-64])
    with pytest.raises(ConversionFailed):
        verify_structure(plan, path)
    renamed = whole.replace(b"x_embedder.proj.weight", b"x_embedder.proj.wejght", 1)
    path.write_bytes(renamed)
    with pytest.raises(ConversionFailed, match="missing"):
        verify_structure(plan, path)


def test_values_that_were_lost_are_noticed(tmp_path: Path) -> None:
    plan = make_plan(Conversion(_SOURCE, tmp_path / "o.gguf", TensorType.F16))
    path = convert(plan).path
    data = bytearray(path.read_bytes())
    data[-200_000:] = os.urandom(200_000)
    path.write_bytes(data)
    with pytest.raises(ConversionFailed, match="as great as its values"):
        check_values(compare_with_plan(plan, path))


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
    here = _convert(_SOURCE, tmp_path / "here.gguf", TensorType.Q4_0)
    steps: list[Progress] = []
    request = Conversion(_SOURCE, tmp_path / "there.gguf", TensorType.Q4_0, rules=parse_rules("nothing=f16"))
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
    assert _left(tmp_path) == ["a.safetensors"]


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
    while len(_left(tmp_path)) < 2:
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(number)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "nothing was written" in stderr
    assert _left(tmp_path) == ["a.safetensors"]


def test_what_a_killed_command_left_goes_with_the_next(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    (tmp_path / f".o.gguf.{child.pid}.part").write_bytes(b"half")
    (tmp_path / f".o.gguf.{os.getppid()}.part").write_bytes(b"still being written by another")
    _convert(_SOURCE, tmp_path / "o.gguf", TensorType.Q8_0)
    assert _left(tmp_path) == [f".o.gguf.{os.getppid()}.part", "o.gguf"]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_converts_and_verifies(tmp_path: Path) -> None:
    done = _cli(_SOURCE, tmp_path / "o.gguf", "--type", "Q4_K_S", "--rules", r"layers=q8_0", "--verify")
    assert done.returncode == 0, done.stderr
    assert "is written as q4_k" in done.stderr
    assert "166 tensors" in done.stdout
    assert "verified" in done.stdout
    again = _cli(_SOURCE, tmp_path / "o.gguf", "--type", "q8_0")
    assert (again.returncode, again.stdout) == (2, "")
    assert "--force" in again.stderr
    assert "Traceback" not in again.stderr


def test_the_command_plans_without_writing(tmp_path: Path) -> None:
    done = _cli(_SOURCE, tmp_path / "o.gguf", "-t", "q8_0", "--plan", "--json")
    plan = json.loads(done.stdout)
    assert len(plan["tensors"]) == 166
    assert {"name", "shape", "from", "to", "nbytes", "kept"} <= plan["tensors"][0].keys()
    assert _left(tmp_path) == []
    assert "x_embedder.proj.weight" in _cli(_SOURCE, tmp_path / "o.gguf", "-t", "q8_0", "--plan").stdout


def test_the_command_inspects(tmp_path: Path) -> None:
    shown = json.loads(_cli("inspect", _SOURCE, "--json").stdout)
    assert (shown["architecture"], shown["type"], len(shown["tensors"])) == ("ernie_image", "checkpoint", 166)
    assert "Ernie Image" in _cli("inspect", _SOURCE).stdout
    broken = tmp_path / "x.gguf"
    broken.write_bytes(b"GGUF")
    refused = _cli("inspect", broken)
    assert refused.returncode == 1
    assert "x.gguf: the file ends inside its header" in refused.stderr


def test_the_command_compares_and_draws(tmp_path: Path) -> None:
    result = _convert(_SOURCE, tmp_path / "o.gguf", TensorType.Q8_0)
    done = _cli("compare", _SOURCE, result, "--chart", tmp_path / "c.png", "--json")
    found = json.loads(done.stdout)
    assert len(found["tensors"]) == 166
    changed = [t for t in found["tensors"] if t["rmse"]]
    assert changed
    assert all(t["snr_db"] > 40 and t["max"] >= t["rmse"] for t in changed)
    from PIL import Image

    with Image.open(tmp_path / "c.png") as chart:
        assert chart.size == (1280, 640)
        assert len(chart.getcolors(1 << 20) or []) > 5
    assert "dB" in _cli("compare", _SOURCE, result).stdout


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
