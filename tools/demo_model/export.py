"""Write the trained parts into ONE GGUF that the native library loads: ``model_path`` and ``taesd_path`` both name it.

The library takes the diffusion model, the text encoder (an embedding table and a norm, no layers) and the tiny
autoencoder by the prefixes of their tensors; a ``taesd_path`` makes it use the autoencoder.
"""

from __future__ import annotations

import argparse
import ctypes
from copy import deepcopy
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import stable_diffusion_cpp
import tae
import torch
from gguf import GGMLQuantizationType as Kind
from model import HEAD, Block, Model
from tokens import VOCABULARY
from train import load
from words import standing

DIFFUSION = "model.diffusion_model."
TEXT = "text_encoders.llm.model."


@cache
def _native() -> ctypes.CDLL:
    folder = Path(stable_diffusion_cpp.__file__).parent / "lib"
    library = ctypes.CDLL(str(next(folder.glob("libstable-diffusion.*"))))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    return library


def quantised(values: np.ndarray, kind: Kind) -> np.ndarray:
    """Rows of ``values`` in a block format, by the library's own quantiser: ``uint8`` [rows, bytes of a row]."""
    values = np.ascontiguousarray(values, np.float32)
    rows, width = values.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if width % block:
        raise ValueError(f"rows of {width} do not divide into blocks of {block} ({kind.name})")
    out = np.zeros((rows, width // block * size), np.uint8)
    if values.any():
        _native().ggml_quantize_chunk(kind.value, values.ctypes.data, out.ctypes.data, 0, rows, width, None)
    return out


def dequantised(values: np.ndarray, kind: Kind) -> np.ndarray:
    """What the library will read of ``values`` once stored as ``kind``."""
    if kind in (Kind.F32, Kind.F16):
        return values.astype(np.float16 if kind is Kind.F16 else np.float32).astype(np.float32)
    return gguf.dequantize(quantised(values, kind), kind)


def interleave(weight: np.ndarray) -> np.ndarray:
    """Query or key rows from (i, i + 64) pairs to the library's neighbouring pairs, head by head."""
    order = np.arange(HEAD).reshape(2, HEAD // 2).T.ravel()
    return weight.reshape(-1, HEAD, *weight.shape[1:])[:, order].reshape(weight.shape)


def _array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().float().numpy()


def _block(name: str, block: Block, hidden: int) -> dict[str, np.ndarray]:
    """A double block's tensors; everything of the text stream but its keys and values is zero."""
    out: dict[str, np.ndarray] = {}

    def put(part: str, weight: np.ndarray, bias: np.ndarray | None = None) -> None:
        out[f"{name}.{part}.weight"] = weight
        out[f"{name}.{part}.bias"] = np.zeros(len(weight), np.float32) if bias is None else bias

    q, k, v = (_array(part) for part in block.qkv.weight.chunk(3))
    qb, kb, vb = (_array(part) for part in block.qkv.bias.chunk(3))
    put("img_mod.lin", _array(block.mod.weight), _array(block.mod.bias))
    put(
        "img_attn.qkv",
        np.concatenate((interleave(q), interleave(k), v)),
        np.concatenate((interleave(qb), interleave(kb), vb)),
    )
    put("img_attn.proj", _array(block.proj.weight), _array(block.proj.bias))
    for part in ("gate_proj", "up_proj", "down_proj"):
        layer = getattr(block, part)
        put(f"img_mlp.{part}", _array(layer.weight), _array(layer.bias))
    text_k, text_v = (_array(part) for part in block.text_kv.weight.chunk(2))
    put("txt_mod.lin", np.zeros((6 * hidden, hidden), np.float32))
    put("txt_attn.qkv", np.concatenate((np.zeros_like(text_k), interleave(text_k), text_v)))
    put("txt_attn.proj", np.zeros((hidden, hidden), np.float32))
    put("txt_mlp.gate_proj", np.zeros((4 * hidden, hidden), np.float32))
    put("txt_mlp.up_proj", np.zeros((4 * hidden, hidden), np.float32))
    put("txt_mlp.down_proj", np.zeros((hidden, 4 * hidden), np.float32))
    out[f"{name}.img_attn.norm.query_norm.scale"] = interleave(_array(block.q_norm.scale))
    out[f"{name}.img_attn.norm.key_norm.scale"] = interleave(_array(block.k_norm.scale))
    out[f"{name}.txt_attn.norm.query_norm.scale"] = np.ones(HEAD, np.float32)
    out[f"{name}.txt_attn.norm.key_norm.scale"] = interleave(_array(block.text_k_norm.scale))
    return out


def tensors(model: Model) -> dict[str, np.ndarray]:
    """Every tensor of the diffusion model and the text encoder in the library's names and order of channels."""
    hidden = model.shape.hidden
    out: dict[str, np.ndarray] = {}
    for name, layer in (
        ("img_in", model.img_in),
        ("time_in.in_layer", model.time_in[0]),
        ("time_in.out_layer", model.time_in[2]),
        ("final_layer.linear", model.final),
        ("final_layer.adaLN_modulation.1", model.final_mod),
    ):
        out[f"{DIFFUSION}{name}.weight"], out[f"{DIFFUSION}{name}.bias"] = _array(layer.weight), _array(layer.bias)
    out[f"{DIFFUSION}txt_norm.scale"] = _array(model.txt_norm.scale)
    out[f"{DIFFUSION}txt_in.weight"] = _array(model.txt_in.weight)
    out[f"{DIFFUSION}txt_in.bias"] = np.zeros(hidden, np.float32)
    for i, block in enumerate(model.blocks):
        out.update(_block(f"{DIFFUSION}double_blocks.{i}", block, hidden))
    table = np.zeros((VOCABULARY, model.shape.text), np.float32)
    rows = dict(zip(model.token_ids.tolist(), _array(model.embedding_rows()), strict=True))
    table[list(rows)] = np.stack(list(rows.values()))
    for token, other in standing().items():
        if token not in rows:
            table[token] = rows[other]
    out[f"{TEXT}embed_tokens.weight"] = table
    out[f"{TEXT}norm.weight"] = np.ones(model.shape.text, np.float32)
    return out


def kind_of(name: str, values: np.ndarray, exact: bool) -> Kind:
    """The stored type: small and one-dimensional tensors keep full precision, empty ones take the fewest bits."""
    if values.ndim != 2 or values.shape[1] % 32:
        return Kind.F16 if values.ndim == 4 else Kind.F32
    if name.endswith("embed_tokens.weight"):
        return Kind.F32 if exact else Kind.Q4_0
    if not values.any() and values.shape[1] % 256 == 0:
        return Kind.Q2_K  # TQ2_0 is smaller and a little quicker, but has no kernels on graphics cards
    if exact:
        return Kind.F32
    if values.size < 100_000:
        return Kind.F16
    return Kind.Q8_0 if "_attn." in name or values.shape[1] % 256 else Kind.Q6_K


def as_stored(model: Model) -> Model:
    """The model with every weight as the library reads it back from the file, so that the port shows the file's error."""
    copy = deepcopy(model)
    plain = [copy.img_in, copy.time_in[0], copy.time_in[2], copy.txt_in, copy.final, copy.final_mod]
    names = [(layer, "") for layer in plain]
    for block in copy.blocks:
        names += [(layer, "_attn.") for layer in (block.qkv, block.proj, block.text_kv)]
        names += [(layer, "") for layer in (block.mod, block.gate_proj, block.up_proj, block.down_proj)]
    for layer, name in names:
        values = _array(layer.weight)
        layer.weight.data = torch.from_numpy(dequantised(values, kind_of(name, values, exact=False)))
    rows = _array(copy.embedding_rows())
    copy.stored_rows = torch.from_numpy(dequantised(rows, kind_of("embed_tokens.weight", rows, exact=False)))
    return copy


def write(model: Model, run: Path, path: Path, exact: bool = False) -> None:
    """Write the GGUF. ``exact`` keeps the diffusion model in float32, for the numeric check of the port."""
    everything = tensors(model)
    everything.update({f"tae.{name}": values for name, values in tae.padded_tensors(*tae.load(run / "tae.pt")).items()})
    writer = gguf.GGUFWriter(path, "ovis_image")
    writer.add_name("sdrest demo")
    writer.add_license("Apache-2.0")
    writer.add_description(
        "A small text-to-image model trained on Noto emoji; draws everyday things and scenes at 128x128"
    )
    for name, values in everything.items():
        kind = kind_of(name, values, exact)
        if kind in (Kind.F32, Kind.F16):
            writer.add_tensor(name, values.astype(np.float16 if kind is Kind.F16 else np.float32))
        else:
            writer.add_tensor(name, quantised(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {sum(v.size for v in everything.values()) / 1e6:.1f} M values")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--exact", action="store_true", help="float32 diffusion model, for check_port.py")
    arguments = parser.parse_args()
    write(load(arguments.run / "model.pt"), arguments.run, arguments.out, arguments.exact)
