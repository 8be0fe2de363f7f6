"""Repainting a part: which part, what is under the mask, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sdrest.core.names import InpaintFill
from sdrest.core.parameters import GenerationParameters, Inpaint
from sdrest.work.inpainting import Repainting, filled, region, repainting


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def mask(width: int, height: int, box: tuple[int, int, int, int] | None) -> Image.Image:
    made = Image.new("L", (width, height))
    if box:
        made.paste(255, box)
    return made


def asked(picture: Image.Image, white: Image.Image, size: tuple[int, int] = (64, 64), **fields: object) -> Repainting:
    inpaint = Inpaint(**fields)  # type: ignore[arg-type]
    return repainting(GenerationParameters(width=size[0], height=size[1], inpaint=inpaint), picture, white)


@pytest.mark.parametrize(
    ("box", "padding", "size", "found"),
    [
        ((40, 40, 60, 60), 0, (64, 64), (40, 40, 60, 60)),
        ((40, 40, 60, 60), 5, (64, 64), (35, 35, 65, 65)),
        ((40, 40, 60, 50), 0, (64, 64), (40, 35, 60, 55)),
        ((40, 40, 60, 60), 0, (128, 64), (30, 40, 70, 60)),
        # Near the border it is moved, not cut.
        ((0, 0, 10, 20), 0, (64, 64), (0, 0, 20, 20)),
        ((110, 70, 120, 80), 20, (64, 64), (90, 50, 120, 80)),
        # As much as there is.
        ((0, 0, 120, 80), 8, (64, 64), (0, 0, 120, 80)),
        (None, 8, (64, 64), (0, 0, 120, 80)),
    ],
)
def test_the_part_around_the_mask_has_the_proportions_of_the_result(
    box: tuple[int, int, int, int] | None, padding: int, size: tuple[int, int], found: tuple[int, int, int, int]
) -> None:
    assert region(mask(120, 80, box), padding, size) == found


@pytest.mark.parametrize("blur", [0, 4])
@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_what_is_not_masked_stays_byte_for_byte(blur: int, size: tuple[int, int]) -> None:
    picture = noise(150, 101)
    white = mask(150, 101, (40, 30, 70, 60))
    work = asked(picture, white, size, only_masked=True, padding=8, blur=blur)
    assert [item.size for item in work.for_library()] == [size, size]
    before = np.asarray(picture)
    after = work.finished(np.asarray(noise(*size, seed=1)))
    assert after.shape == before.shape
    untouched = np.asarray(work.mask) == 0
    assert untouched.mean() > 0.5
    assert (after[untouched] == before[untouched]).all()
    inside = np.s_[40:50, 50:60]
    assert (after[inside] != before[inside]).any()


def test_a_mask_without_blur_is_repainted_wholly() -> None:
    picture, made = noise(64, 64), noise(64, 64, seed=1)
    white = mask(64, 64, (10, 20, 30, 50))
    after = asked(picture, white, keep=True).finished(np.asarray(made))
    where = np.asarray(white) == 255
    assert (after[where] == np.asarray(made)[where]).all()
    assert (after[~where] == np.asarray(picture)[~where]).all()


def test_a_second_pass_makes_the_kept_part_larger_too() -> None:
    flat = Image.new("RGB", (64, 64), "red")
    after = asked(flat, mask(64, 64, (0, 0, 32, 64)), keep=True).finished(np.zeros((128, 128, 3), np.uint8))
    assert after.shape == (128, 128, 3)
    assert (after[:, 80:] == (255, 0, 0)).all()
    assert (after[:, :48] == 0).all()


def test_the_surroundings_are_drawn_together_under_the_mask() -> None:
    picture = Image.new("RGB", (64, 64), (10, 200, 30))
    picture.paste((255, 0, 255), (20, 10, 40, 30))
    white = mask(64, 64, (18, 8, 42, 32))
    drawn = np.asarray(filled(picture, white))
    assert np.abs(drawn.astype(int) - (10, 200, 30)).max() <= 1
    work = asked(picture, white, fill=InpaintFill.SURROUNDINGS)
    assert np.abs(np.asarray(work.for_library()[0]).astype(int) - (10, 200, 30)).max() <= 1
    kept = np.asarray(asked(picture, white).for_library()[0])
    assert (kept[15:25, 25:35] != (10, 200, 30)).any()


def test_known_pixels_are_never_changed_and_nothing_known_is_grey() -> None:
    picture = noise(33, 20)
    white = mask(33, 20, (5, 5, 20, 15))
    known = np.asarray(white) == 0
    assert (np.asarray(filled(picture, white))[known] == np.asarray(picture)[known]).all()
    assert (np.asarray(filled(picture, mask(33, 20, (0, 0, 33, 20)))) == 127).all()
    one = Image.new("RGB", (1, 1), (9, 8, 7))
    assert filled(one, mask(1, 1, None)).getpixel((0, 0)) == (9, 8, 7)
