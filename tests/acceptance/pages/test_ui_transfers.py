"""Adding models from the Models page in a real browser: upload with progress, download with a live card."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser import serious_findings
from tests.acceptance.conftest import Server, StartServer
from tests.tiny.fixtures import cached


class Elsewhere(ThreadingHTTPServer):
    """Serves a model; stops half-way until its gate is opened."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gate = threading.Event()
        self.host = f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Elsewhere)
        body = cached("ernie").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.server.gate.wait(60)
        self.wfile.write(body[len(body) // 2 :])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models/checkpoints").iterdir() if path.suffix == ".gguf")


def test_a_model_is_uploaded_with_progress_cancelled_and_sent_again(
    page: Page, start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server()
    model = tmp_path / "pear.gguf"
    model.write_bytes(cached("ernie").read_bytes())
    page.goto(f"{server.url}/ui/models")
    page.get_by_text("Add a model").click()
    form = page.get_by_role("region", name="Upload")
    form.get_by_role("button", name="Upload").click()
    expect(page.locator("#f-upload-file-error")).to_have_text("choose a file")
    form.get_by_label("File").set_input_files(model)
    form.get_by_label("SHA-256").fill("0" * 64)
    form.get_by_role("button", name="Upload").click()
    expect(page.locator("#f-upload-sha256-error")).to_contain_text("damaged or another file")
    form.get_by_label("SHA-256").fill("")
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 50_000}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    form.get_by_role("button", name="Upload").click()
    expect(form.locator("[data-sent-text]")).to_have_text(re.compile(r"kB of .* MB · .*/s · about .* left"))
    form.get_by_role("button", name="Cancel").click()
    expect(page.locator("#notices")).to_contain_text("stopped")
    assert "pear.gguf" not in files(server.folder)
    network.detach()  # and with it goes the slow line
    page.goto(f"{server.url}/ui/models")
    page.get_by_text("Add a model").click()
    form.get_by_label("File").set_input_files(model)
    form.get_by_role("button", name="Upload").click()
    expect(page).to_have_url(re.compile(r"/ui/models/[0-9a-f]+$"))
    expect(page.locator("dl.facts").first).to_contain_text("checkpoints/pear.gguf")
    assert "pear.gguf" in files(server.folder)


def test_a_download_is_followed_on_the_page_until_the_model_is_listed(
    page: Page, start_server: StartServer, elsewhere: Elsewhere
) -> None:
    server = start_server("--download-hosts", elsewhere.host, "--fetch-allowed-hosts", elsewhere.host)
    page.goto(f"{server.url}/ui/models")
    page.get_by_text("Add a model").click()
    form = page.get_by_role("region", name="Download")
    form.get_by_label("Address").fill("https://example.org/pear.gguf")
    form.get_by_role("button", name="Download").click()
    expect(page.locator("#f-download-source-error")).to_contain_text("download_hosts")
    assert serious_findings(page) == []
    form.get_by_label("Address").fill(f"http://{elsewhere.host}/pear.gguf")
    form.get_by_label("Folder or name").fill("fruit/")
    form.get_by_role("button", name="Download").click()
    card = page.locator("#downloads .job")
    expect(page.locator("#f-download-source-error")).to_be_hidden()
    expect(card.locator("[data-progress-text]")).to_contain_text(re.compile(r"MB of .* MB"))
    page.reload()
    expect(card.locator("[data-progress-text]")).to_contain_text(re.compile(r"MB of .* MB"))
    elsewhere.gate.set()
    expect(card).to_contain_text("Done")
    expect(page.locator("#models")).to_contain_text("checkpoints/fruit/pear.gguf")


def test_both_forms_work_without_scripts(
    page: Page, start_server: StartServer, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    server: Server = start_server("--download-hosts", elsewhere.host, "--fetch-allowed-hosts", elsewhere.host)
    elsewhere.gate.set()
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{server.url}/ui/models")
    plain.get_by_text("Add a model").click()
    wrong = tmp_path / "notes.gguf"
    wrong.write_text("no model at all, only some words")
    plain.get_by_label("File").set_input_files(wrong)
    plain.get_by_role("region", name="Upload").get_by_label("Folder or name").fill("kept/")
    plain.get_by_role("button", name="Upload").click()
    expect(plain.locator("#f-upload-file-error")).to_contain_text("neither GGUF")
    expect(plain.get_by_role("region", name="Upload").get_by_label("Folder or name")).to_have_value("kept/")
    plain.get_by_label("Address").fill(f"http://{elsewhere.host}/pear.gguf")
    plain.get_by_role("button", name="Download").click()
    plain.wait_for_url(re.compile(r"/ui/jobs/"))
    expect(plain.locator(".job-completed")).to_be_visible()
    assert "pear.gguf" in files(server.folder)
    context.close()
