"""From the parameters to the library's structures.

A :class:`Structures` object owns everything that its structures point at (strings, arrays, pictures): keep it until the
call returns. Values that would end the process (see the checks) raise ValueError here; the layers above have better
messages for users.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sdrest.core.parameters import Cache, GenerationParameters, HighNoise, Hires, Tiling, VideoParameters
from sdrest.engine.child.binding import images
from sdrest.engine.child.binding.errors import NativeError
from sdrest.engine.child.binding.names import Names, number_of
from sdrest.engine.child.binding.parameters import ContextParams, Inputs, Picture
from sdrest.engine.messages import LoraFile

#: Fields of ContextParams whose C name is ``<field>_path``.
_FILES = (
    "model", "clip_l", "clip_g", "clip_vision", "t5xxl", "llm", "llm_vision", "diffusion_model",
    "high_noise_diffusion_model", "vae", "taesd", "control_net", "photo_maker",
)  # fmt: skip
#: Fields of ContextParams that are copied under the same name.
_PLAIN = (
    "vae_decode_only", "offload_params_to_cpu", "enable_mmap", "keep_clip_on_cpu", "keep_control_net_on_cpu",
    "keep_vae_on_cpu", "flash_attn", "diffusion_flash_attn", "tae_preview_only", "diffusion_conv_direct",
    "vae_conv_direct", "circular_x", "circular_y", "force_sdxl_vae_conv_scale", "chroma_use_dit_mask",
    "chroma_use_t5_mask", "chroma_t5_mask_pad", "qwen_image_zero_cond_t", "max_vram",
)  # fmt: skip

if TYPE_CHECKING:
    from sdrest.engine.child.binding.foreign import Foreign

_T = TypeVar("_T")
_Number = TypeVar("_Number", bool, int, float)


class Structures:
    """Builds C structures and keeps what they refer to."""

    def __init__(self, foreign: Foreign, names: Names) -> None:
        self._sd = foreign.sd
        self._lib = foreign.lib
        self._names = names
        self._kept: list[object] = []

    def context(self, given: ContextParams) -> Any:
        """``sd_ctx_params_t``. Raises NativeError when a named file does not exist."""
        made = self._initialised("ctx", self._sd.sd_ctx_params_t)
        made.free_params_immediately = False
        for name in _FILES:
            setattr(made, f"{name}_path", self._file(getattr(given, name), name))
        for name in _PLAIN:
            setattr(made, name, getattr(given, name))
        made.tensor_type_rules = (
            self.text(given.tensor_type_rules, "tensor_type_rules") if given.tensor_type_rules else None
        )
        if given.threads is not None:
            made.n_threads = _at_least(1, given.threads, "threads")
        tables = self._names
        made.rng_type = number_of(tables.rngs, given.rng, "rng")
        made.lora_apply_mode = number_of(tables.lora_apply_modes, given.lora_apply_mode, "lora_apply_mode")
        if given.type is not None:
            made.wtype = number_of(tables.types, given.type, "type")
        if given.sampler_rng is not None:
            made.sampler_rng_type = number_of(tables.rngs, given.sampler_rng, "sampler_rng")
        if given.prediction is not None:
            made.prediction = number_of(tables.predictions, given.prediction, "prediction")
        made.embedding_count = len(given.embeddings)
        made.embeddings = self._array(
            self._sd.sd_embedding_t,
            [
                self._sd.sd_embedding_t(self.text(e.name, "embedding name"), self._file(e.path, f"embedding {e.name}"))
                for e in given.embeddings
            ],
        )
        return made

    def image(self, given: GenerationParameters, inputs: Inputs) -> Any:
        """``sd_img_gen_params_t``. Picture i of the batch has seed ``seed`` + i."""
        made = self._initialised("img_gen", self._sd.sd_img_gen_params_t)
        self._common(made, given, inputs)
        made.batch_count = _at_least(1, given.batch_count, "batch_count")
        size = (given.height, given.width)
        self._single(made.mask_image, inputs, "mask_image", size, channels=1)
        self._single(made.control_image, inputs, "control_image", size)
        made.control_strength = _finite(given.control_strength, "control_strength")
        made.ref_images, made.ref_images_count = self._several(inputs, "ref_images")
        made.auto_resize_ref_image = given.auto_resize_ref_images
        made.increase_ref_index = given.increase_ref_index
        made.pm_params.id_images, made.pm_params.id_images_count = self._several(inputs, "pm_id_images")
        made.pm_params.style_strength = _finite(given.pm_style_strength, "pm_style_strength")
        self._hires(made.hires, given.hires, inputs.hires_model)
        return made

    def video(self, given: VideoParameters, inputs: Inputs) -> Any:
        """``sd_vid_gen_params_t``."""
        made = self._initialised("vid_gen", self._sd.sd_vid_gen_params_t)
        self._common(made, given, inputs)
        self._sample(made.high_noise_sample_params, given.high_noise, least_steps=-1)
        made.video_frames = _at_least(1, given.video_frames, "video_frames")
        made.moe_boundary = _finite(given.moe_boundary, "moe_boundary")
        made.vace_strength = _finite(given.vace_strength, "vace_strength")
        size = (given.height, given.width)
        self._single(made.end_image, inputs, "end_image", size)
        made.control_frames, made.control_frames_size = self._several(inputs, "control_frames", size)
        return made

    def picture(self, pixels: Picture, what: str) -> Any:
        """``sd_image_t`` of a three-channel picture."""
        made = self._sd.sd_image_t()
        self._picture(made, pixels, what)
        return made

    def text(self, text: str, what: str) -> bytes:
        """UTF-8 bytes, kept. Raises ValueError for a NUL character, which would silently end the text."""
        if "\0" in text:
            raise ValueError(f"{what} must not contain a NUL character")
        return self._keep(text.encode())

    def _common(self, made: Any, given: GenerationParameters, inputs: Inputs) -> None:
        """What pictures and videos have in common."""
        made.prompt = self.text(given.prompt, "prompt")
        made.negative_prompt = self.text(given.negative_prompt, "negative_prompt")
        made.width = _at_least(1, given.width, "width")
        made.height = _at_least(1, given.height, "height")
        # 1 is the model's own for our clients; the library reads it as a demand (blank pictures on some models).
        made.clip_skip = given.clip_skip if given.clip_skip > 1 else -1
        made.strength = _finite(given.strength, "strength")
        # For a negative one the library would draw its own and not tell which.
        made.seed = _at_least(0, given.seed, "seed")
        self._single(made.init_image, inputs, "init_image", (given.height, given.width))
        self._sample(made.sample_params, given)
        self._sample_more(made.sample_params, given)
        made.lora_count = len(inputs.loras)
        made.loras = self._array(self._sd.sd_lora_t, [self._lora(lora) for lora in inputs.loras])
        self._tiling(made.vae_tiling_params, given.vae_tiling)
        self._cache(made.cache, given.cache)

    def _sample(self, made: Any, given: GenerationParameters | HighNoise, *, least_steps: int = 1) -> None:
        """``sd_sample_params_t``, as far as it can be chosen for the high-noise model too."""
        made.guidance.txt_cfg = _finite(given.cfg_scale, "cfg_scale")
        made.guidance.distilled_guidance = _finite(given.guidance, "guidance")
        # Both are always named: the hires pass looks its scheduler up without resolving the library's mark for a
        # default.
        made.sample_method = number_of(self._names.samplers, given.sampler, "sampler")
        made.scheduler = number_of(self._names.schedulers, given.scheduler, "scheduler")
        made.sample_steps = _at_least(least_steps, given.steps, "steps")
        made.eta = _finite_or_default(given.eta, "eta")
        made.flow_shift = _finite_or_default(given.flow_shift, "flow_shift")

    def _sample_more(self, made: Any, given: GenerationParameters) -> None:
        """The rest of ``sd_sample_params_t``; the high-noise model has the library's defaults."""
        made.guidance.img_cfg = _finite_or_default(given.img_cfg_scale, "img_cfg_scale")
        skip = given.skip_layers
        layers = skip.layers if skip.scale else ()
        made.guidance.slg.layers = self._array(ctypes.c_int, layers)
        made.guidance.slg.layer_count = len(layers)
        made.guidance.slg.layer_start = _finite(skip.start, "skip_layers.start")
        made.guidance.slg.layer_end = _finite(skip.end, "skip_layers.end")
        made.guidance.slg.scale = _finite(skip.scale, "skip_layers.scale")
        made.shifted_timestep = _at_least(0, given.shifted_timestep, "shifted_timestep")
        if len(given.custom_sigmas) == 1:
            raise ValueError("custom_sigmas must have at least 2 values: n + 1 noise levels make n steps")
        sigmas = [_finite(sigma, "custom_sigmas") for sigma in given.custom_sigmas]
        made.custom_sigmas = self._array(ctypes.c_float, sigmas)
        made.custom_sigmas_count = len(sigmas)

    def _lora(self, given: LoraFile) -> Any:
        path = self._file(Path(given.path), "LoRA")
        return self._sd.sd_lora_t(given.high_noise, _finite(given.multiplier, "LoRA multiplier"), path)

    def _tiling(self, made: Any, given: Tiling) -> None:
        made.enabled = given.enabled
        made.tile_size_x = _at_least(0, given.tile_size_x, "tile_size_x")
        made.tile_size_y = _at_least(0, given.tile_size_y, "tile_size_y")
        made.target_overlap = _finite(given.target_overlap, "target_overlap")
        made.rel_size_x = _finite(given.rel_size_x, "rel_size_x")
        made.rel_size_y = _finite(given.rel_size_y, "rel_size_y")

    def _cache(self, made: Any, given: Cache) -> None:
        made.mode = number_of(self._names.cache_modes, given.mode, "cache mode")
        made.scm_mask = self.text(given.scm_mask, "scm_mask") if given.scm_mask else None
        c_names = {"fn_compute_blocks": "Fn_compute_blocks", "bn_compute_blocks": "Bn_compute_blocks"}
        for item in fields(given):
            value = getattr(given, item.name)
            if item.name in ("mode", "scm_mask") or value is None:
                continue
            setattr(made, c_names.get(item.name, item.name), _finite(value, item.name))

    def _hires(self, made: Any, given: Hires, model: Path | None) -> None:
        made.enabled = given.enabled
        made.upscaler = number_of(self._names.hires_upscalers, given.upscaler, "hires upscaler")
        made.model_path = self._file(model, "hires model")
        made.scale = _finite(given.scale, "hires scale")
        made.target_width = _at_least(0, given.target_width, "hires target_width")
        made.target_height = _at_least(0, given.target_height, "hires target_height")
        made.steps = _at_least(0, given.steps, "hires steps")
        made.denoising_strength = _finite(given.strength, "hires strength")
        made.upscale_tile_size = _at_least(1, given.tile_size, "hires tile_size")

    def _initialised(self, kind: str, structure: Any) -> Any:
        made = structure()
        getattr(self._lib, f"sd_{kind}_params_init")(ctypes.byref(made))
        return made

    def _file(self, path: Path | None, what: str) -> bytes | None:
        if path is None:
            return None
        if not path.exists():
            raise NativeError(f"{what}: there is no file {path}")
        return self._keep(os.fsencode(path))

    def _picture(
        self, made: Any, given: Picture, what: str, size: tuple[int, int] | None = None, *, channels: int = 3
    ) -> None:
        pixels = self._keep(images.as_pixels(given, what, channels=channels))
        if size is not None and pixels.shape[:2] != size:
            raise ValueError(
                f"{what} must be of the size asked for, {size[1]}×{size[0]}, not {pixels.shape[1]}×{pixels.shape[0]}"
            )
        images.fill(made, pixels)

    def _single(self, made: Any, inputs: Inputs, name: str, size: tuple[int, int], *, channels: int = 3) -> None:
        """The picture of that name, if it was given."""
        if found := inputs.pictures.get(name):
            self._picture(made, found[0], name, size, channels=channels)

    def _several(self, inputs: Inputs, name: str, size: tuple[int, int] | None = None) -> tuple[Any, int]:
        """A pointer to the pictures of that name, and how many they are."""
        made = []
        for pixels in inputs.pictures.get(name, ()):
            image = self._sd.sd_image_t()
            self._picture(image, pixels, name, size)
            made.append(image)
        return self._array(self._sd.sd_image_t, made), len(made)

    def _array(self, element: Any, values: Sequence[Any]) -> Any:
        """A pointer to a kept array; null when empty."""
        if not values:
            return None
        return ctypes.cast(self._keep((element * len(values))(*values)), ctypes.POINTER(element))

    def _keep(self, item: _T) -> _T:
        self._kept.append(item)
        return item


def _at_least(least: int, value: int, what: str) -> int:
    bound = 2**63 if what == "seed" else 2**31
    if not least <= value < bound:
        raise ValueError(f"{what} must be at least {least} and fit the library's integer, not {value}")
    return value


def _finite(value: _Number, what: str) -> _Number:
    if not math.isfinite(value) or abs(value) > np.finfo(np.float32).max:
        raise ValueError(f"{what} must be a finite number, not {value}")
    return value


def _finite_or_default(value: float | None, what: str) -> float:
    """Infinity is the library's mark for its own choice."""
    return math.inf if value is None else _finite(value, what)
