"""The registry finds what lies in the model folders, reads each file once, and notices what changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.errors import Forbidden, InvalidInput
from sdrest.core.model import Model, ModelFormat, ModelType
from sdrest.registry.builtin import builtin_models
from sdrest.registry.folders import BY_KEY, Folders
from sdrest.registry.registry import Registry
from sdrest.registry.scan import scan
from tests.architectures import EVIDENCE, PARTS, Shapes
from tests.model_files import write_gguf, write_safetensors

_LORA = PARTS["lora"][1]
_VAE = PARTS["vae"][1]


def _registry(models: Path, state: Path | None = None) -> Registry:
    registry = Registry(Folders(models), state)
    registry.refresh()
    return registry


def _only(registry: Registry) -> Model:
    (model,) = registry.catalogue.models
    return model


def test_files_are_listed_by_folder_with_sub_folders(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "lora/styles/ink.safetensors", _LORA)
    write_safetensors(tmp_path / "vae/mse.safetensors", _VAE)
    write_safetensors(tmp_path / "checkpoints/v1.safetensors", EVIDENCE[Architecture.SD1])
    (tmp_path / "lora/readme.txt").write_text("not a model")
    (tmp_path / "lora/.hidden.safetensors").write_bytes(b"")
    models = {m.relative_path: m for m in _registry(tmp_path).catalogue.models}
    assert {path: m.type for path, m in models.items()} == {
        "lora/styles/ink.safetensors": ModelType.LORA,
        "vae/mse.safetensors": ModelType.VAE,
        "checkpoints/v1.safetensors": ModelType.CHECKPOINT,
    }
    checkpoint = models["checkpoints/v1.safetensors"]
    assert checkpoint.architecture is Architecture.SD1
    assert checkpoint.size == (tmp_path / "checkpoints/v1.safetensors").stat().st_size
    assert checkpoint.parameter_count == checkpoint.weights_bytes // 2
    assert "/" not in checkpoint.id


def test_content_decides_where_the_folder_cannot_be_right(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "lora/oops.safetensors", _VAE)
    write_gguf(tmp_path / "checkpoints/flux.gguf", EVIDENCE[Architecture.FLUX])
    write_safetensors(tmp_path / "text_encoders/t5.safetensors", PARTS["t5"][1])
    types = {m.name: m.type for m in _registry(tmp_path).catalogue.models}
    assert types == {"oops": ModelType.VAE, "flux": ModelType.CHECKPOINT, "t5": ModelType.T5XXL}


def test_only_new_and_changed_files_are_read_again(tmp_path: Path) -> None:
    first = write_safetensors(tmp_path / "lora/a.safetensors", _LORA)
    write_safetensors(tmp_path / "lora/b.safetensors", _LORA)
    folders = Folders(tmp_path)
    before = scan(folders)
    assert before.read == 2
    assert scan(folders, before.entries).read == 0
    os.utime(first, ns=(1, 1))
    again = scan(folders, before.entries)
    assert again.read == 1
    assert {m.mtime_ns for m in again.models} > {1}


def test_refresh_reports_what_came_and_went(tmp_path: Path) -> None:
    gone = write_safetensors(tmp_path / "lora/gone.safetensors", _LORA)
    registry = _registry(tmp_path)
    gone_id = _only(registry).id
    gone.unlink()
    write_safetensors(tmp_path / "lora/new.safetensors", _LORA)
    report = registry.refresh()
    assert report.removed == (gone_id,)
    assert report.added == (_only(registry).id,)
    (tmp_path / "lora/new.json").write_text(json.dumps({"description": "ink", "activation text": "inkstyle, ink"}))
    assert registry.refresh().changed == report.added
    assert _only(registry).trigger_words == ("inkstyle", "ink")


def test_a_later_start_reads_no_header(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m/lora/a.safetensors", _LORA, {"modelspec.title": "Ink"})
    model = _only(_registry(tmp_path / "m", tmp_path / "state"))
    stat = path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert _only(_registry(tmp_path / "m", tmp_path / "state")) == model


def test_a_later_start_lists_the_files_beside_the_built_in_models(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "models/vae/mse.safetensors", _VAE)
    for _ in range(2):
        registry = Registry(Folders(tmp_path / "models"), tmp_path, builtin=builtin_models())
        registry.refresh()
        assert {model.name for model in registry.catalogue.models} == {"mse", *(m.name for m in builtin_models())}


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 0, "entries": []}', b'{"version": 1, "entries": [7]}'])
def test_a_damaged_cache_only_costs_time(content: bytes, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "m/lora/a.safetensors", _LORA)
    (tmp_path / "models.json").write_bytes(content)
    assert _only(_registry(tmp_path / "m", tmp_path)).type is ModelType.LORA


def test_broken_files_are_listed_with_their_problem(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/bad.gguf").write_bytes(b"<html>login</html>")
    model = _only(_registry(tmp_path))
    assert not model.usable
    assert "web page" in model.problems[0].message
    assert model.format is ModelFormat.GGUF


def test_a_diffusers_folder_is_one_model(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints/sd15"
    unet: Shapes = {"conv_in.weight": (320, 4, 3, 3), "down_blocks.0.resnets.0.norm1.weight": (320,)}
    unet |= {"mid_block.resnets.1.norm1.weight": (1280,)}
    write_safetensors(folder / "unet/diffusion_pytorch_model.safetensors", unet)
    write_safetensors(folder / "vae/diffusion_pytorch_model.safetensors", _VAE)
    text = {"text_model.embeddings.token_embedding.weight": (49408, 768)}
    write_safetensors(folder / "text_encoder/model.safetensors", text)
    model = _only(_registry(tmp_path))
    assert (model.name, model.format, model.architecture) == ("sd15", ModelFormat.DIFFUSERS, Architecture.SD1)
    assert model.type is ModelType.CHECKPOINT
    assert model.usable, model.problems


def test_side_files_of_a_diffusers_folder_are_read_when_they_come(tmp_path: Path) -> None:
    write_safetensors(
        tmp_path / "checkpoints/sd-v1.5/unet/diffusion_pytorch_model.safetensors", {"conv_in.weight": (320, 4, 3, 3)}
    )
    registry = _registry(tmp_path)
    assert _only(registry).description is None
    side = tmp_path / "checkpoints/sd-v1.5.json"
    for text in ("all round", "all square"):
        side.write_text(json.dumps({"description": text}))
        assert registry.refresh().changed == (_only(registry).id,)
        assert _only(registry).description == text
    side.unlink()
    registry.refresh()
    assert _only(registry).description is None


def _settle(top: Path) -> None:
    """Let folders look as if nothing had happened in them for long."""
    for folder in (top, *(path for path in top.rglob("*") if path.is_dir())):
        os.utime(folder, ns=(1_000_000_000, 1_000_000_000))


def test_a_registry_knows_when_it_is_stale(tmp_path: Path) -> None:
    models, lora, inner = tmp_path, tmp_path / "lora", tmp_path / "lora/empty"
    write_safetensors(lora / "a.safetensors", _LORA)
    inner.mkdir()
    registry = _registry(models)
    assert registry.is_stale(), "folders changed a moment ago may change again within the same tick"

    def is_stale_after(change: Callable[[], object]) -> bool:
        _settle(models)
        registry.refresh()
        assert not registry.is_stale()
        change()
        return registry.is_stale()

    assert is_stale_after(lambda: (lora / "b.safetensors").write_bytes((lora / "a.safetensors").read_bytes()[:99]))
    assert is_stale_after(lambda: write_safetensors(lora / "b.safetensors", _LORA)), "what was cut has grown"
    assert is_stale_after((lora / "b.safetensors").unlink)
    assert is_stale_after(lambda: write_safetensors(inner / "c.safetensors", _LORA))
    assert is_stale_after(lambda: write_safetensors(models / "vae/d.safetensors", _VAE))
    assert is_stale_after((models / "Stable-diffusion").mkdir)


def test_folders_can_be_moved(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "elsewhere/a.safetensors", _LORA)
    write_safetensors(tmp_path / "m/loras/b.safetensors", _LORA)
    named = Registry(Folders(tmp_path / "m", {"lora": Path("loras")}))
    named.refresh()
    assert _only(named).relative_path == "loras/b.safetensors"
    moved = Registry(Folders(tmp_path / "m", {"lora": tmp_path / "elsewhere"}))
    moved.refresh()
    assert _only(moved).relative_path == "lora/a.safetensors"
    with pytest.raises(InvalidInput, match="unknown model folder"):
        Folders(tmp_path, {"loras!": Path("x")})


def test_the_contracts_folders_are_all_there(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    assert {BY_KEY[key].type.value for key in BY_KEY} >= {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
    names = {folder.path.name for folder in folders.all()}
    assert names >= {"lora", "checkpoints", "vae", "presets", "prompts", "neg_prompts", "taesd", "esrgan"}
    assert names >= {"controlnet", "upscaler", "embeddings", "diffusion_models", "clip_vision", "photomaker"}


def test_paths_are_confined_to_the_model_folders(tmp_path: Path) -> None:
    (tmp_path / "m/checkpoints").mkdir(parents=True)
    folders = Folders(tmp_path / "m", {"vae": tmp_path / "v"})
    assert folders.confine(Path("checkpoints/new.gguf")) == tmp_path / "m/checkpoints/new.gguf"
    assert folders.confine(tmp_path / "v/new.gguf") == tmp_path / "v/new.gguf"
    (tmp_path / "m/checkpoints/out").symlink_to(tmp_path)
    for path in ("../x.gguf", "/etc/x.gguf", "checkpoints/../../x.gguf", "checkpoints/out/x.gguf", "."):
        with pytest.raises(Forbidden, match="outside"):
            folders.confine(Path(path))
