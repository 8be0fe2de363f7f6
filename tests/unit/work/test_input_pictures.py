"""How input pictures become what the library takes: sizes, channels, masks, borders."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sdrest.core.parameters import GenerationParameters, Outpaint
from sdrest.planning.preparation import with_picture_size
from sdrest.registry.defaults import Defaults
from sdrest.work.input_pictures import arrange, widened

DEFAULTS = Defaults(512, 512, multiple=16)
SIZE = GenerationParameters(width=64, height=32)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"])
def test_any_mode_becomes_three_channels_of_the_size(mode: str) -> None:
    arranged = arrange(SIZE, {"init_image": [Image.new(mode, (10, 10))], "control_image": [Image.new(mode, (7, 90))]})
    assert [arranged[name][0].shape for name in arranged] == [(32, 64, 3), (32, 64, 3)]


def test_transparent_parts_are_white_in_pictures_and_kept_in_masks() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 10, 10, 0))
    arranged = arrange(SIZE, {"init_image": [clear], "mask_image": [clear]})
    assert (arranged["init_image"][0] == 255).all()
    assert (arranged["mask_image"][0] == 0).all()
    assert arranged["mask_image"][0].shape == (32, 64)


def test_reference_pictures_keep_their_sizes() -> None:
    arranged = arrange(SIZE, {"ref_images": [Image.new("RGB", (10, 20)), Image.new("L", (30, 5))]})
    assert [array.shape for array in arranged["ref_images"]] == [(20, 10, 3), (5, 30, 3)]


def test_borders_are_white_in_the_mask_which_fades_into_the_picture() -> None:
    frame = Outpaint(left=16, feather=3)
    wide, mask = widened(Image.new("RGB", (48, 32), "red"), None, frame, (64, 32))
    assert wide.shape == (32, 64, 3)
    assert (mask[:, :16] == 255).all()
    assert (mask[5, 16:20] == np.array([191, 128, 64, 0])).all()
    assert (mask[:, 19:] == 0).all()
    assert (wide == [255, 0, 0]).all(), "the edge is drawn out into the border"


def test_own_mask_is_joined_with_that_of_the_borders() -> None:
    own = Image.new("L", (10, 10), 255)
    _, mask = widened(Image.new("RGB", (48, 32)), own, Outpaint(top=8, feather=0), (48, 40))
    assert (mask == 255).all()


@pytest.mark.parametrize(
    ("given", "picture", "expected"),
    [
        ({}, (100, 50), (96, 48)),
        ({"width": 256}, (100, 50), (256, 128)),
        ({"height": 64}, (100, 50), (128, 64)),
        ({"width": 64, "height": 64}, (100, 50), (64, 64)),
        ({}, (1, 1), (16, 16)),
        ({}, (1, 16_000), (16, 4096)),
        ({}, (5000, 5000), (1024, 1024)),
        ({"outpaint": Outpaint(left=32, bottom=16)}, (64, 64), (96, 80)),
    ],
)
def test_size_is_the_pictures_unless_it_is_given(
    given: dict[str, int], picture: tuple[int, int], expected: tuple[int, int]
) -> None:
    parameters = GenerationParameters(**given)  # type: ignore[arg-type]
    sized, warnings = with_picture_size(
        parameters, frozenset(given), {"init_image": [Image.new("L", picture)]}, DEFAULTS
    )
    assert (sized.width, sized.height) == expected
    assert bool(warnings) is (max(picture) > 4096)
