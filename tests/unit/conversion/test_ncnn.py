"""ncnn's layers and weights become the tensors of an RRDBNet, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from sdrest.conversion.ncnn import rrdbnet_tensors
from sdrest.core.errors import ModelUnusable
from sdrest.core.model import ModelType
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.identify import identify

WIDTH, GROWTH = 8, 4
#: (inputs, outputs) of each convolution of one block, in the order of the graph.
DENSE = [(WIDTH + step * GROWTH, GROWTH) for step in range(4)] + [(WIDTH + 4 * GROWTH, WIDTH)]
LAYERS = [(3, WIDTH), *DENSE * 3, *[(WIDTH, WIDTH)] * 4, (WIDTH, 3)]


def network(half: bool) -> tuple[str, bytes, list[np.ndarray]]:
    """A one-block network in ncnn's form, and its weights."""
    rng = np.random.default_rng(1)
    lines, data, weights = ["7767517", "2 2", "Input data 0 1 data"], b"", []
    for number, (inputs, outputs) in enumerate(LAYERS):
        lines.append(f"Convolution Conv_{number} 1 1 a b 0={outputs} 1=3 4=1 5=1 6={inputs * outputs * 9}")
        lines.append(f"ReLU Leaky_{number} 1 1 b c 0=2.0e-01")
        weight = rng.normal(size=(outputs, inputs, 3, 3)).astype("<f2")
        raw = weight.tobytes() if half else weight.astype("<f4").tobytes()
        data += (0x01306B47 if half else 0).to_bytes(4, "little") + raw + b"\0" * (-len(raw) % 4)
        data += np.full(outputs, number, "<f4").tobytes()
        weights.append(weight)
    return "\n".join(lines), data, weights


@pytest.mark.parametrize("half", [True, False])
def test_weights_come_out_as_they_went_in(half: bool, tmp_path: Path) -> None:
    param, data, weights = network(half)
    tensors = rrdbnet_tensors(param, data)
    assert (tensors["conv_first.weight"] == weights[0]).all()
    assert (tensors["body.0.rdb3.conv5.weight"] == weights[15]).all()
    assert (tensors["conv_last.bias"] == len(LAYERS) - 1).all()
    path = tmp_path / "small.safetensors"
    path.write_bytes(save(tensors))
    identity = identify(read_header(path))
    assert identity.type is ModelType.ESRGAN
    assert identity.traits == {"scale": 4, "blocks": 1}


def test_what_is_no_such_network_is_refused() -> None:
    param, data, _ = network(half=True)
    with pytest.raises(ModelUnusable, match="left over"):
        rrdbnet_tensors(param, data + b"\0")
    with pytest.raises(ModelUnusable, match="end inside conv_last"):
        rrdbnet_tensors(param, data[:-4])
    with pytest.raises(ModelUnusable, match="not those of an RRDBNet"):
        rrdbnet_tensors("\n".join(param.splitlines()[:-2]), data)
    with pytest.raises(ModelUnusable, match="3×3 convolution with bias"):
        rrdbnet_tensors(param.replace("1=3", "1=5", 1), data)
    with pytest.raises(ModelUnusable, match="unknown ncnn weight format"):
        rrdbnet_tensors(param, b"\xff" + data[1:])
