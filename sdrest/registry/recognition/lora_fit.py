"""Whether a LoRA fits the loaded weights, tensor by tensor.

The library adds the product of a LoRA's two matrices to the weight of the same name without comparing sizes first: a
LoRA of another width ends the process. Names are compared as the library converts them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from sdrest.core.architecture import Architecture
from sdrest.core.model import Component, Loading
from sdrest.registry.readers.header import Header, TensorInfo
from sdrest.registry.readers.reading import read_header
from sdrest.registry.recognition.naming import convert_name

_UNET_CLIP = "cond_stage_model.transformer.", "cond_stage_model.1.transformer."
_DIT_CLIP = "text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer."
#: Prefixes under which ``StableDiffusionGGML::init`` loads each file; those of CLIP depend on the architecture.
_PREFIXES: Mapping[str, str] = {
    "model_path": "",
    "diffusion_model_path": "model.diffusion_model.",
    "high_noise_diffusion_model_path": "model.high_noise_diffusion_model.",
    Component.T5XXL.parameter: "text_encoders.t5xxl.transformer.",
    Component.LLM.parameter: "text_encoders.llm.",
    Component.VAE.parameter: "vae.",
}
_PART = re.compile(
    r"^lora\.(?P<weight>.+?)(?P<index>\.\d+)?\.(?P<part>lora_down|lora_up|diff|hada_w1_a|lokr_w1|lokr_w1_a)$"
)
_OPEN_CLIP_LAYERS = "cond_stage_model.1.transformer.text_model.encoder.layers."
_FUSED = {"q_proj.weight": "in_proj.weight", "k_proj.weight": "in_proj.weight.1", "v_proj.weight": "in_proj.weight.2"}

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class LoraFit:
    """How a LoRA meets a model: weights it changes, weights that are not there, and those of another size (with both
    sizes).
    """

    matched: int
    absent: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    @property
    def usable(self) -> bool:
        """Whether it can be applied: it changes something, and nothing of another size."""
        return self.matched > 0 and not self.mismatched

    @property
    def reason(self) -> str:
        """Why it is not usable, in words; empty when it is."""
        if self.mismatched:
            name, wanted, given = self.mismatched[0]
            return f"it is for another model: {name} is {_text(wanted)} in the model and {_text(given)} in the LoRA"
        return "" if self.matched else "none of its tensors belongs to a weight of this model"


def loaded_shapes(loading: Loading) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights of a context, under the library's names. Reads the headers of the named files."""
    is_unet = loading.architecture is not None and loading.architecture.family.value in {"sd1", "sd2", "sdxl"}
    clip_l, clip_g = _UNET_CLIP if is_unet else _DIT_CLIP
    prefixes = {**_PREFIXES, Component.CLIP_L.parameter: clip_l, Component.CLIP_G.parameter: clip_g}
    shapes: dict[str, tuple[int, ...]] = {}
    for parameter, prefix in prefixes.items():
        path = getattr(loading, parameter)
        if path is None:
            continue
        for tensor in read_header(path).tensors:
            name = tensor.name if tensor.name.startswith(prefix) else prefix + tensor.name
            shapes[convert_name(name, loading.architecture)] = tensor.shape
    return shapes


def check_lora(lora: Header, weights: Shapes, architecture: Architecture | None) -> LoraFit:
    """Compare every pair of matrices of ``lora`` with the weight it would change."""
    parts: dict[str, dict[str, list[TensorInfo]]] = defaultdict(lambda: defaultdict(list))
    for tensor in lora.tensors:
        name = tensor.name if tensor.name.startswith("lora.") else f"lora.{tensor.name}"
        found = _PART.match(_fused(convert_name(name, architecture), weights))
        if found:
            parts[found["weight"]][found["part"]].append(tensor)
    matched, absent, mismatched = 0, list[str](), list[tuple[str, tuple[int, ...], tuple[int, ...]]]()
    for weight, found_parts in parts.items():
        shape = weights.get(weight)
        if shape is None:
            absent.append(weight)
            continue
        given = _changed(found_parts)
        if given is not None and not _same_size(shape, given):
            mismatched.append((weight, shape, given))
        else:
            matched += 1
    return LoraFit(matched, tuple(absent), tuple(mismatched))


def _fused(name: str, weights: Shapes) -> str:
    """OpenCLIP's query, key and value are one weight (``preprocess_lora_tensors``)."""
    if _OPEN_CLIP_LAYERS in name and f"{_OPEN_CLIP_LAYERS}0.self_attn.in_proj.weight" in weights:
        for old, new in _FUSED.items():
            name = name.replace(old, new)
    return name


def _changed(parts: Mapping[str, list[TensorInfo]]) -> tuple[int, ...] | None:
    """Shape (out, in) of the weight that the matrices make; None where they do not tell."""
    downs, ups, diffs = parts.get("lora_down", []), parts.get("lora_up", []), parts.get("diff", [])
    if diffs and not downs:
        return diffs[0].shape
    if not downs or len(downs) != len(ups) or not all(t.shape for t in (*downs, *ups)):
        return None
    return sum(up.shape[0] for up in ups), prod(downs[0].shape[1:])


def _same_size(weight: tuple[int, ...], given: tuple[int, ...]) -> bool:
    """Equal after taking all but the first dimension together."""
    return (weight[0], prod(weight[1:])) == (given[0], prod(given[1:])) if weight and given else weight == given


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
