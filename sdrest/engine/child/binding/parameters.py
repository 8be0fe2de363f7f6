"""What contexts and generations can be given: every field of the library's parameter structures, in this project's
words.

Plain data: names as strings (the library's own, see :mod:`.names`), files as paths, pictures as ``uint8`` arrays of
shape (height, width, 3), masks (height, width). ``None`` leaves a field to the library. The C structure and field are
named where the words differ. Values are checked when they are converted (:mod:`.structures`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: uint8, shape (height, width, 3); masks may be (height, width).
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A textual-inversion embedding (``sd_embedding_t``): ``name`` is the word that stands for it in prompts."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextParams:
    """A model and its components, and how they are held (``sd_ctx_params_t``).

    ``free_params_immediately`` has no counterpart: it is always off, because a second generation would read freed
    memory.
    """

    model: Path | None = None  #: whole checkpoint (``model_path``)
    diffusion_model: Path | None = None
    high_noise_diffusion_model: Path | None = None
    clip_l: Path | None = None
    clip_g: Path | None = None
    clip_vision: Path | None = None
    t5xxl: Path | None = None
    llm: Path | None = None
    llm_vision: Path | None = None
    vae: Path | None = None
    taesd: Path | None = None
    control_net: Path | None = None
    photo_maker: Path | None = None
    embeddings: tuple[Embedding, ...] = ()
    tensor_type_rules: str = ""  #: ``regex=type`` pairs, comma-separated
    vae_decode_only: bool = False  #: saves the VAE encoder's memory; initial pictures then fail
    threads: int | None = None  #: None: one per physical core (``n_threads``)
    type: str | None = None  #: convert weights to this type while loading (``wtype``)
    rng: str = "cuda"  #: ``rng_type``: std_default, cuda, cpu
    sampler_rng: str | None = None  #: None: as ``rng``
    prediction: str | None = None  #: None: by the model
    lora_apply_mode: str = "auto"
    offload_params_to_cpu: bool = False
    enable_mmap: bool = False
    keep_clip_on_cpu: bool = False
    keep_control_net_on_cpu: bool = False
    keep_vae_on_cpu: bool = False
    flash_attn: bool = False
    diffusion_flash_attn: bool = False
    tae_preview_only: bool = False  #: use ``taesd`` for previews only
    diffusion_conv_direct: bool = False
    vae_conv_direct: bool = False
    circular_x: bool = False
    circular_y: bool = False
    force_sdxl_vae_conv_scale: bool = False
    chroma_use_dit_mask: bool = True
    chroma_use_t5_mask: bool = False
    chroma_t5_mask_pad: int = 1
    qwen_image_zero_cond_t: bool = False
    max_vram: float = 0.0  #: GiB that one graph may use before it is cut; 0: no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class SLG:
    """Skip-layer guidance (``sd_slg_params_t``); off without layers or with scale 0."""

    layers: tuple[int, ...] = ()
    start: float = 0.01  #: fraction of the steps (``layer_start``)
    end: float = 0.2  #: (``layer_end``)
    scale: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """How strongly prompt and picture lead (``sd_guidance_params_t``)."""

    cfg_scale: float = 7.0  #: ``txt_cfg``
    img_cfg_scale: float | None = None  #: ``img_cfg``; None: as ``cfg_scale``
    distilled: float = 3.5  #: ``distilled_guidance``
    slg: SLG = field(default_factory=SLG)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleParams:
    """Sampling (``sd_sample_params_t``). Sampler and scheduler None: the model's defaults."""

    guidance: Guidance = field(default_factory=Guidance)
    sampler: str | None = None  #: ``sample_method``
    scheduler: str | None = None
    steps: int = 20  #: ``sample_steps``, at least 1
    eta: float | None = None  #: None: the sampler's own
    shifted_timestep: int = 0
    custom_sigmas: tuple[float, ...] = ()  #: at least 2, or none
    flow_shift: float | None = None  #: None: the model's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A LoRA file to apply (``sd_lora_t``)."""

    path: Path
    multiplier: float = 1.0
    high_noise: bool = False  #: to the high-noise model (``is_high_noise``)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoMaker:
    """Pictures of a person to depict (``sd_pm_params_t``)."""

    id_images: tuple[Picture, ...] = ()
    id_embed: Path | None = None
    style_strength: float = 20.0  #: percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """Encoding and decoding in tiles (``sd_tiling_params_t``); sizes in latent pixels, 0: the library's."""

    enabled: bool = False
    tile_size_x: int = 0
    tile_size_y: int = 0
    target_overlap: float = 0.5
    rel_size_x: float = 0.0
    rel_size_y: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheParams:
    """Re-use of results between steps (``sd_cache_params_t``); None: the library's own value."""

    mode: str = "disabled"
    reuse_threshold: float | None = None
    start_percent: float | None = None
    end_percent: float | None = None
    error_decay_rate: float | None = None
    use_relative_threshold: bool | None = None
    reset_error_on_compute: bool | None = None
    fn_compute_blocks: int | None = None
    bn_compute_blocks: int | None = None
    residual_diff_threshold: float | None = None
    max_warmup_steps: int | None = None
    max_cached_steps: int | None = None
    max_continuous_cached_steps: int | None = None
    taylorseer_n_derivatives: int | None = None
    taylorseer_skip_interval: int | None = None
    scm_mask: str = ""
    scm_policy_dynamic: bool | None = None
    spectrum_w: float | None = None
    spectrum_m: int | None = None
    spectrum_lam: float | None = None
    spectrum_window_size: int | None = None
    spectrum_flex_window: float | None = None
    spectrum_warmup_steps: int | None = None
    spectrum_stop_percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HiresParams:
    """A second pass at a larger size (``sd_hires_params_t``)."""

    enabled: bool = False
    upscaler: str = "latent"
    model: Path | None = None  #: ESRGAN file for the upscaler ``model`` (``model_path``)
    scale: float = 2.0
    target_width: int = 0  #: 0: by scale
    target_height: int = 0
    steps: int = 0  #: 0: as many as the first pass
    strength: float = 0.7  #: ``denoising_strength``
    tile_size: int = 128  #: ``upscale_tile_size``, pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageParams:
    """One call of ``generate_image`` (``sd_img_gen_params_t``). Picture i has seed ``seed`` + i.

    ``init_image``, ``mask_image`` and ``control_image`` must be of the size (height, width) that is asked for.
    """

    prompt: str = ""
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    seed: int = 0  #: 0 … 2**63 − 1; the library draws its own for negative ones and does not tell which
    batch_count: int = 1
    clip_skip: int = -1  #: below 1: the model's own
    strength: float = 0.75
    sample: SampleParams = field(default_factory=SampleParams)
    loras: tuple[Lora, ...] = ()
    init_image: Picture | None = None
    mask_image: Picture | None = None
    control_image: Picture | None = None
    control_strength: float = 0.9
    ref_images: tuple[Picture, ...] = ()
    auto_resize_ref_images: bool = False
    increase_ref_index: bool = False
    photo_maker: PhotoMaker = field(default_factory=PhotoMaker)
    vae_tiling: Tiling = field(default_factory=Tiling)
    cache: CacheParams = field(default_factory=CacheParams)
    hires: HiresParams = field(default_factory=HiresParams)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoParams:
    """One call of ``generate_video`` (``sd_vid_gen_params_t``)."""

    prompt: str = ""
    negative_prompt: str = ""
    width: int = 512
    height: int = 512
    video_frames: int = 6  #: rounded down to 4 n + 1 by the library
    seed: int = 0
    clip_skip: int = 0  #: below 1: the model's own
    strength: float = 0.75
    sample: SampleParams = field(default_factory=SampleParams)
    high_noise_sample: SampleParams = field(
        default_factory=lambda: SampleParams(steps=-1)
    )  #: steps −1: by moe_boundary
    moe_boundary: float = 0.875
    vace_strength: float = 1.0
    loras: tuple[Lora, ...] = ()
    init_image: Picture | None = None
    end_image: Picture | None = None
    control_frames: tuple[Picture, ...] = ()
    vae_tiling: Tiling = field(default_factory=Tiling)
    cache: CacheParams = field(default_factory=CacheParams)
