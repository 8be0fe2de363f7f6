"""Reading what clients of other servers write: nulls, spellings of samplers, LoRA lists in several forms, embedded extras."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sdrest.core.errors import InvalidInput
from sdrest.core.names import parse_sampler, parse_scheduler
from sdrest.web.http.bodies import parse_json

_EXTRA_ARGS: Final = re.compile(r"<sd_cpp_extra_args>(.*?)</sd_cpp_extra_args>", re.DOTALL)
#: Words by which clients leave the choice to the server.
_NO_CHOICE: Final = frozenset({"", "auto", "automatic", "default", "none", "use same sampler", "use same scheduler"})


def loosened(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values without nulls, with whole numbers as integers, and names spelled as the core spells them; and warnings.

    A sampler name that carries a scheduler (``DPM++ 2M Karras``) sets both, unless a scheduler is given too.
    """
    found = {name: _whole(value) for name, value in values.items() if value is not None}
    warnings: list[str] = []
    for name in ("sampler", "scheduler"):
        if str(found.get(name, "auto")).strip().lower() in _NO_CHOICE:
            found.pop(name, None)
    if "sampler" in found and (known := parse_sampler(str(found["sampler"]))) is not None:
        found["sampler"] = str(known[0])
        if known[1] is not None:
            found.setdefault("scheduler", str(known[1]))
    if "scheduler" in found and parse_scheduler(str(found["scheduler"])) is None:
        warnings.append(f"the scheduler {found['scheduler']!r} is not known here; the model's own is used")
        del found["scheduler"]
    if isinstance(found.get("clip_skip"), int) and found["clip_skip"] <= 1:
        del found["clip_skip"]
    if "loras" in found:
        found["loras"] = loras(found["loras"])
    return found, warnings


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def loras(value: Any) -> list[dict[str, Any]]:
    """LoRAs given as ``[{name|path, multiplier|weight|strength|scale}]``, ``["name"]`` or ``{"name": weight}``.

    Raises:
        InvalidInput: it is none of these.
    """
    if isinstance(value, Mapping):
        return [{"name": name, "multiplier": weight} for name, weight in value.items()]
    if not isinstance(value, list):
        raise InvalidInput("must be a list of {name, multiplier}", field="loras")
    return [_lora(index, item) for index, item in enumerate(value)]


def _lora(index: int, item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"name": item}
    if not isinstance(item, Mapping):
        raise InvalidInput("must be an object with name and multiplier", field=f"loras.{index}")
    name = next((item[key] for key in ("name", "path", "model") if item.get(key)), "")
    lora: dict[str, Any] = {"name": name}
    for key in ("multiplier", "weight", "strength", "scale"):
        if item.get(key) is not None:
            lora["multiplier"] = item[key]
            break
    if item.get("is_high_noise", item.get("high_noise")) is not None:
        lora["high_noise"] = item.get("is_high_noise", item.get("high_noise"))
    return lora


def take_extra_args(prompt: str) -> tuple[str, dict[str, Any]]:
    """A prompt without its ``<sd_cpp_extra_args>{…}</sd_cpp_extra_args>`` block, and the block's fields (sdcpp names).

    Clients of stable-diffusion.cpp's own server put fields there that the OpenAI and A1111 bodies have no place for.

    Raises:
        InvalidInput: the block is not a JSON object.
    """
    match = _EXTRA_ARGS.search(prompt)
    if match is None:
        return prompt, {}
    extra = parse_json(match[1], what="sd_cpp_extra_args", field="prompt")
    if not isinstance(extra, dict):
        raise InvalidInput("sd_cpp_extra_args must be a JSON object", field="prompt")
    return (prompt[: match.start()] + prompt[match.end() :]).strip(), extra
