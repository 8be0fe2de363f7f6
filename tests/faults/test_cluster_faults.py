"""What ``benchmarks/cluster_faults.py`` does to a cluster for long, for a few minutes."""

from __future__ import annotations

import os

import pytest

from tests.needs import needs


@needs("postgres")
@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.geteuid() != 0, reason="small disks are mounted")
async def test_every_job_ends_once_whatever_is_killed_stopped_or_cut_off() -> None:
    from benchmarks.cluster_faults import measure

    result = await measure(faults=4)
    assert not [figure for figure in result.figures if figure.met is False]


@needs("postgres")
@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_workers_beside_each_other_do_as_much_as_each_alone() -> None:
    from benchmarks.linearity import measure

    result = await measure(workers=(1, 4), rounds=3)
    (table,) = result.tables
    assert [row[0] for row in table.rows] == [1, 4]
    assert float(table.rows[1][1]) > 2 * float(
        table.rows[0][1]
    )  # that they work at the same time, not how quick the machine is


@needs("postgres")
@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_a_thousand_workers_are_served_and_each_job_is_begun_once() -> None:
    from benchmarks.crowd import measure

    result = await measure(jobs=3000)
    assert not [figure for figure in result.figures if figure.met is False]
