"""Textual-inversion embeddings of any float type reach the library in F32."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from sdrest.core.errors import InvalidInput
from sdrest.planning.embedding_files import Embeddings
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry

VECTORS = np.random.default_rng(1).standard_normal((2, 768)).astype(np.float32)


def write(path: Path, dtype: str, data: bytes) -> None:
    header = {"emb_params": {"dtype": dtype, "shape": [2, 768], "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def embeddings(folder: Path) -> tuple[Registry, Embeddings]:
    registry = Registry(Folders(folder / "models"), folder / "data")
    registry.refresh()
    return registry, Embeddings(registry, folder / "data" / "embeddings")


def tensor(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    entry = json.loads(raw[8 : 8 + length])["emb_params"]
    assert entry["dtype"] == "F32"
    return np.frombuffer(raw[8 + length :], np.float32).reshape(entry["shape"])


@pytest.mark.parametrize(
    ("dtype", "data", "expected"),
    [
        ("F16", VECTORS.astype(np.float16).tobytes(), VECTORS.astype(np.float16).astype(np.float32)),
        ("F64", VECTORS.astype(np.float64).tobytes(), VECTORS),
        (
            "BF16",
            (VECTORS.view(np.uint32) >> 16).astype(np.uint16).tobytes(),
            (VECTORS.view(np.uint32) & 0xFFFF0000).view(np.float32),
        ),
    ],
)
def test_other_float_types_are_written_again_once(
    tmp_path: Path, dtype: str, data: bytes, expected: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    write(tmp_path / "models/embeddings/word.safetensors", dtype, data)
    registry, files = embeddings(tmp_path)
    made = files.file(registry.catalogue.resolve("word"))
    assert (tensor(made) == expected).all()
    before = made.stat().st_ino
    assert files.file(registry.catalogue.resolve("word")).stat().st_ino == before
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def test_a_changed_embedding_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "models/embeddings/word.safetensors"
    write(path, "F16", VECTORS.astype(np.float16).tobytes())
    registry, files = embeddings(tmp_path)
    first = files.file(registry.catalogue.resolve("word"))
    write(path, "F64", (2 * VECTORS).astype(np.float64).tobytes())
    registry.refresh()
    second = files.file(registry.catalogue.resolve("word"))
    assert second != first
    assert (tensor(second) == 2 * VECTORS).all()


def test_one_in_f32_is_used_as_it_is_and_one_of_integers_refused(tmp_path: Path) -> None:
    write(tmp_path / "models/embeddings/good.safetensors", "F32", VECTORS.tobytes())
    write(tmp_path / "models/embeddings/bad.safetensors", "I64", VECTORS.astype(np.int64).tobytes())
    registry, files = embeddings(tmp_path)
    assert files.file(registry.catalogue.resolve("good")) == tmp_path / "models/embeddings/good.safetensors"
    with pytest.raises(InvalidInput, match="cannot be turned into F32"):
        files.file(registry.catalogue.resolve("bad"))
