"""Why a file is of no known kind: what each matcher of ``identify`` looks for, and which kinds the file comes nearest to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sdrest.registry.recognition.versions import Names

#: Parts of names that every kind of file has.
_EVERYWHERE: Final = frozenset({"weight", "bias", "model", "diffusion_model"})
_REPORTED: Final = 3

#: Kinds by label, with what their matchers ask for: all marks, of each one of its words.
MARKS: Final[tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]] = (
    ("LoRA", ((".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".hada_w1_a", ".lokr_w1"),)),
    ("PhotoMaker", (("fuse_module.", "qformer_perceiver."),)),
    ("ControlNet", (("zero_convs.",), ("input_hint_block.",))),
    ("U-Net (SD 1.x, SD 2.x, SDXL)", (("input_blocks.",), ("attn2.to_k.weight",))),
    ("SD 3.x", (("joint_blocks.",),)),
    ("Flux or Chroma", (("double_blocks.",),)),
    ("Chroma Radiance", (("nerf_final_layer_conv.",),)),
    ("Anima", (("llm_adapter.blocks.0.cross_attn.q_proj.weight",),)),
    ("Flux.2", (("double_stream_modulation_img.lin.weight",),)),
    ("Qwen Image", (("transformer_blocks.0.img_mod.1.weight",),)),
    ("Wan", (("blocks.0.cross_attn.norm_k.weight",),)),
    ("Z-Image", (("cap_embedder.0.weight",),)),
    ("Ovis Image", (("double_blocks.0.img_mlp.gate_proj.weight",),)),
    ("Ernie Image", (("layers.0.adaLN_sa_ln.weight",),)),
    ("CLIP image encoder", (("vision_model.encoder.layers.0.",),)),
    ("T5", (("block.0.layer.0.SelfAttention.q.weight", "enc.blk.0.attn_q.weight"),)),
    ("CLIP text encoder", (("token_embedding.weight",),)),
    ("language model", (("embed_tokens.weight", "token_embd.weight"),)),
    ("VAE", (("decoder.conv_in.weight", "decoder.conv1.weight"),)),
    ("TAESD", (("decoder.layers.0.weight", "decoder.1.weight"),)),
    ("ESRGAN upscaler", (("conv_first.weight", "model.0.weight"), ("rdb1.conv1.weight", "RDB1.conv1.0.weight"))),
)


@dataclass(frozen=True, slots=True)
class Near:
    """A kind that a file might have been, how much of it is there (0 to 1), and why it is not that."""

    label: str
    share: float
    reason: str


def nearest(names: Names) -> tuple[Near, ...]:
    """The three kinds that a file comes nearest to, nearest first."""
    found = [_near(names, label, marks) for label, marks in MARKS]
    return tuple(sorted(found, key=lambda near: -near.share)[:_REPORTED])


def why_unrecognised(names: Names) -> str:
    """What there is, and why it is none of the nearest kinds, in one sentence."""
    count = len(names.shapes)
    first = next(iter(names.shapes), "")
    there = f"{count} tensors ({first} …)" if count > 1 else f"one tensor ({first})" if count else "no tensors"
    near = "; ".join(f"{item.label}: {item.reason}" for item in nearest(names))
    return f"it holds {there} of no kind that the library knows. Nearest: {near}"


def _near(names: Names, label: str, marks: tuple[tuple[str, ...], ...]) -> Near:
    share = sum(max(_share(names, word) for word in words) for words in marks) / len(marks)
    has = [word for words in marks if (word := next(filter(names.has, words), ""))]
    lacks = [" or ".join(words) for words in marks if not names.any_of(*words)]
    told = [f"has {', '.join(has)}"] if has else []
    told.append(f"lacks {', '.join(lacks)}" if lacks else "but in shapes or places that the library does not take")
    return Near(label, share, " ".join(told) if not lacks else ", ".join(told))


def _share(names: Names, word: str) -> float:
    """How much of a word is there: 1 when it is, else at most a half, by the parts of it that names have."""
    if names.has(word):
        return 1.0
    parts = list(_parts(word))
    return 0.5 * sum(names.has(part) for part in parts) / len(parts) if parts else 0.0


def _parts(word: str) -> Iterator[str]:
    return (part for part in re.split(r"[.]", word) if part and not part.isdecimal() and part not in _EVERYWHERE)
