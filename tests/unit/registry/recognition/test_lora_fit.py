"""A LoRA of another width, which would end the native process, is told from its header."""

from __future__ import annotations

from pathlib import Path

from sdrest.core.architecture import Architecture
from sdrest.core.model import Loading
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.lora_fit import LoraFit, check_lora, loaded_shapes
from tests.architectures import Shapes
from tests.model_files import write_safetensors

_D = "model.diffusion_model."
_TO_K = _D + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_SD1: Shapes = {_TO_K: (320, 768), _D + "input_blocks.1.0.in_layers.2.weight": (320, 320, 3, 3)}


def _fit(folder: Path, lora: Shapes, weights: Shapes, architecture: Architecture = Architecture.SD1) -> LoraFit:
    return check_lora(read_header(write_safetensors(folder / "l.safetensors", lora)), weights, architecture)


def _kohya(rank: int, width: int, height: int = 320) -> Shapes:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    return {f"{name}.lora_down.weight": (rank, width), f"{name}.lora_up.weight": (height, rank), f"{name}.alpha": ()}


def test_a_lora_of_the_right_width_fits(tmp_path: Path) -> None:
    found = _fit(tmp_path, _kohya(8, 768), _SD1)
    assert (found.matched, found.absent, found.usable, found.reason) == (1, (), True, "")


def test_a_lora_of_another_width_does_not(tmp_path: Path) -> None:
    found = _fit(tmp_path, _kohya(8, 1024), _SD1)
    assert not found.usable
    assert found.reason == f"it is for another model: {_TO_K} is 320×768 in the model and 320×1024 in the LoRA"
    assert not _fit(tmp_path, _kohya(8, 768, 640), _SD1).usable


def test_a_lora_for_nothing_here_is_no_use(tmp_path: Path) -> None:
    flux: Shapes = {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (8, 3072)}
    flux["lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"] = (9216, 8)
    found = _fit(tmp_path, flux, _SD1)
    assert (found.matched, len(found.absent), found.usable) == (0, 1, False)
    assert "none of its tensors" in found.reason


def test_convolutions_are_compared_by_their_size(tmp_path: Path) -> None:
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    lora: Shapes = {f"{name}.lora_down.weight": (4, 320, 3, 3), f"{name}.lora_up.weight": (320, 4, 1, 1)}
    assert _fit(tmp_path, lora, _SD1).usable
    wide: Shapes = lora | {f"{name}.lora_down.weight": (4, 640, 3, 3)}
    assert not _fit(tmp_path, wide, _SD1).usable


def test_parts_of_a_fused_projection_add_up(tmp_path: Path) -> None:
    weights: Shapes = {_D + "double_blocks.0.img_attn.qkv.weight": (9216, 3072)}
    lora: Shapes = {}
    for part in ("to_q", "to_k", "to_v"):
        lora[f"transformer.transformer_blocks.0.attn.{part}.lora_A.weight"] = (16, 3072)
        lora[f"transformer.transformer_blocks.0.attn.{part}.lora_B.weight"] = (3072, 16)
    assert _fit(tmp_path, lora, weights, Architecture.FLUX).usable


def test_the_weights_of_a_context_have_the_librarys_names(tmp_path: Path) -> None:
    main = write_safetensors(tmp_path / "flux.safetensors", {"double_blocks.0.img_attn.qkv.weight": (8, 8)})
    clip = write_safetensors(tmp_path / "clip.safetensors", {"text_model.x.weight": (4, 4)})
    loading = Loading("id", Architecture.FLUX, diffusion_model_path=main, clip_l_path=clip)
    assert loaded_shapes(loading) == {
        _D + "double_blocks.0.img_attn.qkv.weight": (8, 8),
        "text_encoders.clip_l.transformer.text_model.x.weight": (4, 4),
    }
