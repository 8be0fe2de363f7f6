"""PNG files hold the very pixels and the text that they were given, as other programs read them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sdrest.outputs.pictures import png_bytes
from sdrest.outputs.png import encoded


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (64, 64), (129, 257)])
def test_pixels_are_read_back_by_another_program(channels: int, mode: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, channels), dtype=np.uint8)
    with Image.open(io.BytesIO(encoded(pixels))) as picture:
        picture.verify()
    with Image.open(io.BytesIO(encoded(pixels))) as picture:
        assert picture.mode == mode
        assert np.array_equal(np.asarray(picture).reshape(pixels.shape), pixels)


@given(st.text(st.characters(exclude_categories=["C"]) | st.just("\n"), min_size=1, max_size=300))
def test_the_text_is_read_back(text: str) -> None:
    with Image.open(io.BytesIO(encoded(np.zeros((2, 3, 3), np.uint8), text))) as picture:
        assert picture.info == {"parameters": text}


@pytest.mark.parametrize("mode", ["P", "1", "CMYK"])
def test_pictures_of_other_modes_keep_their_looks(mode: str) -> None:
    original = Image.radial_gradient("L").resize((16, 16)).convert(mode)
    with Image.open(io.BytesIO(png_bytes(original))) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(original.convert("RGB")))
