"""The button that has a language model make more of the prompt."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser import serious_findings
from tests.acceptance.conftest import StartServer

PROPOSED = "a red apple on a wooden table in the morning light"


class Chat(BaseHTTPRequestHandler):
    """A language model that always says the same, or that it has no more memory."""

    is_full: ClassVar[bool] = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = {"error": "no memory"} if self.is_full else {"choices": [{"message": {"content": PROPOSED}}]}
        data = json.dumps(answer).encode()
        self.send_response(500 if self.is_full else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def chat() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Chat) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_a_proposal_is_taken_taken_back_or_left(
    page: Page, start_server: StartServer, chat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server("--prompt-expansion-url", chat, "--prompt-expansion-model", "m")
    page.set_viewport_size({"width": 320, "height": 800})
    page.goto(f"{server.url}/ui/")
    prompt, more = page.get_by_label("Prompt", exact=True), page.get_by_role("button", name="More words for the prompt")
    prompt.fill("a red apple")
    more.click()
    proposal = page.get_by_role("group", name="Proposed prompt")
    expect(proposal).to_contain_text(PROPOSED)
    expect(proposal.get_by_role("button", name="Take it")).to_be_focused()
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.keyboard.press("Enter")
    expect(prompt).to_have_value(PROPOSED)
    proposal.get_by_role("button", name="Back to my prompt").click()
    expect(prompt).to_have_value("a red apple")
    expect(proposal).to_be_hidden()
    more.click()
    expect(proposal).to_contain_text(PROPOSED)
    page.keyboard.press("Escape")
    expect(proposal).to_be_hidden()
    expect(prompt).to_have_value("a red apple")
    monkeypatch.setattr(Chat, "is_full", True)
    more.click()
    expect(proposal).to_contain_text("answered 500: no memory")
    proposal.get_by_role("button", name="Leave it").click()
    expect(proposal).to_be_hidden()
