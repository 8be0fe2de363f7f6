"""What the tests with the `openai` package share."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from tests.acceptance.conftest import Server

PICTURE = Image.new("RGB", (80, 48), (200, 30, 30))
ON_OVIS: dict[str, Any] = {"steps": 2, "seed": 1, "cfg_scale": 1}


@pytest.fixture(name="client")
def sdk(server: Server) -> Iterator[Any]:
    """Any, because the SDK's types allow only OpenAI's own sizes."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=60) as client:
        yield client


def decoded(item: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json)))


def as_file(picture: Image.Image, name: str = "picture.png") -> tuple[str, bytes]:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return name, stream.getvalue()
