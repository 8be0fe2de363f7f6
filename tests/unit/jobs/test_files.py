"""What a start takes away of the files of jobs, and what it leaves to others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sdrest.core.job import Job, JobType
from sdrest.jobs.files import JobFiles
from tests.unit.jobs.queue_server import Clock

STORED, GONE = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    return JobFiles(tmp_path / "output", tmp_path / "spool")


def job(lease: str = "lease") -> Job:
    return Job(id=STORED, type=JobType.TXT2IMG, created_at=Clock()(), lease_id=lease)


def age(folder: Path, seconds: float) -> None:
    """Make a folder, and all in it, as old as that."""
    then = time.time() - seconds
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


def test_attempts_that_go_on_keep_their_files(files: JobFiles) -> None:
    going_on, dead = (files.begin_attempt(job(lease)) for lease in ("alive", "dead"))
    files.sweep(stored=[STORED], gone=[], leases={"alive"})
    assert going_on.is_dir()
    assert not dead.exists()
    files.sweep(stored=[STORED], gone=[])
    assert files.spooled() == []


def test_what_another_server_has_just_written_stays(files: JobFiles, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    old, new = (files.begin_attempt(job(lease)) for lease in ("old", "new"))
    files.doubt(GONE)
    files.output_folder(GONE).mkdir(parents=True)
    age(spool / STORED, 100)
    age(spool / GONE, 100)
    os.utime(new)
    files.sweep(stored=[STORED], gone=[GONE], spare_seconds=60)
    assert old.is_dir()  # for the one beside it
    assert not files.output_folder(GONE).exists()
    age(spool / STORED, 100)
    files.sweep(stored=[STORED], gone=[], spare_seconds=60)
    assert not old.exists()
    assert not new.exists()
    files.doubt(GONE)
    files.sweep(stored=[], gone=[GONE], spare_seconds=60)
    assert files.spooled() == [GONE]


def test_outputs_without_a_mark_are_nobodys_to_remove(files: JobFiles) -> None:
    for job_id in (STORED, GONE):
        files.output_folder(job_id).mkdir(parents=True)
        files.input_folder(job_id).mkdir(parents=True)
    files.doubt(STORED)
    files.sweep(stored=[], gone=[STORED, GONE])
    assert not files.output_folder(STORED).exists()
    assert files.output_folder(GONE).is_dir()
    assert files.spooled() == []


def test_a_mark_goes_when_the_job_is_stored(files: JobFiles) -> None:
    files.doubt(STORED)
    files.sweep(stored=[STORED], gone=[])
    files.output_folder(STORED).mkdir(parents=True)
    files.sweep(stored=[], gone=[STORED])
    assert files.output_folder(STORED).is_dir()
