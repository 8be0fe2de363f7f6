"""What checking a name and a password comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sdrest.core.principal import Permission, Principal, Role, principal_of


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whose credentials were right."""

    name: str
    role: Role
    #: ``jwt``, ``unix``, ``pam``, ``oidc`` or ``api-key``.
    method: str
    #: What the proof was checked against; when it changes, the identity must be proved again.
    proof: str = ""
    #: Id of the API key, where one was the password.
    api_key_id: str = ""
    #: As :attr:`Principal.key`.
    key: str = ""
    #: Narrower than the role's, for API keys; None: the role's.
    permissions: frozenset[Permission] | None = None

    def principal(self) -> Principal:
        """The identity as a caller."""
        if self.permissions is None:
            return principal_of(self.name, self.role, self.method)
        return Principal(self.name, self.role, self.permissions, self.method, self.key)


class PasswordChecker(Protocol):
    """One way of checking a name and a password."""

    async def check(self, username: str, password: str) -> Identity | None:
        """Who this is, or None when the credentials are wrong.

        Raises:
            Unavailable: it cannot be told at the moment.
        """
        ...

    async def still(self, identity: Identity) -> Identity | None:
        """The identity as it is now (its role may have changed), or None when it no longer may log in."""
        ...
