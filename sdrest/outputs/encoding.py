"""Pixels as a file of each format, with what is written into it beside them.

The parameters lie in the ``parameters`` text chunk of PNG, and in the EXIF user comment of the others: where A1111 has them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import ExifTags, Image, features

from sdrest.core.errors import Unsupported
from sdrest.core.names import PictureFormat
from sdrest.outputs import png

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

LOSSLESS: Final = 100
MEDIA_TYPES: Final = {item: f"image/{item}" for item in PictureFormat}
#: The largest block of EXIF data that a JPEG file can hold, in bytes, with some left for what is around the comment.
_EXIF_ROOM: Final = 65_533 - 200
_UNICODE, _UNSAID = b"UNICODE\0", b"\0" * 8


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a picture becomes a file. ``quality`` (1–100) is for the formats with loss."""

    format: PictureFormat = PictureFormat.PNG
    quality: int = 90

    @property
    def media_type(self) -> str:
        """MIME type of its files."""
        return MEDIA_TYPES[self.format]

    def check(self) -> None:
        """Make sure that such files can be written here.

        Raises:
            Unsupported: Pillow was built without AVIF.
        """
        if self.format is PictureFormat.AVIF and not features.check("avif"):
            raise Unsupported(
                "AVIF files cannot be written here: this Pillow was built without AVIF (its wheels have it)"
            )


def encoded(picture: Image.Image, encoding: Encoding, infotext: str = "", xmp: str = "") -> bytes:
    """``picture`` as a file, with ``infotext`` and an XMP packet in it where they are given."""
    if encoding.format is PictureFormat.PNG:
        if picture.mode not in {"L", "LA", "RGB", "RGBA"}:
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        return png.encoded(np.asarray(picture).reshape(picture.height, picture.width, -1), infotext, xmp)
    if encoding.format is PictureFormat.JPEG and picture.mode not in {"L", "RGB"}:
        picture = picture.convert("RGB")
    options: dict[str, Any] = {"quality": encoding.quality, "exif": _exif(infotext)}
    if xmp:
        options["xmp"] = xmp.encode()
    if encoding.format is PictureFormat.WEBP and encoding.quality == LOSSLESS:
        options |= {"lossless": True, "exact": True}
    if encoding.format is PictureFormat.AVIF:
        options["subsampling"] = "4:4:4"
    stream = io.BytesIO()
    picture.save(stream, encoding.format.upper(), **options)
    return stream.getvalue()


def _exif(infotext: str) -> bytes:
    """The parameters as an EXIF user comment, in UTF-16 as A1111 writes it; those that are too long for it in UTF-8.

    What is too long even so is left out.
    """
    comments = (_UNICODE + infotext.encode("utf-16-be", "replace"), _UNSAID + infotext.encode(errors="replace"))
    comment = next((item for item in comments if len(item) <= _EXIF_ROOM), b"")
    if not infotext or not comment:
        return b""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif.tobytes()
