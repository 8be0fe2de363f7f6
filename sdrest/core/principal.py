"""Who makes a request and what they may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Permission(StrEnum):
    """One thing a principal may do."""

    VIEW = "view"
    GENERATE = "generate"
    MANAGE_MODELS = "manage_models"
    MANAGE_QUEUE = "manage_queue"
    #: Carry out jobs as a worker on another machine: opens the routes of workers and nothing else.
    WORK = "work"
    ADMIN = "admin"


class Role(StrEnum):
    """A named set of permissions."""

    GUEST = "guest"
    VIEWER = "viewer"
    USER = "user"
    ADMIN = "admin"


ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.GUEST: frozenset({Permission.VIEW, Permission.GENERATE}),
    Role.VIEWER: frozenset({Permission.VIEW}),
    Role.USER: frozenset({Permission.VIEW, Permission.GENERATE}),
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of a request."""

    name: str
    role: Role = Role.USER
    permissions: frozenset[Permission] = field(default_factory=frozenset)
    #: How it was authenticated: ``none``, ``jwt``, ``api-key``, ``unix``, ``pam``, ``oidc`` or ``guest``.
    method: str = "none"
    #: The API key that speaks for the account, as ``key:NAME``; empty where there is none, or the key is nobody's but its own.
    key: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether the principal holds ``permission`` (an admin holds all)."""
        return permission in self.permissions or Permission.ADMIN in self.permissions

    def owns(self, principal_name: str) -> bool:
        """Whether a job of ``principal_name`` is the caller's to see and change."""
        return self.name == principal_name or self.may(Permission.MANAGE_QUEUE)


def principal_of(name: str, role: Role, method: str) -> Principal:
    """A principal with the permissions of its role."""
    return Principal(name, role, ROLE_PERMISSIONS[role], method)


#: The caller of a server that runs without authentication.
ANYONE = principal_of("", Role.ADMIN, "none")

#: A caller who may do nothing.
NOBODY = Principal("", Role.GUEST, frozenset(), "none")
