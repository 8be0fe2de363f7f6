"""Passwords checked by PAM, through python-pam, in threads of their own: a PAM module may take seconds, or never come back."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from ctypes.util import find_library
from pathlib import Path
from typing import Any, Final

import structlog

from sdrest.auth.identity import Identity
from sdrest.auth.system_accounts import SystemAccounts
from sdrest.core.errors import Unavailable

log = structlog.get_logger(__name__)

#: Checks at a time, hanging ones included; further ones are refused at once.
_CONCURRENT: Final = 8
_SERVICE_FOLDERS: Final = (Path("/etc/pam.d"), Path("/usr/lib/pam.d"), Path("/usr/local/etc/pam.d"))
#: Codes of <security/_pam_types.h> that say something about the system and not about the password.
_SYSTEM_CODES: Final = {
    1: "open error",
    3: "service error",
    4: "system error",
    9: "authentication information unavailable",
    26: "abort",
    28: "unknown module",
}


def why_unavailable(service: str) -> str | None:
    """Why PAM cannot be used here; None when it can."""
    try:
        importlib.import_module("pam")
    except ImportError:
        return "PAM needs the package python-pam: ./install.sh --extras pam (or pip install 'sdrest[pam]')"
    if find_library("pam") is None:
        return "PAM needs libpam, which was not found (Debian, Ubuntu: apt install libpam0g; Fedora: dnf install pam)"
    if not any((folder / service).is_file() for folder in _SERVICE_FOLDERS):
        return (
            f"there is no PAM service {service!r}: make the file /etc/pam.d/{service} (docs/authentication.md has one)"
        )
    return None


def limits_of_this_user(service: str) -> str | None:
    """A warning when this process can check no password but its own user's; None otherwise."""
    if os.geteuid() == 0:
        return None
    return (
        f"without root, pam_unix checks only the password of this process's own user; other modules in "
        f"/etc/pam.d/{service} (pam_sss, pam_ldap …) are not bound by that"
    )


class PamPasswords:
    """The password checker of the mode ``pam``."""

    def __init__(self, accounts: SystemAccounts, *, service: str, timeout_seconds: float) -> None:
        self._accounts = accounts
        self._service = service
        self._timeout_seconds = timeout_seconds
        self._slots = threading.BoundedSemaphore(_CONCURRENT)

    async def check(self, username: str, password: str) -> Identity | None:
        """Who this is, or None when PAM says no or the account may not log in.

        Raises:
            Unavailable: PAM is not there, is not set up, or did not answer in time.
        """
        if not username or not password or "\0" in username + password:
            return None
        if not self._slots.acquire(blocking=False):
            raise Unavailable("PAM does not answer: as many checks hang as may run at a time")
        loop = asyncio.get_running_loop()
        result: asyncio.Future[int] = loop.create_future()

        def work() -> None:
            try:
                outcome: int | Exception = self._authenticate(username, password)
            except Exception as error:  # noqa: BLE001 - whatever it is, the login waits for it
                outcome = error
            finally:
                self._slots.release()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, result, outcome)

        # A thread that PAM never gives back must not keep the process from ending, so no pool.
        threading.Thread(target=work, name="pam", daemon=True).start()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                code = await result
        except TimeoutError:
            raise Unavailable(f"PAM did not answer within {self._timeout_seconds:g} seconds") from None
        except (ImportError, OSError) as error:
            raise Unavailable(why_unavailable(self._service) or f"PAM cannot be used: {error}") from None
        if code in _SYSTEM_CODES:
            log.error("pam failed", service=self._service, reason=_SYSTEM_CODES[code])
            raise Unavailable(f"PAM cannot be used: {_SYSTEM_CODES[code]}")
        found = await self._accounts.role_of(username)
        return Identity(*found, "pam") if code == 0 and found else None

    def _authenticate(self, username: str, password: str) -> int:
        """The PAM result code of pam_authenticate and pam_acct_mgmt; 0 is success. Runs in its thread."""
        pam: Any = importlib.import_module("pam")
        session = pam.PamAuthenticator()
        # Credentials are for sessions on the machine; the server opens none.
        session.authenticate(username, password, service=self._service, resetcreds=False)
        return int(session.code)

    async def still(self, identity: Identity) -> Identity | None:
        """The identity as it is now, or None when the account is gone or may no longer log in."""
        found = await self._accounts.role_of(identity.name)
        return Identity(*found, identity.method) if found else None


def _settle(result: asyncio.Future[int], outcome: int | Exception) -> None:
    if result.done():
        return
    if isinstance(outcome, Exception):
        result.set_exception(outcome)
    else:
        result.set_result(outcome)
