"""Symbolic links in the model folders: which are followed, what is said of the others, and that nothing is written through them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.cli.configuration import load_settings
from sdrest.core.errors import Forbidden, InvalidInput
from sdrest.registry.folders import BY_KEY, Folders
from sdrest.registry.links import LinkRule
from sdrest.registry.placing import place
from sdrest.registry.registry import Registry
from sdrest.registry.scan import skipped
from sdrest.work.model_files import folder_of
from tests.architectures import PARTS
from tests.model_files import write_safetensors

_LORA, _VAE = PARTS["lora"][1], PARTS["vae"][1]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Model folders with links of every kind to ``tmp_path/outside``, which links back to itself."""
    outside = write_safetensors(tmp_path / "outside/sub/x.safetensors", _LORA).parents[1]
    (outside / "sub/again").symlink_to(outside)
    inside = write_safetensors(tmp_path / "m/vae/v.safetensors", _VAE)
    lora = tmp_path / "m/lora"
    lora.mkdir()
    (lora / "x.safetensors").symlink_to(outside / "sub/x.safetensors")
    (lora / "folder").symlink_to(outside)
    (lora / "v.safetensors").symlink_to(inside)
    (lora / "circle").symlink_to(lora)
    (lora / "self").symlink_to(lora / "self")
    (lora / "gone.safetensors").symlink_to(outside / "gone.safetensors")
    (lora / "notes.txt").symlink_to(outside / "notes.txt")
    return tmp_path / "m"


def _found(registry: Registry) -> set[str]:
    registry.refresh()
    return {model.relative_path for model in registry.catalogue.models}


def test_links_that_lead_out_are_followed_when_that_is_wanted(models: Path) -> None:
    registry = Registry(Folders(models), follow_links=True)
    assert _found(registry) == {
        "lora/v.safetensors",
        "vae/v.safetensors",
        "lora/x.safetensors",
        "lora/folder/sub/x.safetensors",
    }
    lora, outside = models / "lora", models.parent / "outside"
    assert set(registry.skipped) == {
        f"{lora}/self: Too many levels of symbolic links",
        f"{lora}/gone.safetensors: links to {outside}/gone.safetensors, which is not there",
    }


def test_otherwise_those_that_could_be_models_are_named_with_the_reason(models: Path) -> None:
    registry = Registry(Folders(models))
    assert _found(registry) == {"lora/v.safetensors", "vae/v.safetensors"}
    lora, outside = models / "lora", models.parent / "outside"
    why = "outside the model folders (follow_links is off)"
    assert {
        f"{lora}/x.safetensors: links to {outside}/sub/x.safetensors, {why}",
        f"{lora}/folder: links to {outside}, {why}",
        f"{lora}/gone.safetensors: links to {outside}/gone.safetensors, {why}",
    } <= set(registry.skipped)
    assert registry.skipped == registry.refresh().skipped == skipped(registry.folders)
    assert not any("notes.txt" in line for line in registry.skipped)


def test_only_links_of_the_owners_are_followed(tmp_path: Path) -> None:
    link = tmp_path / "x.safetensors"
    link.symlink_to("/elsewhere/x.safetensors")
    own, other = link.lstat().st_uid, link.lstat().st_uid + 1
    assert LinkRule((str(tmp_path),), True, frozenset({own})).refusal(str(link)) is None
    assert "belongs to neither" in (LinkRule((str(tmp_path),), True, frozenset({other})).refusal(str(link)) or "")
    assert LinkRule(("/elsewhere",), False, frozenset()).refusal(str(link)) is None


def test_parts_and_side_files_behind_links_are_not_read_where_links_are_not_followed(tmp_path: Path) -> None:
    weights = write_safetensors(tmp_path / "outside/w.safetensors", {"conv_in.weight": (320, 4, 3, 3)})
    (tmp_path / "outside/a.json").write_text('{"description": "secret"}')
    unet = tmp_path / "m/checkpoints/sd/unet"
    unet.mkdir(parents=True)
    (unet / "diffusion_pytorch_model.safetensors").symlink_to(weights)
    write_safetensors(tmp_path / "m/lora/a.safetensors", _LORA)
    (tmp_path / "m/lora/a.json").symlink_to(tmp_path / "outside/a.json")
    strict, lenient = Registry(Folders(tmp_path / "m")), Registry(Folders(tmp_path / "m"), follow_links=True)
    assert _found(strict) == {"lora/a.safetensors"}
    assert strict.catalogue.resolve("a").description is None
    assert f"{unet}/diffusion_pytorch_model.safetensors: links to {weights}" in strict.skipped[0]
    assert _found(lenient) == {"lora/a.safetensors", "checkpoints/sd"}
    assert lenient.catalogue.resolve("a").description == "secret"


def test_nothing_new_is_placed_or_converted_through_a_link(models: Path) -> None:
    registry = Registry(Folders(models), follow_links=True)
    registry.refresh()
    with pytest.raises(InvalidInput, match="leads out of the folder"):
        place(registry.folders, BY_KEY["lora"], "folder/new.safetensors", "")
    for target in ("lora/folder/new.gguf", "lora/x.safetensors"):
        with pytest.raises(Forbidden):
            registry.folders.confine(Path(target))
    linked_folder, linked_file = (registry.catalogue.resolve(f"lora/{name}") for name in ("folder/sub/x", "x"))
    assert folder_of(registry, linked_folder) == folder_of(registry, linked_file) == models / "lora"


@pytest.mark.parametrize(
    ("flags", "follows"),
    [
        ({}, True),
        ({"auth": "jwt"}, False),
        ({"auth": "jwt", "follow_links": True}, True),
        ({"follow_links": False}, False),
    ],
)
def test_links_are_followed_by_default_where_nobody_logs_in(flags: dict[str, object], follows: bool) -> None:
    assert load_settings(flags).follows_links is follows
