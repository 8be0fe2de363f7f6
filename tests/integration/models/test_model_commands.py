"""``sdrest models list`` and ``sdrest models download`` as a user types them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.commands import SDREST, WITHOUT_INTERRUPTS, environment, sdrest, serve_tiny
from tests.integration.models.test_model_uploads import left_behind
from tests.integration.server.elsewhere import Elsewhere, serving
from tests.tiny.embedded import place_embedded
from tests.tiny.fixtures import cached


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    async with serving(cached("ernie").read_bytes()) as found:
        yield found


def allowing(elsewhere: Elsewhere) -> tuple[str, ...]:
    return "--download-hosts", elsewhere.host, "--fetch-allowed-hosts", elsewhere.host


async def test_a_model_is_downloaded_here_and_then_listed(elsewhere: Elsewhere, tmp_path: Path) -> None:
    source = f"{elsewhere.url}/files/pear.gguf"
    arguments = ("models", "download", source, "--type", "checkpoint", "--path", "fruit/", *allowing(elsewhere))
    result = await asyncio.to_thread(sdrest, *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "downloaded pear.gguf\n"), result.stderr
    assert (tmp_path / "models/checkpoints/fruit/pear.gguf").read_bytes() == elsewhere.body
    assert left_behind(tmp_path) == []
    listed = await asyncio.to_thread(
        sdrest, "models", "list", "--type", "checkpoint", "--search", "fruit", cwd=tmp_path
    )
    assert listed.returncode == 0, listed.stderr
    (line,) = listed.stdout.splitlines()[1:]
    assert line.split()[0] == "pear"
    assert line.split()[-1] == "checkpoints/fruit/pear.gguf"
    again = await asyncio.to_thread(sdrest, *arguments, cwd=tmp_path)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)


@pytest.mark.slow
async def test_a_server_downloads_and_lists_when_its_address_is_given(elsewhere: Elsewhere, tmp_path: Path) -> None:
    def run() -> None:
        place_embedded(tmp_path / "models")
        with serve_tiny(tmp_path, *allowing(elsewhere)) as server:
            url = ("--url", server.url)
            source = f"{elsewhere.url}/files/pear.gguf"
            wrong = sdrest("models", "download", source, "--type", "lara", *url, cwd=tmp_path)
            assert (wrong.returncode, "type: unknown model type 'lara'" in wrong.stderr) == (1, True)
            failed = sdrest(
                "models", "download", f"{elsewhere.url}/page/model.gguf", "--type", "lora", *url, cwd=tmp_path
            )
            assert (failed.returncode, "a web page" in failed.stderr) == (1, True)
            assert sdrest("models", "download", source, "--type", "checkpoint", *url, cwd=tmp_path).returncode == 0
            assert "checkpoints/pear.gguf" in sdrest("models", "list", *url, cwd=tmp_path).stdout

    await asyncio.to_thread(run)


async def test_an_interrupted_download_leaves_nothing(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.gate.clear()
    command = [*WITHOUT_INTERRUPTS, *SDREST, "models", "download", f"{elsewhere.url}/files/pear.gguf"]
    with subprocess.Popen(
        [*command, "--type", "checkpoint", *allowing(elsewhere)],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
    ) as process:
        try:
            while not [path for path in tmp_path.glob("models/checkpoints/.*.part.gguf") if path.stat().st_size]:
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, said = await asyncio.to_thread(process.communicate)
        finally:
            process.kill()
    assert (process.returncode, b"Traceback" in said) == (1, False), said
    assert list((tmp_path / "models/checkpoints").iterdir()) == []
