"""``sdrest run``: a model that is not here is fetched after asking, and then there is a picture."""

from __future__ import annotations

import asyncio
from pathlib import Path

from click.testing import CliRunner, Result
from PIL import Image

from sdrest.cli.sdrest import main
from tests.integration.model_downloads.test_model_sets import catalogue
from tests.integration.server.elsewhere import Elsewhere


async def test_a_model_set_is_fetched_when_it_is_meant_and_painted_with(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.gate.set()
    picture = tmp_path / "picture.png"
    options = [
        *("--models-dir", str(tmp_path / "models"), "--data-dir", str(tmp_path / "data"), "-o", str(picture)),
        *("--model-sets", catalogue(elsewhere, tmp_path), "--download-hosts", elsewhere.host),
        *("--fetch-allowed-hosts", elsewhere.host, "-W", "64", "-H", "64", "--steps", "1"),
    ]

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["run", "a pear", *options, *words])

    refused = await run("--model", "nut")
    assert refused.exit_code == 1
    assert "Fruit (nut) is not all here: 1 file, at most" in refused.output
    assert "licence: MIT. Without a terminal to ask on, --yes" in refused.output
    assert (elsewhere.seen, picture.exists()) == ([], False)
    # By the name of its main file as well as by that of the set.
    for name in ("shared", "nut"):
        done = await run("--model", name, "--yes")
        assert done.exit_code == 0, done.output
        assert done.stdout == f"{picture}\n"
        with Image.open(picture) as image:
            assert image.size == (64, 64)
        picture.unlink()
    assert [seen.path for seen in elsewhere.seen] == ["/files/shared.gguf"]


async def test_what_is_neither_model_nor_set_is_told_with_what_comes_near(elsewhere: Elsewhere, tmp_path: Path) -> None:
    arguments = ["run", "a pear", "--models-dir", str(tmp_path / "models"), "--model", "z-image-turb"]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert result.exit_code == 1
    assert "nor is it a model set; did you mean 'z-image-turbo'?" in result.output
