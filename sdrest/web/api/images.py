"""Small services around pictures: resizing, cropping, and fetching one from a URL."""

from __future__ import annotations

import asyncio
import base64
import io
from enum import StrEnum
from typing import Final

from aiohttp import web
from PIL import Image, ImageOps
from pydantic import Field
from typing_extensions import TypedDict

from sdrest.core import bounds
from sdrest.core.errors import InvalidInput
from sdrest.core.parameters import MAX_SIDE_PX
from sdrest.outputs.pictures import png_bytes
from sdrest.outputs.written.reading import Written, read_written
from sdrest.web.http.bodies import Body, parse_query, read_body
from sdrest.web.http.keys import SETTINGS
from sdrest.web.http.operations import operation
from sdrest.web.http.replies import big_reply, json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.infotexts import form_texts_of_infotext
from sdrest.web.requests.pictures import FETCHER, read_picture, read_picture_file

_PICTURE: Final = "Base64, a data: URL, an http(s) URL, or job:<id>/<file>."


class ResizeMode(StrEnum):
    """What happens when the wanted size has other proportions than the picture."""

    STRETCH = "stretch"
    FIT = "fit"
    FILL = "fill"


class ResizeBody(Body):
    """A picture and its new size."""

    image: str = Field(min_length=1, description=_PICTURE)
    width: int = Field(ge=1, le=MAX_SIDE_PX, description="New width in pixels.")
    height: int = Field(ge=1, le=MAX_SIDE_PX, description="New height in pixels.")
    mode: ResizeMode = Field(
        ResizeMode.STRETCH,
        description="Other proportions: stretch, fit into the size, or fill it and cut the rest off.",
    )


class CropBody(Body):
    """A picture and the part of it that is wanted."""

    image: str = Field(min_length=1, description=_PICTURE)
    x: int = Field(0, ge=0, description="Left edge in pixels.")
    y: int = Field(0, ge=0, description="Upper edge in pixels.")
    width: int = Field(ge=1, description="Width in pixels.")
    height: int = Field(ge=1, description="Height in pixels.")


class InfoBody(Body):
    """A picture file, of PNG, JPEG, WebP or AVIF."""

    image: str = Field(min_length=1, description=_PICTURE)


class DownloadQuery(Body):
    """Where a picture is."""

    url: str = Field(
        max_length=bounds.PICTURE_URL, pattern=r"^https?://[!-~]+$", description="http or https URL of a picture."
    )


class ImageReply(TypedDict):
    """A picture as base64 of a PNG file."""

    image: str
    width: int
    height: int
    format: str


class Told(TypedDict):
    """What is written in a picture file."""

    #: sdrest, A1111, stable-diffusion.cpp, ComfyUI, InvokeAI, NovelAI or SwarmUI; empty when nobody is known to have written.
    program: str
    #: The settings as A1111 writes them.
    infotext: str
    #: The same by A1111's names, ``prompt`` and ``negative_prompt`` among them.
    settings: dict[str, str]
    #: What of it is a parameter here, by the names of ``/api/parameters``, as texts.
    parameters: dict[str, str]
    #: LoRAs as [name, weight].
    loras: list[tuple[str, str]]
    #: IPTC's term for how the picture came to be (trainedAlgorithmicMedia …); empty when the file does not say.
    digital_source: str
    #: Every text of the file as it stands there.
    texts: dict[str, str]
    width: int
    height: int


class Downloaded(TypedDict):
    """A picture as base64 of the file as it was fetched; size in bytes."""

    image: str
    mime_type: str
    width: int
    height: int
    size: int


@operation("images", body=ResizeBody, reply=ImageReply)
async def resize(request: web.Request) -> web.Response:
    """Change the size of a picture."""
    body = await read_body(ResizeBody, request)
    picture = await read_picture(request, body.image, field="image", made=lambda _size: body.width * body.height)

    def work() -> ImageReply:
        size = (body.width, body.height)
        match body.mode:
            case ResizeMode.STRETCH:
                return _reply(picture.resize(size, Image.Resampling.LANCZOS))
            case ResizeMode.FIT:
                return _reply(ImageOps.contain(picture, size, Image.Resampling.LANCZOS))
            case ResizeMode.FILL:
                return _reply(ImageOps.fit(picture, size, Image.Resampling.LANCZOS))

    return await asyncio.to_thread(lambda: json_reply(work()))


@operation("images", body=CropBody, reply=ImageReply)
async def crop(request: web.Request) -> web.Response:
    """Cut a part out of a picture."""
    body = await read_body(CropBody, request)
    picture = await read_picture(request, body.image, field="image")
    box = (body.x, body.y, body.x + body.width, body.y + body.height)
    if box[2] > picture.width or box[3] > picture.height:
        raise InvalidInput(f"the part reaches beyond the picture of {picture.width} × {picture.height}", field="width")
    return await asyncio.to_thread(lambda: json_reply(_reply(picture.crop(box))))


@operation("images", body=InfoBody, reply=Told)
async def info(request: web.Request) -> web.Response:
    """Read what is written in a picture.

    The settings that sdrest, A1111, stable-diffusion.cpp, ComfyUI, InvokeAI, NovelAI and SwarmUI leave in text chunks, EXIF, XMP
    or the alpha channel, and how the picture says that it came to be.
    """
    body = await read_body(InfoBody, request)
    data = await read_picture_file(request, body.image, field="image")
    most = request.app[SETTINGS].max_image_pixels
    return await big_reply(await asyncio.to_thread(lambda: _told(read_written(data, max_pixels=most))))


def _told(found: Written) -> Told:
    form = form_texts_of_infotext(found.parts)
    return {
        "program": found.program,
        "infotext": found.infotext,
        "settings": found.parts,
        "parameters": form.texts,
        "loras": form.loras,
        "digital_source": found.digital_source,
        "texts": found.texts,
        "width": found.size[0],
        "height": found.size[1],
    }


@operation("images", query=DownloadQuery, reply=Downloaded, errors=(413,))
async def download(request: web.Request) -> web.Response:
    """Fetch a picture from a URL. Addresses in private networks are refused."""
    query = parse_query(DownloadQuery, request)
    fetched = await request.app[FETCHER].fetch(query.url, field="url")
    picture = await read_picture(request, fetched.data, field="url")

    def work() -> Downloaded:
        with Image.open(io.BytesIO(fetched.data)) as opened:
            media_type = opened.get_format_mimetype() or fetched.media_type
        data = base64.b64encode(fetched.data).decode()
        return {
            "image": data,
            "mime_type": media_type,
            "width": picture.width,
            "height": picture.height,
            "size": len(fetched.data),
        }

    return await asyncio.to_thread(lambda: json_reply(work()))


def _reply(picture: Image.Image) -> ImageReply:
    data = base64.b64encode(png_bytes(picture)).decode()
    return {"image": data, "width": picture.width, "height": picture.height, "format": "png"}


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/image/resize", resize),
    ("POST", "/image/crop", crop),
    ("POST", "/image/info", info),
    ("GET", "/image/download", download),
)
