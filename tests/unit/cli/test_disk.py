"""``sdrest models du``: what models share is counted once."""

from __future__ import annotations

import os
from pathlib import Path

from tests.unit.cli.conftest import Command, told


def test_shared_parts_are_everybodys_and_counted_once(command: Command, models: Path) -> None:
    os.link(models / "diffusion_models/flux1-dev.gguf", models / "diffusion_models/second-name.gguf")
    found = told(command("du", "--json"))
    rows = {row["name"]: row for row in found["models"]}
    sizes = {path.stem: path.stat().st_size for path in models.rglob("*.*")}
    parts = sum(sizes[name] for name in ("ae", "clip_l", "t5xxl"))
    schnell = rows["flux1-schnell"]
    assert (schnell["own_bytes"], schnell["alone_bytes"]) == (sizes["flux1-schnell"],) * 2
    assert schnell["total_bytes"] == sizes["flux1-schnell"] + parts
    assert {part["part"]: part["file"] for part in schnell["parts"] if part["file"]} == {
        "vae": "ae",
        "clip_l": "clip_l",
        "t5xxl": "t5xxl",
    }
    # Three names of diffusion models are two files.
    assert found["by_type"]["diffusion_model"] == 2 * sizes["flux1-schnell"]
    assert found["total_bytes"] == sum(found["by_type"].values())
    for name in ("flux1-schnell", "second-name"):
        assert command("rm", name, "--yes").exit_code == 0
    (alone,) = told(command("du", "flux1-dev", "--json"))["models"]
    assert alone["alone_bytes"] == alone["total_bytes"]
    assert "vae ae" in command("du", "flux1-dev").output
