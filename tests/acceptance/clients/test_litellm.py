"""The `litellm` package against a running server."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any

import pytest
from PIL import Image

from tests.acceptance.conftest import SMALL, Server

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def litellm() -> Any:
    """The package: to import it takes seconds, which nobody else should wait for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm
    return litellm


@pytest.fixture
def target(server: Server) -> dict[str, Any]:
    return {"api_base": f"{server.url}/v1", "api_key": "unused", "timeout": 60}


def test_the_same_seed_gives_the_same_bytes_as_the_native_route(
    litellm: Any, target: dict[str, Any], server: Server
) -> None:
    extra = {"steps": 2, "seed": 7}
    reply: Any = litellm.image_generation(
        "a red apple", model="openai/embedded", size="64x64", extra_body=extra, **target
    )
    assert base64.b64decode(reply.data[0].b64_json) == server.native_picture()
    assert reply.data[0].url.startswith(server.url)


async def test_the_asynchronous_call_works_as_well(litellm: Any, target: dict[str, Any]) -> None:
    reply: Any = await litellm.aimage_generation(
        prompt="a red apple", model="openai/dall-e-3", n=2, size="64x64", extra_body={"steps": 2}, **target
    )
    assert len(reply.data) == 2


def test_an_edit_sends_its_picture_as_a_list(litellm: Any, target: dict[str, Any]) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(stream, "PNG")
    reply: Any = litellm.image_edit(
        image=stream.getvalue(),
        prompt="p",
        model="openai/ovis",
        extra_body={"steps": 1, "seed": SMALL["seed"]},
        **target,
    )
    assert Image.open(io.BytesIO(base64.b64decode(reply.data[0].b64_json))).size == (64, 64)


def test_a_wrong_model_is_an_error_of_its_kind(litellm: Any, target: dict[str, Any]) -> None:
    with pytest.raises(litellm.exceptions.NotFoundError):
        litellm.image_generation("p", model="openai/no-such-model", **target)
