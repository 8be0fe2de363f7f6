"""CLIP's text encoders and its vision encoder (``src/clip.hpp``, ``src/pmid.hpp``)."""

from __future__ import annotations

from collections.abc import Iterator

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


def vision_encoder() -> Iterator[Tensor]:
    """The vision encoder ViT-L, 1024 wide with 24 layers, for pictures of 224x224 in patches of 14x14."""
    width, layers = 1024, 24
    embeddings = "vision_model.embeddings"
    yield Tensor(f"{embeddings}.class_embedding", (width,), Fill.NORMAL, 0.02)
    yield Tensor(f"{embeddings}.patch_embedding.weight", (width, 3, 14, 14))
    yield Tensor(f"{embeddings}.position_embedding.weight", (257, width), Fill.NORMAL, 0.02)
    yield from norm("vision_model.pre_layernorm", width)
    for index in range(layers):
        yield from _layer(f"vision_model.encoder.layers.{index}", width)
    yield from norm("vision_model.post_layernorm", width)
