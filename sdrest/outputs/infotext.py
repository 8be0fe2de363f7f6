"""The ``parameters`` text that A1111 writes into its pictures and that galleries, clients and users read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sdrest.core.names import SAMPLER_LABELS, SCHEDULER_LABELS, InpaintFill, Speed
from sdrest.core.parameters import GenerationParameters

#: A key is short and begins where a word does: looking for one from every character of a long line would take its length squared.
_PAIR: Final = re.compile(r'(?<![\w./+-])([\w./+-][\w ./+-]{0,60}):\s*("(?:\\.|[^"\\])+"|[^,]*)(?:,|$)')


def infotext(
    parameters: GenerationParameters,
    *,
    seed: int,
    width: int,
    height: int,
    model_name: str,
    version: str,
    model_hash: str = "",
) -> str:
    """What was really used for one picture, in three parts: prompt, negative prompt, ``Key: value`` pairs."""
    pairs: dict[str, object] = {
        "Steps": parameters.steps,
        "Speed": parameters.speed if parameters.speed is not Speed.EXACT else "",
        "Sampler": SAMPLER_LABELS[parameters.sampler],
        "Schedule type": SCHEDULER_LABELS[parameters.scheduler],
        "CFG scale": f"{parameters.cfg_scale:g}",
        "Distilled CFG Scale": f"{parameters.guidance:g}",
        "Seed": seed,
        "Size": f"{width}x{height}",
        "Model hash": model_hash,
        "Model": model_name,
        "VAE": parameters.vae_model,
        "Clip skip": parameters.clip_skip if parameters.clip_skip > 1 else "",
        "Denoising strength": f"{parameters.strength:g}" if parameters.init_image else "",
        **_inpainted(parameters),
        "Eta": "" if parameters.eta is None else f"{parameters.eta:g}",
        "Flow shift": "" if parameters.flow_shift is None else f"{parameters.flow_shift:g}",
        "Lora": ", ".join(f"{lora.name}: {lora.multiplier:g}" for lora in parameters.loras),
        "ControlNet": parameters.control_net_model if parameters.control_image else "",
        "Hires upscaler": parameters.hires.upscaler if parameters.hires.enabled else "",
        "Template": parameters.prompt_source,
        "Negative Template": parameters.negative_prompt_source,
        "Version": f"sdrest {version}",
    }
    return joined_infotext({"prompt": parameters.prompt, "negative_prompt": parameters.negative_prompt, **pairs})


def joined_infotext(parts: Mapping[str, object]) -> str:
    """The text of parts as :func:`parse_infotext` gives them; those that are empty are left out."""
    lines = [str(parts.get("prompt", ""))]
    if negative := parts.get("negative_prompt"):
        lines.append(f"Negative prompt: {negative}")
    pairs = {key: value for key, value in parts.items() if key not in {"prompt", "negative_prompt"} and value != ""}
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in pairs.items()))
    return "\n".join(lines)


def _inpainted(parameters: GenerationParameters) -> dict[str, object]:
    """How a part was repainted, in A1111's words."""
    asked = parameters.inpaint
    if not parameters.mask_image or not asked.is_asked:
        return {}
    return {
        "Mask blur": asked.blur,
        "Inpaint area": "Only masked" if asked.only_masked else "Whole picture",
        "Masked area padding": asked.padding if asked.only_masked else "",
        "Masked content": "fill" if asked.fill is InpaintFill.SURROUNDINGS else "original",
    }


def parse_infotext(text: str) -> dict[str, Any]:
    """The parts of an infotext: ``prompt``, ``negative_prompt`` and the pairs under their own keys; lenient about the rest."""
    *head, last = text.strip().split("\n") or [""]
    pairs = {key.strip(): _unquoted(value.strip()) for key, value in _PAIR.findall(last)}
    if len(pairs) < 3:  # the last line is prompt text, not parameters
        head, pairs = [*head, last], {}
    prompt: list[str] = []
    negative: list[str] = []
    part = prompt
    for line in head:
        if line.startswith("Negative prompt:"):
            part = negative
            line = line.removeprefix("Negative prompt:").lstrip()  # noqa: PLW2901 - the rest of the same line
        part.append(line)
    return {"prompt": "\n".join(prompt).strip(), "negative_prompt": "\n".join(negative).strip(), **pairs}


def _quoted(value: object) -> str:
    text = str(value)
    if not re.search(r'[,:\n"]', text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
