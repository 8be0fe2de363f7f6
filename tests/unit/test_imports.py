"""What a server imports before it listens: everybody waits for it at each start."""

from __future__ import annotations

import subprocess
import sys

#: Needed by some requests only, or by nobody with the default settings.
LATER = {"av", "cryptography", "gguf", "huggingface_hub", "httpx", "jwt", "mcp", "psycopg", "stable_diffusion_cpp"}
#: More than there are (1,029 when this was written), so that a few new modules fit and a new dependency does not.
BUDGET = 1120
#: An engine's process begins again after each crash; what only some tasks need is imported by them.
LATER_BY_ENGINES = {"PIL", "aiohttp", "asyncio", "pydantic", "structlog"}


def imported_by(module: str) -> list[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_an_engine_imports_what_it_needs_to_be_ready() -> None:
    assert not LATER_BY_ENGINES & {name.partition(".")[0] for name in imported_by("sdrest.engine.child.__main__")}


def test_a_server_imports_what_it_needs_to_listen() -> None:
    loaded = imported_by("sdrest.app")
    assert not LATER & {name.partition(".")[0] for name in loaded}
    assert len(loaded) <= BUDGET
