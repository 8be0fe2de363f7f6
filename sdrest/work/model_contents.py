"""Which models of this server a worker has: by what is in their files, whatever they are called there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sdrest.registry.catalogue import Catalogue
from sdrest.registry.contents import Contents
from sdrest.registry.registry import Registry


class ModelContents:
    """What is in the model files of this server, read beside everything else."""

    def __init__(self, registry: Registry, contents: Contents) -> None:
        self._registry = registry
        self._contents = contents
        self._read: Catalogue | None = None
        self._lock = asyncio.Lock()
        self._by_id: dict[str, str] = {}
        self._by_content: dict[str, set[str]] = {}

    async def refresh(self) -> bool:
        """Read what is new in the model folders; whether there was anything."""
        async with self._lock:
            catalogue = self._registry.catalogue
            if catalogue is self._read:
                return False
            self._by_id = await asyncio.to_thread(self._contents_of, catalogue)
            self._by_content = {}
            for model_id, content in self._by_id.items():
                self._by_content.setdefault(content, set()).add(model_id)
            self._read = catalogue
            return True

    def _contents_of(self, catalogue: Catalogue) -> dict[str, str]:
        found = {}
        for model in catalogue.models:
            try:
                found[model.id] = self._contents.of(str(model.path))
            except OSError:  # it has just gone
                continue
        return found

    def ids_of(self, models: Mapping[str, str]) -> frozenset[str]:
        """The ids here of models elsewhere, of which id and content are known; what is not read here yet goes by its id."""
        found: set[str] = set()
        for model_id, content in models.items():
            if self._by_id.get(model_id, content) == content:
                found.add(model_id)
            found |= self._by_content.get(content, set())
        return frozenset(found)
