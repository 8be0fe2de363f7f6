"""Looks through the model folders that are asked for together are one look, which finds what was there when it was asked for."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sdrest.registry.folders import Folders
from sdrest.registry.refreshing import Refresher
from sdrest.registry.registry import Registry


async def test_who_asks_before_a_look_begins_shares_it_and_who_asks_later_gets_another(tmp_path: Path) -> None:
    (tmp_path / "models" / "presets").mkdir(parents=True)
    registry = Registry(Folders(tmp_path / "models", {}), tmp_path / "data")
    free = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        refresher = Refresher(registry, threads)
        busy = threads.submit(free.wait)
        asked = [asyncio.create_task(refresher.refresh()) for _ in range(4)]
        await asyncio.sleep(0)
        asked.pop().cancel()
        (tmp_path / "models" / "presets" / "late.json").write_text("{}")
        free.set()
        first, *others = await asyncio.gather(*asked)
        assert busy.result()
        assert first.total == 1
        assert all(report is first for report in others)
        (tmp_path / "models" / "presets" / "later.json").write_text("{}")
        assert (await refresher.refresh()).total == 2
