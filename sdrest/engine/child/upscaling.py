"""Enlarging pictures with ESRGAN models to any factor: the model is repeated, then the picture is scaled down."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sdrest.engine.child import binding


class Upscalers:
    """The last used ESRGAN model, kept loaded: its weights are small."""

    def __init__(self, library: binding.NativeLibrary) -> None:
        self._library = library
        self._key: tuple[str, int, int] | None = None
        self._upscaler: binding.Upscaler | None = None

    def enlarge(
        self, picture: binding.Picture, factor: float, *, model: str, threads: int, tile_size: int
    ) -> binding.Picture:
        """``picture`` (height, width, 3) enlarged ``factor`` times.

        Raises:
            binding.NativeError, binding.Cancelled: as the binding.
            ValueError: the model does not enlarge, so that it can be repeated for ever.
        """
        upscaler = self._open(model, threads, tile_size)
        height, width = picture.shape[:2]
        target = (max(1, round(width * factor)), max(1, round(height * factor)))
        if upscaler.factor < 2 and factor > 1:
            raise ValueError(f"{Path(model).name} enlarges {upscaler.factor} times: it cannot reach {factor:g}")
        larger = picture
        while larger.shape[1] < target[0] or larger.shape[0] < target[1]:
            larger = upscaler.upscale(np.ascontiguousarray(larger))
        if (larger.shape[1], larger.shape[0]) == target:
            return larger
        from PIL import Image  # noqa: PLC0415 - a part of the start of every engine, and few scale

        return np.asarray(Image.fromarray(larger).resize(target, Image.Resampling.LANCZOS))

    def close(self) -> None:
        """Free the model."""
        if self._upscaler is not None:
            self._upscaler.close()
        self._key = self._upscaler = None

    def _open(self, model: str, threads: int, tile_size: int) -> binding.Upscaler:
        key = (model, threads, tile_size)
        if self._upscaler is None or self._key != key:
            self.close()
            self._upscaler = self._library.open_upscaler(Path(model), threads or None, tile_size)
            self._key = key
        return self._upscaler
