"""U-Net tensors: diffusers' names to those of the original SD 1, SD 2 and SDXL checkpoints."""

from __future__ import annotations

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


def _between(block: int) -> list[tuple[str, str]]:
    """Down- and upsampling after a block."""
    third = 1 if block == 0 else 2
    return [
        (f"down_blocks.{block}.downsamplers.0.conv.", f"input_blocks.{3 * (block + 1)}.0.op."),
        (f"up_blocks.{block}.upsamplers.0.", f"output_blocks.{3 * block + 2}.{third}."),
    ]


@cache
def _sd1_layers() -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for block in range(4):
        for layer in range(2):
            place = 3 * block + layer + 1
            pairs.append((f"down_blocks.{block}.resnets.{layer}.", f"input_blocks.{place}.0."))
            if block < 3:
                pairs.append((f"down_blocks.{block}.attentions.{layer}.", f"input_blocks.{place}.1."))
        for layer in range(3):
            place = 3 * block + layer
            pairs.append((f"up_blocks.{block}.resnets.{layer}.", f"output_blocks.{place}.0."))
            pairs.append((f"up_blocks.{block}.attentions.{layer}.", f"output_blocks.{place}.1."))
        if block < 3:
            pairs += _between(block)
    return (*pairs, *_middle())


@cache
def _sdxl_layers() -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for block in range(3):
        for layer in range(2):
            place = 3 * block + layer + 1
            pairs.append((f"down_blocks.{block}.resnets.{layer}.", f"input_blocks.{place}.0."))
            if block > 0:
                pairs.append((f"down_blocks.{block}.attentions.{layer}.", f"input_blocks.{place}.1."))
        for layer in range(4):
            place = 3 * block + layer
            pairs.append((f"up_blocks.{block}.resnets.{layer}.", f"output_blocks.{place}.0."))
            if block < 2:
                pairs.append((f"up_blocks.{block}.attentions.{layer}.", f"output_blocks.{place}.1."))
        pairs += _between(block)
    pairs.append(("output_blocks.2.1.conv.", "output_blocks.2.2.conv."))
    return (*pairs, *_middle())
