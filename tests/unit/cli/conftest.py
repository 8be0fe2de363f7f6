"""A folder of models for the commands that work on files, and a way to give commands in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sdrest.cli.sdrest import main
from sdrest.core.architecture import Architecture
from tests.architectures import EVIDENCE, PARTS
from tests.model_files import write_gguf, write_safetensors

Command = Callable[..., Result]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two Flux models that share an autoencoder and text encoders, and a description beside one of them."""
    folder = tmp_path / "models"
    for name in ("flux1-dev", "flux1-schnell"):
        write_gguf(folder / f"diffusion_models/{name}.gguf", EVIDENCE[Architecture.FLUX])
    vae = {"decoder.conv_in.weight": (512, 16, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}
    write_safetensors(folder / "vae/ae.safetensors", vae)
    for name, part in (("clip_l", "clip_l"), ("t5xxl", "t5")):
        write_safetensors(folder / f"text_encoders/{name}.safetensors", PARTS[part][1])
    (folder / "diffusion_models/flux1-dev.json").write_text('{"description": "The large one"}')
    return folder


@pytest.fixture
def command(models: Path) -> Command:
    """``sdrest models WORDS`` on that folder."""

    def give(*words: str, said: str | None = None) -> Result:
        arguments = ["models", *words, "--models-dir", str(models), "--data-dir", str(models.parent / "data")]
        return CliRunner().invoke(main, arguments, input=said)

    return give


def told(result: Result) -> Any:
    """What a command with ``--json`` has printed."""
    return json.loads(result.stdout)


def catalogue(path: Path, files: dict[str, tuple[str, str, str]], sets: dict[str, list[str]]) -> Path:
    """A catalogue of model sets: files as (part, file name, SHA-256) by id, sets as lists of ids."""
    entries = {
        key: {"part": part, "url": f"https://example.org/{name}", "size": "unknown", "sha256": sha256}
        for key, (part, name, sha256) in files.items()
    }
    about = {"title": "A set", "about": "For tests", "licence": "MIT"}
    path.write_text(
        json.dumps({"version": 1, "files": entries, "sets": {k: {**about, "files": v} for k, v in sets.items()}})
    )
    return path
