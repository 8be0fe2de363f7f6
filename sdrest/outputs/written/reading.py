"""Which program made a picture, and with which settings: sdrest, A1111 and its like, stable-diffusion.cpp, ComfyUI, InvokeAI,
NovelAI, SwarmUI."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sdrest.core import bounds
from sdrest.outputs.infotext import joined_infotext, parse_infotext
from sdrest.outputs.marks import told_source
from sdrest.outputs.written.comfyui import Graph
from sdrest.outputs.written.programs import invokeai, novelai, old_invokeai, swarmui
from sdrest.outputs.written.texts import texts_of

#: Formats that are looked into.
READ_FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF")
_MAX_PIXELS: Final = 64 * 2**20
#: Where A1111's text lies.
_INFOTEXTS: Final = ("parameters", "UserComment", "comment")


@dataclass(frozen=True, slots=True)
class Written:
    """What a picture file tells.

    Attributes:
        program: Who wrote it; empty when nobody has.
        parts: ``prompt``, ``negative_prompt`` and A1111's keys, as of :func:`sdrest.outputs.infotext.parse_infotext`.
        infotext: The same as a text.
        texts: Everything that was found, as it stands there, by its name in the file.
        digital_source: IPTC's term for how the picture came to be; empty when the file does not say.
        size: Width and height in pixels; 0 for what is no picture.
    """

    program: str = ""
    parts: dict[str, Any] = field(default_factory=dict)
    infotext: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    digital_source: str = ""
    size: tuple[int, int] = (0, 0)


def read_written(data: bytes, *, max_pixels: int = _MAX_PIXELS) -> Written:
    """What is written into a picture file; nothing when the bytes are no picture, or hold none of it. Blocks."""
    found = texts_of(data, READ_FORMATS, max_pixels)
    source = told_source(found.xmp)
    for program, parts, text in _told(found.texts):
        if parts:
            return Written(program, parts, text or joined_infotext(parts), found.texts, source, found.size)
    return Written("", {}, "", found.texts, source, found.size)


def _told(texts: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """What each program could have meant by the texts, surest first; with its infotext where it has written one."""
    readers: tuple[tuple[str, str, Callable[[Mapping[str, Any]], dict[str, str]]], ...] = (
        ("InvokeAI", "invokeai_metadata", invokeai),
        ("InvokeAI", "sd-metadata", old_invokeai),
        ("SwarmUI", "parameters", _swarmui),
        ("SwarmUI", "UserComment", _swarmui),
        ("NovelAI", "Comment", novelai),
        ("NovelAI", "UserComment", _novelai_in_exif),
    )
    for program, name, reader in readers:
        if values := _object(texts.get(name, "")):
            yield program, reader(values), ""
    for name in _INFOTEXTS:
        text = texts.get(name, "")
        if text and len(text) <= bounds.INFOTEXT and not text.lstrip().startswith("{"):
            parts = parse_infotext(text)
            if name == "parameters" or "Steps" in parts:
                yield _writer(parts), parts, text
    if graph := _object(texts.get("prompt", "")):
        yield "ComfyUI", Graph(graph).settings(), ""


def _writer(parts: Mapping[str, Any]) -> str:
    version = str(parts.get("Version", ""))
    return next((name for name in ("sdrest", "stable-diffusion.cpp") if version.startswith(name)), "A1111")


def _swarmui(values: Mapping[str, Any]) -> dict[str, str]:
    inner = values.get("sui_image_params")
    return swarmui(inner) if isinstance(inner, Mapping) else {}


def _novelai_in_exif(values: Mapping[str, Any]) -> dict[str, str]:
    """Its WebP files have the texts of a PNG file as one JSON text."""
    inner = values.get("Comment")
    values = _object(inner) if isinstance(inner, str) else inner if isinstance(inner, Mapping) else values
    return novelai(values) if "uc" in values or "v4_prompt" in values else {}


def _object(text: str) -> dict[str, Any]:
    """The JSON object that a text is; empty when it is none."""
    if not text.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(text)  # the strict parser takes no NaN, which ComfyUI writes
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
