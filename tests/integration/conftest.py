"""A real application in the test's own event loop: real SQLite, real engine, a tiny model."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher

from sdrest.app import build_app
from sdrest.cli.configuration import load_settings
from sdrest.engine.engines import Engines
from sdrest.settings import Settings
from sdrest.web.http.mounting import mounted
from tests.engine import ENGINE_SETTINGS, EngineOnDemand, WarmEngine, options_of
from tests.tiny.embedded import NAME, place_embedded

SettingsFactory = Callable[..., Settings]
ClientFactory = Callable[..., Awaitable[TestClient[Any, Any]]]

#: A picture that takes a tenth of a second.
SMALL = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 7}


@pytest.fixture
def settings_factory(tmp_path: Path, models_dir: Path) -> SettingsFactory:
    """Makes settings whose folders lie in the test's own; ``settings_factory(auth="jwt")`` sets any of them."""

    def make(**values: Any) -> Settings:
        place_embedded(models_dir)
        return load_settings(
            {
                "models_dir": models_dir,
                "data_dir": tmp_path / "data",
                "port": 0,
                "log_level": "error",
                "default_model": NAME,
                "watch_seconds": 0,
                **values,
            }
        )

    return make


@pytest.fixture(scope="session")
def shared_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folders for tests that do not write into them: what is loaded from there stays loaded between them."""
    folder = tmp_path_factory.mktemp("models")
    place_embedded(folder)
    return folder


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """The model folders of a test's applications: its own, unless its module has :func:`shared_models` instead."""
    return tmp_path / "models"


@pytest.fixture(scope="module")
async def warm_engine(shared_models: Path) -> AsyncIterator[WarmEngine]:
    """The engine of one application at a time, for all tests of a module: one start of its process instead of one a test."""
    engine = WarmEngine(shared_models, **options_of(Settings()))
    yield engine
    await engine.end()


@pytest.fixture
async def client_factory(settings_factory: SettingsFactory, warm_engine: WarmEngine) -> AsyncIterator[ClientFactory]:
    """Starts applications: ``await client_factory(max_pending_jobs=3)``; all are stopped after the test.

    Their engines start with their first task; ``await client.app[ENGINES].info()`` starts one before. The first application of a
    test has the module's warm engine, unless the test asks for a kind of its own or sets what an engine is made with.
    """
    clients: list[TestClient[Any, Any]] = []

    async def make(kind: Callable[..., EngineOnDemand] | None = None, **values: Any) -> TestClient[Any, Any]:
        settings = settings_factory(**values)
        warm = kind is None and not clients and not ENGINE_SETTINGS & values.keys()
        engine = warm_engine if warm else (kind or EngineOnDemand)(**options_of(settings))
        app = build_app(settings, Engines([engine]))
        client: TestClient[Any, Any] = TestClient(TestServer(mounted(app)))
        await client.start_server()
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(client_factory: ClientFactory) -> TestClient[Any, Any]:
    """A client of an application with default settings."""
    return await client_factory()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for this machine's names, and its key."""
    return certificate_for(tmp_path_factory.mktemp("tls"), "127.0.0.1", "0.0.0.0")


def certificate_for(folder: Path, *addresses: str) -> tuple[Path, Path]:
    """A self-signed certificate for ``localhost`` and these addresses, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = ",".join(["subjectAltName=DNS:localhost", *(f"IP:{address}" for address in addresses)])
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", names, "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with the least memory and time, for tests that make accounts."""
    cheap = functools.partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("sdrest.auth.passwords.PasswordHasher", cheap)
