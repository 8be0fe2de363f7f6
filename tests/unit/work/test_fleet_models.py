"""Models that a worker lacks."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from sdrest.core.errors import (
    ModelUnusable,
)
from sdrest.core.job import Progress
from sdrest.registry.contents import content_id
from sdrest.work import worker_frames as frames
from tests.unit.work.fleet_server import Elsewhere, Server


class TestModels:
    CONTENT = b"weights"

    def needed(self, tmp_path: Path, path: str = "vae/sub/a.safetensors") -> frames.Needed:
        file = tmp_path / "at the server"
        file.write_bytes(self.CONTENT)
        return frames.Needed("id-there", content_id(file), "vae", path, len(self.CONTENT))

    async def test_a_model_that_is_lacking_is_fetched_once_and_found_under_its_place(
        self, server: Server, worker: Elsewhere, tmp_path: Path
    ) -> None:
        needed = self.needed(tmp_path)
        server.served = {"id-there": self.CONTENT}
        told: list[Progress] = []
        first, second = await asyncio.gather(*(worker.models.fetch([needed], told.append) for _ in range(2)))
        assert first == second
        (model,) = worker.registry.catalogue.models
        assert first == {"id-there": model.id}
        assert model.relative_path == needed.path
        assert hashlib.sha256(model.path.read_bytes()).digest() == hashlib.sha256(self.CONTENT).digest()
        assert [progress.done_bytes for progress in told] == [len(self.CONTENT)]
        assert await worker.models.inventory() == {model.id: needed.content}

    async def test_another_file_in_its_place_is_left_alone_and_named(
        self, server: Server, worker: Elsewhere, tmp_path: Path
    ) -> None:
        needed = self.needed(tmp_path)
        own = worker.folder / "models" / needed.path
        own.parent.mkdir(parents=True)
        own.write_bytes(b"another")
        worker.registry.refresh()
        with pytest.raises(ModelUnusable, match=r"another file at vae/sub/a\.safetensors"):
            await worker.models.fetch([needed], lambda _progress: None)
        assert own.read_bytes() == b"another"

    async def test_what_comes_and_is_another_file_is_not_kept(
        self, server: Server, worker: Elsewhere, tmp_path: Path
    ) -> None:
        server.served = {"id-there": b"tampered"}
        with pytest.raises(ModelUnusable, match="another file than the server has"):
            await worker.models.fetch([self.needed(tmp_path)], lambda _progress: None)
        assert not [*worker.folder.rglob("a.safetensors")]

    @pytest.mark.parametrize("path", ["../x.safetensors", "vae/../../x.safetensors", "/etc/x.safetensors"])
    async def test_a_place_outside_of_the_folders_is_refused(
        self, server: Server, worker: Elsewhere, tmp_path: Path, path: str
    ) -> None:
        with pytest.raises(ModelUnusable, match="no place"):
            await worker.models.fetch([self.needed(tmp_path, path)], lambda _progress: None)
