"""Notes and preview pictures are written beside a model, and read from there."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from sdrest.core.errors import Conflict, Forbidden, InvalidInput
from sdrest.core.model import Model
from sdrest.registry.builtin import builtin_models
from sdrest.registry.folders import Folders
from sdrest.registry.own_notes import may_write_beside, save_notes, save_preview
from sdrest.registry.registry import Registry
from sdrest.registry.sidecars import NOTES_LIMIT
from tests.architectures import PARTS
from tests.model_files import write_safetensors

_LORA = PARTS["lora"][1]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    write_safetensors(tmp_path / "lora/ink.safetensors", _LORA, {"modelspec.license": "MIT"})
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    return registry


def only(registry: Registry) -> Model:
    (model,) = registry.catalogue.models
    return model


def test_notes_are_read_back_with_their_lines_and_leave_the_rest_of_the_file(registry: Registry) -> None:
    file = only(registry).path.with_suffix(".json")
    file.write_text(json.dumps({"activation text": "inkstyle", "preferred weight": 0.7}))
    save_notes(registry.folders, only(registry), "good at 0.7\r\nnot with SDXL\n")
    registry.refresh()
    model = only(registry)
    assert (model.notes, model.description, model.licence) == ("good at 0.7\nnot with SDXL", None, "MIT")
    assert model.trigger_words == ("inkstyle",)
    save_notes(registry.folders, model, "  ")
    report = registry.refresh()
    assert report.changed == (model.id,)
    assert only(registry).notes is None
    assert json.loads(file.read_text()) == {"activation text": "inkstyle", "preferred weight": 0.7}


@pytest.mark.parametrize("content", [b"{not json", b"[1]", b"\xff\xfe"])
def test_a_file_that_is_no_object_is_left_as_it_is(registry: Registry, content: bytes) -> None:
    file = only(registry).path.with_suffix(".json")
    file.write_bytes(content)
    with pytest.raises(Conflict, match=r"ink\.json is there and cannot be read"):
        save_notes(registry.folders, only(registry), "mine")
    assert file.read_bytes() == content


def test_notes_that_are_too_long_and_models_from_elsewhere_are_refused(registry: Registry) -> None:
    with pytest.raises(InvalidInput, match=str(NOTES_LIMIT)):
        save_notes(registry.folders, only(registry), "x" * (NOTES_LIMIT + 1))
    builtin = builtin_models()[0]
    assert may_write_beside(registry.folders, only(registry))
    assert not may_write_beside(registry.folders, builtin)
    with pytest.raises(Forbidden, match="outside the model folders"):
        save_notes(registry.folders, builtin, "mine")
    with pytest.raises(Forbidden):
        save_preview(registry.folders, builtin, b"")


def test_a_chosen_picture_goes_before_one_that_lay_there(registry: Registry) -> None:
    path = only(registry).path
    path.with_suffix(".jpg").write_bytes(b"older")
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    save_preview(registry.folders, only(registry), stream.getvalue())
    registry.refresh()
    preview = only(registry).preview
    assert preview == path.with_name("ink.preview.png")
    assert preview.read_bytes() == stream.getvalue()
    assert path.with_suffix(".jpg").read_bytes() == b"older"
