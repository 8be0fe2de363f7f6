"""The working folder of each job: its input pictures, kept for a retry, and the engine's raw pictures, gone with the attempt."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from sdrest.outputs.files import atomic_file
from sdrest.outputs.pictures import png_bytes


class Spool:
    """Folders below ``root``, one for each job id."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def input_folder(self, job_id: str) -> Path:
        """Where the input pictures of a job lie."""
        return self.root / job_id / "input"

    def store_inputs(self, job_id: str, pictures: Mapping[str, Sequence[Image.Image]]) -> dict[str, tuple[str, ...]]:
        """Write input pictures as PNG files; their names by parameter name.

        Raises:
            InsufficientStorage: the disk is full; nothing of the job is left.
        """
        names: dict[str, tuple[str, ...]] = {}
        try:
            for field, items in pictures.items():
                files = [f"{field}_{index}.png" for index in range(len(items))]
                for name, picture in zip(files, items, strict=True):
                    with atomic_file(self.input_folder(job_id) / name) as stream:
                        stream.write(png_bytes(picture))
                names[field] = tuple(files)
        except BaseException:
            self.remove(job_id)
            raise
        return names

    def copy_inputs(self, old_id: str, new_id: str) -> None:
        """Give a new job the input pictures of an old one; nothing to do when it had none."""
        if self.input_folder(old_id).is_dir():
            shutil.copytree(self.input_folder(old_id), self.input_folder(new_id))

    def begin_attempt(self, job_id: str, attempt: int) -> Path:
        """A fresh, empty folder for the engine's files of one attempt."""
        folder = self.root / job_id / f"attempt_{attempt}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def end_attempt(self, job_id: str, attempt: int) -> None:
        """Remove the engine's files of an attempt."""
        shutil.rmtree(self.root / job_id / f"attempt_{attempt}", ignore_errors=True)
        folder = self.root / job_id
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def remove(self, job_id: str) -> None:
        """Remove everything of a job."""
        shutil.rmtree(self.root / job_id, ignore_errors=True)
