"""Diffusion transformers: diffusers' names to the original ones. Fused projections get ``.1``, ``.2`` … for their
parts.
"""

from __future__ import annotations

from functools import cache

from sdrest.registry.recognition.naming.replace import replace_start

_TIME = (
    ("time_text_embed.timestep_embedder.linear_1", "time_text_embed.timestep_embedder.linear_2"),
    ("time_text_embed.text_embedder.linear_1", "time_text_embed.text_embedder.linear_2"),
    ("time_text_embed.guidance_embedder.linear_1", "time_text_embed.guidance_embedder.linear_2"),
)
_ENDS = ("weight", "bias")
_FINAL = {
    f"{old}.{end}": f"{new}.{end}"
    for old, new in (("proj_out", "final_layer.linear"), ("norm_out.linear", "final_layer.adaLN_modulation.1"))
    for end in _ENDS
}


def sd3_name(name: str) -> str:
    """The original name of an SD3 tensor (``convert_diffusers_dit_to_original_sd3``)."""
    return replace_start(name, _sd3_table())


def flux_name(name: str) -> str:
    """The original name of a Flux tensor (``convert_diffusers_dit_to_original_flux``)."""
    return replace_start(name, _flux_table())


def lumina_name(name: str) -> str:
    """The original name of a Z-Image tensor (``convert_diffusers_dit_to_original_lumina2``)."""
    return replace_start(name, _lumina_table())


def _ended(old: str, new: str) -> dict[str, str]:
    return {f"{old}.{end}": f"{new}.{end}" for end in _ENDS}


def _fused(parts: tuple[str, ...], new: str) -> dict[str, str]:
    """Separate projections of which the first keeps the fused name and the others are numbered."""
    table: dict[str, str] = {}
    for number, part in enumerate(parts):
        suffix = f".{number}" if number else ""
        table |= {f"{part}.{end}": f"{new}.{end}{suffix}" for end in _ENDS}
    return table


@cache
def _sd3_table() -> dict[str, str]:
    table: dict[str, str] = {}
    for olds, new in zip(_TIME, ("t_embedder", "y_embedder"), strict=False):
        table |= _ended(olds[0], f"{new}.mlp.0") | _ended(olds[1], f"{new}.mlp.2")
    table["pos_embed.pos_embed"] = "pos_embed"
    table |= _ended("pos_embed.proj", "x_embedder.proj") | _FINAL
    for layer in range(38):
        old, new = f"transformer_blocks.{layer}.", f"joint_blocks.{layer}."
        image, text = new + "x_block.", new + "context_block."
        table |= _ended(old + "norm1.linear", image + "adaLN_modulation.1")
        table |= _ended(old + "norm1_context.linear", text + "adaLN_modulation.1")
        for attention in ("attn", "attn2"):
            here = old + attention
            table |= _fused((here + ".to_q", here + ".to_k", here + ".to_v"), f"{image}{attention}.qkv")
            added = (here + ".add_q_proj", here + ".add_k_proj", here + ".add_v_proj")
            table |= _fused(added, f"{text}{attention}.qkv")
            table[f"{here}.norm_q.weight"] = f"{image}{attention}.ln_q.weight"
            table[f"{here}.norm_k.weight"] = f"{image}{attention}.ln_k.weight"
            table |= _ended(here + ".to_out.0", f"{image}{attention}.proj")
            table |= _ended(here + ".to_add_out", f"{text}{attention}.proj")
        table[old + "attn.norm_added_q.weight"] = text + "attn.ln_q.weight"
        table[old + "attn.norm_added_k.weight"] = text + "attn.ln_k.weight"
        for old_ff, block in ((old + "ff.net", image), (old + "ff_context.net", text)):
            table |= _ended(old_ff + ".0.proj", block + "mlp.fc1") | _ended(old_ff + ".2", block + "mlp.fc2")
    return table


@cache
def _flux_table() -> dict[str, str]:
    table: dict[str, str] = {}
    for olds, new in zip(_TIME, ("time_in", "vector_in", "guidance_in"), strict=True):
        table |= _ended(olds[0], f"{new}.in_layer") | _ended(olds[1], f"{new}.out_layer")
    table |= _ended("context_embedder", "txt_in") | _ended("x_embedder", "img_in") | _FINAL
    for layer in range(19):
        old, new = f"transformer_blocks.{layer}.", f"double_blocks.{layer}."
        here = old + "attn."
        table |= _ended(old + "norm1.linear", new + "img_mod.lin")
        table |= _ended(old + "norm1_context.linear", new + "txt_mod.lin")
        table |= _fused((here + "to_q", here + "to_k", here + "to_v"), new + "img_attn.qkv")
        table |= _fused((here + "add_q_proj", here + "add_k_proj", here + "add_v_proj"), new + "txt_attn.qkv")
        table[here + "norm_q.weight"] = new + "img_attn.norm.query_norm.scale"
        table[here + "norm_k.weight"] = new + "img_attn.norm.key_norm.scale"
        table[here + "norm_added_q.weight"] = new + "txt_attn.norm.query_norm.scale"
        table[here + "norm_added_k.weight"] = new + "txt_attn.norm.key_norm.scale"
        for old_ff, mlp in ((old + "ff.net", "img_mlp"), (old + "ff_context.net", "txt_mlp")):
            table |= _ended(old_ff + ".0.proj", f"{new}{mlp}.0") | _ended(old_ff + ".2", f"{new}{mlp}.2")
        table |= _ended(here + "to_out.0", new + "img_attn.proj") | _ended(here + "to_add_out", new + "txt_attn.proj")
    for layer in range(38):
        old, new = f"single_transformer_blocks.{layer}.", f"single_blocks.{layer}."
        here = old + "attn."
        table |= _ended(old + "norm.linear", new + "modulation.lin")
        table |= _fused((here + "to_q", here + "to_k", here + "to_v", old + "proj_mlp"), new + "linear1")
        table[here + "norm_q.weight"] = new + "norm.query_norm.scale"
        table[here + "norm_k.weight"] = new + "norm.key_norm.scale"
        table |= _ended(old + "proj_out", new + "linear2")
    return table


@cache
def _lumina_table() -> dict[str, str]:
    table = {"all_x_embedder.2-1.": "x_embedder.", "all_final_layer.2-1.": "final_layer."}
    blocks = [f"noise_refiner.{i}." for i in range(2)] + [f"context_refiner.{i}." for i in range(2)]
    blocks += [f"layers.{i}." for i in range(30)]
    for block in blocks:
        here = block + "attention."
        table[here + "norm_q."] = here + "q_norm."
        table[here + "norm_k."] = here + "k_norm."
        table[here + "to_out.0."] = here + "out."
        table |= _fused((here + "to_q", here + "to_k", here + "to_v"), here + "qkv")
    return table
