"""A file beside a model may say what it works best with; what makes no sense there is passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sdrest.core.names import Sampler, Scheduler
from sdrest.registry.builtin import builtin_models
from sdrest.registry.defaults import defaults_of
from sdrest.registry.folders import Folders
from sdrest.registry.loading import resolve_loading
from sdrest.registry.registry import Registry
from tests.tiny.embedded import place_embedded


def defaults_with(tmp_path: Path, values: Any) -> Any:
    place_embedded(tmp_path)
    (tmp_path / "checkpoints" / "embedded.json").write_text(json.dumps({"defaults": values}))
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    return defaults_of(registry.catalogue.resolve("embedded"))


def test_own_defaults_go_before_those_of_the_architecture(tmp_path: Path) -> None:
    found = defaults_with(
        tmp_path, {"width": 128, "steps": 5, "sampler": "Euler a", "scheduler": "Karras", "cfg_scale": 2}
    )
    assert (found.width, found.height, found.steps, found.cfg_scale) == (128, 1024, 5, 2.0)
    assert (found.sampler, found.scheduler) == (Sampler.EULER_A, Scheduler.KARRAS)


@pytest.mark.parametrize(
    "values",
    [{"width": 63}, {"width": "x"}, {"steps": 0}, {"sampler": "magic"}, {"multiple": 1}, {"cfg_scale": -1}, [], "x"],
)
def test_values_that_make_no_sense_are_passed_over(tmp_path: Path, values: Any) -> None:
    found = defaults_with(tmp_path, values)
    assert (found.width, found.steps, found.sampler, found.multiple) == (1024, 20, Sampler.EULER, 16)


def test_the_built_in_model_brings_its_own(tmp_path: Path) -> None:
    (model,) = builtin_models()
    found = defaults_of(model)
    assert (found.width, found.height) == (128, 128)
    loading = resolve_loading(Registry(Folders(tmp_path), builtin=(model,)).catalogue, model)
    assert loading.model_path == loading.taesd_path == model.path
