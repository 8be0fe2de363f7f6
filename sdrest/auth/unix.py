"""Passwords of the system's own account database: ``getspnam`` of the C library and ``crypt`` of libcrypt.

Reading the shadow database needs root or the group that owns it (``shadow`` on Debian). Elsewhere, on macOS for example, there is
none; :func:`why_unavailable` says so at start. Callers on a UNIX socket need no password: the kernel says who they are.
"""

from __future__ import annotations

import asyncio
import ctypes
import hmac
import socket
import struct
import sys
import threading
import time
from typing import Any, Final

from sdrest.auth.identity import Identity
from sdrest.auth.system_accounts import SystemAccounts
from sdrest.core.errors import Unavailable

_LIBCRYPT_NAMES: Final = ("libcrypt.so.1", "libcrypt.so.2")
_SECONDS_PER_DAY: Final = 86_400
#: Longest password, in bytes: CRYPT_MAX_PASSPHRASE_SIZE of libxcrypt.
_LONGEST: Final = 511
#: Makes unknown accounts take as long as known ones: yescrypt, Debian's default, and SHA-512 where libcrypt is older.
_DUMMY_SETTINGS: Final = (b"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$", b"$6$0123456789abcdef$")


class _Spwd(ctypes.Structure):
    """``struct spwd`` of <shadow.h>; days are counted from 1970-01-01, -1 means none."""

    _fields_ = (
        ("sp_namp", ctypes.c_char_p),
        ("sp_pwdp", ctypes.c_char_p),
        ("sp_lstchg", ctypes.c_long),
        ("sp_min", ctypes.c_long),
        ("sp_max", ctypes.c_long),
        ("sp_warn", ctypes.c_long),
        ("sp_inact", ctypes.c_long),
        ("sp_expire", ctypes.c_long),
        ("sp_flag", ctypes.c_ulong),
    )


class ShadowDatabase:
    """The C functions. One thread at a time: ``getspnam`` and ``crypt`` answer in static memory.

    Raises:
        OSError: the platform has no shadow database or no libcrypt.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._getspnam = libc.getspnam
        except AttributeError:
            raise OSError(f"{sys.platform} has no shadow database") from None
        self._getspnam.restype = ctypes.POINTER(_Spwd)
        self._getspnam.argtypes = [ctypes.c_char_p]
        self._crypt = _find_crypt(libc)
        self._crypt.restype = ctypes.c_char_p
        self._crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        self._lock = threading.Lock()
        self._dummy = next((s for s in _DUMMY_SETTINGS if _usable(self._crypt(b"x", s))), b"$6$0123456789abcdef$")

    def is_readable(self) -> bool:
        """Whether this process may read the shadow database."""
        with self._lock:
            ctypes.set_errno(0)
            return bool(self._getspnam(b"root")) or ctypes.get_errno() == 0

    def verify(self, name: str, password: str) -> bool:
        """Whether the password is right and the account has not expired. Takes as long for an unknown account.

        Accounts without a password, and locked ones (``!``, ``*``), are always refused, as are passwords whose change is overdue.
        """
        name_bytes, secret = name.encode(), password.encode()
        if not secret or len(secret) > _LONGEST or b"\0" in secret or b"\0" in name_bytes:
            return False
        with self._lock:
            entry = self._getspnam(name_bytes)
            stored = bytes(entry.contents.sp_pwdp or b"") if entry else b""
            live = bool(entry) and _is_live(entry.contents)
            usable = bool(stored) and stored[:1] not in {b"!", b"*", b"x"}
            computed = bytes(self._crypt(secret, stored if usable else self._dummy) or b"*")
        return hmac.compare_digest(computed, stored if usable else b"!") and _usable(computed) and live


def _find_crypt(libc: ctypes.CDLL) -> Any:
    for name in _LIBCRYPT_NAMES:
        try:
            return ctypes.CDLL(name).crypt
        except (OSError, AttributeError):
            continue
    try:
        return libc.crypt  # musl has it in the C library
    except AttributeError:
        raise OSError("libcrypt was not found (Debian, Ubuntu: apt install libcrypt1)") from None


def _usable(computed: bytes | None) -> bool:
    """``crypt`` fails with null or with a text that begins with ``*``."""
    return computed is not None and not computed.startswith(b"*")


def _is_live(entry: _Spwd) -> bool:
    today = int(time.time() // _SECONDS_PER_DAY)
    if 0 <= entry.sp_expire <= today or entry.sp_lstchg == 0:
        return False
    never = entry.sp_max < 0 or entry.sp_lstchg < 0
    return bool(never or today <= entry.sp_lstchg + entry.sp_max)


def why_unavailable() -> str | None:
    """Why passwords of the system cannot be checked here; None when they can."""
    try:
        database = ShadowDatabase()
    except OSError as error:
        return f"passwords of system accounts cannot be checked: {error}"
    if not database.is_readable():
        return (
            "passwords of system accounts cannot be checked: this user may not read the shadow database "
            "(run as root or as a member of the group that owns /etc/shadow, or use --auth pam)"
        )
    return None


class UnixPasswords:
    """The password checker of the mode ``unix``."""

    def __init__(self, accounts: SystemAccounts) -> None:
        self._accounts = accounts
        self._database: ShadowDatabase | None = None

    async def check(self, username: str, password: str) -> Identity | None:
        """Who this is, or None when name or password is wrong or the account may not log in."""
        try:
            self._database = self._database or ShadowDatabase()
        except OSError as error:
            raise Unavailable(f"passwords of system accounts cannot be checked: {error}") from None
        right = await asyncio.to_thread(self._database.verify, username, password)
        found = await self._accounts.role_of(username)
        return Identity(*found, "unix") if right and found else None

    async def still(self, identity: Identity) -> Identity | None:
        """The identity as it is now, or None when the account is gone or may no longer log in."""
        found = await self._accounts.role_of(identity.name)
        return Identity(*found, identity.method) if found else None


def peer_uid(connection: socket.socket) -> int | None:
    """User number of the process at the other end of a UNIX socket, from the kernel (SO_PEERCRED, unix(7)); else None."""
    if connection.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    layout = struct.Struct("3i")  # struct ucred: pid, uid, gid
    _, uid, _ = layout.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size))
    return int(uid) if uid >= 0 else None
