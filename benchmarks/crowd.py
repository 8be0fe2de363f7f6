"""A thousand workers on one server: connections of their own, jobs that wait for nothing but the server."""

from __future__ import annotations

import logging
import resource
import tempfile
import time
from pathlib import Path
from typing import Final

import psycopg
import structlog

from benchmarks.cluster import postgres_server
from benchmarks.figures import percentile
from benchmarks.linearity import drain, processor_seconds
from benchmarks.process import sdrest
from benchmarks.results import Result
from benchmarks.rounds import some

WORKERS: Final = 1000
JOBS: Final = 100_000
_JOB_SECONDS: Final = 5.0
_FILES_NEEDED: Final = 16 * WORKERS


async def measure(workers: int = WORKERS, jobs: int | None = None) -> Result:
    """Run it."""
    jobs = some(JOBS, workers) if jobs is None else jobs
    result = Result(
        "crowd",
        "A thousand workers",
        f"One server on PostgreSQL that makes no pictures itself, and {workers:,} workers without engines in one process, each with a connection "
        f"of its own; {jobs:,} jobs that take {_JOB_SECONDS:.0f} s wait before the first begins. They could do {workers / _JOB_SECONDS:.0f} a "
        "second; what is measured is what the server can.",
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES_NEEDED, most), most))
    with tempfile.TemporaryDirectory(prefix="sdrest-crowd-", dir="/tmp") as name, postgres_server() as postgres:
        url = postgres.new_database()
        flags = ("--no-work", "--database", url, "--max-pending-jobs", str(2 * jobs), "--min-free-bytes", "0")
        async with sdrest(Path(name), *flags) as server:
            before, began_at = processor_seconds(server), time.monotonic()
            rate, gaps = await drain(server, Path(name) / "workers", workers, jobs, _JOB_SECONDS)
            spent = (processor_seconds(server) - before) * 1000 / jobs
            memory = sum(item.memory_info().rss for item in server.tree()) / 2**20
            with psycopg.connect(url) as connection:
                states: dict[str, int] = dict(
                    connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
                )
                leases = connection.execute("SELECT count(DISTINCT lease_id), sum(attempt) FROM jobs").fetchone()
    assert leases is not None
    result.add("completed", f"{states.get('completed', 0):,} of {jobs:,}", "all", met=states == {"completed": jobs})
    result.add("begun more than once", str(leases[1] - jobs), "0", met=leases[1] == jobs == leases[0])
    result.add("jobs a second", f"{rate:.1f}")
    result.add("from upload to the next begin, median", f"{percentile(gaps, 50) * 1000:.0f} ms")
    result.add("the same, p99", f"{percentile(gaps, 99) * 1000:.0f} ms")
    result.add("the server's processor time a job, submitting included", f"{spent:.1f} ms")
    result.add("resident memory of the server at the end", f"{memory:.0f} MiB")
    result.add("from the first job submitted to the last ended", f"{time.monotonic() - began_at:.0f} s")
    return result
