"""``sdrest models set``: what is written beside a model is kept, checked, and has its effect."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command, told


def test_what_is_set_is_read_back_and_what_is_emptied_goes(command: Command, models: Path) -> None:
    file = models / "diffusion_models/flux1-dev.json"
    words = ("--notes", "mine", "--trigger-words", " a , b", "--default", "steps=12", "--default", "sampler=euler")
    found = told(command("set", "flux1-dev", *words, "--title", "Flux", "--json"))
    assert (found["file"], found["title"], found["description"], found["notes"]) == (
        str(file),
        "Flux",
        "The large one",
        "mine",
    )
    assert (found["trigger_words"], found["defaults"]) == (["a", "b"], {"steps": 12, "sampler": "euler"})
    found = told(command("set", "flux1-dev", "--notes", "", "--default", "steps=", "--json"))
    assert (found["notes"], found["defaults"]) == (None, {"sampler": "euler"})
    assert json.loads(file.read_text())["description"] == "The large one"


def test_the_part_that_is_set_is_the_one_that_is_loaded(command: Command, models: Path) -> None:
    shutil.copy(models / "vae/ae.safetensors", models / "vae/other.safetensors")

    def taken() -> str:
        parts = told(command("inspect", "flux1-dev", "--json"))["loading"]["components"]
        return str(next(part["taken"] for part in parts if part["component"] == "vae"))

    assert taken() == "ae"
    assert told(command("set", "flux1-dev", "--part", "vae=other", "--json"))["parts"] == {
        "vae": "vae/other.safetensors"
    }
    assert taken() == "other"
    (models / "vae/other.safetensors").unlink()
    reason = told(command("inspect", "flux1-dev", "--json"))["loading"]["reason"]
    assert "the notes on flux1-dev name its parts, and vae: no vae is named 'vae/other.safetensors'" in reason
    assert command("set", "flux1-dev", "--part", "vae=").exit_code == 0
    assert taken() == "ae"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("flux1-dev", "--default", "stepz=3"), "unknown default; did you mean 'steps'?"),
        (("flux1-dev", "--default", "steps=many"), "'many' is no number of this kind"),
        (("flux1-dev", "--default", "width=1001"), "a multiple of 16"),
        (("flux1-dev", "--default", "sampler=eulr"), "no sampler is called 'eulr'"),
        (("flux1-dev", "--default", "steps"), "'steps' is no NAME=VALUE"),
        (("flux1-dev", "--part", "vee=ae"), "unknown part 'vee'; did you mean 'vae'?"),
        (("flux1-dev", "--part", "vae=clip_l"), "no vae is named 'clip_l'"),
        (("ae", "--default", "steps=3"), "it has no defaults"),
        (("demo", "--notes", "x"), "nothing is written beside it"),
        (("flux1-dev",), "nothing to change"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    command: Command, models: Path, words: tuple[str, ...], message: str
) -> None:
    result = command("set", *words)
    assert (result.exit_code != 0, message in result.output) == (True, True), result.output
    assert (models / "diffusion_models/flux1-dev.json").read_text() == '{"description": "The large one"}'


def test_of_a_borrowed_model_it_is_written_into_our_own_folder(command: Command, models: Path, tmp_path: Path) -> None:
    comfy = tmp_path / "ComfyUI/models"
    comfy.parent.mkdir()
    models.rename(comfy)
    before = sorted(comfy.rglob("*"))
    lent = ("--models-from", f"comfyui:{comfy.parent}")
    found = told(command("set", "flux1-dev", "--notes", "mine", "--json", *lent))
    assert found["notes"] == "mine"
    assert Path(found["file"]).parent == tmp_path / "data/borrowed"
    assert sorted(comfy.rglob("*")) == before
