"""How each tiny model is loaded and what it is asked to paint: the calls that were seen to work.

A recipe names, for fields of ``sd_ctx_params_t``, the tiny model whose file goes there, and, for fields of
``sd_img_gen_params_t`` and its parts, the values that differ from the library's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to use tiny models."""

    files: Mapping[str, str]
    """Field of ``sd_ctx_params_t`` → name of a tiny model."""
    decode_only: bool = True
    """``vae_decode_only``: False where an encoder exists and a picture goes in."""
    steps: int = 4
    cfg_scale: float = 1.0
    sampler: int | None = None
    """``sample_method_t``; None: what the library chooses for the model."""
    scheduler: int | None = None
    """``scheduler_t``; None: what the library chooses."""
    clip_skip: int = -1
    strength: float = 0.5
    """How much of an init picture is lost. In 4 steps the library's 0.75 starts at pure noise: no trace is left."""
    pictures: frozenset[str] = frozenset()
    """Pictures given in: ``init``, ``end``, ``mask``, ``ref``, ``control``, ``id``."""
    loras: tuple[str, ...] = ()
    """Names of tiny LoRA files, each applied with multiplier 1."""
    embeddings: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Textual inversion: trigger word → name of a tiny embedding."""
    prompt: str = "a red circle on white"
    video_frames: int = 0
    """Frames to ask of ``generate_video``; 0: a picture through ``generate_image``."""
    heavy: bool = False
    """More than 3 s, near 1 GB or more, or nothing new beside another recipe: left to the nightly run."""


ERNIE = {"model_path": "ernie"}
OVIS = {"model_path": "ovis", "taesd_path": "tae16"}
KLEIN = {"model_path": "klein", "taesd_path": "tae32"}
INIT = frozenset({"init"})
MASKED = frozenset({"init", "mask"})
REFERENCE = frozenset({"ref"})

RECIPES: dict[str, Recipe] = {
    "ernie": Recipe(ERNIE),
    "ernie_init": Recipe({**ERNIE, "vae_path": "flux2_vae"}, decode_only=False, pictures=INIT),
    "ernie_lora": Recipe(ERNIE, loras=("ernie_lora",)),
    "esrgan": Recipe({"esrgan_path": "esrgan"}),
    "klein": Recipe(KLEIN),
    "klein_reference": Recipe(KLEIN, decode_only=False, pictures=REFERENCE, heavy=True),
    "ovis": Recipe(OVIS),
    "ovis_init": Recipe(OVIS, decode_only=False, pictures=INIT, heavy=True),
    "ovis_inpaint": Recipe(OVIS, decode_only=False, pictures=MASKED),
    "ovis_lora": Recipe(OVIS, loras=("ovis_lora",), heavy=True),
    "ovis_reference": Recipe(OVIS, decode_only=False, pictures=REFERENCE),
    "sd1": Recipe({"model_path": "sd1"}, heavy=True),
    "sd1_control": Recipe(
        {"model_path": "sd1", "control_net_path": "controlnet"}, pictures=frozenset({"control"}), heavy=True
    ),
    "sd1_tiny": Recipe({"model_path": "sd1_tiny"}, heavy=True),
    "sd1_tiny_embedding": Recipe(
        {"model_path": "sd1_tiny"}, embeddings={"tinyword": "embedding"}, prompt="a tinyword", heavy=True
    ),
    "sd1_tiny_lora": Recipe({"model_path": "sd1_tiny"}, loras=("sd1_lora",), heavy=True),
    "sd1_tiny_init": Recipe({"model_path": "sd1_tiny"}, decode_only=False, pictures=INIT, heavy=True),
    "sd1_tiny_taesd": Recipe({"model_path": "sd1_tiny", "taesd_path": "taesd"}, heavy=True),
    "sdxl": Recipe({"model_path": "sdxl"}, steps=2, heavy=True),
    "sdxl_photomaker": Recipe(
        {"model_path": "sdxl", "photo_maker_path": "photomaker"},
        steps=2,
        pictures=frozenset({"id"}),
        prompt="a man img, on white",
        heavy=True,
    ),
    "sdxs": Recipe({"model_path": "sdxs", "taesd_path": "taesd"}, steps=1, heavy=True),
    "wan": Recipe({"diffusion_model_path": "wan", "taesd_path": "taehv"}, steps=2, video_frames=5, heavy=True),
    "wan_i2v": Recipe(
        {"diffusion_model_path": "wan_i2v", "taesd_path": "taehv", "clip_vision_path": "clip_vision"},
        decode_only=False,
        steps=2,
        pictures=INIT,
        video_frames=5,
        heavy=True,
    ),
    "wan_ti2v": Recipe(
        {"diffusion_model_path": "wan_ti2v", "taesd_path": "taehv48"},
        decode_only=False,
        steps=2,
        pictures=INIT,
        video_frames=5,
        heavy=True,
    ),
    "wan_two_models": Recipe(
        {
            "diffusion_model_path": "wan",
            "high_noise_diffusion_model_path": "wan_high_noise",
            "taesd_path": "taehv",
        },
        steps=2,
        video_frames=5,
        heavy=True,
    ),
}

BAD: dict[str, Recipe] = {
    "ernie_lora_truncated": Recipe(ERNIE, loras=("ernie_lora_truncated",)),
    "ernie_lora_wrong_width": Recipe(ERNIE, loras=("ernie_lora_wrong_width",)),
    "sd1_tiny_embedding_f16": Recipe(
        {"model_path": "sd1_tiny"}, embeddings={"tinyword": "embedding_f16"}, prompt="a tinyword", heavy=True
    ),
    "ovis_lora_truncated": Recipe(OVIS, loras=("ovis_lora_truncated",)),
    "ovis_lora_wrong_width": Recipe(OVIS, loras=("ovis_lora_wrong_width",)),
}
"""What goes wrong in the library: one flat picture, the end of the process."""
