"""What hubs' words mean: architectures, licences, where a key may go."""

from __future__ import annotations

import pytest

from sdrest.core.architecture import Family
from sdrest.work.hubs.answers import key_header
from sdrest.work.hubs.civitai import licence_of
from sdrest.work.hubs.families import family_of


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("SD 1.5", Family.SD1),
        ("SD 2.1 768", Family.SD2),
        ("SDXL 1.0", Family.SDXL),
        ("Pony", Family.SDXL),
        ("Pony V7", None),
        ("Illustrious", Family.SDXL),
        ("SD 3.5 Large Turbo", Family.SD3),
        ("Flux.1 D", Family.FLUX),
        ("Flux.2 Klein 4B", Family.FLUX2),
        ("Chroma", Family.CHROMA),
        ("Qwen", Family.QWEN_IMAGE),
        ("ZImageTurbo", Family.Z_IMAGE),
        ("Wan Video 2.2 T2V-A14B", Family.WAN),
        ("Anima", Family.ANIMA),
        ("Hunyuan Video", None),
        ("Other", None),
        ("stabilityai/stable-diffusion-xl-base-1.0", Family.SDXL),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", Family.SD1),
        ("black-forest-labs/FLUX.1-dev", Family.FLUX),
        ("Qwen/Qwen-Image-Edit", Family.QWEN_IMAGE),
        ("Tongyi-MAI/Z-Image-Turbo", Family.Z_IMAGE),
        ("Qwen/Qwen2.5-7B-Instruct", None),
        ("cagliostrolab/animagine", None),
    ],
)
def test_words_for_architectures(text: str, family: Family | None) -> None:
    assert family_of(text) is family


def test_the_first_telling_text_counts() -> None:
    assert family_of("", "someone/thing", "SDXL 1.0", "Flux.1 D") is Family.SDXL


def test_what_makers_let_others_do() -> None:
    assert licence_of({}) == ""
    assert licence_of({"allowCommercialUse": "None", "allowNoCredit": True}) == "CivitAI: commercial use: none"
    strict = {"allowCommercialUse": ["{Image,Rent}"], "allowNoCredit": False, "allowDerivatives": False}
    assert licence_of(strict) == "CivitAI: commercial use: Image, Rent; credit required; no derivatives"


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("https://civitai.com/api/v1/models", True),
        ("https://CIVITAI.com/x", True),
        ("http://civitai.com/x", False),
        ("https://civitai.com:444/x", False),
        ("https://civitai.com.example.org/x", False),
        ("https://image.civitai.com/x", False),
    ],
)
def test_a_key_goes_to_its_own_address_only(url: str, *, is_told: bool) -> None:
    assert bool(key_header("secret", url, "https://civitai.com")) is is_told
    assert key_header("", url, "https://civitai.com") == {}
