"""Who of those whom an identity provider signs in may use this server, under which name, and as what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sdrest.auth.identity import Identity
from sdrest.core.errors import FieldProblem, Forbidden, InvalidInput, Unsupported
from sdrest.core.principal import Role
from sdrest.settings import Settings

#: What people are called whose accounts are elsewhere.
#: Names of guests and of keys without an owner hold a colon, so nobody can be taken for one of them.
NAME: Final = re.compile(r"\w[\w.@+|-]{0,127}")
#: In a list of groups: everybody whom the provider signs in.
_EVERYBODY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The rule from what the provider says of somebody to an identity; as a password checker it has no passwords.

    The first list that holds one of somebody's groups says the role: ``admins``, ``users``, ``viewers``. Without ``users``
    everybody of the ``domains`` is a user; with ``domains`` nobody else gets in, whatever his groups are.
    """

    name_claim: str
    groups_claim: str
    admins: frozenset[str]
    users: frozenset[str]
    viewers: frozenset[str]
    domains: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> People:
        """The rule of the settings.

        Raises:
            InvalidInput: by it nobody could sign in.
        """
        found = cls(
            name_claim=settings.oidc_name_claim,
            groups_claim=settings.oidc_groups_claim,
            admins=frozenset(settings.oidc_admins),
            users=frozenset(settings.oidc_users),
            viewers=frozenset(settings.oidc_viewers),
            domains=frozenset(name.lower().removeprefix("@") for name in settings.oidc_domains),
        )
        if not (found.admins or found.users or found.viewers or found.domains):
            raise InvalidInput(
                "names nobody who may sign in: give groups (oidc_users, oidc_admins, oidc_viewers), mail domains (oidc_domains), "
                "or * for everybody whom the provider knows",
                field="oidc_users",
            )
        problems = [
            FieldProblem(name, "must name a claim")
            for name in ("oidc_name_claim", "oidc_groups_claim")
            if not getattr(settings, name).strip(". ")
        ]
        if problems:
            raise InvalidInput(problems)
        return found

    def lacks(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claims leave open what this rule asks for."""
        by_groups = (self.admins | self.users | self.viewers) - {_EVERYBODY}
        return (
            _found(claims, self.name_claim) is None
            or bool(by_groups and _found(claims, self.groups_claim) is None)
            or bool(self.domains and claims.get("email") is None)
        )

    def identity_of(self, claims: Mapping[str, Any]) -> Identity:
        """Who the claims of an ID token, whose signature has been checked, speak of.

        Raises:
            Forbidden: somebody who may not use this server, or whose name cannot be used here.
        """
        name = _found(claims, self.name_claim)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Forbidden(
                f"what the provider says in {self.name_claim!r} cannot be a user name here: 1 to 128 letters, digits or "
                "_ . @ + | - (an administrator may choose another claim by oidc_name_claim)"
            )
        if self.name_claim == "email":
            _demand_verified(claims)
        if self.domains:
            _demand_verified(claims)
            _, at, domain = str(claims["email"]).rpartition("@")
            if not at or domain.lower() not in self.domains:
                raise Forbidden("your mail address is of no domain that may use this server")
        role = self._role(_groups(_found(claims, self.groups_claim)))
        if role is None:
            raise Forbidden("you are in no group that may use this server")
        return Identity(name, role, "oidc")

    def _role(self, groups: frozenset[str]) -> Role | None:
        for names, role in ((self.admins, Role.ADMIN), (self.users, Role.USER), (self.viewers, Role.VIEWER)):
            if names & groups:
                return role
        return Role.USER if self.domains and not self.users else None

    async def check(self, username: str, password: str) -> Identity | None:
        """There are no passwords here.

        Raises:
            Unsupported: always.
        """
        del username, password
        raise Unsupported("people sign in through their provider, on the page /ui/login; programs send an API key")

    async def still(self, identity: Identity) -> Identity | None:
        """The identity as it was when it was signed in: the provider is asked at the next sign-in only."""
        return identity


def _demand_verified(claims: Mapping[str, Any]) -> None:
    if not claims.get("email") or str(claims.get("email_verified", "")).lower() != "true":
        raise Forbidden("the provider does not vouch for your mail address (email_verified)")


def _found(claims: Mapping[str, Any], path: str) -> Any:
    """A claim, or one within others: ``realm_access.roles``. A name with dots that is there as it is goes first."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _groups(value: object) -> frozenset[str]:
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return frozenset({_EVERYBODY, *(name for name in names if isinstance(name, str))})
