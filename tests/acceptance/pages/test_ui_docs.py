"""The API's page: routes are found, opened and tried there."""

from __future__ import annotations

import json

import httpx
from playwright.sync_api import Page, expect

from tests.acceptance.browser import serious_findings
from tests.acceptance.conftest import SMALL, Server


def test_a_route_is_found_and_tried_by_the_keyboard_in_every_window(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 320, "height": 800})
    page.goto(f"{server.url}/docs")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    page.get_by_label("Search").fill("post prompts draw")
    expect(page.locator(".docs-entry:visible")).to_have_count(1)
    page.keyboard.press("Tab")
    page.locator("summary:visible").focus()
    page.keyboard.press("Enter")
    form = page.get_by_role("form", name="Try POST /api/prompts/draw")
    body = form.get_by_label("Body", exact=True)
    expect(body).to_have_value(json.dumps({"prompt": "a red apple", "seed": 42, "count": 2}, indent=2))
    body.fill('{"prompt": "it\'s {red|green}", "seed": 1, "count": 1}')
    expect(form.get_by_label("The request as curl")).to_have_text(
        f"curl \\\n  -X POST \\\n  '{server.url}/api/prompts/draw' \\\n  -H 'Content-Type: application/json' \\\n"
        '  -d \'{"prompt": "it\'\\\'\'s {red|green}", "seed": 1, "count": 1}\'',
        use_inner_text=True,
    )
    body.press("Tab")
    page.keyboard.press("Enter")
    expect(form.get_by_role("status")).to_contain_text("200")
    expect(form.get_by_label("Body of the answer")).to_contain_text("it's")
    assert serious_findings(page) == []
    for width in (320, 800, 2560):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


def test_pictures_errors_and_keys_are_shown_as_what_they_are(page: Page, server: Server) -> None:
    job = httpx.post(f"{server.url}/api/v1/generate", json=SMALL, timeout=60).json()["job_id"]
    page.goto(f"{server.url}/docs#get_jobs_job_id_output_filename")
    form = page.get_by_role("form", name="Try GET /api/jobs/{job_id}/output/{filename}")
    form.get_by_label("job_id").fill(job)
    form.get_by_label("filename").fill("image_0.png")
    page.get_by_label("API key or token").fill("sdr_secret")
    with page.expect_request("**/output/image_0.png") as sent:
        form.get_by_role("button", name="Send").click()
    assert sent.value.headers["authorization"] == "Bearer sdr_secret"
    picture = form.get_by_role("img", name="Picture of the answer")
    expect(picture).to_be_visible()
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == SMALL["width"]
    form.get_by_text("Headers").click()
    expect(form.get_by_label("Headers of the answer")).to_contain_text("content-type: image/png")
    expect(form.get_by_label("The request as curl")).to_contain_text("Bearer $SDREST_API_KEY")
    form.get_by_label("filename").fill("image_9.png")
    form.get_by_role("button", name="Send").click()
    expect(form.get_by_role("status")).to_contain_text("404")
    expect(form.get_by_label("Body of the answer")).to_contain_text('"code": "not_found"')
    expect(picture).to_have_count(0)

    page.goto(f"{server.url}/docs#post_generate")
    form = page.get_by_role("form", name="Try POST /api/generate", exact=True)
    form.get_by_label("Body", exact=True).fill(json.dumps(SMALL))
    form.get_by_role("button", name="Send").click()
    expect(form.get_by_role("img", name="Picture of the answer")).to_be_visible()
    expect(form.get_by_label("Body of the answer")).to_contain_text("characters)")


def test_without_scripts_a_group_is_read_at_once(server: Server) -> None:
    text = httpx.get(f"{server.url}/docs/queue").text
    assert "Cancel" in text
    assert "Needs the permission" in text
    assert "text-to-image" in httpx.get(f"{server.url}/docs/server%20B").text
    missing = httpx.get(f"{server.url}/docs/nothing")
    assert (missing.status_code, missing.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
