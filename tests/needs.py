"""What some tests need of the machine, and the one place that decides what happens where it is missing.

Where a command can install it, the test is skipped on a developer's machine and fails where ``CI`` is set: proofs must not fall out
of the run that counts because a download failed. What nothing installs (rights, memory) always skips.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil
import pytest

from sdrest.conversion.quick import quick_q4_k

#: Installs everything that is missing and can be installed.
INSTALL_COMMAND: Final = "make test-tools"

CACHE: Final = Path(__file__).parent / ".cache"
SILLYTAVERN: Final = CACHE / "sillytavern" / "node_modules" / "sillytavern" / "server.js"
JAVASCRIPT: Final = CACHE / "javascript"
FRAMEWORKS: Final = CACHE / "frameworks" / "venv" / "bin" / "python"
LIGHTHOUSE: Final = CACHE / "lighthouse" / "node_modules" / "lighthouse" / "cli" / "index.js"
SDCPP_WEBUI: Final = CACHE / "sdcpp_webui" / "page" / "dist" / "index.html"
#: Programs of the newest PostgreSQL that Debian's package has installed.
POSTGRES: Final = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql/15/bin"))
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ACCOUNT_TOOLS: Final = ("useradd", "userdel", "chpasswd")
_LARGE_BYTES: Final = 12 << 30


@dataclass(frozen=True, slots=True)
class Need:
    """Something that may be missing: what to say then, how to look, and whether :data:`INSTALL_COMMAND` brings it."""

    missing: str
    is_there: Callable[[], bool]
    installable: bool = True


def browser_path() -> str | None:
    """The browser to use: that of SDREST_TEST_BROWSER, else the first one found."""
    return os.environ.get("SDREST_TEST_BROWSER") or next(filter(None, map(shutil.which, _BROWSERS)), None)


def _program(name: str) -> Need:
    return Need(f"{name} is not installed", lambda: shutil.which(name) is not None)


def _can_mount() -> bool:
    with TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False)
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return mounted.returncode == 0


def _can_unplug() -> bool:
    return (
        shutil.which("ip") is not None
        and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
    )


NEEDS: Final = {
    "accounts": Need(
        "throw-away accounts need root and useradd",
        lambda: os.geteuid() == 0 and all(map(shutil.which, _ACCOUNT_TOOLS)),
        installable=False,
    ),
    "browser": Need("no Chromium is installed, nor named in SDREST_TEST_BROWSER", lambda: browser_path() is not None),
    "caddy": _program("caddy"),
    "curl": _program("curl"),
    "exiftool": _program("exiftool"),
    "frameworks": Need("Python frameworks around the OpenAI API are not installed", FRAMEWORKS.exists),
    "javascript": Need("the JavaScript clients are not installed", (JAVASCRIPT / "installed").exists),
    "lighthouse": Need("Lighthouse is not installed", lambda: LIGHTHOUSE.exists() and shutil.which("node") is not None),
    "memory": Need(
        "12 GiB of free memory are needed", lambda: psutil.virtual_memory().available >= _LARGE_BYTES, installable=False
    ),
    "mount": Need("mounting a small file system needs root", _can_mount, installable=False),
    "node": _program("node"),
    "network namespaces": Need("a network of its own needs root and iproute2", _can_unplug, installable=False),
    "nginx": _program("nginx"),
    "pam": Need(
        "libpam is not installed",
        lambda: find_spec("pam") is not None and find_library("pam") is not None and Path("/etc/pam.d").is_dir(),
    ),
    "postgres": Need(
        "PostgreSQL 15 (Debian's package postgresql-15) or psycopg is not installed",
        lambda: (
            (POSTGRES / "initdb").exists()
            and find_spec("psycopg") is not None
            and find_spec("psycopg_pool") is not None
        ),
    ),
    "quantiser": Need("native/ was built without its quantiser", lambda: quick_q4_k() is not None, installable=False),
    "sdcpp_webui": Need("the page of stable-diffusion.cpp's server is not built", SDCPP_WEBUI.exists),
    "sillytavern": Need("SillyTavern is not installed", SILLYTAVERN.exists),
    "systemd": Need("systemd-analyze is not installed", lambda: shutil.which("systemd-analyze") is not None),
}


def needs(*names: str) -> pytest.MarkDecorator:
    """Mark a test, or a module as its ``pytestmark``, with what it needs (the names of :data:`NEEDS`)."""
    return pytest.mark.needs(*names)


def require(name: str) -> None:
    """Skip or fail the running test where ``name`` is missing; for fixtures, that know it only when they are asked for."""
    need = NEEDS[name]
    if need.is_there():
        return
    if need.installable and os.environ.get("CI"):
        pytest.fail(f"{need.missing}, and CI is set: `{INSTALL_COMMAND}` installs it", pytrace=False)
    pytest.skip(need.missing)
