"""A file of no known kind says which kinds it comes nearest to, and what it lacks of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture, Family
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.identify import identify
from sdrest.registry.recognition.inspect import header_problems
from sdrest.registry.recognition.nearest import nearest
from sdrest.registry.recognition.versions import Names
from tests.architectures import EVIDENCE, Shapes
from tests.model_files import write_safetensors

_UNETS = {Family.SD1, Family.SD2, Family.SDXL, Family.SVD}


def reason_of(tmp_path: Path, shapes: Shapes) -> str:
    """What is said of an unrecognised file of these tensors."""
    header = read_header(write_safetensors(tmp_path / "m.safetensors", shapes))
    assert identify(header).type is None
    [problem] = [item for item in header_problems(header) if item.code == "unrecognised"]
    return problem.message


def test_half_a_controlnet_is_told_what_it_has_and_what_it_lacks(tmp_path: Path) -> None:
    reason = reason_of(tmp_path, {"control_model.zero_convs.0.0.weight": (4, 4, 1, 1), "x.weight": (4, 4)})
    assert "Nearest: ControlNet: has zero_convs., lacks input_hint_block.;" in reason
    assert "2 tensors (control_model.zero_convs.0.0.weight …)" in reason
    assert reason.count("lacks") == 3


def test_a_name_that_has_been_changed_in_part_still_leads_to_its_kind(tmp_path: Path) -> None:
    reason = reason_of(tmp_path, {"net.transformer_blocks.0.img_mod.lin.weight": (8, 4)})
    assert "Nearest: Qwen Image: lacks transformer_blocks.0.img_mod.1.weight;" in reason
    assert "one tensor (net.transformer_blocks.0.img_mod.lin.weight)" in reason


def test_marks_in_shapes_that_no_matcher_takes_are_told_as_such(tmp_path: Path) -> None:
    reason = reason_of(tmp_path, {"decoder.conv_in.weight": (8, 4), "decoder.other.weight": (8, 4)})
    assert "VAE: has decoder.conv_in.weight but in shapes or places that the library does not take" in reason


@pytest.mark.parametrize("architecture", [item for item in Architecture if item.family not in _UNETS])
def test_what_is_told_of_a_kind_is_what_its_recognition_asks_for(architecture: Architecture, tmp_path: Path) -> None:
    header = read_header(write_safetensors(tmp_path / "m.safetensors", EVIDENCE[architecture]))
    assert nearest(Names(header.tensors))[0].share == 1.0
