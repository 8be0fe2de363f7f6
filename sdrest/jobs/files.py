"""The files of jobs: finished outputs, input pictures (kept for a retry), and the engine's raw pictures (gone with the attempt).

Outputs lie in ``output_dir``, one folder for each job id; the rest lies in the job's folder in the spool, which is the server's.

An attempt writes its outputs into a hidden folder of its lease within the job's. They come to their place together with the change
of the job that names them, so one that has lost its job to another cannot touch the other's files.

A job in the store and its files cannot come or go in one step. Where its outputs come first or go last, the spool holds a mark for
as long as that takes: *no job, no outputs*. After a crash, :meth:`JobFiles.sweep` finds it and ends what was begun. An output
folder without such a mark is never removed: one that belongs to no known job may belong to a database that is put back tomorrow.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from PIL import Image

from sdrest.core.errors import InsufficientStorage
from sdrest.core.files import atomic_file
from sdrest.core.job import Job, Output
from sdrest.jobs.submission import Picture, Promised, input_names
from sdrest.outputs.pictures import png_bytes

_INPUT: Final = "input"
_MARK: Final = "no_job_no_outputs"
#: Folder of the marks of servers.
_SERVERS: Final = ".servers"


class JobFiles:
    """All that jobs have on the disk. Blocks: not for the event loop."""

    def __init__(self, output_dir: Path, spool_dir: Path) -> None:
        self._output_dir = output_dir
        self._spool_dir = spool_dir

    def output_folder(self, job_id: str) -> Path:
        """Where the finished files of a job lie."""
        return self._output_dir / job_id

    def input_folder(self, job_id: str) -> Path:
        """Where the input pictures of a job lie."""
        return self._spool_dir / job_id / _INPUT

    # ------------------------------------------------------------------ input pictures

    def store_inputs(self, job_id: str, pictures: Mapping[str, Sequence[Picture]]) -> dict[str, tuple[str, ...]]:
        """Write input pictures as PNG files; the names by parameter name, also of those that are only promised.

        Raises:
            InsufficientStorage: the disk is full; nothing of the job is left.
        """
        names = input_names(pictures)
        try:
            for field, items in pictures.items():
                for name, picture in zip(names[field], items, strict=True):
                    if not isinstance(picture, Promised):
                        self._store_input(job_id, name, picture)
        except BaseException:
            self.remove(job_id)
            raise
        return names

    def _store_input(self, job_id: str, name: str, picture: Image.Image) -> None:
        with atomic_file(self.input_folder(job_id) / name) as stream:
            stream.write(png_bytes(picture))

    def has_input(self, job_id: str, name: str) -> bool:
        """Whether an input picture is there; one that was promised may not be."""
        return (self.input_folder(job_id) / name).is_file()

    def bring_input(self, job_id: str, name: str, source_id: str, output: Output) -> None:
        """Make an output of another job an input picture.

        Raises:
            InsufficientStorage: the disk is full.
            OSError: it is not there, or is no picture.
        """
        with Image.open(self.output_folder(source_id) / output.file) as picture:
            self._store_input(job_id, name, picture)

    def share_inputs(self, old_id: str, new_id: str) -> None:
        """Give a new job the input pictures of an old one; nothing to do when it had none.

        Raises:
            InsufficientStorage: they cannot be written; nothing of the new job is left.
        """
        source = self.input_folder(old_id)
        if not source.is_dir():
            return
        try:
            _share(source, self.input_folder(new_id), [file.name for file in source.iterdir()])
        except OSError as error:
            self.remove(new_id)
            raise InsufficientStorage(f"the input pictures cannot be copied: {error.strerror}") from error

    # ------------------------------------------------------------------ raw pictures of an attempt

    def begin_attempt(self, job: Job) -> Path:
        """A new, empty folder for the engine's files of the attempt that has the job."""
        folder = self._attempt_folder(job)
        folder.mkdir(parents=True)
        return folder

    def end_attempt(self, job: Job) -> None:
        """Remove the engine's files of an attempt."""
        shutil.rmtree(self._attempt_folder(job), ignore_errors=True)
        self._leave(job.id)

    def _attempt_folder(self, job: Job) -> Path:
        return self._spool_dir / job.id / f"attempt_{job.lease_id}"

    # ------------------------------------------------------------------ outputs

    def staging_folder(self, job: Job) -> Path:
        """Where the attempt that has the job writes its outputs."""
        return self.output_folder(job.id) / f".{job.lease_id}"

    def place(self, job: Job, names: Collection[str]) -> None:
        """Put finished files of an attempt where the job's outputs are; those that are there already stay.

        Raises:
            OSError: one cannot be moved.
        """
        staged = self.staging_folder(job)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (staged / name).replace(self.output_folder(job.id) / name)
        with contextlib.suppress(OSError):  # there is more to come
            staged.rmdir()

    def settle(self, job: Job, names: Collection[str]) -> None:
        """At the end of an attempt: :meth:`place` what it has finished, and remove what it has not."""
        self.place(job, names)
        self.discard(job)

    def discard(self, job: Job) -> None:
        """Remove what an attempt has written and not placed."""
        shutil.rmtree(self.staging_folder(job), ignore_errors=True)
        with contextlib.suppress(OSError):
            self.output_folder(job.id).rmdir()  # where there is nothing else

    def share_outputs(self, old: Job, new_id: str) -> bool:
        """Give a job that is not stored yet the outputs of an old one; False, leaving nothing, when one is not there or not whole.

        :meth:`keep` must be called when it is stored.
        """
        source = self.output_folder(old.id)
        try:
            for output in old.outputs:
                if (source / output.file).stat().st_size != output.size_bytes:
                    return False
            self.doubt(new_id)
            _share(source, self.output_folder(new_id), [output.file for output in old.outputs])
        except OSError:
            self.remove(new_id)
            return False
        return True

    def remove_outputs(self, job_id: str, names: Collection[str]) -> None:
        """Remove finished files; those that are not there are passed over."""
        folder = self.output_folder(job_id)
        for name in names:
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()  # where there is nothing else

    def trim(self, job: Job) -> None:
        """Remove what is no output of the job: what a dead server had not finished, or not noted, and the engine's files."""
        self.end_attempt(job)
        folder, listed = self.output_folder(job.id), {output.file for output in job.outputs}
        with contextlib.suppress(OSError):
            for file in list(folder.iterdir()):
                if file.is_dir():
                    shutil.rmtree(file, ignore_errors=True)
                elif file.name not in listed:
                    file.unlink()
            if not listed:
                folder.rmdir()

    # ------------------------------------------------------------------ coming and going

    def doubt(self, job_id: str) -> None:
        """Mark outputs as nobody's if there is no such job; to be called before the job goes, or before the outputs come."""
        with contextlib.suppress(OSError):  # on a full disk deleting must go on, at the worst without the mark
            mark = self._spool_dir / job_id / _MARK
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def keep(self, job_id: str) -> None:
        """Take the mark away: the job is stored."""
        (self._spool_dir / job_id / _MARK).unlink(missing_ok=True)
        self._leave(job_id)

    def remove(self, job_id: str) -> None:
        """Remove everything of a job; what cannot be removed now stays marked."""
        outputs = self.output_folder(job_id)
        shutil.rmtree(outputs, ignore_errors=True)
        if not outputs.exists():
            shutil.rmtree(self._spool_dir / job_id, ignore_errors=True)

    def spooled(self) -> list[str]:
        """The ids of the jobs that have a folder in the spool, stored or not."""
        with contextlib.suppress(FileNotFoundError):
            return [folder.name for folder in self._spool_dir.iterdir() if _is_id(folder.name)]
        return []

    def sweep(
        self,
        *,
        stored: Collection[str],
        gone: Collection[str],
        leases: Collection[str] = (),
        spare_seconds: float = 0.0,
    ) -> None:
        """At start, before anything is written: remove what attempts left that are not under any of the leases, and the files of
        jobs that are not stored.

        What was changed within ``spare_seconds`` stays: another server may be about to store its job.
        """
        before = time.time() - spare_seconds
        for job_id in filter(partial(self._is_older, before=before), stored):
            for folder in (self._spool_dir / job_id).glob("attempt_*"):
                if folder.name.removeprefix("attempt_") not in leases and _changed_at(folder) <= before:
                    shutil.rmtree(folder, ignore_errors=True)
            self.keep(job_id)
        for job_id in filter(partial(self._is_older, before=before), gone):
            if (self._spool_dir / job_id / _MARK).exists():
                self.remove(job_id)
            else:
                shutil.rmtree(self._spool_dir / job_id, ignore_errors=True)

    def _is_older(self, job_id: str, *, before: float) -> bool:
        """Whether nothing in the job's folder in the spool was changed since ``before`` (seconds since the epoch)."""
        folder = self._spool_dir / job_id
        return max(map(_changed_at, (folder, *folder.glob("*"))), default=0.0) <= before

    # ------------------------------------------------------------------ the servers that share the folders

    def sign(self, server: str) -> None:
        """Leave the mark of a server in both folders."""
        for folder in (self._output_dir, self._spool_dir):
            mark = folder / _SERVERS / server
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def unsign(self, server: str) -> None:
        """Take the marks of a server away."""
        for folder in (self._output_dir, self._spool_dir):
            (folder / _SERVERS / server).unlink(missing_ok=True)

    def is_signed(self, server: str) -> bool:
        """Whether both folders have the mark of a server."""
        return all((folder / _SERVERS / server).exists() for folder in (self._output_dir, self._spool_dir))

    def _leave(self, job_id: str) -> None:
        """Remove the job's folder in the spool if nothing is in it."""
        with contextlib.suppress(OSError):
            (self._spool_dir / job_id).rmdir()


def _changed_at(path: Path) -> float:
    """When a file or folder was last changed, in seconds since the epoch; 0 when it has gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_id(name: str) -> bool:
    """Whether a job can have this id."""
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def _share(source: Path, target: Path, names: Sequence[str]) -> None:
    """Lay files of one folder into a new one as well. They are never changed in place, so two jobs may have one file.

    Raises:
        OSError: one is not there, or the disk is full.
    """
    target.mkdir(parents=True)
    for name in names:
        try:
            (target / name).hardlink_to(source / name)
        except OSError:  # some file systems cannot
            shutil.copy2(source / name, target / name)
