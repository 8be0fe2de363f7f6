"""From the project's parameters to the binding's: the words differ little, the files and pictures are looked up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdrest.core.parameters import GenerationParameters, HighNoise, VideoParameters
from sdrest.engine import messages
from sdrest.engine.child import binding

Pictures = Mapping[str, Sequence[binding.Picture]]


def context_params(spec: messages.ContextSpec) -> binding.ContextParams:
    """The binding's form of a context."""
    values: dict[str, Any] = {field: Path(path) for field, path in spec.files}
    values |= dict(spec.options)
    embeddings = tuple(binding.Embedding(name=name, path=Path(path)) for name, path in spec.embeddings)
    return binding.ContextParams(**values, embeddings=embeddings)


def load_pictures(files: Mapping[str, Sequence[str]]) -> dict[str, list[binding.Picture]]:
    """The input pictures that the parent has laid down as ``.npy`` files."""
    return {name: [np.load(path) for path in paths] for name, paths in files.items()}


def sample_params(parameters: GenerationParameters) -> binding.SampleParams:
    """How to sample."""
    skip = parameters.skip_layers
    return binding.SampleParams(
        guidance=binding.Guidance(
            cfg_scale=parameters.cfg_scale,
            img_cfg_scale=parameters.img_cfg_scale,
            distilled=parameters.guidance,
            slg=binding.SLG(layers=skip.layers if skip.scale else (), start=skip.start, end=skip.end, scale=skip.scale),
        ),
        sampler=parameters.sampler,
        scheduler=parameters.scheduler,
        steps=parameters.steps,
        eta=parameters.eta,
        shifted_timestep=parameters.shifted_timestep,
        custom_sigmas=parameters.custom_sigmas,
        flow_shift=parameters.flow_shift,
    )


def high_noise_params(high_noise: HighNoise) -> binding.SampleParams:
    """How to sample with the high-noise model of a video architecture."""
    return binding.SampleParams(
        guidance=binding.Guidance(cfg_scale=high_noise.cfg_scale, distilled=high_noise.guidance),
        sampler=high_noise.sampler,
        scheduler=high_noise.scheduler,
        steps=high_noise.steps,
        eta=high_noise.eta,
        flow_shift=high_noise.flow_shift,
    )


def steps_of_both(parameters: VideoParameters) -> int:
    """Sampling steps of a two-model video together (``SamplePlan::resolve``): those of the high-noise model come on top when
    they are given, and are a part of the others when the noise level decides.
    """
    if parameters.custom_sigmas:
        return len(parameters.custom_sigmas) - 1
    return parameters.steps + max(0, parameters.high_noise.steps)


def image_params(
    parameters: GenerationParameters,
    *,
    seed: int,
    pictures: Pictures,
    loras: Sequence[messages.LoraFile] = (),
    hires_model: str = "",
) -> binding.ImageParams:
    """One picture of a job."""
    hires = parameters.hires
    return binding.ImageParams(
        prompt=parameters.prompt,
        negative_prompt=parameters.negative_prompt,
        width=parameters.width,
        height=parameters.height,
        seed=seed,
        clip_skip=_clip_skip(parameters),
        strength=parameters.strength,
        sample=sample_params(parameters),
        loras=lora_params(loras),
        init_image=_single(pictures, "init_image"),
        mask_image=_single(pictures, "mask_image"),
        control_image=_single(pictures, "control_image"),
        control_strength=parameters.control_strength,
        ref_images=tuple(pictures.get("ref_images", ())),
        auto_resize_ref_images=parameters.auto_resize_ref_images,
        increase_ref_index=parameters.increase_ref_index,
        photo_maker=binding.PhotoMaker(
            id_images=tuple(pictures.get("pm_id_images", ())), style_strength=parameters.pm_style_strength
        ),
        vae_tiling=binding.Tiling(**dataclasses.asdict(parameters.vae_tiling)),
        cache=binding.CacheParams(**dataclasses.asdict(parameters.cache)),
        hires=binding.HiresParams(
            enabled=hires.enabled,
            upscaler=hires.upscaler,
            model=Path(hires_model) if hires_model else None,
            scale=hires.scale,
            target_width=hires.target_width,
            target_height=hires.target_height,
            steps=hires.steps,
            strength=hires.strength,
            tile_size=hires.tile_size,
        ),
    )


def video_params(
    parameters: VideoParameters, *, pictures: Pictures, loras: Sequence[messages.LoraFile] = ()
) -> binding.VideoParams:
    """A video job."""
    return binding.VideoParams(
        prompt=parameters.prompt,
        negative_prompt=parameters.negative_prompt,
        width=parameters.width,
        height=parameters.height,
        video_frames=parameters.video_frames,
        seed=parameters.seed,
        clip_skip=_clip_skip(parameters),
        strength=parameters.strength,
        sample=sample_params(parameters),
        high_noise_sample=high_noise_params(parameters.high_noise),
        moe_boundary=parameters.moe_boundary,
        vace_strength=parameters.vace_strength,
        loras=lora_params(loras),
        init_image=_single(pictures, "init_image"),
        end_image=_single(pictures, "end_image"),
        control_frames=tuple(pictures.get("control_frames", ())),
        vae_tiling=binding.Tiling(**dataclasses.asdict(parameters.vae_tiling)),
        cache=binding.CacheParams(**dataclasses.asdict(parameters.cache)),
    )


def lora_params(loras: Sequence[messages.LoraFile]) -> tuple[binding.Lora, ...]:
    """LoRA files to apply."""
    return tuple(
        binding.Lora(path=Path(lora.path), multiplier=lora.multiplier, high_noise=lora.high_noise) for lora in loras
    )


def _clip_skip(parameters: GenerationParameters) -> int:
    """1 is the model's own for our clients; the library reads it as a demand (blank pictures on some models)."""
    return parameters.clip_skip if parameters.clip_skip > 1 else -1


def _single(pictures: Pictures, name: str) -> binding.Picture | None:
    found = pictures.get(name)
    return found[0] if found else None
