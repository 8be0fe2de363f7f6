"""What a model takes on the disk, by parts; and which models are the same in another quantisation."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.model import Model
from sdrest.registry.disk_use import disk_use
from sdrest.registry.folders import Folders
from sdrest.registry.registry import Registry
from sdrest.registry.variants import base_name, variants_of
from tests.architectures import EVIDENCE, PARTS
from tests.model_files import write_safetensors


def test_a_file_is_told_by_the_parts_in_it_and_those_in_other_files(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "checkpoints/one.safetensors", EVIDENCE[Architecture.SD1])
    vae = write_safetensors(tmp_path / "vae/mse.safetensors", PARTS["vae"][1])
    path.with_suffix(".json").write_text('{"notes": "mine"}')
    registry = Registry(Folders(tmp_path))
    registry.refresh()
    one = registry.catalogue.resolve("one")
    use = disk_use(registry, one)
    own = {part.part: part.size for part in use.parts if part.file is None}
    assert own["clip_l"] == 49408 * 768 * 2
    assert own["diffusion_model"] == one.weights_bytes - own["clip_l"]
    assert set(own) == {"clip_l", "diffusion_model", "other"}
    assert sum(own.values()) == path.stat().st_size
    assert [(part.part, part.file) for part in use.parts if part.file] == [("vae", registry.catalogue.resolve("mse"))]
    assert use.beside == {"one.json": 17}
    assert use.own == path.stat().st_size + 17
    assert use.total == use.own + vae.stat().st_size
    alone = disk_use(registry, registry.catalogue.resolve("mse"))
    assert [(part.part, part.size) for part in alone.parts] == [("vae", vae.stat().st_size)]


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("flux1-dev", "flux1-dev"),
        ("flux1-dev-Q8_0", "flux1-dev"),
        ("flux1-dev_q4_k", "flux1-dev"),
        ("Flux1-Dev-Q4_K_S", "flux1-dev"),
        ("v1-5-pruned-emaonly.fp16", "v1-5-pruned-emaonly"),
        ("model-iq4_nl", "model"),
        ("qwen-image", "qwen-image"),
        ("q8_0", "q8_0"),
    ],
)
def test_the_name_without_its_types(name: str, base: str) -> None:
    assert base_name(name) == base


def test_variants_have_the_same_name_and_architecture(tmp_path: Path) -> None:
    for name, architecture in (
        ("a", Architecture.SD1),
        ("a-q8_0", Architecture.SD1),
        ("a-q4_k", Architecture.SD2),
        ("b-q8_0", Architecture.SD1),
    ):
        write_safetensors(tmp_path / f"checkpoints/{name}.safetensors", EVIDENCE[architecture])
    registry = Registry(Folders(tmp_path))
    registry.refresh()

    def named(name: str) -> Model:
        return registry.catalogue.resolve(name)

    assert variants_of(registry.catalogue, named("a")) == (named("a-q8_0"),)
    assert variants_of(registry.catalogue, named("a-q8_0")) == (named("a"),)
    assert variants_of(registry.catalogue, named("b-q8_0")) == ()
