"""Models are found by all the names clients use for them; lists can be filtered, sorted and paged."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.errors import InvalidInput, ModelNotFound
from sdrest.core.model import Model, ModelFormat, ModelType, parse_model_types
from sdrest.registry.catalogue import Catalogue, Query, SortKey


def _model(relative: str, kind: ModelType = ModelType.CHECKPOINT, **more: object) -> Model:
    path = Path("/models") / relative
    fields: dict[str, object] = {
        "id": f"id-{relative.replace('/', '-')}",
        "name": path.stem,
        "type": kind,
        "path": path,
        "relative_path": relative,
        "size": len(relative),
        "mtime_ns": 0,
        "format": ModelFormat.SAFETENSORS,
    }
    return Model(**(fields | more))  # type: ignore[arg-type]


_DREAM = _model(
    "checkpoints/SD1x/dreamShaper_8.safetensors",
    architecture=Architecture.SD1,
    title="DreamShaper",
    sha256="879db523c30d3b9017143d56705015e15a2cb5628762c11d086fed9538abd7fd",
    short_hashes={"autov1": "ed4f26c2", "autov2": "879db523c3"},
    mtime_ns=5,
)
_XL = _model(
    "checkpoints/sdxl-base.safetensors", architecture=Architecture.SDXL, description="The base model", mtime_ns=9
)
_INK = _model("lora/ink.safetensors", ModelType.LORA, trigger_words=("inkstyle",))
_INK_VAE = _model("vae/ink.safetensors", ModelType.VAE)
_TWINS = (_model("lora/a/twin.safetensors", ModelType.LORA), _model("lora/b/twin.safetensors", ModelType.LORA))
_ALL = Catalogue((_DREAM, _XL, _INK, _INK_VAE, *_TWINS), {"gpt-image-1": "sdxl-base"})


@pytest.mark.parametrize(
    "name",
    [
        "id-checkpoints-SD1x-dreamShaper_8.safetensors",
        "/models/checkpoints/SD1x/dreamShaper_8.safetensors",
        "checkpoints/SD1x/dreamShaper_8.safetensors",
        "SD1x/dreamShaper_8.safetensors",
        "SD1x\\dreamShaper_8.safetensors",
        "SD1x/dreamShaper_8",
        "dreamShaper_8.safetensors",
        "dreamShaper_8",
        "dreamshaper_8",
        "DreamShaper",
        "dreamShaper_8.safetensors [879db523c3]",
        "SD1x/dreamShaper_8.safetensors [879db523]",
        "renamed.safetensors [879db523c3]",
        "879db523c3",
        "ED4F26C2",
        "879db523c30d3b9017143d56705015e15a2cb5628762c11d086fed9538abd7fd",
        "  dreamShaper_8  ",
    ],
)
def test_one_model_by_its_many_names(name: str) -> None:
    assert _ALL.resolve(name) is _DREAM


def test_aliases_stand_behind_real_names() -> None:
    assert _ALL.resolve("GPT-image-1") is _XL


def test_types_tell_models_of_one_name_apart() -> None:
    assert _ALL.resolve("ink", ModelType.LORA) is _INK
    assert _ALL.resolve("ink", ModelType.VAE | ModelType.TAESD) is _INK_VAE
    with pytest.raises(InvalidInput, match=r"lora/ink.safetensors, vae/ink.safetensors"):
        _ALL.resolve("ink")


def test_twins_are_told_apart_by_path() -> None:
    with pytest.raises(InvalidInput, match="several models"):
        _ALL.resolve("twin")
    assert _ALL.resolve("b/twin") is _TWINS[1]
    assert _ALL.find("twin") is None


def test_a_miss_names_near_ones() -> None:
    with pytest.raises(ModelNotFound, match=r"did you mean 'dreamShaper_8'\?") as caught:
        _ALL.resolve("dreamsharper8")
    assert caught.value.details["suggestions"] == ["dreamShaper_8"]
    with pytest.raises(ModelNotFound, match=r"no lora is named 'zzz'$"):
        _ALL.resolve("zzz", ModelType.LORA)
    with pytest.raises(ModelNotFound, match="no model was named"):
        _ALL.resolve("  ")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (Query(type=ModelType.CHECKPOINT | ModelType.VAE), ["dreamShaper_8", "ink", "sdxl-base"]),
        (Query(search="INKSTYLE"), ["ink"]),
        (Query(search="base model"), ["sdxl-base"]),
        (Query(search="sd 1.x"), ["dreamShaper_8"]),
        (Query(architecture=Architecture.SDXL), ["sdxl-base"]),
        (Query(type=ModelType.CHECKPOINT, sort_by=SortKey.DATE, descending=True), ["sdxl-base", "dreamShaper_8"]),
        (Query(type=ModelType.CHECKPOINT, sort_by=SortKey.SIZE), ["sdxl-base", "dreamShaper_8"]),
        (Query(sort_by=SortKey.TYPE, limit=2), ["dreamShaper_8", "sdxl-base"]),
        (Query(sort_by=SortKey.TYPE, limit=2, page=3), ["twin", "ink"]),
        (Query(limit=4, page=9), []),
    ],
)
def test_lists(query: Query, names: list[str]) -> None:
    assert [model.name for model in _ALL.search(query).models] == names


def test_pages_count_all_matches() -> None:
    page = _ALL.search(Query(limit=4, page=2))
    assert (page.total, page.total_pages, len(page.models)) == (6, 2, 2)
    assert _ALL.search(Query()).total_pages == 1


def test_statistics() -> None:
    found = _ALL.statistics()
    assert found.total == 6
    assert found.by_type == {"checkpoint": 2, "lora": 3, "vae": 1}
    assert found.total_size == sum(model.size for model in _ALL.models)


def test_new_hashes_are_found_without_rebuilding() -> None:
    known = _ALL.prepare().with_hashes(_XL.id, "ab" * 32, {"autov3": "123456789abc"})
    assert known.resolve("123456789abc").id == _XL.id
    assert known.resolve("gpt-image-1").sha256 == "ab" * 32
    assert _ALL.find("123456789abc") is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lora", ModelType.LORA),
        ("LoRA,vae", ModelType.LORA | ModelType.VAE),
        ("checkpoints|64", ModelType.CHECKPOINT | ModelType.TAESD),
        ("5", ModelType.LORA | ModelType.VAE),
        ("diffusion_model", ModelType.DIFFUSION_MODEL),
        ("nothing", None),
        ("", None),
        ("0", None),
        ("-1", None),
    ],
)
def test_type_filters(text: str, wanted: ModelType | None) -> None:
    assert parse_model_types(text) == wanted


def test_type_numbers_are_the_contracts() -> None:
    numbers = {"LORA": 1, "CHECKPOINT": 2, "VAE": 4, "PRESETS": 8, "PROMPTS": 16, "NEG_PROMPTS": 32, "TAESD": 64}
    numbers |= {"ESRGAN": 128, "CONTROLNET": 256, "UPSCALER": 512, "EMBEDDING": 1024}
    assert {name: ModelType[name].value for name in numbers} == numbers
