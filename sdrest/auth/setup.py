"""From settings to the authentication of one server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher

from sdrest.auth import pam, provider, unix
from sdrest.auth.accounts import AccountStore
from sdrest.auth.api_keys import ApiKeys
from sdrest.auth.directory import Directory
from sdrest.auth.identity import PasswordChecker
from sdrest.auth.keyring import KeyRing
from sdrest.auth.passwords import LocalAccounts, Passwords
from sdrest.auth.rate import RateLimit
from sdrest.auth.service import Authentication
from sdrest.auth.sessions import Sessions
from sdrest.auth.signing import UrlSigner
from sdrest.auth.system_accounts import SystemAccounts
from sdrest.auth.throttle import LoginThrottle
from sdrest.auth.tokens import Tokens
from sdrest.core.principal import Role
from sdrest.settings import AuthMode, Settings


@dataclass(frozen=True, slots=True)
class Access:
    """Everything a server needs to know who calls and what they may do."""

    ring: KeyRing
    authentication: Authentication
    directory: Directory
    signer: UrlSigner
    rate_limit: RateLimit
    #: Through which people sign in, in the mode ``oidc``.
    provider: provider.Provider | None = None

    async def warnings_at_start(self, settings: Settings) -> list[str]:
        """What keeps people from logging in, for the log."""
        found = await asyncio.to_thread(lambda: what_is_missing(settings) + what_to_know(settings))
        if settings.auth is AuthMode.JWT and not await self.directory.list():
            found.append("nobody can log in yet: make an account with `sdrest user add NAME --role admin`")
        if settings.auth is AuthMode.API_KEY and not await self.authentication.api_keys.list():
            found.append("nobody can get in yet: make a key with `sdrest token create NAME --scope admin`")
        return found


def build_access(settings: Settings, store: AccountStore, *, hasher: PasswordHasher | None = None) -> Access:
    """The parts, wired for the mode; nothing is opened yet.

    Raises:
        InvalidInput: the settings of the mode are not right.
    """
    ring = KeyRing(settings.secrets_file)
    system = SystemAccounts(
        admin_users=settings.admin_users,
        admin_group=settings.admin_group,
        allowed_group=settings.allowed_group,
    )
    passwords = Passwords(hasher)
    local = LocalAccounts(store, passwords)

    async def system_role(name: str) -> Role | None:
        found = await system.role_of(name)
        return found[1] if found else None

    by_system = settings.auth in {AuthMode.UNIX, AuthMode.PAM}
    signing_in = provider.Provider(settings, ring) if settings.auth is AuthMode.OIDC else None
    api_keys = ApiKeys(store, owner_role=system_role if by_system else local.role_of)
    makers: dict[AuthMode, Callable[[], PasswordChecker]] = {
        AuthMode.JWT: lambda: local,
        AuthMode.OPTIONAL: lambda: local,
        AuthMode.API_KEY: lambda: api_keys,
        AuthMode.UNIX: lambda: unix.UnixPasswords(system),
        AuthMode.PAM: lambda: pam.PamPasswords(
            system, service=settings.pam_service, timeout_seconds=settings.pam_timeout_seconds
        ),
    }
    maker = (lambda: signing_in.people) if signing_in else makers.get(settings.auth)
    sessions = Sessions(
        store,
        Tokens(ring),
        access_lifetime=timedelta(seconds=settings.access_token_seconds),
        session_lifetime=timedelta(days=settings.session_days),
    )
    throttle = LoginThrottle(max_failures=settings.login_max_failures, lockout_seconds=settings.login_lockout_seconds)
    authentication = Authentication(
        settings.auth,
        checker=maker() if maker else None,
        sessions=sessions,
        api_keys=api_keys,
        throttle=throttle,
        system=system,
        ring=ring,
    )
    return Access(
        ring,
        authentication,
        Directory(store, passwords),
        UrlSigner(ring, lifetime_seconds=settings.signed_url_seconds),
        RateLimit(settings.rate_limit_per_minute),
        signing_in,
    )


def what_is_missing(settings: Settings) -> list[str]:
    """Why nobody could log in on this machine in the mode chosen, for the log and for ``sdrest doctor``; may read files."""
    match settings.auth:
        case AuthMode.PAM:
            found = pam.why_unavailable(settings.pam_service)
        case AuthMode.UNIX if settings.socket is None:
            found = unix.why_unavailable()
        case AuthMode.OIDC:
            found = provider.why_unavailable()
        case _:
            found = None
    return [found] if found else []


def what_to_know(settings: Settings) -> list[str]:
    """What works less than one may expect on this machine in the mode chosen."""
    match settings.auth:
        case AuthMode.PAM:
            found = pam.limits_of_this_user(settings.pam_service)
        case AuthMode.UNIX if settings.socket is not None and (why := unix.why_unavailable()):
            found = f"{why}; only callers on {settings.socket}, who need no password, get in"
        case _:
            found = None
    return [found] if found else []
