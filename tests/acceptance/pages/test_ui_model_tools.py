"""Checking, hashing and converting a model from its page in a real browser."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.acceptance.browser import serious_findings
from tests.acceptance.conftest import SMALL, StartServer
from tests.tiny.embedded import NAME, place_embedded


def test_a_model_is_checked_hashed_and_converted_from_its_page(page: Page, start_server: StartServer) -> None:
    server = start_server()
    page.goto(f"{server.url}/ui/models?search={NAME}")
    page.locator("#models .row-main").first.click()
    here = page.url
    page.get_by_label("and load it for trial").check()
    page.get_by_role("button", name="Validate").click()
    expect(page.locator("#verdict")).to_contain_text("The file is sound")
    page.get_by_role("link", name="see how that goes").click()
    expect(page.locator(".job-completed")).to_be_visible()
    page.goto(here)
    page.get_by_role("button", name="Hash").click()
    expect(page.locator(".job-completed")).to_be_visible()
    page.goto(here)
    (file,) = (server.folder / "models").rglob(f"{NAME}.gguf")
    expect(page.get_by_label("Check")).to_contain_text(hashlib.sha256(file.read_bytes()).hexdigest())
    assert serious_findings(page) == []
    # The plan shows the size before anything is written, and follows the chosen type.
    plan = page.locator("#plan")
    page.locator("#convert select").first.select_option("q8_0")
    expect(plan).to_contain_text(f"{NAME}-q8_0.gguf")
    assert not list((server.folder / "models").rglob("*q8_0*"))
    page.get_by_role("button", name="Convert", exact=True).click()
    expect(page.locator(".job-completed")).to_be_visible()
    reply = httpx.post(f"{server.url}/api/v1/generate", json={**SMALL, "model": f"{NAME}-q8_0"}, timeout=60)
    assert reply.status_code == 200, reply.text
    # A second time it would overwrite: refused, and said beside the field.
    page.goto(here)
    page.locator("#convert select").first.select_option("q8_0")
    page.get_by_role("button", name="Convert", exact=True).click()
    expect(page.locator("#convert .field-error:visible, #plan .failure-box").first).to_be_visible()


def test_two_quantisations_paint_the_same_side_by_side(page: Page, start_server: StartServer, tmp_path: Path) -> None:
    place_embedded(tmp_path / "models")
    file = tmp_path / f"models/checkpoints/{NAME}.gguf"
    file.with_suffix(".json").write_text(
        json.dumps({"defaults": {"width": 64, "height": 64, "steps": 2, "cfg_scale": 1}})
    )
    shutil.copyfile(file, file.with_name(f"{NAME}-q8_0.gguf"))
    server = start_server()
    page.goto(f"{server.url}/ui/models/{httpx.get(f'{server.url}/api/models/{NAME}').json()['id']}")
    page.get_by_role("link", name=f"{NAME}-q8_0").click()
    page.get_by_role("button", name="Paint with both").click()
    expect(page.get_by_role("link", name="One over the other")).to_be_visible()
    expect(page.locator(".compare img")).to_have_count(2)
    assert serious_findings(page) == []
