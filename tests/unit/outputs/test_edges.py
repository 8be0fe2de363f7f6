"""Edge pictures that are made without the native library; they are held against its own where that is tested."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sdrest.outputs.edges import canny_edges


def test_edges_lie_where_colours_change() -> None:
    picture = Image.new("RGB", (60, 60), "black")
    picture.paste("white", (30, 0, 60, 60))
    edges = canny_edges(np.asarray(picture))
    assert edges[30, 28:32].any()
    assert not edges[30, 10:20].any()


def test_the_smallest_pictures_have_no_edges() -> None:
    assert not canny_edges(np.full((2, 2, 3), 255, np.uint8)).any()
