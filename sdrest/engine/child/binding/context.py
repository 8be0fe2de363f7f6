"""A loaded model."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

from sdrest.core.parameters import GenerationParameters, VideoParameters
from sdrest.engine.child.binding import images
from sdrest.engine.child.binding.errors import NativeError
from sdrest.engine.child.binding.handle import Handle
from sdrest.engine.child.binding.logs import BufferReport
from sdrest.engine.child.binding.parameters import NO_INPUTS, ContextParams, Inputs, Picture
from sdrest.engine.child.binding.session import Session


class Context(Handle):
    """A model in memory (``sd_ctx_t``); made by ``NativeLibrary.open_context``. Use it on one thread, close it when
    done.

    ``weights`` reports the memory of its parts as the library logged it while loading.
    """

    what = "context"

    def __init__(self, session: Session, params: ContextParams) -> None:
        super().__init__(session)
        structures = session.foreign.abi.structures(session.foreign, session.names)
        made = structures.context(params)
        handle = ctypes.c_void_p()
        shim = session.foreign.shim
        try:
            log = session.call(
                "load",
                lambda: shim.sdrest_shim_new_context(ctypes.byref(made), ctypes.byref(handle)),
                all_files=True,
            )
        except BaseException:
            if handle.value is not None:
                session.foreign.lib.free_sd_ctx(handle)
            raise
        self._handle = handle.value
        self.weights: BufferReport = log.buffers

    @property
    def supports_image(self) -> bool:
        """Whether this model makes pictures."""
        return bool(self._session.foreign.lib.sd_ctx_supports_image_generation(self._open()))

    @property
    def supports_video(self) -> bool:
        """Whether this model makes videos."""
        return bool(self._session.foreign.lib.sd_ctx_supports_video_generation(self._open()))

    def generate(self, parameters: GenerationParameters, inputs: Inputs = NO_INPUTS) -> list[Picture]:
        """Make ``batch_count`` pictures, or the frames of a video from VideoParameters, each (height, width, 3).

        Sizes are rounded up to what the model needs, frames down to 4 n + 1. The arrays look into native memory, which
        is freed with the last reference. Empty in a dry run. Raises Cancelled, NativeError, ValueError.
        """
        foreign = self._session.foreign
        structures = foreign.abi.structures(foreign, self._session.names)
        result = ctypes.POINTER(foreign.sd.sd_image_t)()
        call: Callable[[], int]
        if isinstance(parameters, VideoParameters):
            if not self.supports_video:
                raise NativeError("this model makes pictures, not videos")
            video, count = structures.video(parameters, inputs), ctypes.c_int()
            call = lambda: foreign.shim.sdrest_shim_generate_video(  # noqa: E731
                self._open(), ctypes.byref(video), ctypes.byref(result), ctypes.byref(count)
            )
        else:
            if not self.supports_image:
                raise NativeError("this model makes videos, not pictures")
            image, count = structures.image(parameters, inputs), ctypes.c_int(parameters.batch_count)
            call = lambda: foreign.shim.sdrest_shim_generate_image(  # noqa: E731
                self._open(), ctypes.byref(image), count, ctypes.byref(result)
            )
        try:
            self._session.call("generate", call, must_load={_as_logged(Path(lora.path)) for lora in inputs.loras})
        finally:
            pictures = images.adopt_all(foreign, result, count.value)
        if self._session.dry_run:
            return []
        if len(pictures) != count.value or not pictures:
            raise NativeError(f"generate: the library returned {len(pictures)} of {count.value} pictures")
        return pictures

    def _free(self, handle: int) -> None:
        self._session.foreign.lib.free_sd_ctx(handle)


def _as_logged(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")
