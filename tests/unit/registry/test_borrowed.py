"""Folders that other programs keep: their layouts are read in place, and nothing in them is ever written."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.errors import Forbidden, InvalidInput
from sdrest.core.model import ModelType
from sdrest.registry.borrowed import lenders_of
from sdrest.registry.folders import Folders
from sdrest.registry.lending import Lending
from sdrest.registry.registry import Registry
from sdrest.registry.sidecars import notes_file
from tests.architectures import EVIDENCE, PARTS, Shapes
from tests.model_files import write_gguf, write_safetensors

_VAE: Shapes = PARTS["vae"][1]
_SD1 = EVIDENCE[Architecture.SD1]


def _registry(tmp_path: Path, *lenders: str, follow_links: bool = True) -> Registry:
    folders = Folders(tmp_path / "models", lending=Lending(lenders, tmp_path / "data/borrowed"))
    registry = Registry(folders, follow_links=follow_links)
    registry.refresh()
    return registry


def _found(registry: Registry) -> dict[str, str]:
    """Type by the path that a model is listed under."""
    return {model.relative_path: model.type.slug for model in registry.catalogue.models}


def _tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def _lora(path: Path, width: int = 320) -> Path:
    shapes = {f"lora_unet_down_blocks_0_attentions_0_proj_in.lora_{end}.weight": (4, width) for end in ("down", "up")}
    return write_safetensors(path, shapes)


def test_comfyuis_folders_and_those_that_it_names_elsewhere(tmp_path: Path) -> None:
    comfy = tmp_path / "ComfyUI"
    write_safetensors(comfy / "models/checkpoints/sub/v1.safetensors", _SD1)
    write_gguf(comfy / "models/unet/flux.gguf", EVIDENCE[Architecture.FLUX])
    write_safetensors(comfy / "models/clip/clip_l.safetensors", PARTS["clip_l"][1])
    write_safetensors(comfy / "models/custom/other.safetensors", _SD1)
    write_safetensors(tmp_path / "disk/VAE/kl.safetensors", _VAE)
    _lora(tmp_path / "disk/Lora/ink.safetensors")
    _lora(tmp_path / "disk/LyCORIS/oil.safetensors", 640)
    (comfy / "extra_model_paths.yaml").write_text(
        f"a111:\n  base_path: {tmp_path / 'disk'}\n  is_default: true\n  vae: VAE\n  loras: |\n    Lora\n    LyCORIS\n"
        "  custom_nodes: nodes\nempty:\n"
    )
    before = _tree(comfy)
    registry = _registry(tmp_path, f"comfyui:{comfy}")
    assert _found(registry) == {
        "comfyui:checkpoints/sub/v1.safetensors": "checkpoint",
        "comfyui:diffusion_models/flux.gguf": "diffusion_model",
        "comfyui:text_encoders/clip_l.safetensors": "clip_l",
        "comfyui:vae/kl.safetensors": "vae",
        "comfyui:lora/ink.safetensors": "lora",
        "comfyui:lora/oil.safetensors": "lora",
    }
    assert registry.skipped == ()
    assert {model.lender for model in registry.catalogue.models} == {"comfyui"}
    # As workflows name it.
    assert registry.catalogue.resolve("sub/v1.safetensors").path == comfy / "models/checkpoints/sub/v1.safetensors"
    assert _tree(comfy) == before
    without = _registry(tmp_path, f"comfyui:{comfy}", follow_links=False)
    assert "comfyui:vae/kl.safetensors" not in _found(without)
    assert f"{tmp_path}/disk/VAE: lies outside the model folders (follow_links is off)" in without.skipped


@pytest.mark.parametrize("text", ["- a list", "a: [", "x" * 1_100_000])
def test_what_is_no_list_of_extra_paths_is_told_and_the_rest_is_read(tmp_path: Path, text: str) -> None:
    write_safetensors(tmp_path / "ComfyUI/models/vae/kl.safetensors", _VAE)
    (tmp_path / "ComfyUI/extra_model_paths.yaml").write_text(text)
    registry = _registry(tmp_path, f"comfyui:{tmp_path / 'ComfyUI'}")
    assert list(_found(registry)) == ["comfyui:vae/kl.safetensors"]
    (told,) = registry.skipped
    assert told.endswith("the folders that it names are not read")


def test_a1111s_folders_whatever_their_capitals(tmp_path: Path) -> None:
    root = tmp_path / "webui"
    write_safetensors(root / "models/Stable-Diffusion/v1.safetensors", _SD1)
    write_safetensors(root / "models/Stable-Diffusion/v1.vae.safetensors", _VAE)
    _lora(root / "models/Lora/ink.safetensors")
    (root / "models/Lora/ink.json").write_text('{"activation text": "inkwash", "description": "Ink"}')
    registry = _registry(tmp_path, f"a1111:{root}")
    assert _found(registry) == {
        "a1111:checkpoints/v1.safetensors": "checkpoint",
        "a1111:checkpoints/v1.vae.safetensors": "vae",
        "a1111:lora/ink.safetensors": "lora",
    }
    assert registry.catalogue.resolve("ink").trigger_words == ("inkwash",)


def _database(root: Path, records: Iterable[object], *, logged: bool = False) -> sqlite3.Connection:
    (root / "databases").mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(root / "databases/invokeai.db")
    if logged:
        database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE models (id TEXT PRIMARY KEY, config TEXT NOT NULL)")
    rows = [
        (str(number), record if isinstance(record, str) else json.dumps(record))
        for number, record in enumerate(records)
    ]
    database.executemany("INSERT INTO models VALUES (?, ?)", rows)
    database.commit()
    return database


@pytest.mark.parametrize("logged", [False, True])
def test_invokeais_models_have_the_names_of_its_database(tmp_path: Path, *, logged: bool) -> None:
    root = tmp_path / "invokeai"
    write_safetensors(root / "models/0a1b/model.safetensors", _SD1)
    _lora(root / "models/2c3d/model.safetensors")
    outside = write_safetensors(tmp_path / "disk/kl.safetensors", _VAE)
    write_safetensors(tmp_path / "disk/other.safetensors", _VAE | {"more": (1,)})
    records = [
        {"name": "Dreamy", "path": "0a1b/model.safetensors", "type": "main"},
        {"name": "Ink/v2", "path": str(root / "models/2c3d/model.safetensors")},
        {"name": "The VAE", "path": str(outside)},
        {"name": 7, "path": []},
        "no record",
    ]
    database = _database(root, records, logged=logged)
    before = _tree(root)
    registry = _registry(tmp_path, f"invokeai:{root}")
    database.close()
    assert _found(registry) == {
        "invokeai:models/0a1b/model.safetensors": "checkpoint",
        "invokeai:models/2c3d/model.safetensors": "lora",
        "invokeai:models/kl.safetensors": "vae",
    }
    assert {model.name for model in registry.catalogue.models} == {"Dreamy", "Ink-v2", "The VAE"}
    assert registry.catalogue.resolve("dreamy").path == root / "models/0a1b/model.safetensors"
    if not logged:  # else the test's own connection has gone
        assert _tree(root) == before
    assert "The VAE" not in {
        m.name for m in _registry(tmp_path, f"invokeai:{root}", follow_links=False).catalogue.models
    }


def test_an_invokeai_database_that_cannot_be_read_costs_only_the_names(tmp_path: Path) -> None:
    root = tmp_path / "invokeai"
    write_safetensors(root / "models/sd-1/main/v1.safetensors", _SD1)
    (root / "databases").mkdir()
    (root / "databases/invokeai.db").write_bytes(b"no database" * 1000)
    registry = _registry(tmp_path, f"invokeai:{root}")
    assert [model.name for model in registry.catalogue.models] == ["v1"]
    assert "its models keep the names of their files" in registry.skipped[0]


def test_any_folder_is_read_by_names_of_kinds_and_by_what_files_hold(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    write_safetensors(folder / "loose.safetensors", _VAE)
    write_safetensors(folder / "by year/2024/v1.safetensors", _SD1)
    write_gguf(folder / "unet/flux.gguf", EVIDENCE[Architecture.FLUX])
    _lora(folder / "LORAS/ink.safetensors")
    assert _found(_registry(tmp_path, str(folder))) == {
        "my models:diffusion_models/flux.gguf": "diffusion_model",
        "my models:lora/ink.safetensors": "lora",
        "my models:models/loose.safetensors": "vae",
        "my models:models/by year/2024/v1.safetensors": "checkpoint",
    }


def test_what_two_folders_hold_is_shown_once_and_found_by_both_names(tmp_path: Path) -> None:
    own = write_safetensors(tmp_path / "models/vae/kl.safetensors", _VAE)
    for name in ("one", "two"):
        (tmp_path / name / "vae").mkdir(parents=True)
        shutil.copy(own, tmp_path / name / f"vae/kl-{name}.safetensors")
    other = tmp_path / "two/vae/other.safetensors"
    shutil.copy(own, other)
    with other.open("r+b") as file:  # of the same size, and another
        file.seek(-1, 2)
        file.write(b"\x01")
    shutil.copy(own, tmp_path / "models/vae/kept.safetensors")
    registry = _registry(tmp_path, str(tmp_path / "one"), f"comfyui:{tmp_path / 'two'}")
    # Of our own files both stay: who has two of them wants two.
    assert list(_found(registry)) == [
        "vae/kept.safetensors",
        "vae/kl.safetensors",
        "comfyui:vae/other.safetensors",
    ]
    shown = registry.catalogue.resolve("kl-two.safetensors")
    assert {path.name for path in shown.copies} == {"kl-one.safetensors", "kl-two.safetensors"}
    assert registry.catalogue.resolve("kl-one") is shown


def test_two_of_a_kind_are_told_apart_and_keep_their_ids(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_safetensors(tmp_path / name / "models/vae/kl.safetensors", _VAE | {name: (1,)})
    lenders = [f"comfyui:{tmp_path / name}" for name in ("one", "two")]
    first, second = _registry(tmp_path, *lenders), _registry(tmp_path, *lenders)
    assert list(_found(first)) == ["comfyui:vae/kl.safetensors", "comfyui-2:vae/kl.safetensors"]
    assert [model.id for model in first.catalogue.models] == [model.id for model in second.catalogue.models]


def test_links_that_lead_out_are_followed_as_the_settings_say(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "disk/kl.safetensors", _VAE)
    comfy = tmp_path / "ComfyUI/models"
    comfy.mkdir(parents=True)
    (comfy / "vae").symlink_to(tmp_path / "disk")
    assert list(_found(_registry(tmp_path, f"comfyui:{comfy.parent}"))) == ["comfyui:vae/kl.safetensors"]
    strict = _registry(tmp_path, f"comfyui:{comfy.parent}", follow_links=False)
    assert _found(strict) == {}
    assert strict.skipped == (
        f"{comfy}/vae: links to {tmp_path}/disk, outside the model folders (follow_links is off)",
    )


def test_nothing_may_be_written_there_not_even_inside_the_models_folder(tmp_path: Path) -> None:
    inside = tmp_path / "models/ComfyUI"
    write_safetensors(inside / "models/vae/kl.safetensors", _VAE)
    folders = Folders(tmp_path / "models", lending=Lending([f"comfyui:{inside}", str(tmp_path)]))
    assert folders.confine(tmp_path / "models/vae/new.safetensors").name == "new.safetensors"
    for path in (inside / "models/vae/new.safetensors", tmp_path / "other/new.safetensors"):
        with pytest.raises(Forbidden):
            folders.confine(path)
    assert folders.primary(folders.for_type(ModelType.VAE)) == tmp_path / "models/vae"


def test_what_is_written_here_of_a_borrowed_model_lies_in_our_own_folder_and_goes_first(tmp_path: Path) -> None:
    ink = _lora(tmp_path / "webui/models/Lora/ink.safetensors")
    ink.with_suffix(".json").write_text('{"activation text": "inkwash"}')
    registry = _registry(tmp_path, f"a1111:{tmp_path / 'webui'}")
    own = notes_file(tmp_path / "data/borrowed", registry.catalogue.resolve("ink").id)
    own.parent.mkdir(parents=True)
    own.write_text('{"activation text": "mine"}')
    assert registry.is_stale()
    registry.refresh()
    assert registry.catalogue.resolve("ink").trigger_words == ("mine",)


def test_a_folder_that_is_not_there_is_told_and_an_unknown_program_refused(tmp_path: Path) -> None:
    assert _registry(tmp_path, f"a1111:{tmp_path / 'nowhere'}").skipped == (
        f"{tmp_path}/nowhere: there is no such folder (models_from)",
    )
    with pytest.raises(InvalidInput, match="unknown program 'comfiui'; did you mean 'comfyui'"):
        lenders_of([f"comfiui:{tmp_path}"])
    with pytest.raises(InvalidInput, match="names no folder"):
        lenders_of(["comfyui:"])
