"""Calling the shim: one guarded call at a time, its callbacks, and its ending as a Python result or exception."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sdrest.engine.child.binding import foreign as native
from sdrest.engine.child.binding import images
from sdrest.engine.child.binding.errors import Cancelled, FailureKind, NativeError
from sdrest.engine.child.binding.foreign import Foreign
from sdrest.engine.child.binding.logs import LEVELS, BufferReport, CallLog, message_of
from sdrest.engine.child.binding.names import Names
from sdrest.engine.child.binding.parameters import Picture

ProgressFunction = Callable[[int, int, float], None]
LogFunction = Callable[[str, str], None]
PreviewFunction = Callable[[int, list[Picture], bool], None]


class Session:
    """The process's one connection to the library; contexts and upscalers make their calls through it.

    The library's callbacks are global to the process, so calls follow one another. An exception in a user's callback
    cannot pass through C: it cancels the call and is raised when the call has returned.
    """

    def __init__(self, foreign: Foreign, names: Names) -> None:
        self.foreign = foreign
        self.names = names
        self.dry_run = False
        self._calls = threading.Lock()
        self._calling = False
        self._call_log = CallLog()
        self._callback_error: BaseException | None = None
        self._listener: BufferReport | None = None
        self._progress: ProgressFunction | None = None
        self._log: LogFunction | None = None
        self._preview: PreviewFunction | None = None
        self._preview_options = (0, 1, False)
        self._previews = threading.Lock()
        # The library keeps the addresses: these objects must live as long as it does.
        self._log_callback = native.LogCallback(self._on_log)
        self._progress_callback = native.ProgressCallback(self._on_progress)
        self._preview_callback = foreign.sd.sd_preview_callback(self._on_preview)
        foreign.shim.sdrest_shim_set_log_callback(self._log_callback, None)
        foreign.shim.sdrest_shim_set_progress_callback(self._progress_callback, None)

    def call(
        self,
        what: str,
        function: Callable[[], int],
        *,
        must_load: Collection[str] = (),
        all_files: bool = False,
    ) -> CallLog:
        """Run a guarded call that returns a shim status. ``what`` names it in messages; see :class:`CallLog` for the
        files.

        Raises Cancelled, NativeError, or what a callback raised. The caller frees results in any case.
        """
        with self._calls:
            log = self._call_log = CallLog(must_load, all_files=all_files)
            self._calling = True
            try:
                status = function()
            finally:
                self._calling = False
            error = self._take_callback_error()
            text: bytes = self.foreign.shim.sdrest_shim_error()
            phase: int = self.foreign.shim.sdrest_shim_phase()
            if error is not None or log.ignored_file is not None:
                self.foreign.shim.sdrest_shim_arm()  # the request to end came from here and has done its work
        if error is not None:
            raise error
        if log.ignored_file is not None:
            raise NativeError(f"{what}: {log.ignored_file} cannot be read as such a file", log_lines=log.complaints)
        if status == native.STATUS_CANCELLED:
            raise Cancelled(f"{what}: cancelled")
        if status != native.STATUS_OK:
            raise self._failure(what, status, text.decode(errors="replace"), phase, log)
        return log

    @contextmanager
    def dry(self, report: BufferReport) -> Iterator[None]:
        """Compute no graphs in the block; ``report`` hears of the buffers."""
        self._listener, self.dry_run = report, True
        self.foreign.shim.sdrest_shim_set_dry_run(True)
        try:
            yield
        finally:
            self.foreign.shim.sdrest_shim_set_dry_run(False)
            self._listener, self.dry_run = None, False

    def cancel(self) -> None:
        """Ask the running call to end."""
        self.foreign.shim.sdrest_shim_cancel()

    def set_progress(self, function: ProgressFunction | None) -> None:
        """Call ``function`` at each progress report."""
        self._progress = function

    def set_log(self, function: LogFunction | None) -> None:
        """Call ``function`` with each log message."""
        self._log = function

    def set_preview(
        self, function: PreviewFunction | None, mode: int, interval: int, denoised: bool, noisy: bool
    ) -> None:
        """Call ``function`` with each preview (``sd_set_preview_callback``); None for none."""
        with self._previews:
            self._preview = function
            self._preview_options = (mode, interval, noisy)
            self._apply_preview(denoised)

    def show_previews(self, shown: bool) -> None:
        """Let previews come, or not, from the next step on.

        The library reads callback and mode when sampling begins, but whether to show denoised pictures at every step.
        """
        with self._previews:
            self._apply_preview(shown)

    def _apply_preview(self, denoised: bool) -> None:
        mode, interval, noisy = self._preview_options
        callback = None if self._preview is None else ctypes.cast(self._preview_callback, ctypes.c_void_p)
        self.foreign.sd.sd_set_preview_callback(callback, mode if callback else 0, interval, denoised, noisy, None)

    def _failure(self, what: str, status: int, text: str, phase: int, log: CallLog) -> NativeError:
        if status == native.STATUS_DETACHED:
            return NativeError(f"{what}: the loaded library has no such function")
        kinds = {native.STATUS_EXCEPTION: FailureKind.EXCEPTION, native.STATUS_ASSERTION: FailureKind.ASSERTION}
        kind = kinds.get(status, FailureKind.FAILED)
        reason = text or "; ".join(log.complaints[-3:]) or "the library gave no reason"
        thrown = kind is not FailureKind.FAILED
        return NativeError(
            f"{what}: {reason}",
            kind=kind,
            log_lines=log.complaints,
            spoils_context=thrown and phase == native.PHASE_PREPARE,
        )

    def _take_callback_error(self) -> BaseException | None:
        error, self._callback_error = self._callback_error, None
        return error

    def _guard(self, function: Callable[[], None]) -> None:
        """Run part of a callback; an exception ends the native call instead of being lost."""
        try:
            function()
        except BaseException as error:
            if self._calling:
                self._callback_error = self._callback_error or error
                self.cancel()
            else:
                raise  # no call to come out of: ctypes reports it

    def _on_log(self, level: int, text: bytes | None, _data: object) -> None:
        def handle() -> None:
            message = message_of((text or b"").decode(errors="replace"))
            if self._call_log.feed(level, message):
                self.cancel()
            if self._listener is not None:
                self._listener.feed(message)
            if self._log is not None:
                self._log(LEVELS[min(max(level, 0), 3)], message)

        self._guard(handle)

    def _on_progress(self, step: int, steps: int, seconds: float, _data: object) -> None:
        if (function := self._progress) is not None:
            self._guard(lambda: function(step, steps, seconds))

    def _on_preview(self, step: int, count: int, frames: Any, is_noisy: bool, _data: object) -> None:
        if (function := self._preview) is not None:
            self._guard(lambda: function(step, [images.copied(frames[i]) for i in range(count)], is_noisy))
