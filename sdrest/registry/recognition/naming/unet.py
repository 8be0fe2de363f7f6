"""U-Net tensors: diffusers' names to those of the original SD 1, SD 2 and SDXL checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from sdrest.registry.recognition.naming.replace import replace_each

_WHOLE = {
    "time_embedding.linear_1.weight": "time_embed.0.weight",
    "time_embedding.linear_1.bias": "time_embed.0.bias",
    "time_embedding.linear_2.weight": "time_embed.2.weight",
    "time_embedding.linear_2.bias": "time_embed.2.bias",
    "conv_in.weight": "input_blocks.0.0.weight",
    "conv_in.bias": "input_blocks.0.0.bias",
    "conv_norm_out.weight": "out.0.weight",
    "conv_norm_out.bias": "out.0.bias",
    "conv_out.weight": "out.2.weight",
    "conv_out.bias": "out.2.bias",
}
_WHOLE_SDXL = _WHOLE | {
    "add_embedding.linear_1.weight": "label_emb.0.0.weight",
    "add_embedding.linear_1.bias": "label_emb.0.0.bias",
    "add_embedding.linear_2.weight": "label_emb.0.2.weight",
    "add_embedding.linear_2.bias": "label_emb.0.2.bias",
}
_RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)


def sd1_unet_name(name: str) -> str:
    """The original name of an SD 1 or SD 2 U-Net tensor (``convert_diffusers_unet_to_original_sd1``)."""
    whole = _WHOLE.get(name)
    return whole if whole is not None else _layers(name, _sd1_layers())


def sdxl_unet_name(name: str) -> str:
    """The original name of an SDXL U-Net tensor (``convert_diffusers_unet_to_original_sdxl``)."""
    whole = _WHOLE_SDXL.get(name)
    if whole is not None:
        return whole
    name = _layers(name, _sdxl_layers())
    return replace_each(name, (("to_out.weight", "to_out.0.weight"), ("to_out.bias", "to_out.0.bias")))


def _layers(name: str, layers: tuple[tuple[str, str], ...]) -> str:
    if "resnets" in name:
        name = replace_each(name, _RESNET)
    return replace_each(name, layers)


def _middle() -> list[tuple[str, str]]:
    return [
        ("mid_block.attentions.0.", "middle_block.1."),
        ("mid_block.resnets.0.", "middle_block.0."),
        ("mid_block.resnets.1.", "middle_block.2."),
    ]


@cache
def _sd1_layers() -> tuple[tuple[str, str], ...]:
    return (*_blocks(4, 3, attending_down=range(3), attending_up=range(4)), *_middle())


@cache
def _sdxl_layers() -> tuple[tuple[str, str], ...]:
    blocks = _blocks(3, 4, attending_down=range(1, 3), attending_up=range(2))
    return (*blocks, ("output_blocks.2.1.conv.", "output_blocks.2.2.conv."), *_middle())


def _blocks(blocks: int, layers_up: int, *, attending_down: range, attending_up: range) -> Iterator[tuple[str, str]]:
    """Layers of the blocks on the way down, which have two each, and on the way up; those of some blocks attend to the text."""
    for block in range(blocks):
        for layer in range(2):
            place = 3 * block + layer + 1
            yield f"down_blocks.{block}.resnets.{layer}.", f"input_blocks.{place}.0."
            if block in attending_down:
                yield f"down_blocks.{block}.attentions.{layer}.", f"input_blocks.{place}.1."
        for layer in range(layers_up):
            place = 3 * block + layer
            yield f"up_blocks.{block}.resnets.{layer}.", f"output_blocks.{place}.0."
            if block in attending_up:
                yield f"up_blocks.{block}.attentions.{layer}.", f"output_blocks.{place}.1."
        if block < 3:  # down- and upsampling after it
            third = 1 if block == 0 else 2
            yield f"down_blocks.{block}.downsamplers.0.conv.", f"input_blocks.{3 * (block + 1)}.0.op."
            yield f"up_blocks.{block}.upsamplers.0.", f"output_blocks.{3 * block + 2}.{third}."
