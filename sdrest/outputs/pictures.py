"""Pictures: decoding what clients send, writing what the engine made, thumbnails."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from PIL import Image, ImageOps, UnidentifiedImageError

from sdrest.core.errors import InvalidInput
from sdrest.core.names import PictureFormat
from sdrest.outputs.encoding import Encoding, Pixels, encoded
from sdrest.outputs.video import VIDEO_SUFFIXES, first_frame
from sdrest.outputs.written.reading import read_written
from sdrest.outputs.written.texts import xmp_of

log = structlog.get_logger(__name__)

#: Formats taken from clients; vector and multi-file formats are not decoded.
ACCEPTED_FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
THUMBNAIL_DEFAULT_PX: Final = 200
THUMBNAIL_MAX_PX: Final = 1024


def picture_size(data: bytes, *, field: str, max_pixels: int, max_side_px: int = 16_384) -> tuple[int, int]:
    """Width and height of the picture in ``data``, as its header tells them; nothing is decoded.

    Raises:
        InvalidInput: it is no picture of a known format, or has too many pixels; names ``field``.
    """
    with _reading(field), _opened(data) as picture:
        width, height = picture.size
        if width * height > max_pixels or max(width, height) > max_side_px:
            raise InvalidInput(
                f"the picture has {width} × {height} pixels; at most {max_pixels} in all and {max_side_px} a side",
                field=field,
            )
        return width, height


def decode_picture(data: bytes, *, field: str, max_pixels: int, max_side_px: int = 16_384) -> Image.Image:
    """The picture in ``data``, upright (EXIF orientation applied), first frame only, in mode RGB, RGBA or L.

    Raises:
        InvalidInput: it is no picture of a known format, is damaged, or has too many pixels; names ``field``.
    """
    picture_size(data, field=field, max_pixels=max_pixels, max_side_px=max_side_px)
    with _reading(field):
        picture = _opened(data)
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in {"RGB", "RGBA", "L"}:
            return upright
        has_alpha = "A" in upright.getbands() or "transparency" in upright.info
        return upright.convert("RGBA" if has_alpha else "RGB")


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=ACCEPTED_FORMATS)


@contextmanager
def _reading(field: str) -> Iterator[None]:
    """Turn whatever a damaged picture makes of its decoder into the sender's mistake; the unheard-of is logged with its trace."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InvalidInput:
        raise
    except UnidentifiedImageError:
        raise InvalidInput(f"not a picture ({', '.join(ACCEPTED_FORMATS)} are understood)", field=field) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"the picture is damaged: {error}", field=field) from None
    except Exception as error:
        log.exception("a picture could not be decoded")
        raise InvalidInput("the picture is damaged", field=field) from error


def png_bytes(picture: Image.Image, infotext: str = "") -> bytes:
    """``picture`` as PNG, with ``infotext`` in the ``parameters`` text chunk that A1111 and its clients read."""
    return encoded(picture, Encoding(PictureFormat.PNG), infotext)


def read_rgb(path: Path, width: int, height: int) -> Pixels:
    """The raw picture that the engine wrote: ``height`` rows of ``width`` RGB pixels."""
    return np.fromfile(path, dtype=np.uint8).reshape(height, width, 3)


def is_flat(pixels: Pixels) -> bool:
    """Whether all pixels are alike: what the library returns when its numbers became NaN."""
    return bool((pixels == pixels[0, 0]).all())


def jpeg_bytes(width: int, height: int, rgb: bytes, quality: int = 80) -> bytes:
    """Raw RGB rows as JPEG, for previews."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (width, height), rgb).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def thumbnail_jpeg(path: Path, size_px: int) -> bytes:
    """The picture or video in ``path`` (first frame) within ``size_px`` × ``size_px``, as JPEG, transparent parts white.

    Raises:
        InvalidInput: the file is not a picture.
    """
    try:
        with first_frame(path) if path.suffix in VIDEO_SUFFIXES else Image.open(path) as picture:
            picture.draft("RGB", (size_px, size_px))
            picture.thumbnail((size_px, size_px))
            small = picture.convert("RGBA")
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(f"cannot make a thumbnail of {path.name}: {error}", field="file") from None
    flat = Image.new("RGB", small.size, "white")
    flat.paste(small, mask=small.getchannel("A"))
    stream = io.BytesIO()
    flat.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def small_png(path: Path, size_px: int) -> bytes:
    """The picture in ``path`` (its first frame) within ``size_px`` × ``size_px``, as PNG, with its XMP packet.

    Raises:
        InvalidInput: the file is not a picture.
    """
    try:
        with Image.open(path) as picture:
            xmp = xmp_of(picture)
            picture.thumbnail((size_px, size_px))
            return encoded(picture, Encoding(PictureFormat.PNG), xmp=xmp)
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(f"{path.name} cannot be read as a picture: {error}", field="source") from None


def reencoded(data: bytes, encoding: Encoding, size: tuple[int, int] | None = None) -> bytes:
    """A picture file in another format, scaled to ``size`` (width, height) if given.

    Its parameters and its XMP packet go along.
    """
    with Image.open(io.BytesIO(data)) as original:
        text, xmp = read_written(data).infotext, xmp_of(original)
        picture = original.convert("RGB" if encoding.format is PictureFormat.JPEG else original.mode)
    if size is not None and size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return encoded(picture, encoding, text, xmp)
