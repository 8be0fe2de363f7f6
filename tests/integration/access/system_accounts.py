"""Throw-away accounts and PAM services for tests; everything made here is removed again."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "throw-away Ünicode: 1"


@contextlib.contextmanager
def system_account(*, method: str = "") -> Iterator[str]:
    """An account of the system with :data:`PASSWORD`, hashed by chpasswd's ``method`` or the system's own."""
    name = f"sdrest-{secrets.token_hex(4)}"
    subprocess.run(["useradd", "-M", "-N", "-g", "nogroup", "-s", "/usr/sbin/nologin", name], check=True)
    try:
        options = ["-c", method] if method else []
        subprocess.run(["chpasswd", *options], input=f"{name}:{PASSWORD}\n".encode(), check=True)
        yield name
    finally:
        subprocess.run(["userdel", name], check=True, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def pam_service(*rules: str) -> Iterator[str]:
    """A PAM service with the given rules."""
    name = f"sdrest-test-{secrets.token_hex(4)}"
    file = Path("/etc/pam.d") / name
    file.write_text("\n".join(rules) + "\n", encoding="utf-8")
    try:
        yield name
    finally:
        file.unlink()
