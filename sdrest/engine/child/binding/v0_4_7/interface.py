"""Functions, sizes, enumerations and defaults of the library's headers, ``stable-diffusion.h`` and ``ggml-backend.h``."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_void_p
from math import inf
from typing import Final

from sdrest.engine.child.binding.abi import Abi, Filled, Prototype
from sdrest.engine.child.binding.v0_4_7.structures import Structures

#: Functions of ``stable-diffusion.h`` and ``ggml-backend.h``. The low-level module declares only a part, and some with
#: typed pointers; handles are plain addresses here.
_FUNCTIONS: Final[list[Prototype]] = [
    ("void free_sd_ctx(sd_ctx_t* sd_ctx)", None, [c_void_p]),
    ("void free_upscaler_ctx(upscaler_ctx_t* upscaler_ctx)", None, [c_void_p]),
    ("int get_upscale_factor(upscaler_ctx_t* upscaler_ctx)", c_int, [c_void_p]),
    ("bool sd_ctx_supports_image_generation(const sd_ctx_t* sd_ctx)", c_bool, [c_void_p]),
    ("bool sd_ctx_supports_video_generation(const sd_ctx_t* sd_ctx)", c_bool, [c_void_p]),
    ("void sd_ctx_params_init(sd_ctx_params_t* sd_ctx_params)", None, [c_void_p]),
    ("void sd_sample_params_init(sd_sample_params_t* sample_params)", None, [c_void_p]),
    ("void sd_img_gen_params_init(sd_img_gen_params_t* sd_img_gen_params)", None, [c_void_p]),
    ("void sd_vid_gen_params_init(sd_vid_gen_params_t* sd_vid_gen_params)", None, [c_void_p]),
    ("void sd_cache_params_init(sd_cache_params_t* cache_params)", None, [c_void_p]),
    ("void sd_hires_params_init(sd_hires_params_t* hires_params)", None, [c_void_p]),
    ("const char* sd_type_name(enum sd_type_t type)", c_char_p, [c_int]),
    ("const char* sd_rng_type_name(enum rng_type_t rng_type)", c_char_p, [c_int]),
    ("const char* sd_sample_method_name(enum sample_method_t sample_method)", c_char_p, [c_int]),
    ("const char* sd_scheduler_name(enum scheduler_t scheduler)", c_char_p, [c_int]),
    ("const char* sd_prediction_name(enum prediction_t prediction)", c_char_p, [c_int]),
    ("const char* sd_preview_name(enum preview_t preview)", c_char_p, [c_int]),
    ("const char* sd_lora_apply_mode_name(enum lora_apply_mode_t mode)", c_char_p, [c_int]),
    ("const char* sd_hires_upscaler_name(enum sd_hires_upscaler_t upscaler)", c_char_p, [c_int]),
    ("size_t ggml_backend_dev_count(void)", c_size_t, []),
    ("ggml_backend_dev_t ggml_backend_dev_get(size_t index)", c_void_p, [c_size_t]),
    ("const char* ggml_backend_dev_name(ggml_backend_dev_t device)", c_char_p, [c_void_p]),
    ("const char* ggml_backend_dev_description(ggml_backend_dev_t device)", c_char_p, [c_void_p]),
    ("void ggml_backend_dev_memory(ggml_backend_dev_t device, size_t* free, size_t* total)",
     None, [c_void_p, POINTER(c_size_t), POINTER(c_size_t)]),
    ("enum ggml_backend_dev_type ggml_backend_dev_type(ggml_backend_dev_t device)", c_int, [c_void_p]),
    ("ggml_backend_reg_t ggml_backend_dev_backend_reg(ggml_backend_dev_t device)", c_void_p, [c_void_p]),
    ("const char* ggml_backend_reg_name(ggml_backend_reg_t reg)", c_char_p, [c_void_p]),
]  # fmt: skip

_SIZES: Final = {
    "sd_cache_params_t": 96,
    "sd_ctx_params_t": 184,
    "sd_embedding_t": 16,
    "sd_guidance_params_t": 48,
    "sd_hires_params_t": 40,
    "sd_image_t": 24,
    "sd_img_gen_params_t": 448,
    "sd_lora_t": 16,
    "sd_pm_params_t": 32,
    "sd_sample_params_t": 88,
    "sd_slg_params_t": 32,
    "sd_tiling_params_t": 24,
    "sd_vid_gen_params_t": 432,
}

_ENUMS: Final[Mapping[str, tuple[str, ...]]] = {
    "sample_method": (
        "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "ipndm", "ipndm_v", "lcm",
        "ddim_trailing", "tcd", "res_multistep", "res_2s", "er_sde",
    ),
    "scheduler": (
        "discrete", "karras", "exponential", "ays", "gits", "sgm_uniform", "simple", "smoothstep", "kl_optimal",
        "lcm", "bong_tangent",
    ),
    "type": (
        "f32", "f16", "q4_0", "q4_1", "", "", "q5_0", "q5_1", "q8_0", "q8_1", "q2_K", "q3_K", "q4_K", "q5_K",
        "q6_K", "q8_K", "iq2_xxs", "iq2_xs", "iq3_xxs", "iq1_s", "iq4_nl", "iq3_s", "iq2_s", "iq4_xs", "i8", "i16",
        "i32", "i64", "f64", "iq1_m", "bf16", "", "", "", "tq1_0", "tq2_0", "", "", "", "mxfp4", "nvfp4",
    ),
    "rng_type": ("std_default", "cuda", "cpu"),
    "prediction": ("eps", "v", "edm_v", "sd3_flow", "flux_flow", "flux2_flow"),
    "preview": ("none", "proj", "tae", "vae"),
    "lora_apply_mode": ("auto", "immediately", "at_runtime"),
    "hires_upscaler": (
        "None", "Latent", "Latent (nearest)", "Latent (nearest-exact)", "Latent (antialiased)", "Latent (bicubic)",
        "Latent (bicubic antialiased)", "Lanczos", "Nearest", "Model",
    ),
}  # fmt: skip


def _count(kind: str) -> int:
    """What stands for "none of them" in a field of this kind."""
    return len(_ENUMS[kind])


def _within(field: str, defaults: Mapping[str, float | None]) -> dict[str, float | None]:
    return {f"{field}.{name}": value for name, value in defaults.items()}


_CTX: Final = {
    "vae_decode_only": True,
    "free_params_immediately": True,
    "n_threads": None,
    "wtype": _count("type"),
    "rng_type": _ENUMS["rng_type"].index("cuda"),
    "sampler_rng_type": _count("rng_type"),
    "prediction": _count("prediction"),
    "chroma_use_dit_mask": True,
    "chroma_t5_mask_pad": 1,
}
_SAMPLE: Final = {
    "guidance.txt_cfg": 7.0,
    "guidance.img_cfg": inf,
    "guidance.distilled_guidance": 3.5,
    "guidance.slg.layer_start": 0.01,
    "guidance.slg.layer_end": 0.2,
    "scheduler": _count("scheduler"),
    "sample_method": _count("sample_method"),
    "sample_steps": 20,
    "eta": inf,
    "flow_shift": inf,
}
_CACHE: Final = {
    "reuse_threshold": inf,
    "start_percent": 0.15,
    "end_percent": 0.95,
    "error_decay_rate": 1.0,
    "use_relative_threshold": True,
    "reset_error_on_compute": True,
    "Fn_compute_blocks": 8,
    "residual_diff_threshold": 0.08,
    "max_warmup_steps": 8,
    "max_cached_steps": -1,
    "max_continuous_cached_steps": -1,
    "taylorseer_n_derivatives": 1,
    "taylorseer_skip_interval": 1,
    "scm_policy_dynamic": True,
    "spectrum_w": 0.4,
    "spectrum_m": 3,
    "spectrum_lam": 1.0,
    "spectrum_window_size": 2,
    "spectrum_flex_window": 0.5,
    "spectrum_warmup_steps": 4,
    "spectrum_stop_percent": 0.9,
}
_HIRES: Final = {
    "upscaler": _ENUMS["hires_upscaler"].index("Latent"),
    "scale": 2.0,
    "denoising_strength": 0.7,
    "upscale_tile_size": 128,
}
_COMMON: Final = {
    "width": 512,
    "height": 512,
    "strength": 0.75,
    "seed": -1,
    "vae_tiling_params.target_overlap": 0.5,
    **_within("sample_params", _SAMPLE),
    **_within("cache", _CACHE),
}
_IMG_GEN: Final = {
    **_COMMON,
    "clip_skip": -1,
    "batch_count": 1,
    "control_strength": 0.9,
    "pm_params.style_strength": 20.0,
    **_within("hires", _HIRES),
}
_VID_GEN: Final = {
    **_COMMON,
    **_within("high_noise_sample_params", _SAMPLE),
    "high_noise_sample_params.sample_steps": -1,
    "video_frames": 6,
    "moe_boundary": 0.875,
    "vace_strength": 1.0,
}

ABI: Final = Abi(
    version="0.4.7",
    # https://github.com/william-murray1204/stable-diffusion-cpp-python, as .git/refs/heads/main in the source archive on PyPI
    # has it.
    commit="0a30c4d5a968236662036a5a32f063b2f27414e1",
    functions=_FUNCTIONS,
    sizes=_SIZES,
    filled=(
        Filled("sd_ctx_params_t", "sd_ctx_params_init", _CTX),
        Filled("sd_sample_params_t", "sd_sample_params_init", _SAMPLE),
        Filled("sd_cache_params_t", "sd_cache_params_init", _CACHE),
        Filled("sd_hires_params_t", "sd_hires_params_init", _HIRES),
        Filled("sd_img_gen_params_t", "sd_img_gen_params_init", _IMG_GEN),
        Filled("sd_vid_gen_params_t", "sd_vid_gen_params_init", _VID_GEN),
    ),
    enums=_ENUMS,
    # enum sd_cache_mode_t and enum ggml_backend_dev_type
    cache_modes=("disabled", "easycache", "ucache", "dbcache", "taylorseer", "cache-dit", "spectrum"),
    device_types=("cpu", "gpu", "igpu", "accel"),
    structures=Structures,
)
