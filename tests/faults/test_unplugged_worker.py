"""A worker on another network, whose cable is pulled: nothing comes and nothing is refused, as where a switch has no power."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integration.conftest import certificate_for
from tests.integration.server.worker_processes import worker_cluster
from tests.needs import needs

_HERE: Final = "10.213.77.1"
_THERE: Final = "10.213.77.2"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


class FarMachine:
    """A network namespace, and the cable between it and this machine."""

    def __init__(self) -> None:
        self._name, self._cable = f"sdrest-{os.getpid()}", f"sdrest{os.getpid()}"
        _ip("netns", "add", self._name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "far", "netns", self._name)
        _ip("address", "add", f"{_HERE}/30", "dev", self._cable)
        _ip("-n", self._name, "address", "add", f"{_THERE}/30", "dev", "far")
        for device in ("lo", "far"):
            _ip("-n", self._name, "link", "set", device, "up")
        self.plug()
        #: What starts a command there.
        self.command = ("ip", "netns", "exec", self._name)

    def plug(self) -> None:
        _ip("link", "set", self._cable, "up")

    def unplug(self) -> None:
        _ip("link", "set", self._cable, "down")

    def end(self) -> None:
        _ip("netns", "delete", self._name)


@pytest.fixture
def far_machine() -> Iterator[FarMachine]:
    machine = FarMachine()
    yield machine
    machine.end()


@pytest.mark.nightly
@needs("network namespaces")
def test_the_job_of_an_unplugged_worker_is_made_by_another_and_the_first_comes_back(
    far_machine: FarMachine, tmp_path: Path
) -> None:
    cert, key = certificate_for(tmp_path, "127.0.0.1", "0.0.0.0", _HERE)
    own = ("--host", "0.0.0.0", "--cert", str(cert), "--key", str(key))
    with worker_cluster(tmp_path, *own, trusted=cert) as cluster:
        port = cluster.client.base_url.port
        trusting = ("--ca-file", str(cert))
        cluster.start("far", *trusting, url=f"https://{_HERE}:{port}", through=far_machine.command)
        cluster.until_there("far")
        long = cluster.job(steps=400, batch_count=4)
        assert cluster.worker_of(long) == "far"
        far_machine.unplug()

        cluster.start("near", *trusting, url=f"https://localhost:{port}")
        done = cluster.ended(long)
        assert (done["status"], done["attempt"], len(done["outputs"])) == ("completed", 2, 4), done
        assert "far" not in cluster.seen()
        picture = cluster.client.get(f"/api/jobs/{long}/output/image_0.png").content

        far_machine.plug()
        cluster.until_there("far", "near")
        cluster.client.post("/api/workers/near/drain")
        while "near" in cluster.seen():
            time.sleep(0.05)
        again = cluster.ended(cluster.job(seed=8))
        assert (again["status"], again["attempt"]) == ("completed", 1), again
        assert cluster.ended(long)["outputs"] == done["outputs"]
        assert cluster.client.get(f"/api/jobs/{long}/output/image_0.png").content == picture
