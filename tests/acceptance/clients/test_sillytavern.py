"""SillyTavern's own server, from npm, using a running server as its source of pictures.

``tests/acceptance/clients/install_sillytavern.sh`` installs it.
"""

from __future__ import annotations

import base64
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import SMALL, Server
from tests.needs import CACHE, SILLYTAVERN, needs

#: It compiles its page at its first start.
START_SECONDS = 240

pytestmark = [
    needs("node", "sillytavern"),
    pytest.mark.timeout(START_SECONDS + 60),
]


@pytest.fixture(scope="module")
def tavern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of SillyTavern's picture routes."""
    folder: Path = tmp_path_factory.mktemp("tavern")
    data = CACHE / "sillytavern" / "data"  # where it keeps its page, once that is compiled
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"dataRoot": data, "configPath": folder / "config.yaml", "port": port}
    flags = {"listen": "false", "disableCsrf": "true", "browserLaunchEnabled": "false", "whitelist": "false"}
    command = [
        "node",
        str(SILLYTAVERN),
        *(part for name, value in (options | flags).items() for part in (f"--{name}", str(value))),
    ]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_for(client)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(client: httpx.Client) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            client.get("/csrf-token")
        except httpx.TransportError:
            assert time.monotonic() < end, "SillyTavern did not start"
            time.sleep(0.5)
        else:
            return


def asked(tavern: httpx.Client, route: str, server: Server, **body: Any) -> httpx.Response:
    reply = tavern.post(f"/api/sd/{route}", json={"url": server.url, "auth": "", **body})
    assert reply.status_code == 200, reply.text
    return reply


def test_the_automatic1111_source(tavern: httpx.Client, server: Server) -> None:
    assert asked(tavern, "ping", server).text == "OK"
    assert {"text": "embedded.gguf", "value": "embedded.gguf"} in asked(tavern, "models", server).json()
    assert asked(tavern, "get-model", server).text == "embedded.gguf"
    asked(tavern, "set-model", server, model="embedded.gguf")
    assert "Euler a" in asked(tavern, "samplers", server).json()
    assert "karras" in [str(name).lower() for name in asked(tavern, "schedulers", server).json()]
    assert "Lanczos" in asked(tavern, "upscalers", server).json()
    asked(tavern, "vaes", server)
    made = asked(tavern, "generate", server, **SMALL, sampler_name="Euler", cfg_scale=1, clip_skip=1).json()
    assert base64.b64decode(made["images"][0]) == server.native_picture(sampler="euler", cfg_scale=1)


def test_the_stable_diffusion_cpp_source(tavern: httpx.Client, server: Server) -> None:
    assert asked(tavern, "sdcpp/ping", server).text == "OK"
    models = asked(tavern, "sdcpp/models", server).json()
    assert "embedded" in [model["id"] for model in models["data"]]
    body = {
        **SMALL,
        "model": "embedded",
        "sampler_name": "euler",
        "scheduler": "discrete",
        "cfg_scale": 1,
        "clip_skip": 1,
    }
    made = asked(tavern, "sdcpp/generate", server, **body).json()
    picture = made["images"][0] if isinstance(made, dict) else made
    assert base64.b64decode(picture) == server.native_picture(cfg_scale=1)


def test_the_draw_things_source(tavern: httpx.Client, server: Server) -> None:
    made = asked(tavern, "drawthings/generate", server, **SMALL, cfg_scale=1, sampler="Euler").json()
    assert base64.b64decode(made["images"][0]) == server.native_picture(cfg_scale=1)
