"""The parameters against the library's structures: same defaults, and no field left out."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from sdrest.core.names import CacheMode, HiresUpscaler, LoraApplyMode, PreviewMode, Sampler, Scheduler
from sdrest.core.parameters import (
    Cache,
    GenerationParameters,
    HighNoise,
    Hires,
    SkipLayerGuidance,
    Tiling,
    VideoParameters,
)
from sdrest.engine.child.binding import ContextParams, Embedding, Inputs, NativeLibrary
from sdrest.engine.child.binding.v0_4_7.structures import Structures
from sdrest.engine.messages import LoraFile
from tests.native_child import in_child

#: Fields of the C structures that deliberately differ from the library's defaults.
DELIBERATE = {
    "free_params_immediately",  # a second generation would read freed memory
    "vae_decode_only",  # initial pictures would end the process
    "seed",  # the library would draw one and not tell
    "prompt",
    "negative_prompt",
    "sample_params.sample_method",  # always named, see Structures
    "sample_params.scheduler",
    "high_noise_sample_params.sample_method",
    "high_noise_sample_params.scheduler",
    "vid_gen.clip_skip",  # -1 and the library's 0 mean the same
    "auto_resize_ref_image",
    "video_frames",
}
#: Fields of the C structures that no parameter reaches: they keep the library's defaults.
UNREACHED: dict[str, set[str]] = {
    "ctx": set(),
    "img_gen": {"pm_params.id_embed_path"},
    "vid_gen": {
        f"high_noise_sample_params.{name}"
        for name in (
            "guidance.img_cfg", "guidance.slg.layers", "guidance.slg.layer_count", "guidance.slg.layer_start",
            "guidance.slg.layer_end", "guidance.slg.scale", "shifted_timestep", "custom_sigmas", "custom_sigmas_count",
        )
    },
}  # fmt: skip


def values(structure: Any, prefix: str = "") -> dict[str, object]:
    """Every leaf field of a structure by its dotted name; pointers as set or not set."""
    found: dict[str, object] = {}
    for name, kind in structure._fields_:
        value = getattr(structure, name)
        if isinstance(value, ctypes.Structure):
            found.update(values(value, f"{prefix}{name}."))
        elif issubclass(kind, ctypes._Pointer) or kind is ctypes.c_char_p:
            found[prefix + name] = bool(value)
        else:
            found[prefix + name] = value
    return found


def _compare(folder: str) -> dict[str, Any]:
    library = NativeLibrary.load()
    foreign = library._foreign
    file = Path(folder) / "file"
    file.touch()
    picture = np.zeros((24, 16, 3), np.uint8)
    common: dict[str, Any] = {
        "prompt": "p", "negative_prompt": "n", "width": 16, "height": 24, "seed": 5, "clip_skip": 2, "strength": 0.4,
        "cfg_scale": 2.0, "img_cfg_scale": 3.0, "guidance": 4.0, "sampler": Sampler.LCM, "scheduler": Scheduler.KARRAS,
        "steps": 3, "eta": 0.5, "shifted_timestep": 5, "custom_sigmas": (1.0, 0.0), "flow_shift": 2.0,
        "skip_layers": SkipLayerGuidance(layers=(1,), start=0.3, end=0.4, scale=2.0),
        "vae_tiling": Tiling(
            enabled=True, tile_size_x=3, tile_size_y=4, target_overlap=0.2, rel_size_x=0.1, rel_size_y=0.2
        ),
        "cache": Cache(
            mode=CacheMode.CACHE_DIT, reuse_threshold=0.3, start_percent=0.2, end_percent=0.8, error_decay_rate=0.7,
            use_relative_threshold=False, reset_error_on_compute=False, fn_compute_blocks=3, bn_compute_blocks=4,
            residual_diff_threshold=0.2, max_warmup_steps=3, max_cached_steps=5, max_continuous_cached_steps=6,
            taylorseer_n_derivatives=2, taylorseer_skip_interval=3, scm_mask="1,0", scm_policy_dynamic=False,
            spectrum_w=0.3, spectrum_m=4, spectrum_lam=2.0, spectrum_window_size=5, spectrum_flex_window=0.6,
            spectrum_warmup_steps=7, spectrum_stop_percent=0.8,
        ),
    }  # fmt: skip
    context = ContextParams(
        model=file, diffusion_model=file, high_noise_diffusion_model=file, clip_l=file, clip_g=file, clip_vision=file,
        t5xxl=file, llm=file, llm_vision=file, vae=file, taesd=file, control_net=file, photo_maker=file,
        embeddings=(Embedding(name="word", path=file),), tensor_type_rules="a=f16", threads=99, type="q8_0", rng="cpu",
        sampler_rng="std_default", prediction="v", lora_apply_mode="at_runtime", offload_params_to_cpu=True, enable_mmap=True,
        keep_clip_on_cpu=True, keep_control_net_on_cpu=True, keep_vae_on_cpu=True, flash_attn=True, diffusion_flash_attn=True,
        tae_preview_only=True, diffusion_conv_direct=True, vae_conv_direct=True, circular_x=True, circular_y=True,
        force_sdxl_vae_conv_scale=True, chroma_use_dit_mask=False, chroma_use_t5_mask=True, chroma_t5_mask_pad=2,
        qwen_image_zero_cond_t=True, max_vram=3.0,
    )  # fmt: skip
    image = GenerationParameters(
        **common, batch_count=2, control_strength=0.3, auto_resize_ref_images=True, increase_ref_index=True,
        pm_style_strength=30.0,
        hires=Hires(
            enabled=True, upscaler=HiresUpscaler.MODEL, scale=3.0, target_width=32, target_height=48, steps=4, strength=0.5,
            tile_size=64,
        ),
    )  # fmt: skip
    video = VideoParameters(
        **common, video_frames=9, moe_boundary=0.5, vace_strength=0.5,
        high_noise=HighNoise(
            steps=3, cfg_scale=2.0, guidance=4.0, sampler=Sampler.LCM, scheduler=Scheduler.KARRAS, eta=0.5, flow_shift=2.0
        ),
    )  # fmt: skip
    inputs = Inputs(
        pictures={
            "mask_image": [picture[..., 0]],
            **dict.fromkeys(
                ("init_image", "control_image", "end_image", "ref_images", "pm_id_images", "control_frames"), (picture,)
            ),
        },
        loras=(LoraFile(path=str(file), multiplier=0.5, high_noise=True),),
        hires_model=file,
    )

    structures = Structures(foreign, library.names)
    default_image = structures.image(GenerationParameters(seed=0), Inputs())
    default_video = structures.video(VideoParameters(seed=0), Inputs())
    differing, untouched = {}, {}
    for kind, ours, filled in (
        ("ctx", structures.context(ContextParams()), structures.context(context)),
        ("img_gen", default_image, structures.image(image, inputs)),
        ("vid_gen", default_video, structures.video(video, inputs)),
    ):
        theirs = type(ours)()
        getattr(foreign.lib, f"sd_{kind}_params_init")(ctypes.byref(theirs))
        library_values = values(theirs)
        differing[kind] = [
            n for n, v in values(ours).items() if v != library_values[n] and not DELIBERATE & {n, f"{kind}.{n}"}
        ]
        # vae_decode_only keeps the library's default here; free_params_immediately has no counterpart but is changed.
        untouched[kind] = [n for n, v in values(filled).items() if v == library_values[n]]
    lora = structures.image(image, inputs).loras[0]
    names = library.names
    return {
        "differing": differing,
        "untouched": untouched,
        "lora": [lora.path.decode(), lora.multiplier, lora.is_high_noise],
        "file": str(file),
        "names": {
            "samplers": list(names.samplers),
            "schedulers": list(names.schedulers),
            "previews": list(names.previews),
            "lora_apply_modes": list(names.lora_apply_modes),
            "cache_modes": list(names.cache_modes),
            "hires_upscalers": list(names.hires_upscalers),
            "types": list(names.types),
        },
    }


def test_defaults_are_the_librarys_and_every_field_can_be_set(tmp_path: Path) -> None:
    found = in_child(_compare, tmp_path)
    assert found["differing"] == {"ctx": [], "img_gen": [], "vid_gen": []}
    assert {kind: set(names) for kind, names in found["untouched"].items()} == UNREACHED
    assert found["lora"] == [found["file"], 0.5, True]
    names = found["names"]
    assert names["samplers"] == list(Sampler)
    assert names["schedulers"] == list(Scheduler)
    assert names["previews"] == list(PreviewMode)
    assert names["lora_apply_modes"] == list(LoraApplyMode)
    assert names["cache_modes"] == list(CacheMode)
    assert names["hires_upscalers"] == ["none", *HiresUpscaler]
    assert {"f32", "f16", "q8_0", "q4_K", "bf16"} <= set(names["types"])
