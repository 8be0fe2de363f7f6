"""What the library is given beside the parameters of a generation, which are those of :mod:`sdrest.core.parameters`.

Plain data: names as strings (the library's own, see :mod:`.names`), files as paths, pictures as arrays. ``None`` leaves
a field to the library. The C structure and field are named where the words differ. Values are checked when they are
converted (:mod:`.structures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sdrest.engine.messages import LoraFile

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """The files behind the names in the parameters of a generation.

    ``pictures`` are by the name of their parameter. Those that start, end, mask or control the picture must be of the
    size (height, width) that is asked for.
    """

    pictures: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    loras: Sequence[LoraFile] = ()
    hires_model: Path | None = None  #: ESRGAN file for the upscaler ``model`` of the hires step


NO_INPUTS: Final = Inputs()
