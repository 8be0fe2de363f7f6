"""How a model is held reaches the library, and the picture stays what it is but for rounding."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from tests.integration.conftest import SMALL, ClientFactory
from tests.tiny.fixtures import cached


async def picture(client: TestClient[Any, Any]) -> np.ndarray[Any, Any]:
    """The picture of a small request, in grey levels of 255."""
    reply = await client.post("/sdapi/v1/txt2img", json={**SMALL, "override_settings": {"sd_model_checkpoint": "own"}})
    body = await reply.json()
    assert reply.status == 200, body
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body["images"][0]))), dtype=int)


@pytest.mark.parametrize("by_file", [True, False])
async def test_flash_attention_by_a_setting_and_by_the_models_own_file(
    client_factory: ClientFactory, models_dir: Path, by_file: bool
) -> None:
    folder = models_dir / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "own.safetensors").symlink_to(cached("ernie"))
    plain = await picture(await client_factory())
    if by_file:
        (folder / "own.json").write_text(json.dumps({"holding": {"flash_attention": True}}))
    others = dict.fromkeys(("vae_conv_direct", "text_encoders_on_cpu", "vae_on_cpu", "map_weights"), True)
    settings = {} if by_file else {"flash_attention": True, **others}
    held = await picture(await client_factory(**settings, data_dir=models_dir.parent / "other"))
    difference = np.abs(held - plain)
    assert 1 <= difference.max() <= 8
    assert difference.mean() < 1
