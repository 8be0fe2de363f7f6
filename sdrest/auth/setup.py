"""From settings to the authentication of one server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher

from sdrest.auth import pam, unix
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


def build_access(settings: Settings, store: AccountStore, *, hasher: PasswordHasher | None = None) -> Access:
    """The parts, wired for the mode; nothing is opened yet."""
    ring = KeyRing(settings.secrets_file)
    system = SystemAccounts(
        admin_users=[name.strip() for name in settings.admin_users.split(",") if name.strip()],
        admin_group=settings.admin_group,
        allowed_group=settings.allowed_group,
    )
    passwords = Passwords(hasher)
    local = LocalAccounts(store, passwords)

    async def system_role(name: str) -> Role | None:
        found = await system.role_of(name)
        return found[1] if found else None

    by_system = settings.auth in {AuthMode.UNIX, AuthMode.PAM}
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
    maker = makers.get(settings.auth)
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
    )


def warnings_at_start(settings: Settings) -> list[str]:
    """What is missing here for the mode to work, for the log and for ``sdrest doctor``."""
    match settings.auth:
        case AuthMode.PAM:
            found = pam.why_unavailable(settings.pam_service) or pam.limits_of_this_user(settings.pam_service)
        case AuthMode.UNIX:
            found = unix.why_unavailable()
            if found and settings.socket:
                found += f"; callers on {settings.socket} need none"
        case _:
            found = None
    return [found] if found else []
