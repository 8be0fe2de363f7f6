"""How models are held: the server's settings, and what a model's own JSON file says better."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sdrest.cli.configuration import load_settings
from sdrest.core.architecture import Architecture
from sdrest.core.errors import ModelUnusable
from sdrest.core.model import Model
from sdrest.engine.child.binding import ContextParams
from sdrest.planning.holding import Holding
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from tests.architectures import EVIDENCE
from tests.model_files import write_safetensors


def model(folder: Path, **said: object) -> Model:
    write_safetensors(folder / "checkpoints/one.safetensors", EVIDENCE[Architecture.SD1])
    (folder / "checkpoints/one.json").write_text(json.dumps({"holding": said}))
    registry = Registry(Folders(folder))
    registry.refresh()
    return registry.catalogue.resolve("one")


def test_every_setting_is_a_field_of_the_librarys_parameters() -> None:
    switches = {name: True for name, field in Holding.__dataclass_fields__.items() if field.type == "bool"}
    settings = load_settings({**switches, "max_graph_bytes": 1 << 29})
    options = Holding.of(settings, threads=2).options()
    assert len(options) == len(dataclasses.fields(Holding))
    made = dataclasses.asdict(ContextParams(**options))  # type: ignore[arg-type]
    assert {name: made[name] for name in options} == options
    assert options["max_vram"] == 0.5


def test_what_is_not_said_is_the_librarys() -> None:
    assert Holding().options() == {}


def test_a_models_own_file_says_better(tmp_path: Path) -> None:
    held = Holding(threads=2, flash_attention=True).of_model(model(tmp_path, flash_attention=False, vae_on_cpu=True))
    assert held == Holding(threads=2, vae_on_cpu=True)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"flash_atention": True}, "did you mean 'flash_attention'"),
        ({"flash_attention": 1}, "holding.flash_attention must be true or false, not 1"),
        ({"max_graph_bytes": "1G"}, "holding.max_graph_bytes must be a whole number from 0 on, not '1G'"),
        ({"threads": -1}, "holding.threads must be a whole number"),
    ],
)
def test_words_that_are_none_are_named(tmp_path: Path, said: dict[str, object], words: str) -> None:
    with pytest.raises(ModelUnusable, match=words):
        Holding().of_model(model(tmp_path, **said))
