"""The catalogue of model sets: every shipped entry is consistent, faults are named, and memory decides."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from sdrest.core.architecture import Family
from sdrest.core.errors import InvalidInput
from sdrest.core.model import Component, Model, ModelFormat, ModelType, Need
from sdrest.registry.components import requirements
from sdrest.registry.defaults import Defaults, defaults_of
from sdrest.registry.model_sets import (
    FOLDER_OF_PART,
    HEADROOM_BYTES,
    UNKNOWN,
    ModelSet,
    read_catalogue,
    shipped_sets,
)

GB = 1_000_000_000
CATALOGUE = """
version: 1
files:
  big: {part: diffusion_model, url: "https://example.org/a/big-Q8_0.gguf", size: 8000000000, sha256: unknown}
  small: {part: diffusion_model, url: "https://example.org/a/small-Q4_0.gguf", size: unknown, about: 4000000000, sha256: unknown}
  odd: {part: diffusion_model, url: "https://example.org/a/odd.gguf", size: unknown, sha256: unknown}
  vae: {part: vae, url: "https://example.org/b/ae.safetensors?x=1", name: my_ae.safetensors, size: 300000000, sha256: unknown}
sets:
  fruit: {title: Fruit, about: Pears, licence: MIT, files: [vae], choices: {q8_0: [big], q4_0: [small]}}
  plain: {title: Plain, about: One file, licence: unknown, files: [vae]}
  strange: {title: Strange, about: Unknown, licence: unknown, choices: {q8_0: [big], f16: [odd]}}
"""


def named(name: str) -> ModelSet:
    return next(item for item in read_catalogue(CATALOGUE.encode(), "mine.yaml") if item.name == name)


def test_at_least_twenty_five_sets_are_shipped_under_names_of_their_own() -> None:
    names = [item.name for item in shipped_sets()]
    assert len(names) >= 25
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("item", shipped_sets(), ids=lambda item: item.name)
def test_a_shipped_set_has_every_part_that_its_architecture_takes(item: ModelSet) -> None:
    for choice in item.choices:
        parts = {file.part for file in choice.files}
        if item.architecture is None:
            assert parts <= {"controlnet", "upscaler", "taesd"}
            continue
        mains = [file for file in choice.files if file.part in {"checkpoint", "diffusion_model"}]
        assert len(mains) == 1, choice
        main = mains[0]
        if main.part == "checkpoint":
            continue
        model = Model(
            "x", main.file_name, ModelType.DIFFUSION_MODEL, Path("x"), "x", 1, 1, ModelFormat.GGUF, item.architecture
        )
        needed = {need.component for need in requirements(model) if need.need is not Need.RECOMMENDED}
        assert {str(component) for component in needed} <= parts, choice
        if Component.HIGH_NOISE not in needed:
            assert "high_noise_diffusion_model" not in parts
        if "i2v-14b" in item.name and item.architecture.family is Family.WAN:
            assert "clip_vision" in parts


@pytest.mark.parametrize("item", shipped_sets(), ids=lambda item: item.name)
def test_the_files_of_a_shipped_set_do_not_collide_and_its_defaults_are_parameters(item: ModelSet) -> None:
    for choice in item.choices:
        targets = [(file.kind.key, file.file_name) for file in choice.files]
        assert len(set(targets)) == len(targets), choice
        assert all(file.url.startswith("https://huggingface.co/") for file in choice.files)
    known = {field.name for field in fields(Defaults)}
    assert set(item.defaults) <= known
    model = Model(
        "x",
        "x",
        ModelType.CHECKPOINT,
        Path("x"),
        "x",
        1,
        1,
        ModelFormat.GGUF,
        item.architecture,
        defaults=item.defaults,
    )
    if item.architecture is not None:
        taken = defaults_of(model).parameters()
        assert {name: taken[name] for name in item.defaults} == item.defaults


def test_one_name_in_one_folder_is_one_file_throughout_the_catalogue() -> None:
    files = {file for item in shipped_sets() for choice in item.choices for file in choice.files}
    targets: dict[tuple[str, str], str] = {}
    for file in files:
        assert targets.setdefault((file.kind.key, file.file_name), file.url) == file.url
    assert any(file.sha256 != UNKNOWN for file in files)
    assert {file.part for file in files} <= set(FOLDER_OF_PART)


@pytest.mark.parametrize(
    ("memory", "taken", "words"),
    [
        (10 * GB, "q8_0", "needs about 9.8 GB"),
        (9 * GB, "q4_0", "needs about 5.8 GB"),
        (2 * GB, "q4_0", "only 2.0 GB"),
    ],
)
def test_the_best_quantisation_that_fits_is_taken_and_the_reason_told(memory: int, taken: str, words: str) -> None:
    choice, reason = named("fruit").choose(memory)
    assert (choice.name, words in reason) == (taken, True), reason


def test_files_and_headroom_are_what_a_choice_needs_and_an_unknown_size_makes_it_unknown() -> None:
    fruit, strange = named("fruit"), named("strange")
    beside = 300_000_000 + HEADROOM_BYTES
    assert [choice.memory_bytes for choice in fruit.choices] == [8 * GB + beside, 4 * GB + beside]
    choice, reason = strange.choose(GB)
    assert (choice.name, choice.memory_bytes, "not known" in reason) == ("f16", None, True)
    assert named("plain").choose(GB)[0].name == ""


def test_a_quantisation_may_be_asked_for_and_another_is_refused_with_those_there_are() -> None:
    assert named("fruit").choose(GB, "Q8_0")[0].name == "q8_0"
    with pytest.raises(InvalidInput, match="it has: q8_0, q4_0"):
        named("fruit").choose(GB, "q2_k")


def test_a_file_is_called_by_its_name_else_by_the_last_part_of_its_address() -> None:
    files = {file.file_name: file for file in named("fruit").choices[0].files}
    assert set(files) == {"big-Q8_0.gguf", "my_ae.safetensors"}
    assert files["my_ae.safetensors"].kind.key == "vae"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version: 1", "version: 2", "version 2"),
        ("part: vae", "part: voice", "files.vae.part"),
        ("files: [vae], choices", "files: [ghost], choices", "no file 'ghost'"),
        ("size: 8000000000, sha256: unknown", "size: 8000000000, sha256: ABC", "files.big.sha256"),
        ("size: 8000000000", "size: -1", "files.big.size"),
        ("size: 8000000000", "size: large", "no catalogue"),
        ("my_ae.safetensors", "my_ae.exe", "files.vae.name"),
        ("https://example.org/a/odd.gguf", "file:///etc/odd.gguf", "files.odd.url"),
        ("licence: MIT", "license: MIT", "license"),
        ("fruit:", "Fruit Salad:", "small letters"),
        ("version: 1", "[", "no catalogue"),
    ],
)
def test_a_faulty_catalogue_is_refused_by_the_faulty_entry(old: str, new: str, words: str) -> None:
    assert old in CATALOGUE
    with pytest.raises(InvalidInput, match=r"mine\.yaml") as refused:
        read_catalogue(CATALOGUE.replace(old, new).encode(), "mine.yaml")
    assert words in refused.value.message
