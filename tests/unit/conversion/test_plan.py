"""What a conversion will write is decided, and refused, from headers alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdrest.conversion.plan import Conversion, Plan, make_plan
from sdrest.conversion.rules import choose, is_unused, parse_rules, parse_type
from sdrest.core.errors import InvalidInput, ModelUnusable, NotFound, SdrestError
from sdrest.core.tensor_types import ALIASES, LAYOUTS, WRITABLE, TensorType, parse_writable_type
from tests.architectures import Shapes
from tests.model_files import write_gguf, write_safetensors, write_torch_zip

Q8, F16, F32 = TensorType.Q8_0, TensorType.F16, TensorType.F32
_SHAPES: Shapes = {
    "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (96, 64),
    "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.bias": (96,),
    "model.diffusion_model.x_embedder.proj.weight": (64, 16, 2, 2),
    "first_stage_model.decoder.conv_in.weight": (64, 16, 3, 3),
}


def _plan(source: Path, name: str = "out.gguf", **more: object) -> Plan:
    return make_plan(Conversion(source, source.parent / name, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "length", "kept"),
    [
        ("model.diffusion_model.input_blocks.1.0.in_layers.2.weight", 3, "no whole blocks"),
        ("cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight", 768, None),
        ("a.norm.weight", 768, None),
        ("a.bias", 768, "bias"),
        ("double_blocks.0.img_attn.norm.query_norm.scale", 128, "scale"),
        ("img_in.weight", 64, "Flux"),
        ("final_layer.linear.weight", 3072, "final"),
        ("pos_embed", 1536, "position"),
        ("time_embed.0.weight", 320, "time"),
        ("text_model.embeddings.token_embedding.weight", 768, "embedding"),
    ],
)
def test_the_librarys_rules_for_tensors_that_keep_their_type(name: str, length: int, kept: str | None) -> None:
    choice = choose(name, (8, length), F16, Q8, ())
    assert choice.type is (F16 if kept else Q8)
    assert (choice.kept is None) is (kept is None)
    assert kept is None or kept in (choice.kept or "")


def test_integers_are_never_quantized() -> None:
    assert choose("position_ids", (1, 64), TensorType.I32, Q8, ()).type is TensorType.I32


def test_the_first_rule_that_matches_counts() -> None:
    rules = parse_rules(r"^vae\.=f16, attn=Q4_0,.*=q8_0")
    assert choose("vae.attn.weight", (8, 64), F32, TensorType.Q5_0, rules).type is F16
    assert choose("x.attn.weight", (8, 64), F32, TensorType.Q5_0, rules).type is TensorType.Q4_0
    assert choose("x.mlp.weight", (8, 64), F32, None, rules).type is Q8
    assert choose("x.mlp.bias", (64,), F32, None, rules).type is F32


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant"),
    [
        ("attn", "x.attn.weight", True),
        ("^attn", "x.attn.weight", False),
        (r"\.weight$", "x.attn.weight", True),
        (r"^model\..*\.(\d|1\d)\.attn", "model.blocks.17.attn.q", True),
        (r"^model\..*\.(\d|1\d)\.attn", "model.blocks.27.attn.q", False),
        (r"(?i)ATTN|mlp", "x.attn.weight", True),
        (r"blocks\.[0-3]\.", "blocks.3.q", True),
        (r"blocks\.[^0-3]\.", "blocks.3.q", False),
        (r"\bk_proj\b", "a.k_proj.weight", True),
        (r"(?P<part>to_[qkv])\.w{1}", "attn.to_k.weight", True),
        (".*", "", True),
        (r"\w", "\udce9", False),
    ],
)
def test_patterns_mean_what_regular_expressions_do(pattern: str, name: str, is_meant: bool) -> None:
    (rule,) = parse_rules(f"{pattern}=f16")
    assert rule.matches(name) is is_meant
    assert (re.search(pattern, name) is not None) is is_meant


def test_no_pattern_takes_longer_for_being_contrived() -> None:
    # With backtracking, the search would outlive the universe; nothing else in the process would run meanwhile.
    (rule,) = parse_rules(r"(\w+\.?)+!=f16")
    assert not rule.matches("model.diffusion_model.blocks." * 10)


@pytest.mark.parametrize("pattern", ["(?!vae)", r"(a)\1", "((a{999}){999}){999}", "\ud800"])
def test_what_would_need_backtracking_or_unbounded_memory_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match=r"no text|no look-around, no back-references"):
        parse_rules(f"{pattern}=f16")


@pytest.mark.parametrize("text", ["attn", "=q8_0", "attn=", "(=q8_0", "attn=q9_9", "a" * 201 + "=f16", "a=f16," * 65])
def test_malformed_rules_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_rules(text)
    assert caught.value.problems[0].field == "rules"


def test_every_type_name_of_the_contract() -> None:
    for name in (
        "f32",
        "f16",
        "q8_0",
        "q5_0",
        "q5_1",
        "q4_0",
        "q4_1",
        "q3_k",
        "q4_k",
        "q2_k",
        "Q4_K_S",
        "BF16",
        "q5_K",
        "q6_k",
    ):
        assert parse_type(name) in WRITABLE
    alias = parse_writable_type("Q4_K_S")
    assert alias is not None
    assert alias.type is TensorType.Q4_K
    assert "q4_k" in (alias.note or "")
    assert all(parse_writable_type(kind.value) for kind in WRITABLE)
    assert set(ALIASES.values()) <= set(WRITABLE)


@pytest.mark.parametrize("name", ["q8_1", "q8_k", "i8", "f64", "", "q4"])
def test_types_at_which_the_library_aborts_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="types that can be written: f32, f16"):
        parse_type(name)


def test_block_sizes_add_up() -> None:
    for kind, layout in LAYOUTS.items():
        assert kind.nbytes((3, 256)) * layout.block == 3 * 256 * layout.block_bytes
    assert TensorType.Q4_K.bits_per_weight == 4.5


def test_a_plan_says_type_and_size_of_every_tensor(tmp_path: Path) -> None:
    plan = _plan(write_safetensors(tmp_path / "a.safetensors", _SHAPES, {"modelspec.title": "T"}), type=Q8)
    types = {tensor.name.rpartition("model.")[2]: tensor.type for tensor in plan.tensors}
    assert types == {
        "joint_blocks.0.x_block.attn.qkv.weight": Q8,
        "joint_blocks.0.x_block.attn.qkv.bias": F16,
        "x_embedder.proj.weight": F16,
        "decoder.conv_in.weight": F16,
    }
    assert plan.tensors[0].nbytes == 96 * 2 * 34
    assert plan.metadata == {"modelspec.title": "T"}
    assert plan.nbytes >= sum(tensor.nbytes for tensor in plan.tensors)
    assert not (tmp_path / "out.gguf").exists()


def test_unused_tensors_are_left_out_and_said_so(tmp_path: Path) -> None:
    shapes: Shapes = _SHAPES | {"model_ema.diffusion_model.x": (4,), "betas": (1000,)}
    plan = _plan(write_safetensors(tmp_path / "a.safetensors", shapes), type=Q8)
    assert dict(plan.dropped) == dict.fromkeys(("model_ema.diffusion_model.x", "betas"), "never read by the library")
    assert is_unused("cond_stage_model.model.logit_scale")


def test_five_dimensions_are_folded_to_ggmls_four(tmp_path: Path) -> None:
    plan = _plan(write_safetensors(tmp_path / "a.safetensors", {"patch_embedding.weight": (8, 16, 1, 2, 2), "s": ()}))
    assert [tensor.shape for tensor in plan.tensors] == [(128, 1, 2, 2), (1,)]


def test_a_given_vae_replaces_the_one_inside(tmp_path: Path) -> None:
    vae = write_safetensors(tmp_path / "v.safetensors", {"decoder.conv_in.weight": (128, 16, 3, 3)})
    plan = _plan(write_safetensors(tmp_path / "a.safetensors", _SHAPES), type=Q8, vae=vae)
    names = [tensor.name for tensor in plan.tensors]
    assert "vae.decoder.conv_in.weight" in names
    assert "first_stage_model.decoder.conv_in.weight" not in names
    assert plan.dropped == (("first_stage_model.decoder.conv_in.weight", "replaced by the given VAE"),)


def test_names_are_converted_on_request(tmp_path: Path) -> None:
    unet: Shapes = {"unet.conv_in.weight": (320, 4, 3, 3), "unet.down_blocks.0.resnets.0.norm1.weight": (320,)}
    text: Shapes = {"te.text_model.embeddings.token_embedding.weight": (100, 768)}
    source = write_safetensors(tmp_path / "a.safetensors", unet | text)
    assert [t.name for t in _plan(source).tensors] == [*unet, *text]
    assert [t.name for t in _plan(source, convert_names=True).tensors] == [
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.input_blocks.1.0.in_layers.0.weight",
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
    ]


def test_torch_files_and_diffusers_folders_can_be_sources(tmp_path: Path) -> None:
    plan = _plan(write_torch_zip(tmp_path / "a.ckpt", {"a.weight": (4, 32)}), type=Q8)
    tensor = plan.tensors[0]
    assert (tensor.type, tensor.source.nbytes) == (Q8, 256)
    assert tensor.source.offset > 0
    folder = tmp_path / "m"
    write_safetensors(folder / "unet/diffusion_pytorch_model.safetensors", {"conv_in.weight": (320, 4, 3, 3)})
    write_safetensors(folder / "text_encoder_2/model.safetensors", {"text_model.x.weight": (4, 32)})
    planned = {t.name: t.file for t in make_plan(Conversion(folder, tmp_path / "o.gguf", Q8)).tensors}
    assert planned == {
        "unet.conv_in.weight": folder / "unet/diffusion_pytorch_model.safetensors",
        "te.1.text_model.x.weight": folder / "text_encoder_2/model.safetensors",
    }


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-10])
    return path


@pytest.mark.parametrize(
    ("build", "name", "error", "words"),
    [
        (lambda d: d / "none.gguf", "o.gguf", NotFound, "does not exist"),
        (lambda d: write_safetensors(d / "a.safetensors", _SHAPES), "a.safetensors", InvalidInput, "while it is read"),
        (lambda d: write_safetensors(d / "a.safetensors", _SHAPES), "o.bin", InvalidInput, "named .gguf or"),
        (lambda d: write_safetensors(d / "a.safetensors", _SHAPES), "no/o.gguf", NotFound, "folder"),
        (lambda d: write_safetensors(d / "a.safetensors", _SHAPES), "o.safetensors", InvalidInput, "f32, f16 and bf16"),
        (lambda d: write_safetensors(d / "a.safetensors", {}), "o.gguf", ModelUnusable, "no tensors"),
        (lambda d: write_safetensors(d / "a.safetensors", {"betas": (4,)}), "o.gguf", ModelUnusable, "no tensors"),
        (lambda d: _cut(write_safetensors(d / "a.safetensors", _SHAPES)), "o.gguf", ModelUnusable, "ends 10 bytes"),
        (
            lambda d: write_safetensors(d / "a.safetensors", {"x" * 200: (4, 32)}),
            "o.gguf",
            ModelUnusable,
            "longer than",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    build: object, name: str, error: type[SdrestError], words: str, tmp_path: Path
) -> None:
    assert callable(build)
    source = build(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=words):
        make_plan(Conversion(source, tmp_path / name, Q8))
    assert sorted(tmp_path.iterdir()) == before


def test_an_existing_result_is_overwritten_only_on_request(tmp_path: Path) -> None:
    source = write_safetensors(tmp_path / "a.safetensors", _SHAPES)
    (tmp_path / "out.gguf").write_bytes(b"precious")
    with pytest.raises(InvalidInput, match="exists"):
        _plan(source, type=Q8)
    assert _plan(source, type=Q8, overwrite=True).tensors


def test_a_link_to_the_source_is_the_source(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "a.gguf", _SHAPES)
    (tmp_path / "link.gguf").symlink_to(source)
    with pytest.raises(InvalidInput, match="while it is read"):
        _plan(source, "link.gguf", type=Q8, overwrite=True)


def test_types_that_fit_no_tensor_are_noted(tmp_path: Path) -> None:
    plan = _plan(write_safetensors(tmp_path / "a.safetensors", {"a.weight": (4, 48)}), type=TensorType.Q4_K)
    assert "no tensor can be stored as q4_k" in plan.notes[0]


def test_smaller_types_give_smaller_files(tmp_path: Path) -> None:
    source = write_safetensors(tmp_path / "a.safetensors", {"w.weight": (512, 512)})
    sizes = [_plan(source, type=kind).nbytes for kind in (F32, F16, Q8, TensorType.Q4_0, TensorType.Q2_K)]
    assert sizes == [512 * 512 * 4, 512 * 512 * 2, 512 * 16 * 34, 512 * 16 * 18, 512 * 2 * 84]
