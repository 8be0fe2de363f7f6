"""Finished pictures in every format: their pixels, their parameters, and the mark that a model made them."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdrest.core.names import PictureFormat
from sdrest.core.parameters import GenerationParameters, UpscaleParameters
from sdrest.outputs.encoding import Encoding, encoded
from sdrest.outputs.marks import DigitalSource, digital_source, told_source, xmp_packet
from sdrest.outputs.picture_files import PictureFiles
from sdrest.outputs.pictures import reencoded
from sdrest.outputs.written.reading import read_written
from sdrest.outputs.written.texts import xmp_of
from tests.needs import needs

TEXT = "a blue fox, naïve <style> & 狐\nSteps: 8, Sampler: Euler, CFG scale: 2, Seed: 77, Size: 64x48"


def _pixels() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 5, columns * 3, rows + columns], axis=2).astype(np.uint8)


def _shown(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB")).astype(np.int16)


@pytest.mark.parametrize("form", PictureFormat)
def test_a_picture_is_the_same_with_and_without_what_is_written_into_it(form: PictureFormat) -> None:
    picture, encoding = Image.fromarray(_pixels()), Encoding(form, 90)
    full = encoded(picture, encoding, TEXT, xmp_packet(DigitalSource.TRAINED))
    assert (_shown(full) == _shown(encoded(picture, encoding))).all()
    assert np.abs(_shown(full) - _pixels()).mean() < 3
    assert read_written(full).infotext == TEXT


@pytest.mark.parametrize("form", [PictureFormat.PNG, PictureFormat.WEBP])
def test_full_quality_of_png_and_webp_loses_nothing(form: PictureFormat) -> None:
    assert (_shown(encoded(Image.fromarray(_pixels()), Encoding(form, 100))) == _pixels()).all()


@pytest.mark.parametrize("form", PictureFormat)
@pytest.mark.parametrize("length", [19_000, 60_000])
def test_parameters_of_any_length_make_a_whole_file(form: PictureFormat, length: int) -> None:
    text = "x" * length + "\nSteps: 8, Sampler: Euler, CFG scale: 2"
    data = encoded(Image.fromarray(_pixels()), Encoding(form), text)
    assert _shown(data).shape == (48, 64, 3)
    assert read_written(data).infotext == text


@pytest.mark.parametrize("form", PictureFormat)
def test_the_mark_and_the_parameters_go_along_into_another_format(form: PictureFormat) -> None:
    first = encoded(Image.fromarray(_pixels()), Encoding(form), TEXT, xmp_packet(DigitalSource.COMPOSITE))
    for other in PictureFormat:
        data = reencoded(first, Encoding(other), (32, 24))
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format or "").lower() == other
            assert picture.size == (32, 24)
            assert told_source(xmp_of(picture)) == DigitalSource.COMPOSITE
        assert read_written(data).infotext == TEXT


@pytest.mark.parametrize(
    ("parameters", "source"),
    [
        (GenerationParameters(), DigitalSource.TRAINED),
        (GenerationParameters(control_image="a.png"), DigitalSource.TRAINED),
        (GenerationParameters(init_image="a.png"), DigitalSource.COMPOSITE),
        (GenerationParameters(ref_images=("a.png",)), DigitalSource.COMPOSITE),
        (UpscaleParameters(image="a.png"), DigitalSource.COMPOSITE),
    ],
)
def test_what_was_given_makes_the_difference(
    parameters: GenerationParameters | UpscaleParameters, source: DigitalSource
) -> None:
    assert digital_source(parameters) is source


@needs("exiftool")
@pytest.mark.parametrize("form", PictureFormat)
def test_exiftool_reads_the_mark_and_the_parameters(form: PictureFormat, tmp_path: Path) -> None:
    file = tmp_path / f"picture.{form}"
    parameters = GenerationParameters(output_format=form, init_image="a.png")
    size = PictureFiles().write(file, _pixels(), parameters, TEXT)
    assert size == file.stat().st_size
    command = ["exiftool", "-j", "-G", "-XMP:all", "-EXIF:all", "-PNG:all", "-warning", "-error", "-a", str(file)]
    (told,) = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert told["XMP:DigitalSourceType"] == DigitalSource.COMPOSITE.address
    assert told["XMP:CreatorTool"].startswith("sdrest ")
    assert told["PNG:Parameters" if form is PictureFormat.PNG else "EXIF:UserComment"].replace(
        "..", "\n"
    ) == TEXT.replace("..", "\n")
    assert not [key for key in told if key.endswith((":Warning", ":Error"))]


@pytest.mark.parametrize("form", PictureFormat)
def test_files_are_not_marked_where_the_owner_does_not_want_it(form: PictureFormat, tmp_path: Path) -> None:
    parameters = GenerationParameters(output_format=form, embed_metadata=False)
    PictureFiles(marks_ai=False).write(tmp_path / "picture", _pixels(), parameters, TEXT)
    data = (tmp_path / "picture").read_bytes()
    assert b"adobe" not in data
    assert read_written(data).infotext == ""
