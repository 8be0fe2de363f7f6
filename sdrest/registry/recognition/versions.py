"""Which architecture a set of tensors is, by the evidence the native library uses (``ModelLoader::get_sd_version``).

The library asks whether some tensor name *contains* a word. Here all names are joined into one text, so each such
question is one substring search instead of one per tensor.
"""

from __future__ import annotations

from collections.abc import Iterable

from sdrest.core.architecture import Architecture
from sdrest.registry.readers.header import TensorInfo

_DIFFUSION = "model.diffusion_model."

#: Words that decide by themselves, in the library's order.
_DECISIVE: tuple[tuple[str, Architecture], ...] = (
    (_DIFFUSION + "nerf_final_layer_conv.", Architecture.CHROMA_RADIANCE),
    (_DIFFUSION + "joint_blocks.", Architecture.SD3),
    (_DIFFUSION + "transformer_blocks.0.img_mod.1.weight", Architecture.QWEN_IMAGE),
    ("llm_adapter.blocks.0.cross_attn.q_proj.weight", Architecture.ANIMA),
    (_DIFFUSION + "double_blocks.0.img_mlp.gate_proj.weight", Architecture.OVIS_IMAGE),
    (_DIFFUSION + "cap_embedder.0.weight", Architecture.Z_IMAGE),
    (_DIFFUSION + "layers.0.adaLN_sa_ln.weight", Architecture.ERNIE_IMAGE),
    (_DIFFUSION + "input_blocks.8.0.time_mixer.mix_factor", Architecture.SVD),
)
_TOKEN_EMBEDDINGS = (
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
    "cond_stage_model.model.token_embedding.weight",
    "text_model.embeddings.token_embedding.weight",
    "te.text_model.embeddings.token_embedding.weight",
    "conditioner.embedders.0.model.token_embedding.weight",
    "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
)
_INPUT_WEIGHTS = (
    _DIFFUSION + "input_blocks.0.0.weight",
    _DIFFUSION + "img_in.weight",
    "unet.conv_in.weight",
)
#: Output-times-input channels of the patch embedding, which the library stores as one dimension.
_WAN22_I2V_PATCH, _WAN22_TI2V_PATCH = 5120 * 36, 3072 * 48
#: Input channels of a U-Net's first convolution.
_INPAINT_CHANNELS, _EDIT_CHANNELS = 9, 8
_FLUX_INPUTS = {384: Architecture.FLUX_FILL, 128: Architecture.FLUX_CONTROLS, 196: Architecture.FLEX_2}


class Names:
    """Tensor names and shapes, with the library's substring questions; ``prefix`` is put before names that lack it."""

    def __init__(self, tensors: Iterable[TensorInfo], prefix: str = "") -> None:
        self.shapes: dict[str, tuple[int, ...]] = {
            (t.name if t.name.startswith(prefix) else prefix + t.name): t.shape for t in tensors
        }
        self._text = "\n" + "\n".join(self.shapes) + "\n"

    def has(self, word: str) -> bool:
        """Whether some name contains ``word``."""
        return word in self._text

    def any_of(self, *words: str) -> bool:
        """Whether some name contains one of ``words``."""
        return any(word in self._text for word in words)

    def starting(self, start: str) -> bool:
        """Whether some name begins with ``start``."""
        return "\n" + start in self._text

    def ending(self, end: str) -> bool:
        """Whether some name ends with ``end``."""
        return end + "\n" in self._text

    def find(self, word: str) -> tuple[int, ...] | None:
        """Shape of the first tensor whose name contains ``word``."""
        at = self._text.find(word)
        if at < 0:
            return None
        start = self._text.rfind("\n", 0, at) + 1
        return self.shapes[self._text[start : self._text.index("\n", at)]]

    def count_blocks(self, start: str) -> int:
        """One more than the highest block number in names that contain ``start``, for example ``double_blocks.``."""
        highest, at = -1, self._text.find(start)
        while at >= 0:
            end = at + len(start)
            digits = self._text[end : end + 5].partition(".")[0]
            if digits.isdecimal():
                highest = max(highest, int(digits))
            at = self._text.find(start, end)
        return highest + 1


def ne(shape: tuple[int, ...] | None, index: int) -> int:
    """ggml's ``ne[index]`` of a shape in torch order (innermost first; 1 beyond the last, 5-D folded to 4-D as the
    library does).
    """
    if shape is None:
        return 1
    if len(shape) == 5:
        shape = (shape[0] * shape[1], *shape[2:])
    return shape[-1 - index] if index < len(shape) else 1


def library_version(names: Names) -> Architecture | None:
    """What ``get_sd_version`` answers for these names; None where it answers ``VERSION_COUNT``."""
    for word, architecture in _DECISIVE:
        if names.has(word):
            return architecture
    if names.has(_DIFFUSION + "blocks.0.cross_attn.norm_k.weight"):
        return _wan(names)
    is_unet = names.any_of(_DIFFUSION + "input_blocks.", "unet.down_blocks.")
    two_encoders = names.any_of("conditioner.embedders.1", "cond_stage_model.1", "te.1")
    inputs = next((names.shapes[name] for name in _INPUT_WEIGHTS if name in names.shapes), None)
    if is_unet and two_encoders:
        return _sdxl(names, inputs)
    if names.has(_DIFFUSION + "double_stream_modulation_img.lin.weight"):
        return Architecture.FLUX2 if names.has("single_blocks.47.linear1.weight") else Architecture.FLUX2_KLEIN
    if names.has(_DIFFUSION + "double_blocks."):
        return _flux(names, inputs)
    tokens = next((names.shapes[name] for name in _TOKEN_EMBEDDINGS if name in names.shapes), None)
    width = ne(tokens, 0)
    if width == 768:
        return _sd1(names, inputs)
    if width == 1024:
        return _sd2(names, inputs)
    return None


def unet_version(names: Names) -> Architecture | None:
    """The architecture of a U-Net without its text encoder, by the width of its cross attention.

    The library needs the text encoder to tell; with ``clip_l`` (and ``clip_g``) files given it comes to the same
    answer.
    """
    inputs = next((names.shapes[name] for name in _INPUT_WEIGHTS if name in names.shapes), None)
    if not names.any_of(_DIFFUSION + "input_blocks.", "unet.down_blocks."):
        return None
    width = ne(names.find("attn2.to_k.weight"), 0)
    if width == 768:
        return _sd1(names, inputs)
    if width == 1024:
        return _sd2(names, inputs)
    if width == 2048:
        return _sdxl(names, inputs)
    return None


def _wan(names: Names) -> Architecture:
    patch = ne(names.find(_DIFFUSION + "patch_embedding.weight"), 3)
    if not names.has(_DIFFUSION + "img_emb"):
        if patch == _WAN22_I2V_PATCH:
            return Architecture.WAN2_2_I2V
        if patch == _WAN22_TI2V_PATCH:
            return Architecture.WAN2_2_TI2V
    return Architecture.WAN2


def _flux(names: Names, inputs: tuple[int, ...] | None) -> Architecture:
    if names.has("distilled_guidance_layer.in_proj.weight"):
        return Architecture.CHROMA
    return _FLUX_INPUTS.get(ne(inputs, 0), Architecture.FLUX)


def _has_middle_block_1(names: Names) -> bool:
    return names.any_of(_DIFFUSION + "middle_block.1.", "unet.mid_block.resnets.1.")


def _sdxl(names: Names, inputs: tuple[int, ...] | None) -> Architecture:
    channels = ne(inputs, 2)
    if channels == _INPAINT_CHANNELS:
        return Architecture.SDXL_INPAINT
    if channels == _EDIT_CHANNELS:
        return Architecture.SDXL_PIX2PIX
    if _has_middle_block_1(names):
        return Architecture.SDXL
    deep = names.any_of(
        _DIFFUSION + "output_blocks.3.1.transformer_blocks.1", "unet.up_blocks.1.attentions.0.transformer_blocks.1"
    )
    return Architecture.SDXL_SSD1B if deep else Architecture.SDXL_VEGA


def _sd1(names: Names, inputs: tuple[int, ...] | None) -> Architecture:
    channels = ne(inputs, 2)
    if channels == _INPAINT_CHANNELS:
        return Architecture.SD1_INPAINT
    if channels == _EDIT_CHANNELS:
        return Architecture.SD1_PIX2PIX
    if _has_middle_block_1(names):
        return Architecture.SD1
    tiny = names.any_of(_DIFFUSION + "output_blocks.7.1", "unet.up_blocks.2.attentions.1")
    return Architecture.SD1_TINY_UNET if tiny else Architecture.SDXS_512_DS


def _sd2(names: Names, inputs: tuple[int, ...] | None) -> Architecture:
    if ne(inputs, 2) == _INPAINT_CHANNELS:
        return Architecture.SD2_INPAINT
    if _has_middle_block_1(names):
        return Architecture.SD2
    key = _DIFFUSION + "output_blocks.7.1.transformer_blocks.0.attn1.to_k.weight"
    return Architecture.SDXS_09 if ne(names.find(key), 0) == 1024 else Architecture.SD2_TINY_UNET


def wan_variant(names: Names, architecture: Architecture) -> str | None:
    """The Wan model's name as the library derives it (``WanRunner``), or None when it would abort on the layer
    count.
    """
    layers = names.count_blocks("model.blocks.")
    image = names.has("img_emb")
    vace = names.has("vace_blocks.")
    if layers == 30:
        if architecture is Architecture.WAN2_2_TI2V:
            return "Wan2.2-TI2V-5B"
        return "Wan2.1-VACE-1.3B" if vace else "Wan2.1-I2V-1.3B" if image else "Wan2.1-T2V-1.3B"
    if layers != 40:
        return None
    if image:
        return "Wan2.1-FLF2V-14B" if names.has("img_emb.emb_pos") else "Wan2.1-I2V-14B"
    if architecture is Architecture.WAN2_2_I2V:
        return "Wan2.2-I2V-14B"
    return "Wan2.x-VACE-14B" if vace else "Wan2.x-T2V-14B"
