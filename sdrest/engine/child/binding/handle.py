"""Native objects that are opened once, used, and freed once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

from sdrest.engine.child.binding.errors import NativeError
from sdrest.engine.child.binding.session import Session


class Handle(ABC):
    """An object of the library (a pointer), with ``with`` and :meth:`close`; ``what`` names it in messages."""

    what: ClassVar[str]

    def __init__(self, session: Session) -> None:
        self._session = session
        self._handle: int | None = None

    @abstractmethod
    def _free(self, handle: int) -> None:
        """Free the native object."""

    def close(self) -> None:
        """Free the model's memory; again is harmless."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._free(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> int:
        if self._handle is None:
            raise NativeError(f"the {self.what} is closed")
        return self._handle
