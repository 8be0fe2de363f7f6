"""Parts that the Flux layouts share (``src/flux.hpp``)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.tiny.tensors import Tensor, constant, linear

HEAD = 128


def qk_norm(name: str) -> Iterator[Tensor]:
    """The scales of query and key normalisation; the library takes the size of a head from them."""
    for part in ("query_norm", "key_norm"):
        yield constant(f"{name}.{part}.scale", (HEAD,), 1)


def attention(name: str, width: int, *, bias: bool) -> Iterator[Tensor]:
    """One stream's self-attention in a double block."""
    yield from linear(f"{name}.qkv", width, 3 * width, bias=bias)
    yield from qk_norm(f"{name}.norm")
    yield from linear(f"{name}.proj", width, width, bias=bias)


def embedder(name: str, inputs: int, width: int, *, bias: bool) -> Iterator[Tensor]:
    """The two layers that make a vector of the time step."""
    yield from linear(f"{name}.in_layer", inputs, width, bias=bias)
    yield from linear(f"{name}.out_layer", width, width, bias=bias)
