"""The programs in ``examples/`` do what they say, against a running server."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

ROOT = Path(__file__).parents[2]
#: The arguments of each example before the address.
EXAMPLES = {"client.py": ["a red apple", "picture.png"], "async_client.py": ["."]}


def test_every_example_is_run() -> None:
    assert {file.name for file in (ROOT / "examples").glob("*.py")} == EXAMPLES.keys()


@pytest.mark.parametrize("example", EXAMPLES)
async def test_example(client: TestClient[Any, Any], tmp_path: Path, example: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "examples" / example), *EXAMPLES[example], f"http://127.0.0.1:{client.port}",
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    files = list(tmp_path.glob("*.png"))
    assert files
    for file in files:
        with Image.open(file) as picture:
            picture.verify()
