"""The model that a request means when it names none: the caller's choice, else the server's, else the configured one."""

from __future__ import annotations

from typing import Final

from sdrest.core.model import MAIN_TYPES, Model
from sdrest.core.principal import Permission, Principal
from sdrest.jobs.store import JobStore
from sdrest.registry.registry import Registry

_KEY: Final = "models.chosen"


class DefaultModel:
    """Which model is meant by silence. Choices survive a restart."""

    def __init__(self, registry: Registry, store: JobStore, configured: str) -> None:
        self._registry = registry
        self._store = store
        self._configured = configured
        #: Model id by principal name; the empty name holds the choice for the whole server.
        self._chosen: dict[str, str] = {}

    async def restore(self) -> None:
        """Bring back the choices: at start, and after another server has changed them."""
        self._chosen = dict(await self._store.get_value(_KEY) or {})

    def model(self, principal: Principal) -> Model:
        """The default model for a caller; a choice whose file has gone is passed over.

        Raises:
            ModelNotFound: the configured model is not there.
        """
        for name in (principal.name, ""):
            chosen = self._chosen.get(name)
            found = self._registry.catalogue.get(chosen) if chosen else None
            if found is not None:
                return found
        return self._registry.catalogue.resolve(self._configured, MAIN_TYPES)

    async def choose(self, model: Model, principal: Principal) -> None:
        """Make ``model`` the default: of the whole server for those who may manage models, else of the caller alone."""
        name = "" if principal.may(Permission.MANAGE_MODELS) else principal.name
        await self.restore()  # another server may have changed them just now
        self._chosen.pop(principal.name, None)
        self._chosen[name] = model.id
        await self._store.set_value(_KEY, self._chosen)
