"""Parameters within picture files, however the program that wrote them did it."""

from __future__ import annotations

import io

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from sdrest.core.names import PictureFormat
from sdrest.outputs.encoding import Encoding
from sdrest.outputs.pictures import reencoded
from sdrest.outputs.written.reading import read_written

TEXT = "a blue fox, naïve style\nSteps: 8, Sampler: Euler, CFG scale: 2, Seed: 77, Size: 64x64"


def _png() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", TEXT)
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


@pytest.mark.parametrize("file_format", PictureFormat)
def test_what_sdrest_writes_is_read_from_every_format(file_format: PictureFormat) -> None:
    assert read_written(reencoded(_png(), Encoding(file_format))).infotext == TEXT


@pytest.mark.parametrize("comment", [b"UNICODE\0" + TEXT.encode("utf-16-le"), b"ASCII\0\0\0" + TEXT.encode()])
def test_comments_of_other_programs_are_read(comment: bytes) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", exif=exif)
    assert read_written(stream.getvalue()).infotext == TEXT


@pytest.mark.parametrize("data", [b"", b"no picture", _png()[:40], b"\xff\xd8\xff\xe1\x00\x08Exif\0\0"])
def test_what_is_no_whole_picture_has_none(data: bytes) -> None:
    assert read_written(data).infotext == ""
