"""``sdrest serve --no-work`` and ``sdrest worker`` as processes: models are fetched, workers are killed and drained."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import sdrest
from tests.integration.server.worker_processes import Cluster, worker_cluster
from tests.tiny.embedded import NAME

pytestmark = pytest.mark.timeout(240)  # processes start, each of which loads the native library


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with worker_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


def test_a_worker_gets_the_model_and_makes_the_picture_and_another_goes_on_when_it_is_killed(cluster: Cluster) -> None:
    cluster.start("first")
    cluster.start("second")
    cluster.until_there("first", "second")
    done = cluster.ended(cluster.job())
    assert done["status"] == "completed", done
    picture = cluster.client.get(f"/api/jobs/{done['job_id']}/output/image_0.png").content
    assert picture.startswith(b"\x89PNG")
    fetched = [worker for worker in cluster.workers if [*worker.folder.glob(f"models/*/*{NAME}*")]]
    assert fetched

    job_id = cluster.job(steps=150, batch_count=4)
    at_work = cluster.worker_of(job_id)
    next(worker for worker in cluster.workers if worker.folder.name == at_work).process.kill()
    done = cluster.ended(job_id)
    assert (done["status"], done["attempt"], len(done["outputs"])) == ("completed", 2, 4), done
    assert at_work not in cluster.seen()

    (left,) = cluster.seen()
    shown = sdrest("workers", "list", *cluster.asking(), cwd=cluster.folder)
    assert left in shown.stdout, shown.stderr
    metrics = cluster.client.get("/metrics").text
    assert f'sdrest_workers_connected{{worker="{left}"}} 1.0' in metrics
    job_id = cluster.job(steps=400)
    assert cluster.worker_of(job_id) == left
    worker = next(worker for worker in cluster.workers if worker.folder.name == left)
    worker.process.send_signal(signal.SIGTERM)  # it finishes what it is making
    assert cluster.ended(job_id)["status"] == "completed"
    assert worker.process.wait() == 0
    assert "the worker has ended" in worker.log


def test_a_worker_that_the_server_does_not_want_says_so(cluster: Cluster, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("sdrest_nothing")
    done = sdrest("worker", "--connect", cluster.server.url, "--token-file", str(wrong), cwd=tmp_path)
    assert done.returncode != 0
    assert "401" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_with_nothing_to_do_ends_by_itself(cluster: Cluster) -> None:
    worker = cluster.start("idle", "--idle-exit", "0.1")
    assert worker.process.wait() == 0


def test_a_worker_is_drained_by_command(cluster: Cluster) -> None:
    worker = cluster.start("drained")
    cluster.until_there_alone(worker)
    done = sdrest("workers", "drain", "drained", *cluster.asking(), cwd=cluster.folder)
    assert done.stdout == "drained leaves\n", done.stderr
    assert worker.process.wait() == 0
    done = sdrest("workers", "drain", "nobody", *cluster.asking(), cwd=cluster.folder)
    assert "no worker 'nobody'" in done.stderr
