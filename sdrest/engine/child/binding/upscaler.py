"""A loaded ESRGAN model."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from sdrest.engine.child.binding import images
from sdrest.engine.child.binding.errors import NativeError
from sdrest.engine.child.binding.handle import Handle
from sdrest.engine.child.binding.parameters import Picture
from sdrest.engine.child.binding.session import Session


class Upscaler(Handle):
    """An ESRGAN model in memory (``upscaler_ctx_t``); made by ``NativeLibrary.open_upscaler``."""

    what = "upscaler"

    def __init__(
        self, session: Session, path: Path, threads: int, tile_size: int, offload_params_to_cpu: bool, conv_direct: bool
    ) -> None:
        super().__init__(session)
        if not path.is_file():
            raise NativeError(f"upscaler: there is no file {path}")
        if threads < 1 or tile_size < 1:
            raise ValueError("threads and tile_size must be at least 1")
        handle = ctypes.c_void_p()
        shim = session.foreign.shim
        session.call(
            "load upscaler",
            lambda: shim.sdrest_shim_new_upscaler(
                os.fsencode(path), offload_params_to_cpu, conv_direct, threads, tile_size, ctypes.byref(handle)
            ),
        )
        self._handle = handle.value

    @property
    def factor(self) -> int:
        """How many times larger the model makes a picture."""
        return int(self._session.foreign.lib.get_upscale_factor(self._open()))

    def upscale(self, picture: Picture, factor: int | None = None) -> Picture:
        """``picture`` (height, width, 3) enlarged by the model's factor. Empty in a dry run.

        ``factor`` is handed to the library, which ignores it for every model it can load. Raises Cancelled,
        NativeError, ValueError.
        """
        structures = self._session.foreign.abi.structures(self._session.foreign, self._session.names)
        source = structures.picture(picture, "picture")
        result = self._session.foreign.sd.sd_image_t()
        shim = self._session.foreign.shim
        wanted = self.factor if factor is None else factor
        larger: Picture | None = None
        try:
            self._session.call(
                "upscale",
                lambda: shim.sdrest_shim_upscale(self._open(), source, wanted, ctypes.byref(result)),
            )
        finally:
            if result.data:
                larger = images.adopt(self._session.foreign, result)
        if larger is None:
            raise NativeError("upscale: the library returned no picture")
        return larger[:0, :0] if self._session.dry_run else larger

    def _free(self, handle: int) -> None:
        self._session.foreign.lib.free_upscaler_ctx(handle)
