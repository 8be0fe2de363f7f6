"""Tensor names are converted as the library converts them: its own function, called in a child, is the judge."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from pathlib import Path

from sdrest.core.architecture import Architecture
from sdrest.registry.recognition.naming import convert_name

#: ``enum SDVersion``: the architectures in the library's order, then VERSION_COUNT.
_VERSIONS: list[Architecture | None] = [a for a in Architecture if a is not Architecture.CHROMA] + [None]
_LORA_ENDS = (
    *(".lora_down.weight", ".lora_up.weight", ".lora.down.weight", "_lora.up.weight", ".lora_A.weight", ".alpha"),
    *(".lora_B.default.weight", ".scale", ".diff", ".diff_b", ".hada_w1_a", ".lokr_w1", ".lokr_w2_b", ".hada_t2"),
)
_KOHYA = (("unet.", "lora_unet_"), ("te.", "lora_te_"), ("te1.", "lora_te1_"), ("te2.", "lora_te2_"))


def _unet_and_vae() -> list[str]:
    layers = (
        "norm1.weight",
        "conv1.bias",
        "norm2.weight",
        "conv2.weight",
        "time_emb_proj.weight",
        "conv_shortcut.bias",
    )
    attention = (
        "norm.weight",
        "proj_in.bias",
        "transformer_blocks.0.attn1.to_q.weight",
        "to_out.0.weight",
        "query.bias",
    )
    names = []
    for block, layer in itertools.product(range(4), range(3)):
        for part in ("down_blocks", "up_blocks", "mid_block"):
            place = "mid_block" if part == "mid_block" else f"{part}.{block}"
            names += [f"unet.{place}.resnets.{layer}.{end}" for end in layers]
            names += [f"unet.{place}.attentions.{layer}.{end}" for end in (*attention, "to_out.weight")]
            names += [f"vae.{side}.{place}.resnets.{layer}.{layers[block]}" for side in ("encoder", "decoder")]
        names += [
            f"{p}{d}_blocks.{block}.{d}samplers.0.conv.weight"
            for d in ("down", "up")
            for p in ("unet.", "vae.decoder.")
        ]
        names.append(f"first_stage_model.decoder.mid_block.attentions.0.{attention[block]}")
    whole = ("conv_in.weight", "conv_out.bias", "conv_norm_out.weight", "time_embedding.linear_1.weight")
    names += [prefix + name for prefix in ("unet.", "diffusion_model.", "vae.decoder.") for name in whole]
    return [
        *names,
        "unet.add_embedding.linear_2.bias",
        "vae.decoder.post_quant_conv.weight",
        "vae.encoder.quant_conv.bias",
    ]


def _transformers() -> list[str]:
    ends = (
        *(
            "attn.to_q.weight",
            "attn.to_k.bias",
            "attn.to_v.weight",
            "attn.add_k_proj.weight",
            "attn.norm_added_q.weight",
        ),
        *(
            "attn2.to_k.weight",
            "attn2.norm_q.weight",
            "attn.norm_k.weight",
            "attn.to_out.0.weight",
            "attn.to_add_out.bias",
        ),
        *(
            "ff.net.0.proj.weight",
            "ff.net.2.bias",
            "ff_context.net.2.weight",
            "norm1.linear.weight",
            "norm.linear.bias",
        ),
        *("proj_mlp.weight", "proj_out.weight", "norm1_context.linear.bias"),
    )
    names = []
    for layer in (0, 7, 18, 19, 37, 38):
        names += [f"transformer.{kind}transformer_blocks.{layer}.{end}" for kind in ("", "single_") for end in ends]
        lumina = ("norm_q.weight", "to_out.0.weight", "to_q.weight", "to_k.weight", "to_v.bias")
        names += [
            f"model.diffusion_model.{b}.{layer}.attention.{e}" for b in ("layers", "noise_refiner") for e in lumina
        ]
    whole = (
        "context_embedder.weight",
        "x_embedder.bias",
        "proj_out.weight",
        "norm_out.linear.bias",
        "pos_embed.proj.weight",
    )
    names += [
        f"transformer.{name}" for name in (*whole, "time_text_embed.guidance_embedder.linear_2.weight", "blocks.0.x")
    ]
    return [*names, "model.diffusion_model.all_x_embedder.2-1.weight", "model.diffusion_model.net.blocks.0.x"]


def _text_encoders() -> list[str]:
    prefixes: tuple[str, ...] = (
        "cond_stage_model.",
        "cond_stage_model.1.",
        "conditioner.embedders.0.",
        "conditioner.embedders.1.",
        "te.",
    )
    prefixes += (
        "te1.",
        "te2.",
        "te3.",
        "te.1.",
        "text_encoder.",
        "text_encoder.2.",
        "text_encoders.clip_l.transformer.",
    )
    clip = (
        *(
            "text_model.encoder.layers.0.self_attn.q_proj.weight",
            "model.text_projection.weight",
            "model.text_projection",
        ),
        *("model.transformer.resblocks.3.attn.in_proj_weight", "model.transformer.resblocks.11.unknown.bias"),
        *("model.visual.transformer.resblocks.2.ln_1.weight", "model.visual.proj", "model.ln_final.weight"),
        *("transformer.vision_model.pre_layrnorm.weight", "vision_model.visual_projection.weight"),
    )
    names = [prefix + end for prefix in prefixes for end in clip]
    t5 = ("enc.blk.0.attn_q.weight", "enc.blk.3.ffn_up.weight", "enc.output_norm.weight", "token_embd.weight")
    llm: tuple[str, ...] = (
        "blk.0.attn_q.weight",
        "blk.0.attn_q_norm.weight",
        "output_norm.weight",
        "visual.v.blk.0.attn_q.weight",
    )
    llm += (
        "visual.mm.0.weight",
        "visual.v.patch_embd.weight",
        "visual.v.patch_embd.weight.1",
        "visual.v.blk.3.ln1.weight",
    )
    names += [f"text_encoders.t5xxl.transformer.{end}" for end in t5] + [f"text_encoders.llm.{end}" for end in llm]
    pmid = ("perceiver_resampler.layers.0.1.1.weight", "perceiver_resampler.layers.3.1.3.weight", "token_proj.2.bias")
    return [*names, *(f"pmid.qformer_perceiver.{end}" for end in pmid), "control_model.zero_convs.0.0.weight", "plain"]


def _names() -> list[str]:
    names = _unet_and_vae() + _transformers() + _text_encoders()
    source = random.Random(1)
    loras = [
        "lora.transformer_blocks.3.attn.processor.to_k_lora.down.weight",
        "lora.unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight",
        "lora.single_transformer_blocks.1.proj_mlp.lora_A.weight",
        "lora.lycoris_unet_down_blocks_0_resnets_1_conv1.lokr_w1",
    ]
    for name in source.sample(names, 250):
        stem, end = name.rpartition(".")[0] or name, source.choice(_LORA_ENDS)
        loras.append(f"lora.{stem}{end}")
        loras += [
            f"lora.{new}{stem.removeprefix(old).replace('.', '_')}{end}" for old, new in _KOHYA if stem.startswith(old)
        ]
    return names + loras


def test_names_become_the_librarys_own() -> None:
    source = random.Random(2)
    versions = [0, 4, 9, 15, 16, 19, 25, 26, 28, 29, len(_VERSIONS) - 1]
    cases = [(version, name) for name in _names() for version in source.sample(versions, 4)]
    text = "".join(f"{version}\t{name}\n" for version, name in cases)
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.conversion.library_names"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    wrong = [
        (version, name, theirs, ours)
        for (version, name), theirs in zip(cases, done.stdout.splitlines(), strict=True)
        if (ours := convert_name(name, _VERSIONS[version])) != theirs
    ]
    assert wrong == []
    assert len(cases) > 4000
