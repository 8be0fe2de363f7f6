"""From a model to the files the library is given: parts are found by what fits, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.architecture import Architecture
from sdrest.core.errors import InvalidInput, ModelUnusable
from sdrest.core.model import Component, Need
from sdrest.registry.folders import Folders
from sdrest.registry.loading import missing_components, resolve_loading
from sdrest.registry.registry import Registry
from tests.architectures import EVIDENCE, PARTS, Shapes
from tests.model_files import write_gguf, write_safetensors

_VAE16: Shapes = {"decoder.conv_in.weight": (512, 16, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}
_VAE4 = PARTS["vae"][1]


def _registry(folder: Path, files: dict[str, Shapes]) -> Registry:
    for name, shapes in files.items():
        write = write_gguf if name.endswith(".gguf") else write_safetensors
        write(folder / name, shapes)
    registry = Registry(Folders(folder))
    registry.refresh()
    return registry


_FLUX: dict[str, Shapes] = {
    "diffusion_models/flux1-dev.gguf": EVIDENCE[Architecture.FLUX],
    "vae/ae.safetensors": _VAE16,
    "vae/sd.safetensors": _VAE4,
    "text_encoders/clip_l.safetensors": PARTS["clip_l"][1],
    "text_encoders/clip_g.safetensors": PARTS["clip_g"][1],
    "text_encoders/t5xxl.safetensors": PARTS["t5"][1],
    "text_encoders/umt5.gguf": PARTS["umt5 by llama.cpp"][1],
}


def test_a_bare_diffusion_model_gets_its_parts(tmp_path: Path) -> None:
    registry = _registry(tmp_path, _FLUX)
    loading = resolve_loading(registry.catalogue, registry.catalogue.resolve("flux1-dev"))
    assert loading.model_path is None
    assert loading.diffusion_model_path == tmp_path / "diffusion_models/flux1-dev.gguf"
    assert loading.vae_path == tmp_path / "vae/ae.safetensors"
    assert loading.clip_l_path == tmp_path / "text_encoders/clip_l.safetensors"
    assert loading.t5xxl_path == tmp_path / "text_encoders/t5xxl.safetensors"
    assert loading.clip_g_path is None
    parts = [registry.catalogue.resolve(name) for name in ("flux1-dev", "ae", "clip_l", "t5xxl")]
    assert loading.weights_bytes == sum(part.weights_bytes for part in parts)


def test_a_whole_checkpoint_needs_nothing(tmp_path: Path) -> None:
    whole = EVIDENCE[Architecture.SD1] | {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}
    registry = _registry(tmp_path, {"checkpoints/v1.safetensors": whole, "vae/sd.safetensors": _VAE4})
    loading = resolve_loading(registry.catalogue, registry.catalogue.resolve("v1"))
    assert loading.model_path == tmp_path / "checkpoints/v1.safetensors"
    assert loading.vae_path is None
    assert missing_components(registry.catalogue, registry.catalogue.resolve("v1")) == ()


def test_missing_parts_are_all_named(tmp_path: Path) -> None:
    registry = _registry(tmp_path, {"diffusion_models/flux.gguf": EVIDENCE[Architecture.FLUX]})
    model = registry.catalogue.resolve("flux")
    with pytest.raises(ModelUnusable, match="clip_l, t5xxl, vae") as caught:
        resolve_loading(registry.catalogue, model)
    assert caught.value.details["missing"] == ["clip_l", "t5xxl", "vae"]
    assert set(missing_components(registry.catalogue, model)) == {Component.CLIP_L, Component.T5XXL, Component.VAE}


def test_a_tiny_autoencoder_stands_in_for_a_vae(tmp_path: Path) -> None:
    files = {name: shapes for name, shapes in _FLUX.items() if not name.startswith("vae/")}
    taesd: Shapes = {"decoder.layers.0.weight": (64, 16, 3, 3)}
    registry = _registry(tmp_path, files | {"taesd/taef1.safetensors": taesd})
    loading = resolve_loading(registry.catalogue, registry.catalogue.resolve("flux1-dev"))
    assert loading.taesd_path == tmp_path / "taesd/taef1.safetensors"
    assert loading.vae_path is None


def test_chosen_parts_override_and_must_fit(tmp_path: Path) -> None:
    registry = _registry(tmp_path, _FLUX | {"vae/other-ae.safetensors": _VAE16})
    model = registry.catalogue.resolve("flux1-dev")
    chosen = resolve_loading(registry.catalogue, model, {Component.VAE: "other-ae"})
    assert chosen.vae_path == tmp_path / "vae/other-ae.safetensors"
    with pytest.raises(InvalidInput, match="vae: sd does not fit Flux") as caught:
        resolve_loading(registry.catalogue, model, {Component.VAE: "sd"})
    assert caught.value.problems[0].field == "vae"


def test_language_models_are_matched_by_width_and_vocabulary(tmp_path: Path) -> None:
    qwen = PARTS["qwen"][1]
    narrow: Shapes = {
        "model.embed_tokens.weight": (151936, 1024),
        "model.layers.0.self_attn.q_proj.weight": (1024, 1024),
    }
    mistral: Shapes = {
        "model.embed_tokens.weight": (131072, 2560),
        "model.layers.0.self_attn.q_proj.weight": (4096, 2560),
    }
    registry = _registry(
        tmp_path,
        {
            "diffusion_models/z.safetensors": EVIDENCE[Architecture.Z_IMAGE],
            "vae/ae.safetensors": _VAE16,
            "text_encoders/a-narrow.safetensors": narrow,
            "text_encoders/b-mistral.safetensors": mistral,
            "text_encoders/c-qwen.safetensors": qwen,
        },
    )
    loading = resolve_loading(registry.catalogue, registry.catalogue.resolve("z"))
    assert loading.llm_path == tmp_path / "text_encoders/c-qwen.safetensors"


def test_video_models_take_video_autoencoders_and_umt5(tmp_path: Path) -> None:
    registry = _registry(
        tmp_path,
        _FLUX
        | {
            "diffusion_models/wan.safetensors": EVIDENCE[Architecture.WAN2],
            "vae/wan_vae.safetensors": PARTS["wan vae"][1],
        },
    )
    loading = resolve_loading(registry.catalogue, registry.catalogue.resolve("wan"))
    assert loading.vae_path == tmp_path / "vae/wan_vae.safetensors"
    assert loading.t5xxl_path == tmp_path / "text_encoders/umt5.gguf"


def test_the_low_noise_half_takes_the_high_noise_half(tmp_path: Path) -> None:
    layers: Shapes = {f"blocks.{i}.cross_attn.norm_k.weight": (5120,) for i in range(40)}
    wan: Shapes = layers | {"patch_embedding.weight": (5120, 16, 1, 2, 2)}
    registry = _registry(
        tmp_path,
        {
            "diffusion_models/Wan2.2-T2V-A14B-LowNoise-Q8_0.safetensors": wan,
            "diffusion_models/Wan2.2-T2V-A14B-HighNoise-Q8_0.safetensors": wan,
            "diffusion_models/Wan2.2-I2V-A14B-HighNoise-Q8_0.safetensors": wan,
            "diffusion_models/wan_other_high.safetensors": wan,
            "vae/wan_vae.safetensors": PARTS["wan vae"][1],
            "text_encoders/umt5.gguf": PARTS["umt5 by llama.cpp"][1],
        },
    )
    loading = resolve_loading(registry.catalogue, registry.catalogue.resolve("Wan2.2-T2V-A14B-LowNoise-Q8_0"))
    assert loading.high_noise_diffusion_model_path is not None
    assert loading.high_noise_diffusion_model_path.name == "Wan2.2-T2V-A14B-HighNoise-Q8_0.safetensors"


def test_what_clip_sees_is_read_by_the_width_that_the_library_builds(tmp_path: Path) -> None:
    wan = EVIDENCE[Architecture.WAN2] | {"img_emb.proj.1.weight": (1280, 1280)}
    registry = _registry(
        tmp_path,
        {
            "diffusion_models/wan_i2v.safetensors": wan,
            "vae/wan_vae.safetensors": PARTS["wan vae"][1],
            "clip_vision/a_vit_l.safetensors": _vision(1024),
        },
    )
    model = registry.catalogue.resolve("wan_i2v")
    with pytest.raises(ModelUnusable, match="clip_vision"):
        resolve_loading(registry.catalogue, model)
    write_safetensors(tmp_path / "clip_vision/vit_h.safetensors", _vision(1280))
    registry.refresh()
    assert resolve_loading(registry.catalogue, model).clip_vision_path == tmp_path / "clip_vision/vit_h.safetensors"


def _vision(width: int) -> Shapes:
    return {
        "vision_model.embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "vision_model.encoder.layers.0.layer_norm1.weight": (width,),
    }


def test_unusable_and_wrong_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    registry = _registry(tmp_path, {"vae/ae.safetensors": _VAE16})
    with pytest.raises(ModelUnusable, match="of type vae"):
        resolve_loading(registry.catalogue, registry.catalogue.resolve("ae"))
    broken = tmp_path / "checkpoints/cut.safetensors"
    whole = write_safetensors(broken, EVIDENCE[Architecture.SD1])
    whole.write_bytes(whole.read_bytes()[:-4096])
    registry.refresh()
    with pytest.raises(ModelUnusable, match="ends 4096 bytes before"):
        resolve_loading(registry.catalogue, registry.catalogue.resolve("cut"))


def test_components_tell_what_is_here(tmp_path: Path) -> None:
    registry = _registry(tmp_path, _FLUX)
    states = {
        state.requirement.component: state for state in registry.components(registry.catalogue.resolve("flux1-dev"))
    }
    assert set(states) == {Component.CLIP_L, Component.T5XXL, Component.VAE}
    assert all(state.present and state.requirement.need is Need.REQUIRED for state in states.values())
    assert [candidate.name for candidate in states[Component.VAE].candidates] == ["ae"]


def test_all_that_is_wrong_with_chosen_parts_is_told_at_once(tmp_path: Path) -> None:
    catalogue = _registry(tmp_path, _FLUX).catalogue
    chosen = {Component.VAE: "sd", Component.CLIP_L: "nowhere"}
    with pytest.raises(InvalidInput) as caught:
        resolve_loading(catalogue, catalogue.resolve("flux1-dev"), chosen)
    assert {problem.field for problem in caught.value.problems} == {"vae", "clip_l"}
