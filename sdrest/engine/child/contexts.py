"""The models that the child holds in memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from sdrest.engine import messages
from sdrest.engine.child import binding
from sdrest.engine.child.translate import context_params


class Contexts:
    """Loaded contexts by their spec. At present one is held: the last used."""

    def __init__(self, library: binding.NativeLibrary, changed: Callable[[messages.ContextChanged], None]) -> None:
        self._library = library
        self._changed = changed
        self._held: dict[messages.ContextSpec, binding.Context] = {}

    @property
    def loaded(self) -> tuple[str, ...]:
        """Main files of the held contexts."""
        return tuple(spec.main for spec in self._held)

    def get(self, spec: messages.ContextSpec) -> tuple[binding.Context, float]:
        """The context of ``spec``, loaded if need be, and the seconds that loading took.

        Raises:
            binding.NativeError: it cannot be loaded; the contexts held before may be gone.
        """
        if spec in self._held:
            return self._held[spec], 0.0
        self.close()
        started_at = time.monotonic()
        context = self._library.open_context(context_params(spec))
        seconds = time.monotonic() - started_at
        self._held[spec] = context
        self._tell(spec, loaded=True, seconds=seconds)
        return context, seconds

    def discard(self, spec: messages.ContextSpec) -> None:
        """Free a context that a failure may have spoilt."""
        context = self._held.pop(spec, None)
        if context is not None:
            context.close()
            self._tell(spec, loaded=False)

    def close(self, main: str = "") -> int:
        """Free the contexts whose main file is ``main``, or all; how many there were."""
        chosen = [spec for spec in self._held if not main or spec.main == main]
        for spec in chosen:
            self.discard(spec)
        return len(chosen)

    def _tell(self, spec: messages.ContextSpec, *, loaded: bool, seconds: float = 0.0) -> None:
        self._changed(
            messages.ContextChanged(
                path=spec.main, loaded=loaded, seconds=seconds, memory_bytes=psutil.Process().memory_info().rss
            )
        )
