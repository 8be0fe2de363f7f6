"""Presets and prompt templates are small files: read with care, applied under the request, saved in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.errors import Conflict, InvalidInput, ModelUnusable
from sdrest.core.model import ModelType
from sdrest.registry.folders import Folders
from sdrest.registry.presets import (
    Preset,
    Template,
    find_preset,
    find_template,
    read_preset,
    read_templates,
    save_preset,
    save_template,
    templates,
)
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


def only(path: Path) -> Template:
    (template,) = read_templates(path)
    return template


def test_templates_take_the_prompt_in(tmp_path: Path) -> None:
    film = only(_write(tmp_path, "film.txt", "film still of {prompt}, 35 mm\n"))
    assert film.around("a cat") == "film still of a cat, 35 mm"
    assert Template("t", "cinematic").around("a cat") == "a cat, cinematic"
    assert Template("t", "cinematic").around("") == "cinematic"
    both = only(_write(tmp_path, "both.json", '{"prompt": "{prompt}!", "negative_prompt": "blurry"}'))
    assert (both.around("x"), both.around_negative("dark"), both.around_negative("")) == (
        "x!",
        "dark, blurry",
        "blurry",
    )
    assert only(_write(tmp_path, "text.json", '"plain"')).around("x") == "x, plain"
    assert Template("t").around("x") == "x"
    with pytest.raises(ModelUnusable, match="prompt template"):
        only(_write(tmp_path, "bad.json", '{"prompt": 3}'))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ModelUnusable, match="UTF-8"):
        only(tmp_path / "latin.txt")


def test_saved_files_are_found_again(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    save_preset(folders, "My preset", {"steps": 4}, "quick")
    save_template(folders, "film", "film still of {prompt}")
    save_template(folders, "bad hands", negative_prompt="extra fingers")
    save_template(folders, "both", "{prompt}, ink", "blurry")
    registry = Registry(folders)
    registry.refresh()
    preset = registry.catalogue.resolve("My preset", ModelType.PRESETS)
    assert read_preset(preset.path) == Preset("My preset", {"steps": 4}, "quick")
    assert registry.catalogue.resolve("film", ModelType.PROMPTS).type is ModelType.PROMPTS
    assert registry.catalogue.resolve("bad hands").type is ModelType.NEG_PROMPTS
    assert find_template(registry.catalogue, "both") == Template("both", "{prompt}, ink", "blurry")
    assert find_template(registry.catalogue, "bad hands", negative=True) == Template("bad hands", "", "extra fingers")
    assert all(validate(registry, model).valid for model in registry.catalogue.models)
    _write(tmp_path, "presets/broken.json", "{")
    registry.refresh()
    assert [p.code for p in validate(registry, registry.catalogue.resolve("broken")).problems] == ["model_unusable"]


def test_saving_overwrites_only_on_request(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    path = save_preset(folders, "a", {"steps": 4})
    with pytest.raises(Conflict, match="exists"):
        save_preset(folders, "a", {"steps": 5})
    assert read_preset(path).parameters == {"steps": 4}
    save_preset(folders, "a", {"steps": 5}, overwrite=True)
    assert read_preset(path).parameters == {"steps": 5}
    yaml = _write(tmp_path, "presets/b.yaml", "steps: 6\n")
    with pytest.raises(Conflict, match="b exists"):
        save_preset(folders, "b", {"steps": 7})
    save_preset(folders, "b", {"steps": 7}, overwrite=True)
    assert not yaml.exists()
    assert sorted(path.name for path in yaml.parent.iterdir()) == ["a.json", "b.json"]


def test_a_file_may_hold_several_templates(tmp_path: Path) -> None:
    _write(tmp_path, "prompts/styles.json", '{"ink": "{prompt}, ink", "oil": "oil painting of {prompt}"}')
    _write(tmp_path, "prompts/list.json", '["one", "two"]')
    _write(tmp_path, "neg_prompts/usual.json", '{"hands": "bad hands"}')
    _write(tmp_path, "prompts/broken.json", "[1]")
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    found = registry.catalogue
    assert find_template(found, "styles/oil").around("x") == "oil painting of x"
    assert find_template(found, "list/2").around("") == "two"
    assert find_template(found, "usual", negative=True) == Template("usual/hands", "", "bad hands")
    assert {t.name for t in templates(found, ModelType.PROMPTS)} == {"styles/ink", "styles/oil", "list/1", "list/2"}
    with pytest.raises(InvalidInput, match="there are: list/1, list/2, styles/ink, styles/oil"):
        find_template(found, "styles")
    with pytest.raises(
        InvalidInput, match="prompt_template: no prompt template is named 'styles/inc'; did you mean 'styles/ink'"
    ):
        find_template(found, "styles/inc")
    with pytest.raises(ModelUnusable, match=r"broken\.json"):
        find_template(found, "broken")
    with pytest.raises(InvalidInput, match="there is no preset here"):
        find_preset(found, "x")


def test_the_request_goes_before_the_preset_also_within_objects() -> None:
    preset = Preset("p", {"steps": 30, "hires": {"enabled": True, "scale": 2}, "loras": [{"name": "a"}]})
    assert preset.under({"hires": {"scale": 1.5}, "loras": []}) == {
        "steps": 30,
        "hires": {"enabled": True, "scale": 1.5},
        "loras": [],
    }


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".hidden", "x" * 101, "a\nb", "a\x00b", "end."])
def test_names_that_could_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        save_preset(Folders(tmp_path), name, {})
    assert caught.value.problems[0].field == "name"
    assert list(tmp_path.iterdir()) == []


def test_values_that_json_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="parameters"):
        save_preset(Folders(tmp_path), "a", {"x": object()})
    with pytest.raises(InvalidInput, match="text of"):
        save_template(Folders(tmp_path), "a", "  ")


def test_the_styles_of_a1111_are_templates_under_their_own_names(tmp_path: Path) -> None:
    text = (
        "name,prompt,negative_prompt\n---- Drawn ----,,\n"
        'Ink / pen,"ink drawing of {prompt}, ""fine"" lines",photo\r\nPlain,"sharp, clear",\n'
    )
    styles = (
        Template("Ink / pen", 'ink drawing of {prompt}, "fine" lines', "photo"),
        Template("Plain", "sharp, clear"),
    )
    assert read_templates(_write(tmp_path, "prompts/styles.csv", text)) == styles
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    assert [find_template(registry.catalogue, style.name) for style in styles] == list(styles)
    assert tuple(templates(registry.catalogue, ModelType.PROMPTS)) == styles
    old = read_templates(_write(tmp_path, "old.csv", "name,text\nPlain,sharp\n"))
    assert old == (Template("Plain", "sharp"),)
    for wrong in ("", "a,b\n1,2\n", "name,prompt\nx,\n"):
        with pytest.raises(ModelUnusable, match="columns name, prompt"):
            read_templates(_write(tmp_path, "wrong.csv", wrong))
