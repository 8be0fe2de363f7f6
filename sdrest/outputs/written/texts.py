"""The texts within a picture file, wherever programs put them: text chunks of PNG, EXIF, XMP, the lowest bits of the alpha channel.

Headers are read, and pixels only of pictures with an alpha channel that begin as such a hidden text does.
"""

from __future__ import annotations

import gzip
import html
import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from PIL import ExifTags, Image

#: EXIF fields of the first directory that hold texts; ComfyUI puts its graphs into some of them, as ``prompt:{…}``.
_EXIF_TEXTS: Final = {tag.value: tag.name for tag in (
    ExifTags.Base.DocumentName, ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model,
    ExifTags.Base.Software, ExifTags.Base.Artist,
)}  # fmt: skip
_NAMED: Final = re.compile(r"(prompt|workflow):\s*(\{.*)", re.IGNORECASE | re.DOTALL)
_XMP_PARAMETERS: Final = re.compile(r"<sdcpp:parameters>(.*?)</sdcpp:parameters>", re.DOTALL)
#: Longest text that is taken out of a file, in characters.
MOST: Final = 4 * 2**20
#: What hidden texts begin with: plain, and compressed with gzip (https://github.com/NovelAI/novelai-image-metadata).
_HIDDEN, _HIDDEN_GZIP = b"stealth_pnginfo", b"stealth_pngcomp"
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class FileTexts:
    """Texts by the names that they have in the file, the XMP packet, and the picture's size in pixels."""

    texts: dict[str, str] = field(default_factory=dict)
    xmp: str = ""
    size: tuple[int, int] = (0, 0)


def texts_of(data: bytes, formats: tuple[str, ...], max_pixels: int) -> FileTexts:
    """The texts in a picture file; none when the bytes are no picture of these ``formats``, or it is damaged.

    ``max_pixels``: of larger pictures no pixel is looked at.
    """
    try:
        with Image.open(io.BytesIO(data), formats=formats) as picture:
            texts = dict(_texts(picture))
            xmp = xmp_of(picture)
            if (found := _XMP_PARAMETERS.search(xmp)) is not None:
                texts.setdefault("parameters", html.unescape(found[1]))
            if not texts and "A" in picture.getbands() and picture.width * picture.height <= max_pixels:
                texts = _hidden(picture)
            return FileTexts({name: text[:MOST] for name, text in texts.items()}, xmp[:MOST], picture.size)
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        return FileTexts()


def xmp_of(picture: Image.Image) -> str:
    """The XMP packet of an opened picture file; empty when there is none."""
    found = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def _texts(picture: Image.Image) -> Iterator[tuple[str, str]]:
    for name, value in picture.info.items():
        if isinstance(name, str) and isinstance(value, str) and name not in {"XML:com.adobe.xmp", "xmp"}:
            yield name, value
    exif = picture.getexif()
    comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
    text = _comment_text(comment) if isinstance(comment, bytes) else str(comment)
    if text.strip():
        yield "UserComment", text
    for tag, value in exif.items():
        if tag in _EXIF_TEXTS and isinstance(value, str) and value.strip():
            named = _NAMED.match(value)
            yield (named[1].lower(), named[2]) if named else (_EXIF_TEXTS[tag], value)


def _comment_text(comment: bytes) -> str:
    """An EXIF user comment: eight bytes name its encoding. Of Unicode the order of bytes is not told; text is mostly Latin."""
    code, payload = comment[:8], comment[8:]
    if code not in {b"UNICODE\0", b"ASCII\0\0\0", b"\0" * 8}:
        return comment.decode(errors="replace").strip("\0")  # written without the eight bytes
    if code != b"UNICODE\0":
        return payload.decode(errors="replace").strip("\0")
    even, odd = payload[0:400:2].count(0), payload[1:400:2].count(0)
    order = "be" if even >= odd else "le"
    return payload.decode(f"utf-16-{order}", errors="replace").strip("\0")


# ---------------------------------------------------------------------- hidden in the alpha channel


def _hidden(picture: Image.Image) -> dict[str, str]:
    """The texts that NovelAI and others hide in the lowest bits of the alpha channel, column by column."""
    alpha = np.asarray(picture.getchannel("A"))
    head = len(_HIDDEN) + _LENGTH_BYTES
    if alpha.size < 8 * head:
        return {}
    columns = alpha.shape[0]
    first = _packed(alpha[:, : -(-8 * head // columns)])[:head]
    name, length = first[: len(_HIDDEN)], int.from_bytes(first[len(_HIDDEN) :], "big") // 8
    if name not in {_HIDDEN, _HIDDEN_GZIP} or 8 * (head + length) > alpha.size:
        return {}
    payload = _packed(alpha[:, : -(-8 * (head + length) // columns)])[head : head + length]
    try:
        text = (_unzipped(payload) if name == _HIDDEN_GZIP else payload).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"parameters": text}
    return {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode() for key, value in found.items()
    }


def _packed(alpha: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """The lowest bits of some columns as bytes, from top to bottom and then from left to right."""
    return np.packbits(alpha.T.reshape(-1) & 1).tobytes()


def _unzipped(payload: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as stream:
        return stream.read(MOST)
