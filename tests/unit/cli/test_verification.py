"""``sdrest models verify``: digests that are known are compared with what the file holds now."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command, catalogue, told


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def models(models: Path) -> Path:
    """Autoencoders alone: the other files are large."""
    for name in ("first", "second", "third"):
        shutil.copy(models / "vae/ae.safetensors", models / f"vae/{name}.safetensors")
    for folder in ("diffusion_models", "text_encoders"):
        shutil.rmtree(models / folder)
    return models


def test_each_source_of_a_digest_is_compared(command: Command, models: Path, tmp_path: Path) -> None:
    vae, first, second = (models / f"vae/{name}.safetensors" for name in ("ae", "first", "second"))
    files = {"vae": ("vae", vae.name, _sha256(vae)), "first": ("vae", first.name, "unknown")}
    sets = ("--model-sets", str(catalogue(tmp_path / "sets.yaml", files, {"mine": ["vae", "first"]})))
    noted = {f"https://example.org/{first.name}": _sha256(first)}
    (models / ".first-seen-hashes.json").write_text(json.dumps(noted))
    second.with_suffix(".metadata.json").write_text(json.dumps({"sha256": _sha256(second).upper()}))
    result = command("verify", "ae", "first", "second", "third", "--json", *sets)
    assert result.exit_code == 0, result.output
    verdicts = {
        item["name"]: (item["verdict"], [e["source"] for e in item["expected"]]) for item in told(result)["models"]
    }
    assert verdicts == {
        "ae": ("ok", [f"the model set mine ({sets[1]})"]),
        "first": ("ok", ["the note of its first download"]),
        "second": ("ok", ["the description beside it"]),
        "third": ("unknown", []),
    }
    # One byte of the data, with size and time as they were: what a disk does that goes bad.
    before = vae.stat()
    with vae.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    os.utime(vae, ns=(before.st_atime_ns, before.st_mtime_ns))
    bad = command("verify", "ae", "first", *sets)
    assert bad.exit_code == 1
    assert "differs  vae/ae.safetensors: its SHA-256 is" in bad.output
    assert "ok       vae/first.safetensors" in bad.output


def test_a_damaged_file_is_told_and_all_are_looked_at(command: Command, models: Path) -> None:
    os.truncate(models / "vae/ae.safetensors", 100)
    result = command("verify", "--all")
    assert result.exit_code == 1
    assert "damaged  vae/ae.safetensors" in result.output
    assert result.output.count("no digest is known") == 4  # the other three, and the model that comes with sdrest
    assert command("verify").exit_code == 2
