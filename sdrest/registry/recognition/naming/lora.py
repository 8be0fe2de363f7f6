"""LoRA tensors: the names that trainers write to ``WEIGHT.lora_down`` and so on, by which the library finds the
weight.
"""

from __future__ import annotations

_PREFIXES = ("lora.lora.", "lora.lora_", "lora.lycoris_", "lora.lycoris.", "lora.")
_UNDERSCORED = ("unet_", "te_", "te1_", "te2_", "te3_", "vae_")
#: In the order in which the library tries them (that of ``std::map``: by bytes).
_SUFFIXES = tuple(
    sorted(
        {
            ".lora_down.weight": ".weight.lora_down",
            ".lora_mid.weight": ".weight.lora_mid",
            ".lora_up.weight": ".weight.lora_up",
            ".lora.down.weight": ".weight.lora_down",
            ".lora.mid.weight": ".weight.lora_mid",
            ".lora.up.weight": ".weight.lora_up",
            "_lora.down.weight": ".weight.lora_down",
            "_lora.mid.weight": ".weight.lora_mid",
            "_lora.up.weight": ".weight.lora_up",
            ".lora_A.weight": ".weight.lora_down",
            ".lora_B.weight": ".weight.lora_up",
            ".lora_A.default.weight": ".weight.lora_down",
            ".lora_B.default.weight": ".weight.lora_up",
            ".lora_linear": ".weight.alpha",
            ".alpha": ".weight.alpha",
            ".scale": ".weight.scale",
            ".diff": ".weight.diff",
            ".diff_b": ".bias.diff",
            **{f".{part}": f".weight.{part}" for part in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")},
            **{f".{part}": f".weight.{part}" for part in ("hada_t1", "hada_t2")},
            **{f".{part}": f".weight.{part}" for part in ("lokr_w1", "lokr_w1_a", "lokr_w1_b")},
            **{f".{part}": f".weight.{part}" for part in ("lokr_w2", "lokr_w2_a", "lokr_w2_b")},
        }.items()
    )
)
#: Words whose underscores are no separators; all other underscores of kohya's names stand for dots.
# fmt: off
_TOKENS = (
    "self_attn", "out_proj", "q_proj", "k_proj", "v_proj", "to_k", "to_q", "to_v", "to_out", "text_model",
    "down_blocks", "mid_block", "up_block", "proj_in", "proj_out", "transformer_blocks",
    "single_transformer_blocks", "single_blocks", "diffusion_model", "cond_stage_model", "first_stage_model",
    "conv_in", "conv_out", "lora_down", "lora_mid", "lora_up", "diff_b", "hada_w1_a", "hada_w1_b",
    "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", ".lokr_w1", ".lokr_w1_a", ".lokr_w1_b", ".lokr_w2",
    ".lokr_w2_a", ".lokr_w2_b", "time_emb_proj", "conv_shortcut", "time_embedding", "conv_norm_out",
    "double_blocks", "txt_attn", "img_attn", "input_blocks", "output_blocks", "middle_block",
    "skip_connection", "emb_layers", "in_layers", "out_layers", "add_q_proj", "add_k_proj", "add_v_proj",
    "add_out_proj", "ff_context", "norm_added_q", "norm_added_v", "to_add_out", "txt_mod", "img_mod",
    "txt_mlp", "img_mlp", "proj_mlp", "wi_0", "wi_1", "norm1_context", "x_embedder",
)
# fmt: on


def lora_name(name: str, *, is_unet: bool) -> str:
    """A LoRA tensor's name without its prefix, its suffix and separators made those of weights.

    ``name`` begins with ``lora.``; ``is_unet`` says that it is for an architecture whose LoRAs use underscores.
    """
    prefix = next(prefix for prefix in _PREFIXES if name.startswith(prefix))
    name = name.removeprefix(prefix)
    underscored = prefix == "lora.lycoris_" or name.startswith(_UNDERSCORED)
    for old, new in _SUFFIXES:
        if name.endswith(old):
            name = name.removesuffix(old) + new
            break
    name = name.replace(".processor", "", 1)
    if name.startswith(("transformer_blocks", "single_transformer_blocks")):
        name = "transformer." + name
    return separators_to_dots(name) if is_unet or underscored else name


def separators_to_dots(name: str) -> str:
    """Underscores that separate parts turned into dots (``convert_sep_to_dot``)."""
    kept: set[int] = set()
    for token in _TOKENS:
        start = name.find(token)
        while start >= 0:
            kept.update(start + place for place, letter in enumerate(token) if letter == "_")
            start = name.find(token, start + len(token))
    return "".join("." if letter == "_" and place not in kept else letter for place, letter in enumerate(name))
