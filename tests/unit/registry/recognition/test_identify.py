"""Every architecture and kind of file is recognised by the library's own evidence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.model import Component, LoadingMethod, ModelFormat, ModelType
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.identify import Identity, identify
from tests.architectures import EVIDENCE, PARTS, D, Shapes
from tests.model_files import torch_pickle, write_gguf, write_safetensors, write_torch_zip


def _identify(path: Path) -> Identity:
    return identify(read_header(path))


def test_the_evidence_covers_every_architecture() -> None:
    assert set(EVIDENCE) == set(Architecture)


@pytest.mark.parametrize("architecture", list(Architecture))
def test_whole_names_in_safetensors(architecture: Architecture, tmp_path: Path) -> None:
    found = _identify(write_safetensors(tmp_path / "m.safetensors", EVIDENCE[architecture]))
    assert found.architecture is architecture
    assert found.type in {ModelType.CHECKPOINT, ModelType.DIFFUSION_MODEL}


@pytest.mark.parametrize(
    "architecture", [a for a in Architecture if not a.value.startswith("sd") or a is Architecture.SD3]
)
def test_bare_diffusion_models_in_gguf(architecture: Architecture, tmp_path: Path) -> None:
    """Without the prefix, as published GGUF files have it; 5-D kernels folded to 4-D as GGUF demands."""
    shapes: Shapes = {}
    for name, shape in EVIDENCE[architecture].items():
        folded = shape if len(shape) < 5 else (shape[0] * shape[1], *shape[2:])
        if name.startswith(D):
            shapes[name.removeprefix(D)] = folded
    found = _identify(write_gguf(tmp_path / "m.gguf", shapes))
    assert found.architecture is architecture
    assert found.type is ModelType.DIFFUSION_MODEL
    assert found.loading_method is LoadingMethod.DIFFUSION_MODEL_PATH


@pytest.mark.parametrize("name", list(PARTS))
def test_components_and_addons(name: str, tmp_path: Path) -> None:
    kind, shapes = PARTS[name]
    assert _identify(write_safetensors(tmp_path / "part.safetensors", shapes)).type is kind


def test_torch_files_are_recognised_like_others(tmp_path: Path) -> None:
    shapes = {
        name: tuple(min(size, 4) if size > 5000 else size for size in shape) for name, shape in _small_sd1().items()
    }
    found = _identify(write_torch_zip(tmp_path / "model.ckpt", shapes))
    assert found.architecture is Architecture.SD1
    assert found.type is ModelType.CHECKPOINT


def _small_sd1() -> Shapes:
    return EVIDENCE[Architecture.SD1]


def test_a_checkpoint_tells_its_parts_and_goes_to_model_path(tmp_path: Path) -> None:
    shapes = EVIDENCE[Architecture.SDXL] | {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}
    found = _identify(write_safetensors(tmp_path / "xl.safetensors", shapes))
    assert found.embedded == {Component.CLIP_L, Component.CLIP_G, Component.VAE}
    assert found.loading_method is LoadingMethod.MODEL_PATH
    assert found.type is ModelType.CHECKPOINT
    assert found.traits["latent_channels"] == 4


def test_a_unet_beside_only_a_vae_keeps_its_full_names(tmp_path: Path) -> None:
    """As a diffusion model its VAE would be renamed into it and be lost."""
    shapes = EVIDENCE[Architecture.FLUX] | {"vae.decoder.conv_in.weight": (512, 16, 3, 3)}
    found = _identify(write_safetensors(tmp_path / "f.safetensors", shapes))
    assert found.loading_method is LoadingMethod.MODEL_PATH
    assert found.type is ModelType.DIFFUSION_MODEL


def test_a_unet_without_text_encoder_is_known_by_its_attention_width(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in EVIDENCE[Architecture.SDXL].items() if name.startswith(D)}
    assert _identify(write_safetensors(tmp_path / "u.safetensors", shapes)).architecture is Architecture.SDXL


@pytest.mark.parametrize(
    ("layers", "more", "variant"),
    [
        (30, {}, "Wan2.1-T2V-1.3B"),
        (30, {"vace_blocks.0.after_proj.weight": (1536, 1536)}, "Wan2.1-VACE-1.3B"),
        (40, {}, "Wan2.x-T2V-14B"),
        (40, {"img_emb.proj.0.weight": (1280,)}, "Wan2.1-I2V-14B"),
        (40, {"img_emb.proj.0.weight": (1280,), "img_emb.emb_pos": (1, 514, 1280)}, "Wan2.1-FLF2V-14B"),
        (32, {}, None),
    ],
)
def test_wan_variants(layers: int, more: Shapes, variant: str | None, tmp_path: Path) -> None:
    width = 1536 if layers == 30 else 5120
    shapes: Shapes = {f"blocks.{i}.cross_attn.norm_k.weight": (width,) for i in range(layers)}
    shapes |= {"patch_embedding.weight": (1536, 16, 1, 2, 2)} | more
    found = _identify(write_safetensors(tmp_path / "wan.safetensors", shapes))
    assert found.variant == variant
    assert [p.code for p in found.problems] == ([] if variant else ["layer_count"])


def test_video_autoencoders_tell_their_channels_after_folding(tmp_path: Path) -> None:
    shapes: Shapes = {"decoder.conv1.weight": (384 * 48, 3, 3, 3), "conv2.weight": (48 * 48, 1, 1, 1)}
    found = _identify(write_gguf(tmp_path / "vae.gguf", shapes))
    assert found.type is ModelType.VAE
    assert found.traits["latent_channels"] == 48
    assert found.traits["video"] == 1


def test_layouts_that_the_library_cannot_load_are_said_so(tmp_path: Path) -> None:
    controlnet: Shapes = {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}
    unet: Shapes = {
        "down_blocks.0.resnets.0.norm1.weight": (320,),
        "mid_block.resnets.0.norm1.weight": (1280,),
        "conv_in.weight": (320, 4, 3, 3),
    }
    for name, shapes in {"c": controlnet, "u": unet}.items():
        found = _identify(write_safetensors(tmp_path / f"{name}.safetensors", shapes))
        assert [p.code for p in found.problems] == ["unsupported_layout"]


def _codes(path: Path) -> set[str]:
    return {problem.code for problem in _identify(path).problems if problem.fatal}


def test_shapes_that_would_end_the_native_process_are_problems(tmp_path: Path) -> None:
    flux = dict(EVIDENCE[Architecture.FLUX])
    norm = D + "double_blocks.0.txt_attn.norm.key_norm.scale"
    assert _codes(write_safetensors(tmp_path / "ok.safetensors", flux)) == set()
    assert _codes(write_safetensors(tmp_path / "n.safetensors", {k: v for k, v in flux.items() if k != norm})) == {
        "key_norm"
    }
    assert _codes(write_safetensors(tmp_path / "h.safetensors", flux | {norm: (100,)})) == {"head_width"}
    gap: Shapes = flux | {D + "double_blocks.2.img_attn.qkv.weight": (9216, 3072)}
    assert _codes(write_safetensors(tmp_path / "g.safetensors", gap)) == {"missing_layer"}
    narrow = {k: (8, *v[1:]) if "input_blocks.0.0" in k else v for k, v in EVIDENCE[Architecture.SD1].items()}
    assert _codes(write_safetensors(tmp_path / "u.safetensors", narrow)) == {"unet_width"}
    wan: Shapes = {f"blocks.{i}.cross_attn.norm_k.weight": (64,) for i in range(30)}
    assert _codes(write_safetensors(tmp_path / "w.safetensors", wan)) == {"wan_width"}


@pytest.mark.parametrize("architecture", list(Architecture))
def test_sound_models_have_no_problems(architecture: Architecture, tmp_path: Path) -> None:
    assert _codes(write_safetensors(tmp_path / "m.safetensors", EVIDENCE[architecture])) == set()


def test_unknown_tensors_are_of_no_type(tmp_path: Path) -> None:
    assert _identify(write_safetensors(tmp_path / "x.safetensors", {"a": (3, 3), "b": (7,)})).type is None


def test_files_of_old_torch_versions_are_read(tmp_path: Path) -> None:
    """A state dictionary, the list of storage keys, then each storage behind its eight-byte length."""
    shapes = PARTS["esrgan"][1]
    head = torch_pickle(shapes) + b"\x80\x02]q\x00."
    path = tmp_path / "old.pth"
    path.write_bytes(head + bytes(sum(8 + 2 * math.prod(shape) for shape in shapes.values())))
    header = read_header(path)
    assert header.format is ModelFormat.TORCH_LEGACY
    assert {tensor.name: tensor.shape for tensor in header.tensors} == shapes
    assert header.tensors[0].offset == len(head) + 8
    assert max(tensor.offset + tensor.nbytes for tensor in header.tensors) == header.file_size
    assert identify(header).type is ModelType.ESRGAN
