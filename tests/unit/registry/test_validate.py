"""Validation tells everything that is wrong with a model without loading it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.model import Component
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from sdrest.registry.validate import Validation, validate
from tests.architectures import EVIDENCE, PARTS
from tests.model_files import torch_pickle, write_safetensors, write_torch_zip


def _validate(folder: Path, name: str) -> Validation:
    registry = Registry(Folders(folder))
    registry.refresh()
    return validate(registry, registry.catalogue.resolve(name))


def test_a_sound_checkpoint_is_valid_and_compatible(tmp_path: Path) -> None:
    shapes = EVIDENCE[Architecture.SD1] | {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}
    write_safetensors(tmp_path / "checkpoints/a.safetensors", shapes)
    found = _validate(tmp_path, "a")
    assert (found.valid, found.compatible, found.problems, found.missing) == (True, True, (), ())
    assert found.architecture is Architecture.SD1


def test_a_model_without_its_parts_is_valid_but_not_compatible(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "diffusion_models/f.safetensors", EVIDENCE[Architecture.FLUX])
    found = _validate(tmp_path, "f")
    assert (found.valid, found.compatible) == (True, False)
    assert set(found.missing) == {Component.CLIP_L, Component.T5XXL, Component.VAE}
    assert [problem.code for problem in found.problems] == ["missing_components"]


def test_a_file_that_was_cut_after_the_scan_is_noticed(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "vae/v.safetensors", PARTS["vae"][1])
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    path.write_bytes(path.read_bytes()[:-1])
    found = validate(registry, registry.catalogue.resolve("v"))
    assert [problem.code for problem in found.problems] == ["truncated"]
    path.unlink()
    assert [problem.code for problem in validate(registry, registry.catalogue.resolve("v")).problems] == ["bad_header"]


@pytest.mark.parametrize(
    ("reference", "codes"),
    [
        (b"cposix\nsystem\n", ["hostile_pickle"]),
        (b"cbuiltins\neval\n", ["hostile_pickle"]),
        (b"cbuiltins\neval.__call__\n", ["hostile_pickle"]),
        (b"cbuiltins\n__import__\n", ["hostile_pickle"]),
        (b"cimportlib\nimport_module\n", ["hostile_pickle"]),
        (b"cpkgutil\nresolve_name\n", ["hostile_pickle"]),
        (b"cnumpy.testing._private.utils\nrunstring\n", ["hostile_pickle"]),
        (b"ctest.support.script_helper\nassert_python_ok\n", ["hostile_pickle"]),
        (b"ctorch.utils.collect_env\nrun\n", ["hostile_pickle"]),
        (b"ctorch.serialization\nload\n", ["hostile_pickle"]),
        (b"ctorch._inductor.codecache\ncompile_file\n", ["hostile_pickle"]),
        (b"\x8c\x05trace\x8c\x09Trace.run\x93", ["hostile_pickle"]),
        (b"ccopy\ncopy\n(\x8c\x02ostR\x8c\x06system\x93", ["hostile_pickle", "unusual_pickle"]),
        (b"ctorch.serialization\n_get_layout\n", []),
        (b"cmy.project\nModel\n", ["unusual_pickle"]),
        (b"ctorch\nfloat16\n", []),
        (b"cpytorch_lightning.callbacks\nCheckpoint\n", []),
    ],
)
def test_pickles_that_do_more_than_hold_weights(reference: bytes, codes: list[str], tmp_path: Path) -> None:
    shapes = PARTS["esrgan"][1]
    pickled = torch_pickle(shapes)
    path = tmp_path / "esrgan/u.pth"
    write_torch_zip(path, shapes, pickled[:2] + reference + b"0" + pickled[2:])
    found = _validate(tmp_path, "u")
    assert [problem.code for problem in found.problems] == codes
    assert found.valid is ("hostile_pickle" not in codes)
