"""The routes of workers: what their key opens, and files that go on where they were broken off."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionResetError, web
from aiohttp.test_utils import TestClient, make_mocked_request

from sdrest.auth.api_keys import ApiKeys
from sdrest.core.errors import Forbidden, InvalidInput, Unavailable
from sdrest.core.job import Job, JobState, JobType
from sdrest.core.principal import Permission
from sdrest.jobs.store import Ending
from sdrest.net.front import Front, Link, checked_address
from sdrest.web.api.workers import _refuse_exposure
from sdrest.web.http.access import is_public
from sdrest.web.http.keys import ACCESS, JOBS, SETTINGS
from tests.integration.conftest import ClientFactory, SettingsFactory

Client = TestClient[Any, Any]
CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def models_dir(shared_models: Path) -> Path:
    """No test here writes into the model folders."""
    return shared_models


@pytest.fixture
async def client(client_factory: ClientFactory, cheap_hashes: None) -> Client:
    """A server with API keys; nothing is claimed by itself."""
    return await client_factory(auth="api-key", work=False)


@pytest.fixture
async def key(client: Client) -> str:
    """A worker's key."""
    keys: ApiKeys = client.app[ACCESS].authentication.api_keys
    _, text = await keys.create("gpu", permissions=frozenset({Permission.WORK}))
    return text


@pytest.fixture
async def job(client: Client) -> Job:
    """A job that somebody carries out."""
    jobs = client.app[JOBS]
    now = datetime.now(UTC)
    await jobs.store.add(Job(id="a-job", type=JobType.TXT2IMG, created_at=now), max_pending=9)
    claimed: Job | None = await jobs.store.claim([JobType.TXT2IMG], now=now, lease_seconds=600, worker="w")
    assert claimed is not None
    return claimed


@pytest.fixture
async def front(client: Client, key: str) -> AsyncIterator[Front]:
    """A worker's way to the server."""
    address = checked_address(str(client.make_url("/")), has_token=True)
    async with Front([address], key) as front:
        yield front


async def test_a_workers_key_opens_no_other_route(client: Client, key: str) -> None:
    assert client.app is not None
    opened = set()
    for route in client.app.router.routes():
        resource = route.resource
        if resource is None or route.method == "*" or is_public(route.method, resource.canonical):
            continue
        path = resource.canonical.replace("{", "").replace("}", "")
        reply = await client.request(
            route.method, path, headers={"Authorization": f"Bearer {key}"}, allow_redirects=False
        )
        if reply.status not in {401, 403}:
            opened.add((route.method, resource.canonical.removeprefix("/api/v1").removeprefix("/api"), reply.status))
    names = {(method, path) for method, path, _ in opened}
    files = "/workers/files/{job_id}/{lease}"
    expected = {
        *((method, "/workers/connect") for method in ("GET", "HEAD")),
        *((method, "/workers/models/{model_id}") for method in ("GET", "HEAD")),
        *((method, f"{files}/inputs/{{file}}") for method in ("GET", "HEAD")),
        *((method, f"{files}/outputs/{{file}}") for method in ("GET", "HEAD", "PUT")),
    }
    expected |= {item for item in names if item[0] == "OPTIONS"}  # says which methods there are
    assert names == expected


async def test_an_upload_goes_on_where_it_was_broken_off_and_is_compared(
    client: Client, key: str, job: Job, tmp_path: Path, front: Front
) -> None:
    path = f"/api/workers/files/{job.id}/{job.lease_id}/outputs/image_0.png"
    headers = {"Authorization": f"Bearer {key}"}
    digest = hashlib.sha256(CONTENT).hexdigest()
    query = {"offset": "0", "size": str(len(CONTENT)), "sha256": digest}
    reply = await client.put(path, params=query, data=CONTENT[:1000], headers=headers)
    assert reply.status == 400
    assert "ended early" in await reply.text()
    assert (await client.get(path, headers=headers)).headers["X-Received-Bytes"] == "1000"
    assert (await client.put(path, params=query, data=CONTENT, headers=headers)).status == 409
    source = tmp_path / "image_0.png"
    source.write_bytes(CONTENT)
    await front.upload(f"workers/files/{job.id}/{job.lease_id}/outputs/image_0.png", source)
    jobs = client.app[JOBS]
    staged = jobs.files.staging_folder(job)
    assert (staged / "image_0.png").read_bytes() == CONTENT
    wrong = {**query, "sha256": "0" * 64}
    reply = await client.put(path.replace("_0", "_1"), params=wrong, data=CONTENT, headers=headers)
    assert reply.status == 400
    assert [file.name for file in staged.iterdir()] == ["image_0.png"]


async def test_who_has_lost_the_job_writes_nothing(client: Client, key: str, job: Job) -> None:
    jobs = client.app[JOBS]
    ending = Ending(state=JobState.FAILED, finished_at=datetime.now(UTC))
    await jobs.store.finish(job.id, job.lease_id, ending)
    query = {"offset": "0", "size": "1", "sha256": hashlib.sha256(b"x").hexdigest()}
    for lease in (job.lease_id, "f" * 32):
        path = f"/api/workers/files/{job.id}/{lease}"
        headers = {"Authorization": f"Bearer {key}"}
        assert (await client.put(f"{path}/outputs/x.png", params=query, data=b"x", headers=headers)).status == 410
        assert (await client.get(f"{path}/inputs/x.png", headers=headers)).status == 410
    assert not jobs.files.output_folder(job.id).exists()


async def test_a_download_goes_on_where_it_was_broken_off(
    client: Client, job: Job, tmp_path: Path, front: Front
) -> None:
    jobs = client.app[JOBS]
    folder = jobs.files.input_folder(job.id)
    folder.mkdir(parents=True)
    (folder / "init_image_0.png").write_bytes(CONTENT)
    target = tmp_path / "got" / "init_image_0.png"
    target.parent.mkdir()
    target.with_name(".init_image_0.png.part").write_bytes(b"?" * 1000)  # what is there is not asked for again
    told: list[int] = []
    await front.download(f"workers/files/{job.id}/{job.lease_id}/inputs/init_image_0.png", target, told.append)
    assert target.read_bytes() == b"?" * 1000 + CONTENT[1000:]
    assert told[-1] == len(CONTENT)


async def test_a_connection_that_breaks_under_an_answer_is_just_broken() -> None:
    class Socket:
        async def receive(self) -> Any:
            raise ClientConnectionResetError("Cannot write to closing transport")

    with pytest.raises(Unavailable, match="closing transport"):
        async for _ in Link(Socket()):  # type: ignore[arg-type]
            pass


@pytest.mark.parametrize(
    ("address", "has_token", "words"),
    [
        ("http://gpu.example.org", True, "https"),
        ("https://gpu.example.org", False, "is needed"),
        ("gpu.example.org", True, "must be https"),
        ("ftp://gpu.example.org", True, "must be https"),
    ],
)
def test_a_worker_does_not_go_to_another_machine_in_the_open(address: str, has_token: bool, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        checked_address(address, has_token=has_token)


def test_a_server_takes_no_worker_of_another_machine_in_the_open(settings_factory: SettingsFactory) -> None:
    class Transport:
        def __init__(self, address: str) -> None:
            self._address = address

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (self._address, 1) if name == "peername" else default

        def is_closing(self) -> bool:
            return False

    def ask(address: str, auth: str, scheme: str = "http", **headers: str) -> None:
        app = web.Application()
        app[SETTINGS] = settings_factory(auth=auth)
        request = make_mocked_request("GET", "/", headers, app=app, transport=Transport(address))
        _refuse_exposure(request.clone(scheme=scheme, remote=address))

    ask("127.0.0.1", "none")
    ask("192.0.2.1", "api-key", "https")
    with pytest.raises(Forbidden, match="by https"):
        ask("192.0.2.1", "api-key", **{"X-Forwarded-Proto": "https"})  # anybody can write that
    with pytest.raises(Forbidden, match="API key"):
        ask("192.0.2.1", "none", "https")
