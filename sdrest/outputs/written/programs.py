"""What InvokeAI, NovelAI and SwarmUI write as JSON, under A1111's names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: How InvokeAI marks a sampler that goes with the schedule of Karras.
_KARRAS: Final = "_k"
_SWARM_SAMPLER: Final = ("sampler", "comfyuisampler", "comfyui_sampler")
_SWARM_SCHEDULER: Final = ("scheduler", "comfyuischeduler", "comfyui_scheduler")


def invokeai(values: Mapping[str, Any]) -> dict[str, str]:
    """``invokeai_metadata``."""
    sampler = _text(values.get("scheduler"))
    return _clean(
        {
            "prompt": values.get("positive_prompt"),
            "negative_prompt": values.get("negative_prompt"),
            "Steps": values.get("steps"),
            "Sampler": sampler.removesuffix(_KARRAS),
            "Schedule type": "karras" if sampler.endswith(_KARRAS) else "",
            "CFG scale": values.get("cfg_scale"),
            "Distilled CFG Scale": values.get("guidance"),
            "Seed": values.get("seed"),
            "Size": _size(values),
            "Model": _named(values.get("model")),
            "VAE": _named(values.get("vae")),
            "Clip skip": values.get("clip_skip"),
            "Denoising strength": values.get("strength") if values.get("init_image") else "",
            "Lora": _loras(
                [
                    (_named(item.get("model") or item.get("lora")), item.get("weight", 1))
                    for item in _objects(values.get("loras"))
                ]
            ),
        }
    )


def old_invokeai(values: Mapping[str, Any]) -> dict[str, str]:
    """``sd-metadata``, which InvokeAI wrote up to its version 2."""
    image = values.get("image")
    if not isinstance(image, Mapping):
        return {}
    prompt = image.get("prompt")
    words = " ".join(_text(item.get("prompt")) for item in _objects(prompt)) if isinstance(prompt, list) else prompt
    text = _text(words)
    negative = ", ".join(re.findall(r"\[([^\[\]]*)\]", text))  # words in brackets were the negative prompt
    return _clean(
        {
            "prompt": re.sub(r"\s*\[[^\[\]]*\]", "", text),
            "negative_prompt": negative,
            "Steps": image.get("steps"),
            "Sampler": image.get("sampler"),
            "CFG scale": image.get("cfg_scale"),
            "Seed": image.get("seed"),
            "Size": _size(image),
            "Model": values.get("model_weights"),
        }
    )


def novelai(values: Mapping[str, Any]) -> dict[str, str]:
    """The ``Comment`` of NovelAI."""
    schedule = _text(values.get("noise_schedule"))
    return _clean(
        {
            "prompt": _with_characters(values, "prompt", "v4_prompt"),
            "negative_prompt": _with_characters(values, "uc", "v4_negative_prompt"),
            "Steps": values.get("steps"),
            "Sampler": values.get("sampler"),
            "Schedule type": "" if schedule == "native" else schedule,
            "CFG scale": values.get("scale"),
            "Seed": values.get("seed"),
            "Size": _size(values),
            "Denoising strength": values.get("strength") if values.get("request_type") == "Img2ImgRequest" else "",
        }
    )


def swarmui(values: Mapping[str, Any]) -> dict[str, str]:
    """``sui_image_params``."""
    names, weights = values.get("loras"), values.get("loraweights")
    names = names if isinstance(names, list) else [item for item in _text(names).split(",") if item]
    weights = weights if isinstance(weights, list) else [item for item in _text(weights).split(",") if item]
    weights = [*weights, *([1] * (len(names) - len(weights)))]
    return _clean(
        {
            "prompt": values.get("prompt"),
            "negative_prompt": values.get("negativeprompt"),
            "Steps": values.get("steps"),
            "Sampler": _first(values, _SWARM_SAMPLER),
            "Schedule type": _first(values, _SWARM_SCHEDULER),
            "CFG scale": values.get("cfgscale"),
            "Distilled CFG Scale": values.get("fluxguidancescale"),
            "Seed": values.get("seed"),
            "Size": _size(values),
            "Model": _base(_text(values.get("model"))),
            "VAE": _base(_text(values.get("vae"))),
            "Denoising strength": values.get("initimagecreativity"),
            "Lora": _loras([(_base(_text(name)), weight) for name, weight in zip(names, weights, strict=False)]),
        }
    )


def _with_characters(values: Mapping[str, Any], plain: str, key: str) -> str:
    """A prompt of NovelAI with those of its characters, which stand by themselves since its fourth model."""
    caption = values.get(key)
    caption = caption.get("caption") if isinstance(caption, Mapping) else None
    if not isinstance(caption, Mapping):
        return _text(values.get(plain))
    parts = [_text(caption.get("base_caption")) or _text(values.get(plain))]
    parts += [_text(item.get("char_caption")) for item in _objects(caption.get("char_captions"))]
    return ", ".join(part for part in parts if part)


def _size(values: Mapping[str, Any]) -> str:
    width, height = values.get("width"), values.get("height")
    return f"{width}x{height}" if isinstance(width, int) and isinstance(height, int) else ""


def _first(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((_text(values[name]) for name in names if values.get(name)), "")


def _named(value: object) -> str:
    """The name of a model that is told as a text, or as an object of one version of InvokeAI or another."""
    if isinstance(value, Mapping):
        return _text(value.get("name") or value.get("model_name"))
    return _text(value)


def _base(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2].removesuffix(".safetensors")


def _loras(items: Sequence[tuple[str, object]]) -> str:
    return ", ".join(f"{name}: {_text(weight)}" for name, weight in items if name)


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _clean(values: Mapping[str, object]) -> dict[str, str]:
    """Texts of what is told; the numbers of a JSON text as they stand there."""
    return {name: text for name, value in values.items() if (text := _text(value).strip())}
