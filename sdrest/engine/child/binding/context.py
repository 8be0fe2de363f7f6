"""A loaded model."""

from __future__ import annotations

import ctypes
import os

from sdrest.engine.child.binding import images
from sdrest.engine.child.binding.errors import NativeError
from sdrest.engine.child.binding.handle import Handle
from sdrest.engine.child.binding.logs import BufferReport
from sdrest.engine.child.binding.parameters import ContextParams, ImageParams, Lora, Picture, VideoParams
from sdrest.engine.child.binding.session import Session
from sdrest.engine.child.binding.structures import SampleDefaults, Structures


class Context(Handle):
    """A model in memory (``sd_ctx_t``); made by ``NativeLibrary.open_context``. Use it on one thread, close it when
    done.

    ``weights`` reports the memory of its parts as the library logged it while loading.
    """

    what = "context"

    def __init__(self, session: Session, params: ContextParams) -> None:
        super().__init__(session)
        structures = Structures(session.foreign, session.names)
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
        #: Warnings of the library while it loaded.
        self.warnings = log.complaints

    @property
    def supports_image(self) -> bool:
        """Whether ``generate_image`` works on this model."""
        return bool(self._session.foreign.lib.sd_ctx_supports_image_generation(self._open()))

    @property
    def supports_video(self) -> bool:
        """Whether ``generate_video`` works on this model."""
        return bool(self._session.foreign.lib.sd_ctx_supports_video_generation(self._open()))

    def generate_image(self, params: ImageParams) -> list[Picture]:
        """Make pictures, each (height, width, 3); sizes are rounded up to what the model needs. Empty in a dry run.

        The arrays look into native memory, which is freed with the last reference. Raises Cancelled, NativeError,
        ValueError.
        """
        structures = self._structures()
        made = structures.image(params, self._defaults())
        shim = self._session.foreign.shim
        result = ctypes.POINTER(self._session.foreign.sd.sd_image_t)()
        count = params.batch_count
        call = lambda: shim.sdrest_shim_generate_image(self._open(), ctypes.byref(made), count, ctypes.byref(result))  # noqa: E731
        pictures: list[Picture] = []
        try:
            self._session.call("generate", call, must_load=_paths(params.loras))
        finally:
            pictures = images.adopt_all(self._session.foreign, result, count)
        return self._delivered(pictures, count)

    def generate_video(self, params: VideoParams) -> list[Picture]:
        """Make the frames of a video; otherwise as :meth:`generate_image`."""
        structures = self._structures()
        made = structures.video(params, self._defaults())
        shim = self._session.foreign.shim
        result = ctypes.POINTER(self._session.foreign.sd.sd_image_t)()
        count = ctypes.c_int()
        call = lambda: shim.sdrest_shim_generate_video(  # noqa: E731
            self._open(), ctypes.byref(made), ctypes.byref(result), ctypes.byref(count)
        )
        frames: list[Picture] = []
        try:
            self._session.call("generate", call, must_load=_paths(params.loras))
        finally:
            frames = images.adopt_all(self._session.foreign, result, count.value)
        return self._delivered(frames, count.value)

    def _free(self, handle: int) -> None:
        self._session.foreign.lib.free_sd_ctx(handle)

    def _structures(self) -> Structures:
        return Structures(self._session.foreign, self._session.names)

    def _defaults(self) -> SampleDefaults:
        return SampleDefaults(self._default_sampler(), self._default_scheduler)

    def _default_sampler(self) -> int:
        return int(self._session.foreign.lib.sd_get_default_sample_method(self._open()))

    def _default_scheduler(self, sampler: int) -> int:
        return int(self._session.foreign.lib.sd_get_default_scheduler(self._open(), sampler))

    def _delivered(self, pictures: list[Picture], count: int) -> list[Picture]:
        if self._session.dry_run:
            return []
        if len(pictures) != count or not pictures:
            raise NativeError(f"generate: the library returned {len(pictures)} of {count} pictures")
        return pictures


def _paths(loras: tuple[Lora, ...]) -> set[str]:
    return {os.fsencode(lora.path).decode(errors="replace") for lora in loras}
