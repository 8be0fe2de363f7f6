"""Saving settings and prompts on the Generate page, and using them again."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.acceptance.conftest import StartServer
from tests.acceptance.pages.test_ui_generate import fill_small


def test_a_preset_is_saved_and_applied_and_the_prompt_stays(
    page: Page, tmp_path: Path, start_server: StartServer
) -> None:
    server = start_server()
    page.goto(f"{server.url}/ui/")
    fill_small(page, "a red apple", steps=3)
    page.get_by_text("Save these settings").click()
    page.get_by_label("Name", exact=True).fill("three steps")
    page.get_by_role("button", name="Save as preset").click()
    expect(page.locator("#saved-note")).to_contain_text("Saved as three steps")
    kept = json.loads((tmp_path / "models/presets/three steps.json").read_text(encoding="utf-8"))
    assert (kept["steps"], kept["width"], "prompt" in kept) == (3, 64, False)

    page.get_by_role("button", name="Save as preset").click()
    expect(page.locator("#notices")).to_contain_text("exists already")
    fill_small(page, "a blue fox", size=96, steps=5)
    page.get_by_label("Preset", exact=True).select_option("three steps")
    expect(page.locator("#f-steps")).to_have_value("3")
    expect(page.locator("#f-width")).to_have_value("64")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a blue fox")
    page.locator("#submit").click()
    expect(page.locator("#stage .job-completed")).to_be_visible()


def test_a_template_is_saved_and_put_around_the_prompt(page: Page, tmp_path: Path, start_server: StartServer) -> None:
    server = start_server()
    page.goto(f"{server.url}/ui/")
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("oil painting of {prompt}, {prompt}")
    page.get_by_label("Negative prompt").fill("photo")
    page.get_by_text("Save these settings").click()
    page.get_by_label("Name", exact=True).fill("oil")
    page.get_by_role("button", name="Save as template").click()
    expect(page.locator("#saved-note")).to_contain_text("Saved as oil")
    prompt.fill("a fox")
    page.get_by_label("Prompt template").select_option("oil")
    expect(prompt).to_have_value("oil painting of a fox, a fox")
    page.get_by_label("Negative prompt").fill("")
    page.get_by_label("Negative template").select_option("oil")
    expect(page.get_by_label("Negative prompt")).to_have_value("photo")
