"""Odd values for every field of every route, generated from the OpenAPI document, so that a new field is among them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image


def _png() -> str:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


PNG = _png()

FORM = "multipart/form-data"

#: JSON texts.
ODD: tuple[str, ...] = (
    "null", "true", "false", "0", "-1", "1", "1.5", "-0.0", "2147483648", "9223372036854775807", "-9223372036854775809",
    "1e308", "1e999", "-1e999", "1" * 90, "9" * 5000, '""', '" "', '"x"', '"0"', '"-1"', '"1e999"', '"NaN"', '"true"',
    '"' + "1" * 5000 + '"', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"' + "x" * 30_000 + '"', "[]", "{}", "[null]", "[[]]",
    "[{}]", '{"": null}', '{"a": 1, "a": 2}', "[" * 60 + "]" * 60, "[" * 5000 + "]" * 5000, '["x", 1, {"args": [[1]]}]',
    '{"x": {"args": ["y"]}}', '{"controlnet": {"args": [[["z"]], 7]}}', '"data:image/png;base64,AAAA"', '"job:x/y.png"',
    '"../../x"',     '"<sd_cpp_extra_args>' + "[" * 3000 + '</sd_cpp_extra_args>"',
    '"<sd_cpp_extra_args>[1, [2]]</sd_cpp_extra_args>"',
    '"<sd_cpp_extra_args>{\\"sample_params\\": {\\"guidance\\": 3}, \\"hires\\": [], \\"seed\\": {}}</sd_cpp_extra_args>"',
    '"<lora:' + "y" * 300 + ':1e999>"',
)  # fmt: skip

#: What makes a body that goes far: a good value by the name of its field.
GOOD: dict[str, Any] = {
    "prompt": "a red apple",
    "width": 64,
    "height": 64,
    "steps": 2,
    "init_images": [PNG],
    "init_image": PNG,
    "source_image": PNG,
    "image": PNG,
    "mask": PNG,
    "mask_image": PNG,
    "imageList": [{"data": PNG, "name": "x.png"}],
    "alwayson_scripts": {"controlnet": {"args": [{"model": "none", "module": "none", "image": PNG, "weight": 1}]}},
    "override_settings": {"sd_vae": "Automatic", "CLIP_stop_at_last_layers": 2},
    "loras": [],
}


#: Fields of bodies that are not declared field by field.
UNDECLARED = (
    "prompt", "negative_prompt", "model", "n", "size", "response_format", "quality", "background", "output_format",
    "output_compression", "user", "stream", "partial_images", "steps", "seed", "cfg_scale", "sampler", "scheduler", "strength",
    "loras", "lora", "hires", "width", "height", "batch_count", "sample_params", "init_image", "mask_image", "control_image",
    "ref_images", "vae_tiling_params", "cache_mode", "cache_option", "high_noise_sample_params", "image", "mask",
    "video_frames", "fps", "clip_skip", "upscale_model", "preview",
)  # fmt: skip


#: Fields of pictures that most models cannot use, in routes that do not need any.
PICTURES = frozenset({"init_image", "mask_image", "init_images", "mask"})


@dataclass(frozen=True)
class Odd:
    """One request: a route, and its body."""

    method: str
    path: str
    body: bytes
    #: Which field has which value.
    label: str
    content_type: str = "application/json"


def odd_requests(document: dict[str, Any]) -> Iterator[Odd]:
    """A request for each field of each body, JSON or form, and each odd value."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                fields = _fields(content["application/json"]["schema"], document)
                yield from _odd_json(method.upper(), path, fields)
            elif FORM in content:
                yield from _odd_forms(method.upper(), path, _fields(content[FORM]["schema"], document))


def _odd_json(method: str, path: str, fields: list[str]) -> Iterator[Odd]:
    good = {name: GOOD[name] for name in fields if name in GOOD and not (name in PICTURES and _needs_none(path))}
    for place in dict.fromkeys([(), *((name,) for name in fields), *_places(good)]):
        for number, value in enumerate(ODD):
            label = f"{'.'.join(map(str, place)) or 'body'} = {value[:40]} ({number})"
            yield Odd(method, path, _with(good, place, value).encode(), label)


def _odd_forms(method: str, path: str, fields: list[str]) -> Iterator[Odd]:
    """The same values as texts of form fields, beside a good prompt and good pictures."""
    for name in fields:
        for number, value in enumerate(ODD):
            # Half characters travel as the bytes that they would be.
            text = value if number % 2 else value.strip('"').encode().decode("unicode_escape", "surrogatepass")
            parts = {"prompt": b"a red apple", name: text.encode("utf-8", "surrogatepass")}
            parts |= {
                picture: base64.b64decode(PNG) for picture in ("image", "mask") if picture in fields and picture != name
            }
            yield Odd(method, path, _form(parts), f"{name} = {value[:40]} ({number})", f"{FORM}; boundary=odd")


def _form(parts: dict[str, bytes]) -> bytes:
    """The bytes of a form; a PNG file goes as a file."""
    lines = []
    for name, data in parts.items():
        file = '; filename="x.png"\r\nContent-Type: image/png' if data.startswith(b"\x89PNG") else ""
        lines.append(f'--odd\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n")
    return b"".join(lines) + b"--odd--\r\n"


def _needs_none(path: str) -> bool:
    return path.rpartition("/")[2] not in {"img2img", "inpainting"}


def _fields(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return list(schema.get("properties", UNDECLARED))


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*place, key)
        yield from _places(item, (*place, key))


def _with(good: dict[str, Any], place: tuple[Any, ...], text: str) -> str:
    """The JSON text of a body with ``text`` at a place of it."""
    if not place:
        return text
    mark = "\x00here\x00"
    body = json.loads(json.dumps(good))
    inner = body
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = mark
    return json.dumps(body).replace(json.dumps(mark), text)
