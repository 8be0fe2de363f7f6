"""JavaScript clients of the OpenAI API: OpenAI's own, both of the Vercel AI SDK, and LangChain."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.clients.other_clients import PICTURE, PROCESS_SECONDS, decoded, told, until_cancelled
from tests.acceptance.conftest import Server
from tests.needs import JAVASCRIPT, needs

SCRIPTS = Path(__file__).parent / "javascript"

pytestmark = [needs("node", "javascript"), pytest.mark.timeout(PROCESS_SECONDS)]


def used(server: Server, name: str) -> dict[str, Any]:
    """What came of the requests that a script makes; each generates, edits, errs and aborts."""
    script = "\n".join((SCRIPTS / file).read_text(encoding="utf-8") for file in ("common.mjs", f"{name}.mjs"))
    found: dict[str, Any] = told(server, ["node", "--input-type=module", "-"], folder=JAVASCRIPT, said=script)
    until_cancelled(server)
    return found


def test_openai(server: Server) -> None:
    made = used(server, "openai")
    assert base64.b64decode(made["generated"]) == base64.b64decode(made["responded"]) == server.native_picture()
    assert decoded(made["edited"]).size == PICTURE.size
    assert made["error"] == {
        "name": "BadRequestError",
        "status": 400,
        "param": "n",
        "message": "400 n: must be a whole number from 1 to 10",
    }
    assert made["aborted"] == "APIUserAbortError"
    assert made["ended"] == "response.completed"
    assert made["drawn"] == made["generated"]


def test_vercel_ai_sdk(server: Server) -> None:
    made = used(server, "vercel")
    assert base64.b64decode(made["generated"]) == base64.b64decode(made["responded"]) == server.native_picture()
    assert made["total"] > 0
    assert decoded(made["edited"]).size == PICTURE.size
    assert (made["error"]["status"], made["error"]["param"]) == (400, "background")
    assert "png or webp" in made["error"]["message"]
    assert made["aborted"] == "DOMException"


def test_vercel_ai_sdk_for_compatible_servers(server: Server) -> None:
    made = used(server, "vercel_compatible")
    assert base64.b64decode(made["generated"]) == server.native_picture()
    assert decoded(made["edited"]).size == PICTURE.size
    assert (made["error"]["status"], made["error"]["param"]) == (400, "steps")
    assert made["aborted"] == "DOMException"


def test_langchain(server: Server) -> None:
    made = used(server, "langchain")
    expected = server.native_picture()
    assert base64.b64decode(made["generated"]) == base64.b64decode(made["responded"]) == expected
    assert httpx.get(made["url"]).content == expected
    assert decoded(made["edited"]).size == (64, 64)
    assert (made["error"]["name"], made["error"]["param"]) == ("BadRequestError", "size")
    assert made["aborted"] != "nothing"
