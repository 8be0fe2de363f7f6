"""The configurations of docs/proxies.md, with the real programs: who asks is told apart, streams and WebSockets go through."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.integration.conftest import SMALL, ClientFactory
from tests.needs import needs

PAGE = Path(__file__).parents[3] / "docs" / "proxies.md"
HOST = "art.example.org"
DOCUMENTED = "127.0.0.1:8080"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def nginx(folder: Path, port: int, server: str, base: str) -> Iterator[None]:
    (text,) = blocks("nginx")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace(DOCUMENTED, server)
    if base:
        told = f"with `location {base}/ {{` in the place of `location / {{`"
        assert told in PAGE.read_text(encoding="utf-8")
        text = text.replace("location / {", f"location {base}/ {{")
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; {paths}\n{text} }}"
    )
    with running(["nginx", "-p", str(folder), "-c", str(config)]):
        yield


@contextmanager
def caddy(folder: Path, port: int, server: str, base: str) -> Iterator[None]:
    text = blocks("caddyfile")[bool(base)].replace(HOST, f"http://{HOST}:{port}").replace(DOCUMENTED, server)
    config = folder / "Caddyfile"
    config.write_text(f"{{\n admin off\n auto_https off\n}}\n{text}")
    with running(["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]):
        yield


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


async def until_open(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


@asynccontextmanager
async def asking(address: str, port: int) -> AsyncIterator[aiohttp.ClientSession]:
    """A client at an address of its own."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=connector, headers={"Host": HOST}
    ) as session:
        yield session


@pytest.mark.parametrize(
    "proxy", [pytest.param(nginx, marks=needs("nginx")), pytest.param(caddy, marks=needs("caddy"))]
)
@pytest.mark.parametrize("base", ["", "/sd"])
async def test_a_documented_proxy(client_factory: ClientFactory, tmp_path: Path, proxy: Any, base: str) -> None:
    client = await client_factory(auth="optional", trusted_proxies=["127.0.0.1"], allowed_hosts=[HOST], base_path=base)
    port = free_port()
    with proxy(tmp_path, port, f"127.0.0.1:{client.port}", base):
        await until_open(port)
        async with asking("127.0.0.2", port) as ann, asking("127.0.0.3", port) as bob:
            job = (await (await ann.post(f"{base}/api/generate/text2img", json=SMALL)).json())["job_id"]
            forged = {"X-Forwarded-For": "127.0.0.2"}
            assert (await ann.get(f"{base}/api/jobs/{job}")).status == 200
            assert (await bob.get(f"{base}/api/jobs/{job}", headers=forged)).status == 404
            async with ann.get(f"{base}/api/jobs/{job}/events") as stream:
                assert (await stream.content.readline()).startswith(b"event: ")
            async with ann.ws_connect(f"{base}/api/ws") as events:
                await ann.post(f"{base}/api/generate/text2img", json={**SMALL, "seed": 8})
                assert "event" in await events.receive_json()
            large = io.BytesIO(json.dumps({"prompt": "a", "init_image": "!" * 3_000_000}).encode())
            kind = {"Content-Type": "application/json"}
            assert (await ann.post(f"{base}/api/generate/img2img", data=large, headers=kind)).status == 400
            body = {"prompt": "a red apple", "size": "64x64", "response_format": "url"}
            made = await (await ann.post(f"{base}/v1/images/generations", json=body)).json()
            assert made["data"][0]["url"].startswith(f"http://{HOST}{base}/api/")
            page = await ann.get(f"{base}/ui/")
            assert f'href="{base}/ui/gallery"' in await page.text()
            entered = await ann.get(base or "/", allow_redirects=False)
            assert urlsplit(entered.headers["Location"]).path == (f"{base}/" if base else "/ui/")
