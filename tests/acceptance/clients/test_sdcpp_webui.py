"""The web page of stable-diffusion.cpp's own server, in Chromium, against a running server.

``tests/acceptance/clients/build_sdcpp_webui.sh`` builds it. The source package leaves out ``src/lib`` of the page: the requests are
made by the modules in ``sdcpp_webui/lib``; the application and its components are upstream's.
"""

from __future__ import annotations

import base64

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.browser import browser, page  # noqa: F401
from tests.acceptance.conftest import Server
from tests.needs import SDCPP_WEBUI, needs

pytestmark = needs("sdcpp_webui")


@pytest.fixture
def webui(page: Page, server: Server) -> Page:  # noqa: F811
    """The page, as if the server delivered it."""
    page.route(f"{server.url}/webui", lambda route: route.fulfill(path=SDCPP_WEBUI, content_type="text/html"))
    page.goto(f"{server.url}/webui")
    expect(page.get_by_text("embedded").first).to_be_visible()
    return page


def fill(webui: Page, steps: int) -> None:
    webui.locator("textarea").first.fill("a red apple")
    for label, value in (("Width", 64), ("Height", 64), ("Seed", 7)):
        _input(webui, label).fill(str(value))
    _input(webui, "Steps").fill(str(steps))


def _input(webui: Page, label: str) -> Locator:
    return webui.locator(".field", has=webui.get_by_text(label, exact=True)).locator("input").first


def test_the_page_makes_the_native_routes_picture(webui: Page, server: Server) -> None:
    fill(webui, 2)
    webui.get_by_role("button", name="Generate Image", exact=True).click()
    picture = webui.get_by_alt_text("Generated output")
    expect(picture).to_be_visible(timeout=60_000)
    expect(webui.get_by_text("Image generation completed.")).to_be_visible()
    source = picture.get_attribute("src") or ""
    assert base64.b64decode(source.partition("base64,")[2]) == server.native_picture()


def test_the_page_cancels_a_running_job(webui: Page) -> None:
    fill(webui, 1000)
    _input(webui, "Width").fill("256")
    _input(webui, "Height").fill("256")
    webui.get_by_role("button", name="Generate Image", exact=True).click()
    webui.get_by_role("button", name="Cancel", exact=True).click()
    expect(webui.get_by_text("Job cancelled.").first).to_be_visible()
    expect(webui.get_by_role("button", name="Generate Image", exact=True)).to_be_enabled(timeout=30_000)


def test_the_page_shows_what_is_wrong(webui: Page) -> None:
    fill(webui, 0)
    webui.get_by_role("button", name="Generate Image", exact=True).click()
    expect(webui.get_by_text("sample_steps").first).to_be_visible()
