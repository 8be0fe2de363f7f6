"""The real library loads every tiny model and makes a picture with it that is not flat."""

from __future__ import annotations

import functools
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny.recipes import BAD, RECIPES, Recipe

pytest_plugins = ["tests.tiny.fixtures"]

Models = Callable[[str], Path]
ROOT = Path(__file__).parents[3]
FAST = [name for name, recipe in RECIPES.items() if not recipe.heavy and name != "esrgan"]
HEAVY = [name for name, recipe in RECIPES.items() if recipe.heavy]


def files_of(recipe: Recipe) -> set[str]:
    """Names of all tiny files that a recipe needs."""
    return {*recipe.files.values(), *recipe.loras, *recipe.embeddings.values()}


def run(recipe: Recipe, name: str, tiny_models: Models, *options: str) -> tuple[dict[str, Any], int, str]:
    """Run the probe of a recipe in a process of its own: its report (empty when it died), exit status and messages."""
    folder = {tiny_models(file).parent for file in files_of(recipe)}.pop()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as report:
        command = [sys.executable, "-m", "tests.tiny.probe", name, str(folder), "--report", report.name, *options]
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        return json.loads(report.read() or "{}"), done.returncode, done.stderr


@functools.cache
def probe(name: str, tiny_models: Models, *options: str) -> dict[str, Any]:
    """Run the probe of a good recipe and return its report; the same options give the earlier report again."""
    report, status, messages = run(RECIPES[name], name, tiny_models, *options)
    assert status == 0, messages[-2000:]
    return report


def check(name: str, tiny_models: Models) -> None:
    report = probe(name, tiny_models)
    assert report["loaded"]
    assert report["generated"]
    assert report["pictures"] == max(RECIPES[name].video_frames, 1)
    assert report["deviation"] > 3, "a flat picture: the library shows NaN so"


@pytest.mark.parametrize("name", FAST)
def test_loads_and_paints(name: str, tiny_models: Models) -> None:
    check(name, tiny_models)


@pytest.mark.nightly
@pytest.mark.parametrize("name", HEAVY)
def test_heavy_one_loads_and_paints(name: str, tiny_models: Models) -> None:
    check(name, tiny_models)


@pytest.mark.slow
def test_prompt_and_seed_change_the_picture(tiny_models: Models) -> None:
    reports = [
        probe("ernie", tiny_models),
        probe("ernie", tiny_models, "--seed", "1"),
        probe("ernie", tiny_models, "--seed", "2"),
        probe("ernie", tiny_models, "--prompt", "a blue square"),
    ]
    first, again, seed, prompt = (report["sha256"] for report in reports)
    assert first == again
    assert len({first, seed, prompt}) == 3


def test_upscaler_repeats_each_pixel(tiny_models: Models) -> None:
    ramp = np.add.outer(np.arange(64), np.arange(64)) * 255 // 126
    expected = np.repeat(ramp.repeat(4, 0).repeat(4, 1)[:, :, None], 3, axis=2).astype(np.uint8)
    assert probe("esrgan", tiny_models)["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()


@pytest.mark.parametrize("model", ["ernie", pytest.param("ovis", marks=pytest.mark.nightly)])
def test_truncated_lora_gives_a_flat_picture(model: str, tiny_models: Models) -> None:
    report, status, _ = run(BAD[f"{model}_lora_truncated"], f"{model}_lora_truncated", tiny_models)
    assert (status, report["deviation"]) == (0, 0)


@pytest.mark.parametrize("model", ["ernie", pytest.param("ovis", marks=pytest.mark.nightly)])
def test_lora_of_the_wrong_width_ends_the_process(model: str, tiny_models: Models) -> None:
    _, status, _ = run(BAD[f"{model}_lora_wrong_width"], f"{model}_lora_wrong_width", tiny_models)
    assert status == -signal.SIGABRT


@pytest.mark.nightly
def test_embedding_in_f16_gives_a_flat_picture(tiny_models: Models) -> None:
    report, status, _ = run(BAD["sd1_tiny_embedding_f16"], "sd1_tiny_embedding_f16", tiny_models)
    assert (status, report["deviation"]) == (0, 0)
