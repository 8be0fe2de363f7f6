"""The `openai` package against a server that asks for keys, and its video calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.acceptance.conftest import Server, StartServer
from tests.commands import sdrest


def test_a_wrong_key_is_an_authentication_error_and_urls_need_none(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--auth", "api-key")
    key = sdrest("token", "create", "ann", cwd=tmp_path).stdout.strip()
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "invalid_api_key"
    client_with_key: Any = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key)
    with client_with_key as client:
        reply = client.images.generate(prompt="p", size="64x64", response_format="url", extra_body={"steps": 1})
    url = httpx.URL(reply.data[0].url)
    picture = httpx.get(url)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
    assert httpx.get(url.copy_remove_param("signature")).status_code == 401


def test_a_video_of_a_picture_model_is_refused_and_nothing_is_listed(server: Server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
        with pytest.raises(openai.BadRequestError, match="video"):
            client.videos.create(prompt="p", model="sora-2", seconds="4")
        assert list(client.videos.list()) == []
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve("nothing")
