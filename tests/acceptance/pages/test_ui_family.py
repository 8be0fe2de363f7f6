"""What came of what, on the pages: by keys from picture to picture, and kept when the canvas changes a picture."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Page, expect

from tests.acceptance.conftest import Server

BODY = {"prompt": "a pear", "model": "ovis", "width": 64, "height": 64, "steps": 2, "cfg_scale": 1, "seed": 3}


def made(server: Server, path: str, **body: object) -> str:
    """The id of a job that has ended."""
    job = httpx.post(f"{server.url}/api/{path}", json=body).raise_for_status().json()["job_id"]
    while httpx.get(f"{server.url}/api/jobs/{job}").json()["status"] in {"pending", "running"}:
        httpx.get(f"{server.url}/api/jobs/{job}/events", timeout=60)  # ends with the job
    return str(job)


def test_keys_go_to_what_a_picture_came_from_and_to_what_came_of_it(page: Page, server: Server) -> None:
    first = made(server, "generate/text2img", **BODY)
    second = made(server, "generate/img2img", **BODY, init_image=f"job:{first}/0", strength=0.5)
    page.goto(f"{server.url}/ui/gallery/{first}/image_0.png")
    page.keyboard.press("c")
    page.wait_for_url(f"**/{second}/image_0.png")
    expect(page.get_by_role("region", name="Came from").get_by_role("link")).to_have_count(1)
    page.keyboard.press("p")
    page.wait_for_url(f"**/{first}/image_0.png")


def test_a_picture_that_the_canvas_has_made_larger_is_still_made_from_the_first(page: Page, server: Server) -> None:
    first = made(server, "generate/text2img", **{**BODY, "seed": 4})
    page.goto(f"{server.url}/ui/generate/inpaint?model=ovis&from={first}/image_0.png")
    expect(page.locator("[data-canvas]")).to_have_attribute("data-kept", "yes")
    page.locator('[data-handle="right"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    source = page.locator("#generate input[name=init_image__of]")
    expect(source).to_have_value(re.compile(f"job:{first}/image_0.png"))
