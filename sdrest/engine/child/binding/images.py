"""Pictures between numpy and ``sd_image_t``, without copying the results."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sdrest.engine.child.binding.parameters import Picture

if TYPE_CHECKING:
    from sdrest.engine.child.binding.foreign import Foreign


class _Owner:
    """Memory of one picture from the library; freed with the last array that looks into it."""

    def __init__(self, foreign: Foreign, image: Any) -> None:
        self._free = foreign.shim.sdrest_shim_free_images
        self._image = foreign.sd.sd_image_t.from_buffer_copy(image)
        shape = (image.height, image.width, image.channel)
        self.__array_interface__ = {
            "version": 3,
            "shape": shape if image.channel > 1 else shape[:2],
            "typestr": "|u1",
            "data": (ctypes.addressof(image.data.contents), False),
        }

    def __del__(self) -> None:
        self._free(ctypes.byref(self._image), 1, False)


def adopt(foreign: Foreign, image: Any) -> Picture:
    """An array over the memory of ``image``, which now belongs to the array; ``image.data`` must not be null."""
    return np.asarray(_Owner(foreign, image))


def adopt_all(foreign: Foreign, images: Any, count: int) -> list[Picture]:
    """Arrays over the pictures of a native array, which is freed itself; empty for a null pointer."""
    if not images:
        return []
    arrays = [adopt(foreign, images[i]) for i in range(count) if images[i].data]
    foreign.shim.sdrest_shim_free_images(images, 0, True)
    return arrays


def copied(image: Any) -> Picture:
    """A copy of a picture that the library frees itself."""
    shape = (image.height, image.width, image.channel)
    return np.ctypeslib.as_array(image.data, shape).copy()


def as_pixels(picture: NDArray[Any], what: str, *, channels: int = 3) -> Picture:
    """``picture`` as contiguous bytes of shape (height, width[, 3]). Raises ValueError for any other shape or type."""
    wanted = picture.ndim == 2 if channels == 1 else picture.ndim == 3 and picture.shape[2] == channels
    if picture.dtype != np.uint8 or not wanted or 0 in picture.shape:
        shape = "(height, width)" if channels == 1 else f"(height, width, {channels})"
        raise ValueError(f"{what} must be uint8 of shape {shape}, not {picture.dtype} of shape {picture.shape}")
    return np.ascontiguousarray(picture)


def fill(image: Any, pixels: Picture) -> None:
    """Point ``image`` at ``pixels``, which the caller keeps alive."""
    image.height, image.width = pixels.shape[:2]
    image.channel = pixels.shape[2] if pixels.ndim == 3 else 1
    image.data = ctypes.cast(pixels.ctypes.data, type(image.data))
