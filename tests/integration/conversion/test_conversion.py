"""Conversions equal the library's own, load, and paint; whatever interrupts one leaves nothing behind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors import safe_open

from sdrest.conversion.compare import check_values, compare_files, compare_with_plan
from sdrest.conversion.ggml import ggml
from sdrest.conversion.plan import Conversion, make_plan
from sdrest.conversion.progress import Progress
from sdrest.conversion.run import convert
from sdrest.core.model import Component
from sdrest.core.parameters import GenerationParameters
from sdrest.core.tensor_types import LAYOUTS, WRITABLE, TensorType
from sdrest.engine.child.binding import ContextParams, NativeLibrary
from sdrest.registry.folders import Folders
from sdrest.registry.loading import resolve_loading
from sdrest.registry.registry import Registry
from tests.model_files import safetensors_header, write_safetensors, write_torch_zip
from tests.native_child import in_child
from tests.needs import needs
from tests.tiny.fixtures import cached

SOURCE = cached("ernie")
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


def converted(source: Path, target: Path, kind: TensorType | None, **more: object) -> Path:
    return convert(make_plan(Conversion(source, target, kind, **more))).path  # type: ignore[arg-type]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wide(path: Path) -> Path:
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


def tensors_of(path: Path) -> dict[str, tuple[int, list[int], bytes]]:
    return {
        t.name: (int(t.tensor_type), [int(n) for n in t.shape], t.data.tobytes()) for t in gguf.GGUFReader(path).tensors
    }


def trimmed(tensors: dict[str, tuple[int, list[int], bytes]]) -> dict[str, tuple[int, list[int], bytes]]:
    """The library does not write dimensions of one at the end."""
    for _, shape, _ in tensors.values():
        while len(shape) > 1 and shape[-1] == 1:
            shape.pop()
    return tensors


@pytest.mark.parametrize("kinds", [_COMPARED, ("f16", "q8_0", "q4_0")], ids=["safetensors", "gguf"])
def test_the_best_effort_equals_the_librarys_bytes(kinds: tuple[str, ...], tmp_path: Path) -> None:
    source = wide(tmp_path / "source.safetensors") if kinds is _COMPARED else SOURCE
    made = in_child(library_conversions, source, tmp_path, kinds)
    assert made == dict.fromkeys(kinds, True)
    for kind in kinds:
        ours = converted(source, tmp_path / f"ours-{kind}.gguf", TensorType(kind), search=True)
        assert trimmed(tensors_of(ours)) == trimmed(tensors_of(tmp_path / f"library-{kind}.gguf")), kind


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
    source = wide(tmp_path / "source.safetensors")
    for kind in _COMPARED[3:]:
        results = [converted(source, tmp_path / f"{kind}-{s}.gguf", TensorType(kind), search=s) for s in (True, False)]
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
    source = wide(tmp_path / "source.safetensors")
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
        plan = make_plan(Conversion(SOURCE, tmp_path / f"{threads}.gguf", TensorType.Q5_0))
        digests.add(hashlib.sha256(convert(plan, threads=threads).path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    plan = make_plan(Conversion(SOURCE, tmp_path / "o.gguf", TensorType.Q8_0))
    steps: list[Progress] = []
    convert(plan, progress=steps.append)
    assert [step.done_bytes for step in steps] == sorted(step.done_bytes for step in steps)
    last = steps[-1]
    assert (last.done_bytes, last.done_tensors) == (last.total_bytes, last.total_tensors)
    assert last.total_tensors == len(plan.tensors) == 166


def test_metadata_is_kept(tmp_path: Path) -> None:
    source = write_safetensors(tmp_path / "a.safetensors", {"x.weight": (8, 64)}, {"modelspec.title": "Tïtle"})
    first = converted(source, tmp_path / "first.gguf", TensorType.Q8_0)
    second = converted(first, tmp_path / "second.gguf", TensorType.Q4_0)
    fields = gguf.GGUFReader(second).fields
    assert fields["modelspec.title"].contents() == "Tïtle"
    assert fields["general.file_type"].contents() == int(gguf.LlamaFileType.MOSTLY_Q4_0)
    back = converted(second, tmp_path / "third.safetensors", TensorType.F16)
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
    result = converted(tmp_path / "a.gguf", tmp_path / "b.gguf", TensorType.Q8_0)
    field = gguf.GGUFReader(result).fields["tokenizer.ggml.tokens"]
    assert [bytes(field.parts[index]) for index in field.data] == tokens
    assert len(gguf.GGUFReader(result).fields["tokenizer.ggml.scores"].contents()) == 501


def test_torch_files_convert(tmp_path: Path) -> None:
    source = write_torch_zip(tmp_path / "a.ckpt", {"a.weight": (4, 32), "b.weight": (2, 3, 3, 3)})
    result = converted(source, tmp_path / "o.gguf", TensorType.Q8_0)
    assert {name: kind for name, (kind, _, _) in tensors_of(result).items()} == {"a.weight": 8, "b.weight": 1}


def test_eight_bit_floats_are_read_as_the_library_reads_them(tmp_path: Path) -> None:
    codes = bytes(code for code in range(256) if code & 0x7F != 0x7F)
    entry = {"dtype": "F8_E4M3", "shape": [len(codes)], "data_offsets": [0, len(codes)]}
    source = tmp_path / "a.safetensors"
    source.write_bytes(safetensors_header({"a.weight": entry}) + codes)
    in_child(library_conversions, source, tmp_path, ["f32"])
    ours = converted(source, tmp_path / "o.gguf", TensorType.F32)
    assert tensors_of(ours) == tensors_of(tmp_path / "library-f32.gguf")


def generated(model: str) -> dict[str, Any]:
    """A picture by a model; runs in a child."""
    library = NativeLibrary.load()
    with library.open_context(ContextParams(model=Path(model), vae_decode_only=True, threads=1)) as context:
        params = GenerationParameters(prompt="a red circle", width=64, height=64, seed=7, steps=4)
        return {"pixels": context.generate(params)[0].reshape(-1).tolist()}


@pytest.mark.slow
def test_converted_models_paint_nearly_the_same_picture(tmp_path: Path) -> None:
    """Mean difference of a grey value: under 2 of 255 at eight bits, under 0.5 at sixteen."""
    source = SOURCE
    original = np.array(in_child(generated, source)["pixels"], dtype=float)
    assert original.std() > 3
    for kind, most in ((TensorType.F16, 0.5), (TensorType.Q8_0, 2.0)):
        result = converted(source, tmp_path / f"{kind}.gguf", kind)
        picture = np.array(in_child(generated, result)["pixels"], dtype=float)
        assert np.abs(picture - original).mean() < most, kind


def test_a_converted_model_is_found_by_the_registry(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    converted(SOURCE, tmp_path / "checkpoints/small.gguf", TensorType.Q8_0)
    assert registry.refresh().total == 1
    model = registry.catalogue.resolve("small")
    assert model.usable
    assert Component.VAE in model.embedded
    assert resolve_loading(registry.catalogue, model).model_path == model.path
