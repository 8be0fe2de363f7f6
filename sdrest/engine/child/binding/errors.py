"""How native calls fail. Plain exceptions: the engine's runner translates them into the project's errors."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class FailureKind(StrEnum):
    """Where a failure was noticed."""

    REFUSED = "refused"  #: by this binding: a missing file, a broken component that the library would have ignored
    FAILED = "failed"  #: by the library, which returned no result
    EXCEPTION = "exception"  #: a C++ exception left the library
    ASSERTION = "assertion"  #: GGML_ASSERT or GGML_ABORT


class NativeError(Exception):
    """A native call gave no result. The text says why, in the library's own words where it gave any.

    ``log_lines`` are the warnings and errors that the library logged during the call. ``spoils_context`` is true when
    the context may hold half-merged LoRA weights: close it and open a new one.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind = FailureKind.REFUSED,
        log_lines: Sequence[str] = (),
        spoils_context: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.log_lines = tuple(log_lines)
        self.spoils_context = spoils_context


class Cancelled(Exception):
    """The call ended because ``NativeLibrary.cancel()`` was called; it left no result."""
