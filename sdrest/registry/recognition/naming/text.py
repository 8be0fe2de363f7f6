"""Text and image encoders: the names of llama.cpp and OpenCLIP to those of Hugging Face's transformers."""

from __future__ import annotations

from sdrest.registry.recognition.naming.replace import replace_each

_T5 = (
    ("enc.", "encoder."),
    ("blk.", "block."),
    ("output_norm.", "final_layer_norm."),
    ("attn_q.", "layer.0.SelfAttention.q."),
    ("attn_k.", "layer.0.SelfAttention.k."),
    ("attn_v.", "layer.0.SelfAttention.v."),
    ("attn_o.", "layer.0.SelfAttention.o."),
    ("attn_norm.", "layer.0.layer_norm."),
    ("ffn_norm.", "layer.1.layer_norm."),
    ("ffn_up.", "layer.1.DenseReluDense.wi_1."),
    ("ffn_down.", "layer.1.DenseReluDense.wo."),
    ("ffn_gate.", "layer.1.DenseReluDense.wi_0."),
    ("attn_rel_b.", "layer.0.SelfAttention.relative_attention_bias."),
    ("token_embd.", "shared."),
)
_LLM = (
    ("token_embd.", "model.embed_tokens."),
    ("blk.", "model.layers."),
    ("attn_q.", "self_attn.q_proj."),
    ("attn_k.", "self_attn.k_proj."),
    ("attn_v.", "self_attn.v_proj."),
    ("attn_q_norm.", "self_attn.q_norm."),
    ("attn_k_norm.", "self_attn.k_norm."),
    ("attn_output.", "self_attn.o_proj."),
    ("attn_norm.", "input_layernorm."),
    ("ffn_down.", "mlp.down_proj."),
    ("ffn_gate.", "mlp.gate_proj."),
    ("ffn_up.", "mlp.up_proj."),
    ("ffn_norm.", "post_attention_layernorm."),
    ("output_norm.", "model.norm."),
)
_LLM_VISION = (
    ("mm.", "merger.mlp."),
    ("v.post_ln.", "merger.ln_q."),
    ("v.patch_embd.weight", "patch_embed.proj.0.weight"),
    ("patch_embed.proj.0.weight.1", "patch_embed.proj.1.weight"),
    ("v.patch_embd.weight.1", "patch_embed.proj.1.weight"),
    ("v.blk.", "blocks."),
    ("attn_q.", "attn.q_proj."),
    ("attn_k.", "attn.k_proj."),
    ("attn_v.", "attn.v_proj."),
    ("attn_out.", "attn.proj."),
    ("ffn_down.", "mlp.down_proj."),
    ("ffn_gate.", "mlp.gate_proj."),
    ("ffn_up.", "mlp.up_proj."),
    ("ln1.", "norm1."),
    ("ln2.", "norm2."),
)
_CLIP = (
    ("transformer.text_projection.weight", "transformer.text_model.text_projection"),
    ("model.text_projection.weight", "transformer.text_model.text_projection"),
    ("vision_model.visual_projection.weight", "visual_projection.weight"),
)
_TEXT, _VISION = "transformer.text_model.", "transformer.vision_model."
_OPEN_CLIP = {
    "model.ln_final.bias": _TEXT + "final_layer_norm.bias",
    "model.ln_final.weight": _TEXT + "final_layer_norm.weight",
    "model.positional_embedding": _TEXT + "embeddings.position_embedding.weight",
    "model.token_embedding.weight": _TEXT + "embeddings.token_embedding.weight",
    "model.text_projection": _TEXT + "text_projection",
    "model.visual.class_embedding": _VISION + "embeddings.class_embedding",
    "model.visual.conv1.weight": _VISION + "embeddings.patch_embedding.weight",
    "model.visual.ln_post.bias": _VISION + "post_layernorm.bias",
    "model.visual.ln_post.weight": _VISION + "post_layernorm.weight",
    "model.visual.ln_pre.bias": _VISION + "pre_layernorm.bias",
    "model.visual.ln_pre.weight": _VISION + "pre_layernorm.weight",
    "model.visual.positional_embedding": _VISION + "embeddings.position_embedding.weight",
    "model.visual.proj": "transformer.visual_projection.weight",
    _VISION + "pre_layrnorm.weight": _VISION + "pre_layernorm.weight",
    _VISION + "pre_layrnorm.bias": _VISION + "pre_layernorm.bias",
}
_BLOCK = {
    "attn.in_proj_bias": "self_attn.in_proj.bias",
    "attn.in_proj_weight": "self_attn.in_proj.weight",
    "attn.out_proj.bias": "self_attn.out_proj.bias",
    "attn.out_proj.weight": "self_attn.out_proj.weight",
    "ln_1.bias": "layer_norm1.bias",
    "ln_1.weight": "layer_norm1.weight",
    "ln_2.bias": "layer_norm2.bias",
    "ln_2.weight": "layer_norm2.weight",
    "mlp.c_fc.bias": "mlp.fc1.bias",
    "mlp.c_fc.weight": "mlp.fc1.weight",
    "mlp.c_proj.bias": "mlp.fc2.bias",
    "mlp.c_proj.weight": "mlp.fc2.weight",
}
_BLOCK_STARTS = (
    ("model.transformer.resblocks.", _TEXT + "encoder.layers."),
    ("model.visual.transformer.resblocks.", _VISION + "encoder.layers."),
)


def text_encoder_name(name: str) -> str:
    """The library's name of an encoder tensor, prefix already taken off (``convert_cond_stage_model_name``)."""
    if "t5xxl" in name:
        return replace_each(name, _T5)
    if "llm" in name:
        return replace_each(name, _LLM_VISION if "llm.visual" in name else _LLM)
    return replace_each(_open_clip(name), _CLIP)


def _open_clip(name: str) -> str:
    name = _OPEN_CLIP.get(name, name)
    for start, new in _BLOCK_STARTS:
        if name.startswith(start):
            index, _, suffix = name.removeprefix(start).partition(".")
            if suffix in _BLOCK:
                name = f"{new}{index}.{_BLOCK[suffix]}"
    return name
