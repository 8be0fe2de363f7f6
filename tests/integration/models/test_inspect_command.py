"""``sdrest models inspect`` as a user types it: for registered models and for files anywhere, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.architecture import Architecture
from tests.architectures import EVIDENCE, PARTS
from tests.commands import sdrest
from tests.model_files import write_gguf, write_safetensors

_VAE16 = {"decoder.conv_in.weight": (512, 16, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Flux model with its autoencoder and one of its two text encoders registered, and a second copy elsewhere."""
    models = tmp_path / "models"
    write_gguf(models / "diffusion_models/flux1-dev.gguf", EVIDENCE[Architecture.FLUX])
    write_gguf(tmp_path / "elsewhere/other.gguf", EVIDENCE[Architecture.FLUX])
    for name in ("ae", "second-ae"):
        write_safetensors(models / f"vae/{name}.safetensors", _VAE16)
    write_safetensors(models / "text_encoders/clip_l.safetensors", PARTS["clip_l"][1])
    return tmp_path


def _json(folder: Path, what: str) -> dict[str, Any]:
    result = sdrest("models", "inspect", what, "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_model_is_told_with_what_it_needs_and_what_would_be_taken(folder: Path) -> None:
    found = _json(folder, "flux1-dev")
    assert (found["format"], found["type"], found["architecture"]) == ("gguf", "diffusion_model", "flux")
    shapes = EVIDENCE[Architecture.FLUX]
    assert len(found["tensors"]) == len(shapes)
    assert [size["tensors"] for size in found["sizes"]] == [len(shapes)]
    assert found["sizes"][0]["type"] == "f16"
    assert found["sizes"][0]["nbytes"] == 2 * found["sizes"][0]["parameters"] == 2 * found["parameters"]
    loading = found["loading"]
    assert loading["possible"] is False
    assert "needs t5xxl" in loading["reason"]
    parts = {part["component"]: part for part in loading["components"]}
    assert [candidate["name"] for candidate in parts["clip_l"]["candidates"]] == ["clip_l"]
    assert {candidate["name"] for candidate in parts["vae"]["candidates"]} == {"ae", "second-ae"}
    assert parts["t5xxl"]["candidates"] == []

    t5 = folder / "models/text_encoders/t5.safetensors"
    write_safetensors(t5, PARTS["t5"][1])
    here = _json(folder, "flux1-dev")
    elsewhere = _json(folder, "elsewhere/other.gguf")
    assert (here["registered"], elsewhere["registered"], elsewhere["id"]) == (True, False, None)
    for told in (here, elsewhere):
        loading = told["loading"]
        assert (loading["possible"], loading["reason"]) == (True, None)
        assert {part["component"]: part["taken"] for part in loading["components"]} == {
            "clip_l": "clip_l",
            "t5xxl": "t5",
            "vae": "ae",
        }
    same = _json(folder, "models/diffusion_models/flux1-dev.gguf")
    assert same == here


@pytest.mark.slow
def test_people_get_tables(folder: Path) -> None:
    lines = sdrest("models", "inspect", "demo", cwd=folder).stdout.splitlines()
    assert lines[0].endswith("demo.gguf: gguf, checkpoint, Ovis Image")
    assert "registered as demo" in lines[1]
    assert any(line.split()[:4] == ["vae", "required", "tiny", "autoencoder"] for line in lines)
    vae = sdrest("models", "inspect", "ae", "--tensors", cwd=folder).stdout
    assert "safetensors, vae" in vae
    assert "decoder.conv_in.weight  512×16×3×3" in vae
    assert "loaded" not in vae


def test_what_cannot_be_inspected_is_said(folder: Path) -> None:
    (folder / "page.gguf").write_text("<html>")
    (folder / "models/prompts").mkdir()
    (folder / "models/prompts/ink.txt").write_text("{prompt}, ink")
    for what, said in (
        ("flux1-dve", "'flux1-dve' is no model file, and no model is named 'flux1-dve'; did you mean 'flux1-dev'?"),
        ("page.gguf", "page.gguf: this is a web page, not a model"),
        ("ink", "ink.txt is of type prompts: a text, which holds no tensors"),
    ):
        result = sdrest("models", "inspect", what, cwd=folder)
        assert (result.returncode, said in result.stderr, "Traceback" in result.stderr) == (1, True, False), (
            result.stderr
        )
