"""KL autoencoders: diffusers' names to the original ones."""

from __future__ import annotations

from functools import cache

from sdrest.registry.recognition.naming.replace import replace_each, replace_start

_MOVED = {"decoder.post_quant_conv.": "post_quant_conv.", "encoder.quant_conv.": "quant_conv."}
_BASE = (
    ("conv_shortcut", "nin_shortcut"),
    ("conv_norm_out", "norm_out"),
    ("mid_block.attentions.0.", "mid.attn_1."),
)
_ATTENTION = (
    ("group_norm.", "norm."),
    ("query.", "q."),
    ("key.", "k."),
    ("value.", "v."),
    ("proj_attn.", "proj_out."),
)
_MIDDLE_ATTENTION = (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"))


def kl_name(name: str) -> str:
    """The original name of an autoencoder tensor, prefix already taken off (``convert_first_stage_model_name``)."""
    name = replace_start(name, _MOVED)
    converted = replace_each(replace_each(name, _BASE), _layers())
    if "attentions" in name:
        converted = replace_each(converted, _ATTENTION)
    if "mid.attn_1." in converted:
        converted = replace_each(converted, _MIDDLE_ATTENTION)
    return converted


@cache
def _layers() -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for block in range(4):
        pairs += [
            (f"encoder.down_blocks.{block}.resnets.{layer}.", f"encoder.down.{block}.block.{layer}.")
            for layer in range(2)
        ]
        if block < 3:
            pairs.append((f"down_blocks.{block}.downsamplers.0.", f"down.{block}.downsample."))
            pairs.append((f"up_blocks.{block}.upsamplers.0.", f"up.{3 - block}.upsample."))
        pairs += [
            (f"decoder.up_blocks.{block}.resnets.{layer}.", f"decoder.up.{3 - block}.block.{layer}.")
            for layer in range(3)
        ]
    pairs += [(f"mid_block.resnets.{layer}.", f"mid.block_{layer + 1}.") for layer in range(2)]
    return tuple(pairs)
