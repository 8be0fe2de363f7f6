"""Real-ESRGAN weights in ncnn's form, rewritten as the safetensors file that the native library loads.

ncnn (https://github.com/Tencent/ncnn) keeps a network as a text of layers (``.param``) and their weights one after the
other (``.bin``). An RRDBNet's convolutions stand there in the order in which its graph runs, so their names follow from
their number alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdrest.core.errors import ModelUnusable

_F16_FLAG = 0x01306B47
#: Convolutions inside a residual-in-residual block, and those around all blocks.
_PER_BLOCK, _AROUND = 15, 6
_TAIL = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
Weights = NDArray[np.float16]


def rrdbnet_tensors(param: str, data: bytes) -> dict[str, Weights]:
    """The float16 tensors of an RRDBNet, under the names of the original PyTorch files.

    Args:
        param: The text of the ``.param`` file.
        data: The content of the ``.bin`` file.

    Raises:
        ModelUnusable: the network is another one, or the weights do not fill the file exactly.
    """
    layers = _convolutions(param)
    blocks, rest = divmod(len(layers) - _AROUND, _PER_BLOCK)
    if rest or blocks < 1:
        raise ModelUnusable(f"{len(layers)} convolutions are not those of an RRDBNet (15 for each block and 6 more)")
    tensors: dict[str, Weights] = {}
    at = 0
    for name, (outputs, count) in zip(_names(blocks), layers, strict=True):
        weights, at = _read_weights(name, data, at, count)
        bias = _slice(name, data, at, outputs * 4)
        at += outputs * 4
        tensors[f"{name}.weight"] = weights.reshape(outputs, -1, 3, 3)
        tensors[f"{name}.bias"] = np.frombuffer(bias, "<f4").astype(np.float16)
    if at != len(data):
        raise ModelUnusable(f"{len(data) - at} bytes of ncnn weights are left over")
    return tensors


def _convolutions(param: str) -> list[tuple[int, int]]:
    """(outputs, number of weights) of every convolution, in file order."""
    found = []
    for line in param.splitlines()[2:]:
        kind, *fields = line.split() or [""]
        if kind != "Convolution":
            continue
        values = dict(field.split("=", 1) for field in fields if "=" in field)
        try:
            outputs, count, kernel, has_bias = (int(values[key]) for key in ("0", "6", "1", "5"))
        except (KeyError, ValueError):
            raise ModelUnusable(f"unreadable ncnn layer: {line[:100]}") from None
        if kernel != 3 or has_bias != 1 or outputs < 1 or count < 1 or count % (outputs * 9):
            raise ModelUnusable(f"expected a 3×3 convolution with bias, found: {line[:100]}")
        found.append((outputs, count))
    return found


def _names(blocks: int) -> list[str]:
    inner = [
        f"body.{block}.rdb{dense}.conv{step}" for block in range(blocks) for dense in (1, 2, 3) for step in range(1, 6)
    ]
    return ["conv_first", *inner, *_TAIL]


def _read_weights(name: str, data: bytes, at: int, count: int) -> tuple[Weights, int]:
    """A convolution's weights and where they end: a marker of four bytes tells float16 (padded to four) from float32."""
    marker = int.from_bytes(_slice(name, data, at, 4), "little")
    at += 4
    if marker == _F16_FLAG:
        return np.frombuffer(_slice(name, data, at, count * 2), "<f2").astype(np.float16), at + (count * 2 + 3) // 4 * 4
    if marker == 0:
        return np.frombuffer(_slice(name, data, at, count * 4), "<f4").astype(np.float16), at + count * 4
    raise ModelUnusable(f"{name}: unknown ncnn weight format {marker:#x}")


def _slice(name: str, data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise ModelUnusable(f"the ncnn weights end inside {name}")
    return data[at : at + count]
