"""Throw-away accounts and PAM services for tests; everything made here is removed again."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

PASSWORD = "throw-away Ünicode: 1"


def why_no_accounts() -> str:
    """Why tests cannot make accounts here; empty when they can."""
    if os.geteuid() != 0:
        return "making a throw-away account needs root"
    missing = [name for name in ("useradd", "userdel", "chpasswd") if shutil.which(name) is None]
    return f"{', '.join(missing)} not found" if missing else ""


def why_no_pam() -> str:
    """Why tests cannot use PAM here; empty when they can."""
    if find_spec("pam") is None:
        return "python-pam is not installed"
    if find_library("pam") is None or not Path("/etc/pam.d").is_dir():
        return "libpam is not installed"
    return why_no_accounts()


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
