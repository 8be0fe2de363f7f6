"""From the parameters written into a picture to those of a request, as texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sdrest.core.names import parse_sampler, parse_scheduler

#: Form field by the key that A1111 and sdrest write.
_PLAIN: Final = {
    "Steps": "steps",
    "CFG scale": "cfg_scale",
    "Guidance": "guidance",
    "Distilled CFG Scale": "guidance",
    "Seed": "seed",
    "Model": "model",
    "Unet": "model",
    "VAE": "vae_model",
    "Speed": "speed",
    "Clip skip": "clip_skip",
    "Denoising strength": "strength",
    "Eta": "eta",
    "Flow shift": "flow_shift",
}
_SIZE: Final = re.compile(r"(\d+)\s*[x×]\s*(\d+)")


#: LoRAs as ``name: weight, name: weight``.
_LORA: Final = re.compile(r"([^,:]+):\s*(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class FormTexts:
    """What fills the form: texts by field name, and LoRAs as (name, weight)."""

    texts: dict[str, str]
    loras: list[tuple[str, str]]


def form_texts_of_infotext(parts: Mapping[str, Any]) -> FormTexts:
    """What a parsed infotext stands for in the form; names that this server does not know are left out."""
    texts = {name: str(parts[name]) for name in ("prompt", "negative_prompt") if parts.get(name)}
    texts |= {field: str(parts[key]) for key, field in _PLAIN.items() if parts.get(key)}
    size = _SIZE.fullmatch(str(parts.get("Size", "")).strip())
    if size:
        texts["width"], texts["height"] = size.groups()
    sampler = parse_sampler(str(parts.get("Sampler", "")))
    scheduler = parse_scheduler(str(parts.get("Schedule type", ""))) or (sampler[1] if sampler else None)
    if sampler:
        texts["sampler"] = str(sampler[0])
    if scheduler:
        texts["scheduler"] = str(scheduler)
    loras = [(name.strip(), weight) for name, weight in _LORA.findall(str(parts.get("Lora", "")))]
    return FormTexts(texts, loras)
