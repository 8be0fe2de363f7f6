"""The edge picture that the native library makes of a control picture (``preprocess_canny``), without the library.

It is Canny's method with the library's own numbers and its own manner of following edges. Where neighbours are equally strong,
rounding decides, so that about one pixel in a hundred differs from what a ControlNet will see.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

Plane = np.ndarray[Any, np.dtype[np.float32]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_SIGMA: Final = 1.4
_HIGH: Final = np.float32(0.08)
_LOW: Final = np.float32(0.08)
_STRONG, _WEAK = np.float32(1.0), np.float32(0.8)
#: As far as this from the border there are no edges.
_BORDER: Final = 3
#: Angles beyond this, in degrees, are compared with the strongest edge of the picture instead of the neighbours.
_LAST_ANGLE: Final = 157.5
_NEIGHBOURS: Final = ((-1, 1), (0, 1), (-1, 0), (1, 0), (-1, -1), (0, -1))


def canny_edges(pixels: Pixels) -> Pixels:
    """White edges on black of an RGB picture (height, width, 3), in the same shape."""
    colours = pixels.astype(np.float32) / np.float32(255)
    weights = np.array([0.2989, 0.5870, 0.1140], np.float32)
    grey = (colours * weights).sum(axis=2, dtype=np.float32)
    smooth = _convolved(grey, _gaussian(5))
    across = _convolved(smooth, np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32))
    down = _convolved(smooth, np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], np.float32))
    strength = np.sqrt(across * across + down * down)
    if strength.max(initial=0) > 0:
        strength *= np.float32(1) / strength.max()
    edges = _followed(_thinned(strength, np.arctan2(down, across)))
    return np.repeat(np.round(edges * 255).astype(np.uint8)[..., None], 3, axis=2)


def _gaussian(size: int) -> Plane:
    steps = np.arange(size, dtype=np.float32) - size // 2
    squares = steps[:, None] ** 2 + steps[None, :] ** 2
    kernel: Plane = (np.exp(-squares / (2 * _SIGMA**2)) / (2 * np.pi * _SIGMA**2)).astype(np.float32)
    return kernel


def _convolved(plane: Plane, kernel: Plane) -> Plane:
    """The sum of the kernel's values times those around each pixel; beyond the border there is 0."""
    height, width = plane.shape
    reach = kernel.shape[0] // 2
    padded = np.pad(plane, reach)
    total = np.zeros_like(plane)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            total += padded[row : row + height, column : column + width] * kernel[row, column]
    return total


def _thinned(strength: Plane, angles: Plane) -> Plane:
    """Only what is as strong as what lies above and below it."""
    thin = np.zeros_like(strength)
    if min(strength.shape) < _BORDER:
        return thin
    degrees = angles * np.float32(180 / np.pi)
    degrees = np.where(degrees < 0, degrees + 180, degrees)[1:-1, 1:-1]
    middle, below, above = strength[1:-1, 1:-1], strength[2:, 1:-1], strength[:-2, 1:-1]
    near = (middle >= below) & (middle >= above)
    thin[1:-1, 1:-1] = np.where(np.where(degrees <= _LAST_ANGLE, near, middle >= 1), middle, 0)
    return thin


def _followed(thin: Plane) -> Plane:
    """Strong edges, and weak ones that lie at a strong one, in the order in which the library looks at them."""
    high = thin.max(initial=0) * _HIGH
    low = high * _LOW
    edges = np.where(thin >= high, _STRONG, np.where(thin >= low, _WEAK, thin))
    inner = np.zeros(thin.shape, bool)
    inner[_BORDER : thin.shape[0] - _BORDER + 1, _BORDER : thin.shape[1] - _BORDER + 1] = True
    edges[~inner] = 0
    height, width = edges.shape
    for y, x in zip(*np.nonzero(edges == _WEAK), strict=True):
        if 0 < y < height - 1 and 0 < x < width - 1:
            at_strong = any(edges[y + dy, x + dx] == _STRONG for dy, dx in _NEIGHBOURS)
            edges[y, x] = _STRONG if at_strong else 0
    return edges
