"""The routes of A1111's ControlNet extension: what there is, and the edge picture that the one preprocessor makes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from aiohttp import web
from PIL import Image
from pydantic import Field

from sdrest.core.errors import InvalidInput, Unsupported
from sdrest.core.model import Model, ModelType
from sdrest.outputs.edges import canny_edges
from sdrest.outputs.pictures import png_bytes
from sdrest.web.dialects.a1111.lists import fixed, usable_models
from sdrest.web.dialects.a1111.options import title_of
from sdrest.web.dialects.a1111.scripts import MODULES
from sdrest.web.http.bodies import read_body
from sdrest.web.http.loose import Loose, Text, Texts, Whole
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import big_reply, json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.pictures import read_pictures

_ERROR: Final = dict[str, Any]
_VERSION: Final = 2
_LEAST_SIDE_PX, _MOST_SIDE_PX = 64, 2048
_CANNY: Final = "canny"


class Detecting(Loose):
    """The body of ``detect``."""

    controlnet_module: Text = "none"
    controlnet_input_images: Texts = Field([])
    controlnet_processor_res: Whole = Field(512, description="Length of the shorter side in pixels.")


@operation("A1111", reply=dict[str, Any], body=Detecting, errors=(422,), error_schema=_ERROR)
async def detect(request: web.Request) -> web.Response:
    """What a preprocessor makes of pictures; there is one, canny, whose thresholds are the library's."""
    body = await read_body(Detecting, request)
    module = body.controlnet_module.lower()
    if module not in MODULES:
        raise Unsupported(f"there is no ControlNet preprocessor {module!r} here; there are none and canny")
    if not body.controlnet_input_images:
        raise InvalidInput("must be a list of at least one picture", field="controlnet_input_images")
    side = body.controlnet_processor_res
    if not _LEAST_SIDE_PX <= side <= _MOST_SIDE_PX:
        raise InvalidInput(f"must be from {_LEAST_SIDE_PX} to {_MOST_SIDE_PX}", field="controlnet_processor_res")
    pictures = await read_pictures(request, {"controlnet_input_images": body.controlnet_input_images})

    def work() -> list[str]:
        return [_detected(picture, module, side) for picture in pictures["controlnet_input_images"]]

    return await big_reply({"images": await asyncio.to_thread(work), "info": "Success"})


def _detected(picture: Image.Image, module: str, side: int) -> str:
    """Base64 of the picture that a preprocessor makes."""
    scale = side / min(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if max(size) > _MOST_SIDE_PX * 2:
        raise InvalidInput("the picture is too long for its width", field="controlnet_input_images")
    sized = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    if module == _CANNY:
        sized = Image.fromarray(canny_edges(np.asarray(sized)))
    return base64.b64encode(png_bytes(sized)).decode()


@operation("A1111", reply=dict[str, Any], error_schema=_ERROR)
async def model_list(request: web.Request) -> web.Response:
    """The ControlNet models."""
    return json_reply({"model_list": [title_of(model) for model in usable_models(request, ModelType.CONTROLNET)]})


@operation("A1111", reply=dict[str, Any], error_schema=_ERROR)
async def control_types(request: web.Request) -> web.Response:
    """Models and preprocessors by what they guide with."""
    models = list(usable_models(request, ModelType.CONTROLNET))
    canny = [model for model in models if _CANNY in model.name.lower()]
    return json_reply({"control_types": {"All": _type(models), "Canny": _type(canny, _CANNY)}})


def _type(models: Sequence[Model], module: str = "none") -> dict[str, Any]:
    titles = [title_of(model) for model in models]
    return {
        "module_list": list(dict.fromkeys(("none", module))) if module != "none" else list(MODULES),
        "model_list": ["None", *titles],
        "default_option": module,
        "default_model": titles[0] if titles and module != "none" else "None",
    }


_DETAIL: Final = {name: {"model_free": False, "sliders": []} for name in MODULES}

ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/controlnet/version", fixed("Version of the ControlNet API.", {"version": _VERSION}, dict[str, int])),
    ("GET", "/controlnet/model_list", model_list),
    (
        "GET",
        "/controlnet/module_list",
        fixed("ControlNet preprocessors.", {"module_list": list(MODULES), "module_detail": _DETAIL}, dict[str, Any]),
    ),
    ("GET", "/controlnet/control_types", control_types),
    ("GET", "/controlnet/settings", fixed("ControlNet settings.", {"control_net_unit_count": 1}, dict[str, int])),
    ("POST", "/controlnet/detect", detect),
)
