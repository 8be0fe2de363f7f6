"""CLIP's text encoders and its vision encoder (``src/clip.hpp``, ``src/pmid.hpp``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tiny.aliased import write_aliased_safetensors
from tests.tiny.tensors import Fill, Tensor, linear, norm

VOCABULARY = 49408
POSITIONS = 77


def text_encoder(width: int, layers: int) -> Iterator[Tensor]:
    """A text encoder in Hugging Face's names: ViT-L is 768 wide with 12 layers, bigG 1280 with 32."""
    yield Tensor("text_model.embeddings.token_embedding.weight", (VOCABULARY, width), Fill.NORMAL, 0.02)
    yield Tensor("text_model.embeddings.position_embedding.weight", (POSITIONS, width), Fill.NORMAL, 0.02)
    for index in range(layers):
        yield from _layer(f"text_model.encoder.layers.{index}", width)
    yield from norm("text_model.final_layer_norm", width)


def _layer(name: str, width: int) -> Iterator[Tensor]:
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        yield from linear(f"{name}.self_attn.{part}", width, width)
    yield from norm(f"{name}.layer_norm1", width)
    yield from norm(f"{name}.layer_norm2", width)
    yield from linear(f"{name}.mlp.fc1", width, 4 * width)
    yield from linear(f"{name}.mlp.fc2", 4 * width, width)


@dataclass(frozen=True, slots=True)
class Vision:
    """The sizes of a vision encoder."""

    width: int
    layers: int
    projection: int


VISION_L = Vision(width=1024, layers=24, projection=768)
"""ViT-L, of PhotoMaker."""
VISION_H = Vision(width=1280, layers=32, projection=1024)
"""ViT-H, of Wan 2.1 image to video."""


def vision_encoder(shape: Vision = VISION_L) -> Iterator[Tensor]:
    """A vision encoder for pictures of 224x224 in patches of 14x14."""
    width = shape.width
    embeddings = "vision_model.embeddings"
    yield Tensor(f"{embeddings}.class_embedding", (width,), Fill.NORMAL, 0.02)
    yield Tensor(f"{embeddings}.patch_embedding.weight", (width, 3, 14, 14))
    yield Tensor(f"{embeddings}.position_embedding.weight", (257, width), Fill.NORMAL, 0.02)
    yield from norm("vision_model.pre_layernorm", width)
    for index in range(shape.layers):
        yield from _layer(f"vision_model.encoder.layers.{index}", width)
    yield from norm("vision_model.post_layernorm", width)


def write_vision(path: Path, seed: int, *, change: int = 0) -> Path:
    """Write the vision encoder ViT-H with its projection: 13 MB, 1.3 GB in memory (quantised it is three times slower).

    ``change`` makes it another one of the same layout.
    """
    projection = linear("visual_projection", VISION_H.width, VISION_H.projection, bias=False)
    return write_aliased_safetensors(path, [*vision_encoder(VISION_H), *projection], seed + change)
