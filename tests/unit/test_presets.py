"""Presets and prompt templates are small files: read with care, applied under the request, saved in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.errors import Conflict, InvalidInput, ModelUnusable
from sdrest.core.model import ModelType
from sdrest.registry.folders import Folders
from sdrest.registry.presets import Preset, Template, read_preset, read_template, save_preset, save_template
from sdrest.registry.registry import Registry
from sdrest.registry.validate import validate


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("portrait.json", '{"steps": 30, "cfg_scale": 6.5, "loras": [{"name": "x"}], "description": "for faces"}'),
        ("portrait.yaml", "description: for faces\nsteps: 30\ncfg_scale: 6.5\nloras:\n  - name: x\n"),
    ],
)
def test_presets_are_json_or_yaml(name: str, text: str, tmp_path: Path) -> None:
    preset = read_preset(_write(tmp_path, name, text))
    assert preset == Preset("portrait", {"steps": 30, "cfg_scale": 6.5, "loras": [{"name": "x"}]}, "for faces")
    assert preset.under({"steps": 8, "prompt": "p"}) == {
        "steps": 8,
        "cfg_scale": 6.5,
        "loras": [{"name": "x"}],
        "prompt": "p",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "[1]"),
        ("a.json", "{"),
        ("a.yaml", "a: [1"),
        ("a.yaml", "!!python/object/apply:os.system ['true']"),
        ("a.yaml", "1: 2"),
        ("a.yaml", "when: 2024-01-01"),
        ("a.json", "[" * 100_000),
        ("a.json", " " * 1_100_000),
    ],
)
def test_what_is_no_preset_is_refused_with_its_name(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=f"^{name}: "):
        read_preset(_write(tmp_path, name, text))


def test_templates_take_the_prompt_in(tmp_path: Path) -> None:
    film = read_template(_write(tmp_path, "film.txt", "film still of {prompt}, 35 mm\n"))
    assert film.around("a cat") == "film still of a cat, 35 mm"
    assert Template("t", "cinematic").around("a cat") == "a cat, cinematic"
    assert Template("t", "cinematic").around("") == "cinematic"
    both = read_template(_write(tmp_path, "both.json", '{"prompt": "{prompt}!", "negative_prompt": "blurry"}'))
    assert (both.around("x"), both.around_negative("dark"), both.around_negative("")) == (
        "x!",
        "dark, blurry",
        "blurry",
    )
    assert read_template(_write(tmp_path, "text.json", '"plain"')).around("x") == "x, plain"
    assert Template("t").around("x") == "x"
    with pytest.raises(ModelUnusable, match="prompt template"):
        read_template(_write(tmp_path, "bad.json", '{"prompt": 3}'))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ModelUnusable, match="UTF-8"):
        read_template(tmp_path / "latin.txt")


def test_saved_files_are_found_again(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    save_preset(folders, "My preset", {"steps": 4}, "quick")
    save_template(folders, "film", "film still of {prompt}")
    save_template(folders, "bad hands", "extra fingers", negative=True)
    registry = Registry(folders)
    registry.refresh()
    preset = registry.resolve("My preset", ModelType.PRESETS)
    assert read_preset(preset.path) == Preset("My preset", {"steps": 4}, "quick")
    assert registry.resolve("film", ModelType.PROMPTS).type is ModelType.PROMPTS
    assert registry.resolve("bad hands").type is ModelType.NEG_PROMPTS
    assert all(validate(registry, model).valid for model in registry.catalogue.models)
    _write(tmp_path, "presets/broken.json", "{")
    registry.refresh()
    assert [p.code for p in validate(registry, registry.resolve("broken")).problems] == ["model_unusable"]


def test_saving_overwrites_only_on_request(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    path = save_preset(folders, "a", {"steps": 4})
    with pytest.raises(Conflict, match="exists"):
        save_preset(folders, "a", {"steps": 5})
    assert read_preset(path).parameters == {"steps": 4}
    save_preset(folders, "a", {"steps": 5}, overwrite=True)
    assert read_preset(path).parameters == {"steps": 5}


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".hidden", "x" * 101, "a\nb", "a\x00b", "end."])
def test_names_that_could_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        save_preset(Folders(tmp_path), name, {})
    assert caught.value.problems[0].field == "name"
    assert list(tmp_path.iterdir()) == []


def test_values_that_json_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="parameters"):
        save_preset(Folders(tmp_path), "a", {"x": object()})
    with pytest.raises(InvalidInput, match="text"):
        save_template(Folders(tmp_path), "a", "  ")
