"""The names that A1111's clients send, and what is there under other names."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdrest.core.model import Model, ModelFormat, ModelType
from sdrest.core.names import Sampler, Scheduler, parse_sampler, parse_scheduler
from sdrest.registry.catalogue import Catalogue
from sdrest.web.dialects.a1111.names import upscaler_label, upscaler_named
from sdrest.web.dialects.sdcpp.fields import hires_upscaler


def model(file: str, kind: ModelType = ModelType.ESRGAN, **hashes: str) -> Model:
    return Model(
        id=file, name=Path(file).stem, type=kind, path=Path("/models") / file, relative_path=f"x/{file}", size=1, mtime_ns=0,
        format=ModelFormat.SAFETENSORS, short_hashes=hashes,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("file", "label"),
    [
        ("RealESRGAN_x4plus.pth", "R-ESRGAN 4x+"),
        ("realesrgan-x4plus.safetensors", "R-ESRGAN 4x+"),
        ("RealESRGAN_x4plus_anime_6B.pth", "R-ESRGAN 4x+ Anime6B"),
        ("realesrgan-x4plus-anime.safetensors", "R-ESRGAN 4x+ Anime6B"),
        ("RealESRGAN_x2plus.pth", "R-ESRGAN 2x+"),
        ("realesr-general-x4v3.pth", "R-ESRGAN General 4xV3"),
        ("realesr-general-wdn-x4v3.pth", "R-ESRGAN General WDN 4xV3"),
        ("realesr-animevideov3.pth", "R-ESRGAN AnimeVideo"),
        ("ESRGAN_4x.pth", "ESRGAN_4x"),
        ("BSRGAN.pth", "BSRGAN"),
        ("4x-UltraSharp.pth", "4x-UltraSharp"),
    ],
)
def test_an_upscaler_is_listed_and_found_under_the_same_name(file: str, label: str) -> None:
    found, other = model(file), model("something-else.pth")
    assert upscaler_label(found) == label
    catalogue = Catalogue([other, found])
    for spelling in (label, label.lower(), found.name, file):
        name = upscaler_named(spelling, catalogue.models)
        assert catalogue.resolve(name, ModelType.ESRGAN) is found


@pytest.mark.parametrize(
    ("name", "upscaler"),
    [
        ("Latent", "latent"),
        ("Latent (antialiased)", "latent_antialiased"),
        ("Latent (bicubic)", "latent_bicubic"),
        ("Latent (bicubic antialiased)", "latent_bicubic_antialiased"),
        ("Latent (nearest)", "latent_nearest"),
        ("Latent (nearest-exact)", "latent_nearest_exact"),
        ("Lanczos", "lanczos"),
        ("Nearest", "nearest"),
        ("R-ESRGAN 4x+", "model"),
    ],
)
def test_upscalers_of_the_second_pass(name: str, upscaler: str) -> None:
    assert hires_upscaler(name)["upscaler"] == upscaler


@pytest.mark.parametrize(
    ("name", "sampler", "scheduler"),
    [
        ("Euler", Sampler.EULER, None),
        ("Euler a", Sampler.EULER_A, None),
        ("k_euler_a", Sampler.EULER_A, None),
        ("Heun", Sampler.HEUN, None),
        ("DPM2", Sampler.DPM2, None),
        ("DPM++ 2M", Sampler.DPMPP2M, None),
        ("DPM++ 2M Karras", Sampler.DPMPP2M, Scheduler.KARRAS),
        ("DPM++ 2M Exponential", Sampler.DPMPP2M, Scheduler.EXPONENTIAL),
        ("DPM++ 2M SGM Uniform", Sampler.DPMPP2M, Scheduler.SGM_UNIFORM),
        ("DPM++ 2S a Karras", Sampler.DPMPP2S_A, Scheduler.KARRAS),
        ("DPM2 Karras", Sampler.DPM2, Scheduler.KARRAS),
        ("LCM", Sampler.LCM, None),
        ("DDIM", Sampler.DDIM_TRAILING, None),
        ("Euler Simple", Sampler.EULER, Scheduler.SIMPLE),
    ],
)
def test_samplers_with_and_without_a_scheduler_in_their_names(
    name: str, sampler: Sampler, scheduler: Scheduler | None
) -> None:
    assert parse_sampler(name) == (sampler, scheduler)


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("Karras", Scheduler.KARRAS),
        ("karras", Scheduler.KARRAS),
        ("Exponential", Scheduler.EXPONENTIAL),
        ("SGM Uniform", Scheduler.SGM_UNIFORM),
        ("sgm_uniform", Scheduler.SGM_UNIFORM),
        ("KL Optimal", Scheduler.KL_OPTIMAL),
        ("Align Your Steps", Scheduler.AYS),
        ("Simple", Scheduler.SIMPLE),
        ("Normal", Scheduler.DISCRETE),
        ("Uniform", Scheduler.DISCRETE),
    ],
)
def test_schedulers(name: str, scheduler: Scheduler) -> None:
    assert parse_scheduler(name) is scheduler


def test_titles_with_hashes_are_understood() -> None:
    canny = model("control_v11p_sd15_canny.pth", ModelType.CONTROLNET)
    dream = model("dream.safetensors", ModelType.CHECKPOINT, autov2="879db523c3")
    catalogue = Catalogue([canny, dream])
    assert catalogue.resolve("control_v11p_sd15_canny [d14c016b]", ModelType.CONTROLNET) is canny
    assert catalogue.resolve("control_v11p_sd15_canny.pth [d14c016b]", ModelType.CONTROLNET) is canny
    assert catalogue.resolve("dream.safetensors [879db523c3]", ModelType.CHECKPOINT) is dream
    assert catalogue.resolve("of old.ckpt [879db523c3]", ModelType.CHECKPOINT) is dream
