"""Model files as the rest of the program sees them: types, architectures, components, and how a set of files is
loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from pathlib import Path

from sdrest.core.architecture import Architecture
from sdrest.core.tensor_types import TensorType


class ModelType(IntFlag):
    """What a file is for. Values are bits: the first eleven are the contract's, filters may be OR-ed."""

    LORA = 1
    CHECKPOINT = 2
    VAE = 4
    PRESETS = 8
    PROMPTS = 16
    NEG_PROMPTS = 32
    TAESD = 64
    ESRGAN = 128
    CONTROLNET = 256
    UPSCALER = 512
    EMBEDDING = 1024
    DIFFUSION_MODEL = 2048
    CLIP_L = 4096
    CLIP_G = 8192
    T5XXL = 16384
    LLM = 32768
    LLM_VISION = 65536
    CLIP_VISION = 131072
    PHOTOMAKER = 262144

    @property
    def slug(self) -> str:
        """The single type's name in requests and replies, for example ``diffusion_model``."""
        return (self.name or "").lower()


#: Every single type, in the order of its bits.
MODEL_TYPES: tuple[ModelType, ...] = tuple(ModelType)
#: Files that can start a generation on their own or with components.
MAIN_TYPES = ModelType.CHECKPOINT | ModelType.DIFFUSION_MODEL
TEXT_ENCODER_TYPES = ModelType.CLIP_L | ModelType.CLIP_G | ModelType.T5XXL | ModelType.LLM | ModelType.LLM_VISION
UPSCALER_TYPES = ModelType.ESRGAN | ModelType.UPSCALER
#: Text files, not weights.
TEXT_TYPES = ModelType.PRESETS | ModelType.PROMPTS | ModelType.NEG_PROMPTS


def parse_model_types(text: str) -> ModelType | None:
    """A filter such as ``lora``, ``LORA|VAE``, ``lora,vae`` or ``5``; None when a part is no type.

    Plurals (``checkpoints``) are accepted, because folders are named so.
    """
    by_name = {t.slug: t for t in MODEL_TYPES}
    found = ModelType(0)
    for raw in text.replace("|", ",").split(","):
        part = raw.strip().lower()
        if not part:
            continue
        if part.isdecimal() and 0 < int(part) < 2 * MODEL_TYPES[-1]:
            found |= ModelType(int(part))
        elif part in by_name:
            found |= by_name[part]
        elif part.removesuffix("s") in by_name:
            found |= by_name[part.removesuffix("s")]
        else:
            return None
    return found or None


class ModelFormat(StrEnum):
    """Container of a model's tensors."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    TORCH_ZIP = "torch_zip"
    TORCH_LEGACY = "torch_legacy"
    DIFFUSERS = "diffusers"
    TEXT = "text"


class LoadingMethod(StrEnum):
    """Which of the library's context parameters takes the main file."""

    MODEL_PATH = "model_path"
    DIFFUSION_MODEL_PATH = "diffusion_model_path"


class Component(StrEnum):
    """A part of a loaded model that may lie in a file of its own."""

    VAE = "vae"
    TAESD = "taesd"
    CLIP_L = "clip_l"
    CLIP_G = "clip_g"
    T5XXL = "t5xxl"
    LLM = "llm"
    LLM_VISION = "llm_vision"
    CLIP_VISION = "clip_vision"
    HIGH_NOISE = "high_noise_diffusion_model"
    CONTROLNET = "control_net"
    PHOTOMAKER = "photo_maker"

    @property
    def parameter(self) -> str:
        """The field of ``sd_ctx_params_t`` that takes the file."""
        return f"{self.value}_path"

    @property
    def model_type(self) -> ModelType:
        """The registered type of files that can be this component."""
        return _COMPONENT_TYPES[self]


_COMPONENT_TYPES: dict[Component, ModelType] = {
    Component.VAE: ModelType.VAE,
    Component.TAESD: ModelType.TAESD,
    Component.CLIP_L: ModelType.CLIP_L,
    Component.CLIP_G: ModelType.CLIP_G,
    Component.T5XXL: ModelType.T5XXL,
    Component.LLM: ModelType.LLM,
    Component.LLM_VISION: ModelType.LLM_VISION,
    Component.CLIP_VISION: ModelType.CLIP_VISION,
    Component.HIGH_NOISE: MAIN_TYPES,
    Component.CONTROLNET: ModelType.CONTROLNET,
    Component.PHOTOMAKER: ModelType.PHOTOMAKER,
}


class Need(StrEnum):
    """How much a component matters."""

    REQUIRED = "required"
    #: Taken where it is there; the model works without it, worse.
    WANTED = "wanted"
    RECOMMENDED = "recommended"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One component that an architecture takes, and why."""

    component: Component
    need: Need
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a model file. ``fatal`` problems make it unusable; the others are worth knowing."""

    code: str
    message: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Model:
    """One registered model: a file, or a folder in the diffusers layout.

    ``id`` is stable while type folder and relative path stay: it holds no path and needs no quoting in URLs.
    ``size`` is in bytes, ``mtime_ns`` in nanoseconds since the epoch; ``types`` counts tensors by element type,
    ``weights_bytes`` is what the tensors take in the file. ``traits`` holds the widths that decide what fits what
    (``hidden_size``, ``context_width``, ``latent_channels``, ``vocabulary`` …).
    """

    id: str
    name: str
    type: ModelType
    path: Path
    relative_path: str
    size: int
    mtime_ns: int
    format: ModelFormat
    architecture: Architecture | None = None
    variant: str | None = None
    loading_method: LoadingMethod | None = None
    quantization: TensorType | None = None
    types: Mapping[TensorType, int] = field(default_factory=dict)
    tensor_count: int = 0
    parameter_count: int = 0
    weights_bytes: int = 0
    embedded: frozenset[Component] = frozenset()
    traits: Mapping[str, int] = field(default_factory=dict)
    title: str | None = None
    description: str | None = None
    trigger_words: tuple[str, ...] = ()
    base_model: str | None = None
    #: What somebody here wrote of it, in a file beside it.
    notes: str | None = None
    licence: str | None = None
    preview: Path | None = None
    #: Generation parameters the model works best with, from a file beside it.
    defaults: Mapping[str, str | int | float] = field(default_factory=dict)
    #: Names of the files that it is to be loaded with, by component, from a file beside it.
    parts: Mapping[Component, str] = field(default_factory=dict)
    #: How it is best held in memory, from a file beside it; not yet checked (:class:`sdrest.planning.holding.Holding`).
    holding: Mapping[str, bool | int] = field(default_factory=dict)
    #: The other program whose folder it lies in (:mod:`sdrest.registry.borrowed`); empty for our own.
    lender: str = ""
    #: The same file in other programs' folders.
    copies: tuple[Path, ...] = ()
    sha256: str | None = None
    short_hashes: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether nothing known forbids handing the file to the native library."""
        return not any(problem.fatal for problem in self.problems)

    @property
    def stem(self) -> str:
        """What the files beside it that speak of it are called, but for their endings."""
        return self.path.name if self.format is ModelFormat.DIFFUSERS else self.path.stem

    @property
    def file_name(self) -> str:
        """Last part of the path."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Loading:
    """The files of one context, under the names of ``sd_ctx_params_t`` (None: not given).

    ``model_id`` is the main model's id; ``weights_bytes`` the sum of all named files' tensors, for memory estimates.
    """

    model_id: str
    architecture: Architecture | None
    model_path: Path | None = None
    diffusion_model_path: Path | None = None
    high_noise_diffusion_model_path: Path | None = None
    vae_path: Path | None = None
    taesd_path: Path | None = None
    clip_l_path: Path | None = None
    clip_g_path: Path | None = None
    clip_vision_path: Path | None = None
    t5xxl_path: Path | None = None
    llm_path: Path | None = None
    llm_vision_path: Path | None = None
    control_net_path: Path | None = None
    photo_maker_path: Path | None = None
    weights_bytes: int = 0
    components: Mapping[Component, str] = field(default_factory=dict)
