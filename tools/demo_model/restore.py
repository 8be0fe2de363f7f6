"""Turn a shipped GGUF back into checkpoints (``tae.pt``, ``model.pt``), so that a new edition can begin at an old one."""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np
import tae
import torch
from export import DIFFUSION, TEXT
from model import HEAD, Model, Shape


def read(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of the file in float32, in PyTorch's order of axes."""
    found = {}
    for tensor in gguf.GGUFReader(path).tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        found[tensor.name] = values.reshape([int(n) for n in reversed(tensor.shape)])
    return found


def autoencoder(tensors: dict[str, np.ndarray]) -> tuple[tae.Encoder, tae.Decoder]:
    """The slim autoencoder inside the padded tensors."""
    encoder, decoder = tae.Encoder(), tae.Decoder()
    for network, part in ((encoder, "encoder"), (decoder, "decoder")):
        for name, parameter in network.named_parameters():
            values = tensors[f"tae.{part}.{name}"]
            parameter.data.copy_(torch.from_numpy(values[tuple(slice(0, n) for n in parameter.shape)].copy()))
    return encoder, decoder


def _paired(rows: np.ndarray) -> np.ndarray:
    """The inverse of ``export.interleave``."""
    order = np.argsort(np.arange(HEAD).reshape(2, HEAD // 2).T.ravel())
    return rows.reshape(-1, HEAD, *rows.shape[1:])[:, order].reshape(rows.shape)


def diffusion(tensors: dict[str, np.ndarray]) -> Model:
    """The diffusion model and its text table."""
    table = tensors[f"{TEXT}embed_tokens.weight"]
    ids = np.flatnonzero(np.abs(table).sum(1))
    hidden = tensors[f"{DIFFUSION}img_in.weight"].shape[0]
    depth = sum(name.endswith("img_attn.proj.weight") for name in tensors)
    model = Model(Shape(hidden, depth, table.shape[1]), ids.tolist())

    def put(parameter: torch.nn.Parameter, values: np.ndarray) -> None:
        parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(values)))

    def put_layer(layer: torch.nn.Linear, name: str) -> None:
        put(layer.weight, tensors[f"{name}.weight"])
        if layer.bias is not None:
            put(layer.bias, tensors[f"{name}.bias"])

    put(model.embedding, table[ids])
    put(model.txt_norm.scale, tensors[f"{DIFFUSION}txt_norm.scale"])
    for layer, name in (
        (model.img_in, "img_in"),
        (model.txt_in, "txt_in"),
        (model.time_in[0], "time_in.in_layer"),
        (model.time_in[2], "time_in.out_layer"),
        (model.final, "final_layer.linear"),
        (model.final_mod, "final_layer.adaLN_modulation.1"),
    ):
        put_layer(layer, f"{DIFFUSION}{name}")
    for i, block in enumerate(model.blocks):
        name = f"{DIFFUSION}double_blocks.{i}"
        put_layer(block.mod, f"{name}.img_mod.lin")
        put_layer(block.proj, f"{name}.img_attn.proj")
        for part in ("gate_proj", "up_proj", "down_proj"):
            put_layer(getattr(block, part), f"{name}.img_mlp.{part}")
        for kind in ("weight", "bias"):
            q, k, v = np.split(tensors[f"{name}.img_attn.qkv.{kind}"], 3)
            put(getattr(block.qkv, kind), np.concatenate((_paired(q), _paired(k), v)))
        _, k, v = np.split(tensors[f"{name}.txt_attn.qkv.weight"], 3)
        put(block.text_kv.weight, np.concatenate((_paired(k), v)))
        put(block.q_norm.scale, _paired(tensors[f"{name}.img_attn.norm.query_norm.scale"]))
        put(block.k_norm.scale, _paired(tensors[f"{name}.img_attn.norm.key_norm.scale"]))
        put(block.text_k_norm.scale, _paired(tensors[f"{name}.txt_attn.norm.key_norm.scale"]))
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    arguments = parser.parse_args()
    stored = read(arguments.file)
    encoder, decoder = autoencoder(stored)
    torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict(), "step": 0}, arguments.run / "tae.pt")
    model = diffusion(stored)
    weights = {name: p.detach() for name, p in model.named_parameters()}
    state = {"model": model.state_dict(), "average": weights, "step": 0, "seconds": 0.0, "shape": model.shape.to_dict()}
    torch.save(state, arguments.run / "start.pt")
    print(f"{len(model.token_ids)} tokens with a meaning")
