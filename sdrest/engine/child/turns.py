"""Which task has its turn and which of its pictures is being made, and who wants an end to either."""

from __future__ import annotations

import threading
from typing import Protocol

from sdrest.engine.child.binding import Cancelled


class Calls(Protocol):
    """The running native call, as far as it can be ended (:class:`sdrest.engine.child.binding.NativeLibrary`)."""

    def cancel(self) -> None:
        """Ask it to end; a request that comes between two calls ends the next one."""

    def arm(self) -> None:
        """Forget such a request."""


class Turns:
    """One task at a time. :meth:`cancel` and :meth:`skip` may be called from any thread, the rest is the native thread's."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()
        self._skipped: set[int] = set()
        #: The number of the picture that is being made, from 1; 0 between two of them.
        self._picture = 0
        #: Id of the running task; empty without one.
        self.current = ""

    def start(self, task: str) -> None:
        """A task begins.

        Raises:
            Cancelled: it is to end already.
        """
        with self._lock:
            if task in self._cancelled:
                raise Cancelled("cancelled before it began")
            self._calls.arm()
            self.current = task

    def finish(self, task: str) -> None:
        """A task has ended, or never began."""
        with self._lock:
            self.current, self._picture = "", 0
            self._cancelled.discard(task)
            self._skipped.clear()

    def cancel(self, task: str) -> None:
        """End a task, now if it is running, else when its turn comes."""
        with self._lock:
            self._cancelled.add(task)
            if self.current == task:
                self._calls.cancel()

    def skip(self, task: str, picture: int) -> None:
        """End one picture of the running task, now or when its turn comes; the others are made all the same."""
        with self._lock:
            if self.current == task:
                self._skipped.add(picture)
                if self._picture == picture:
                    self._calls.cancel()

    def begin(self, picture: int) -> bool:
        """Whether the running task's next picture is to be made; then :meth:`end` must be called when it is, or is not."""
        with self._lock:
            if picture in self._skipped:
                return False
            self._picture = picture
            return True

    def end(self) -> bool:
        """A picture has ended; whether it was to be skipped, and the task goes on."""
        with self._lock:
            picture, self._picture = self._picture, 0
            goes_on = picture in self._skipped and self.current not in self._cancelled
            if goes_on:
                self._calls.arm()
            return goes_on
