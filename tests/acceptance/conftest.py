"""A server as its users start it: `sdrest serve` in a process of its own, with a tiny model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import commands
from tests.integration.pictures.generation_modes import place
from tests.tiny.embedded import NAME, place_embedded

#: A picture that takes a tenth of a second.
SMALL: dict[str, Any] = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 7}


class Server(commands.Server):
    """A running server with the tiny model; ``url`` ends without a slash."""

    def __init__(self, folder: Path, *options: str) -> None:
        place_embedded(folder / "models")
        super().__init__(folder, "--default-model", NAME, "--log-level", "warning", *options)

    def native_picture(self, **changes: Any) -> bytes:
        """The PNG file that the native route gives for :data:`SMALL`."""
        reply = httpx.post(f"{self.url}/api/v1/generate", json={**SMALL, **changes}, timeout=60)
        assert reply.status_code == 200, reply.text
        url = f"{self.url}/api/v1/jobs/{reply.json()['job_id']}/output/image_0.png"
        return httpx.get(url).content

    def jobs(self) -> dict[str, Any]:
        """The state of the queue."""
        return dict(httpx.get(f"{self.url}/api/queue/status").json())


StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests that leave it as they found it; beside the tiny default model it has one that takes pictures."""
    folder = tmp_path_factory.mktemp("server")
    place(folder / "models", "ovis", "tae16", "esrgan")
    with Server(folder, "--hang-up-grace-seconds", "0.2") as server:
        yield server


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of the test's own: ``start_server("--max-pending-jobs", "1")``."""
    with contextlib.ExitStack() as servers:
        yield lambda *options: servers.enter_context(Server(tmp_path, *options))
