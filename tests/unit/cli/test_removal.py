"""``sdrest models rm``: what goes, what stays because others need it, and that it is said before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from tests.architectures import EVIDENCE
from tests.model_files import write_gguf
from tests.unit.cli.conftest import Command, catalogue, told


def test_a_model_goes_with_what_speaks_of_it_alone(command: Command, models: Path) -> None:
    assert command("rm", "flux1-dev", "--yes").exit_code == 0
    assert [path.name for path in (models / "diffusion_models").iterdir()] == ["flux1-schnell.gguf"]
    assert (models / "vae/ae.safetensors").exists()


def test_a_description_stays_while_another_file_of_that_name_is_there(command: Command, models: Path) -> None:
    write_gguf(models / "diffusion_models/flux1-dev.safetensors", EVIDENCE[Architecture.FLUX])
    assert command("rm", "flux1-dev.gguf", "--yes").exit_code == 0
    assert (models / "diffusion_models/flux1-dev.json").exists()


def test_what_others_need_is_named_and_removed_only_by_force(command: Command, models: Path) -> None:
    refused = command("rm", "ae", "--yes")
    assert refused.exit_code == 1
    for name in ("flux1-dev", "flux1-schnell"):
        assert f"{name} could not be loaded without ae, its vae" in refused.output
    assert (models / "vae/ae.safetensors").exists()
    looked = told(command("rm", "ae", "--dry-run", "--json"))
    assert (looked["removed"], [item["instead"] for item in looked["affected"]]) == (False, [None, None])
    assert command("rm", "ae", "--yes", "--force").exit_code == 0
    assert not (models / "vae/ae.safetensors").exists()


def test_a_part_that_another_can_replace_goes_and_the_change_is_told(command: Command, models: Path) -> None:
    shutil.copy(models / "vae/ae.safetensors", models / "vae/second.safetensors")
    done = command("rm", "ae", "--yes")
    assert done.exit_code == 0
    assert "flux1-dev would be loaded with second for its vae instead of ae" in done.output


def test_all_that_belongs_together_may_go_together(command: Command) -> None:
    assert command("rm", "flux1-dev", "flux1-schnell", "ae", "clip_l", "t5xxl", "--yes").exit_code == 0


def test_without_a_terminal_nothing_goes_unless_it_is_meant(command: Command, models: Path) -> None:
    refused = command("rm", "flux1-dev", said="y\n")
    assert (refused.exit_code, "--yes must say so" in refused.output) == (1, True)
    assert (models / "diffusion_models/flux1-dev.gguf").exists()


@pytest.mark.parametrize("name", ["demo", "link"])
def test_what_lies_elsewhere_stays(command: Command, models: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    write_gguf(elsewhere / "link.gguf", EVIDENCE[Architecture.FLUX])
    (models / "diffusion_models/outside").symlink_to(elsewhere)
    refused = command("rm", name, "--yes")
    assert (refused.exit_code, "lies outside the model folders" in refused.output) == (1, True), refused.output
    assert (elsewhere / "link.gguf").exists()


def test_a_link_goes_and_what_it_leads_to_stays(command: Command, models: Path, tmp_path: Path) -> None:
    target = write_gguf(tmp_path / "elsewhere/far.gguf", EVIDENCE[Architecture.FLUX])
    link = models / "diffusion_models/near.gguf"
    link.symlink_to(target)
    done = told(command("rm", "near", "--yes", "--json"))
    assert (done["removed"], done["size_bytes"]) == (True, 0)
    assert (link.is_symlink(), target.exists()) == (False, True)


def test_a_set_goes_but_for_the_parts_that_others_take(command: Command, models: Path, tmp_path: Path) -> None:
    files = {
        "dev": ("diffusion_model", "flux1-dev.gguf", "unknown"),
        "schnell": ("diffusion_model", "flux1-schnell.gguf", "unknown"),
        "vae": ("vae", "ae.safetensors", "unknown"),
    }
    sets = catalogue(tmp_path / "sets.yaml", files, {"big": ["dev", "vae"], "quick": ["schnell", "vae"]})
    refused = command("rm", "ae", "--yes", "--model-sets", str(sets))
    assert "the model set big would lack a part" in refused.output
    done = told(command("rm", "big", "--yes", "--json", "--model-sets", str(sets)))
    assert ([item["name"] for item in done["models"]], [item["name"] for item in done["kept"]]) == (
        ["flux1-dev"],
        ["ae"],
    )
    rest = told(command("rm", "quick", "--yes", "--json", "--model-sets", str(sets)))
    assert [item["name"] for item in rest["models"]] == ["flux1-schnell", "ae"]
    assert sorted(path.name for path in models.rglob("*") if path.is_file()) == [
        "clip_l.safetensors",
        "t5xxl.safetensors",
    ]
