"""`sdrest.client` against a running server, and the examples that use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from sdrest.client import AsyncClient, Client, JobFailed, Progress, ServerError
from tests.acceptance.conftest import SMALL, Server
from tests.commands import ROOT, environment


def test_submit_wait_and_save(server: Server, tmp_path: Path) -> None:
    seen: list[Progress] = []
    with Client(server.url) as client:
        job = client.wait(client.submit(**SMALL, batch_count=2), on_progress=seen.append)
        files = client.save(job, tmp_path / "apple.png")
    assert [file.name for file in files] == ["apple.png", "apple-1.png"]
    assert files[0].read_bytes() == server.native_picture()
    assert [image.seed for image in job.images] == [7, 8]
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


async def test_the_asynchronous_client_gives_the_same_bytes(server: Server) -> None:
    async with AsyncClient(server.url) as client:
        (picture,) = await client.generate(**SMALL)
    assert picture == server.native_picture()


def test_waiting_for_an_ended_job_returns_at_once(server: Server) -> None:
    with Client(server.url) as client:
        job = client.wait(client.submit(**SMALL))
        assert client.wait(job.job_id).images == job.images


def test_a_cancelled_job_is_an_error_for_generate_and_a_state_for_wait(server: Server) -> None:
    slow = {**SMALL, "steps": 1000, "width": 256, "height": 256}
    with Client(server.url) as client:
        job = client.submit(**slow)
        client.cancel(job)
        assert client.wait(job).status == "cancelled"
        with pytest.raises(ServerError) as caught:
            client.cancel(job)
        assert (caught.value.status, caught.value.slug) == (409, "conflict")

        cancelled: list[str] = []

        def cancel(_progress: Progress) -> None:
            running = httpx.get(f"{server.url}/api/queue/status").json()["current"]
            if running and not cancelled:  # it may come further once more before it ends
                cancelled.append(running["job_id"])
                client.cancel(running["job_id"])

        with pytest.raises(JobFailed):
            client.generate(on_progress=cancel, **slow)


def test_wrong_parameters_are_named(server: Server) -> None:
    with Client(server.url) as client, pytest.raises(ServerError) as caught:
        client.submit(prompt="p", steps=0, widht=64)
    assert caught.value.status == 400
    assert {field for field, _ in caught.value.problems} == {"steps", "widht"}


def test_an_unknown_job_is_not_found(server: Server) -> None:
    with Client(server.url) as client, pytest.raises(ServerError) as caught:
        client.wait("no-such-job")
    assert caught.value.slug == "not_found"


def test_pictures_may_be_files_and_bytes(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "in.png"
    Image.new("RGB", (64, 64), (200, 40, 40)).save(file)
    with Client(server.url) as client:
        by_path = client.generate("img2img", **SMALL, model="ovis", init_image=file, strength=0.5)
        by_bytes = client.generate("img2img", **SMALL, model="ovis", init_image=file.read_bytes(), strength=0.5)
    assert by_path == by_bytes


def test_another_server_is_told_apart() -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, text="<html>"))
    with Client("http://elsewhere", transport=transport) as client, pytest.raises(ServerError, match="not the answer"):
        client.job("x")


#: The arguments of each example before the address, and the files that it makes.
EXAMPLES = {
    "client.py": (["a red apple", "apple.png"], ["apple-1.png", "apple.png"]),
    "async_client.py": (["."], ["a-green-pear.png", "a-red-apple.png", "a-yellow-banana.png"]),
}


def test_every_example_is_run() -> None:
    assert {file.name for file in (ROOT / "examples").glob("*.py")} == EXAMPLES.keys()


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_run(server: Server, tmp_path: Path, example: str) -> None:
    arguments, files = EXAMPLES[example]
    command = [sys.executable, str(ROOT / "examples" / example), *arguments, server.url]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in tmp_path.glob("*.png")) == files
    for file in files:
        with Image.open(tmp_path / file) as picture:
            picture.verify()
