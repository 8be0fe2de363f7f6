"""Queue, gallery, models and system in a real browser, and how accessible every page is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.browser import serious_findings
from tests.acceptance.conftest import SMALL, Server, StartServer

PAGES = {
    "generate": "/ui/",
    "img2img": "/ui/generate/img2img",
    "inpaint": "/ui/generate/inpaint",
    "controlnet": "/ui/generate/controlnet",
    "edit": "/ui/generate/edit",
    "upscale": "/ui/generate/upscale",
    "video": "/ui/generate/video",
    "queue": "/ui/queue",
    "gallery": "/ui/gallery",
    "picture file": "/ui/png-info",
    "bin": "/ui/gallery/bin",
    "wildcards": "/ui/wildcards",
    "models": "/ui/models",
    "find models": "/ui/models/hubs",
    "system": "/ui/system",
    "workers": "/ui/system/workers",
    "api": "/docs",
    "missing": "/ui/nothing",
}


def submit(server: Server, **changes: object) -> str:
    reply = httpx.post(f"{server.url}/api/generate/text2img", json={**SMALL, **changes})
    assert reply.status_code == 202, reply.text
    return str(reply.json()["job_id"])


@pytest.fixture
def paused(server: Server) -> Iterator[None]:
    """The queue, paused for the length of a test, and empty after it."""
    assert httpx.post(f"{server.url}/ui/queue/pause", data={"paused": "on"}).status_code == 303
    yield
    httpx.post(f"{server.url}/api/queue/clear")
    httpx.post(f"{server.url}/ui/queue/pause", data={"paused": "off"})


def test_waiting_jobs_can_be_reordered_cancelled_and_cleared(page: Page, server: Server, paused: None) -> None:
    page.goto(f"{server.url}/ui/queue")
    for name in ("one", "two", "three"):
        submit(server, prompt=f"waiting {name}")
    waiting = page.locator("ol .row-title")
    expect(waiting).to_have_text(["waiting one", "waiting two", "waiting three"])
    page.locator("ol .row").nth(2).get_by_role("button", name="Move to the front").click()
    expect(waiting).to_have_text(["waiting three", "waiting one", "waiting two"])
    page.locator("ol .row").nth(1).get_by_role("button", name="Cancel").click()
    expect(waiting).to_have_text(["waiting three", "waiting two"])
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear").click()
    expect(waiting).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_a_finished_job_is_listed_found_and_run_again(page: Page, server: Server) -> None:
    server.native_picture(prompt="a very particular walrus")
    page.goto(f"{server.url}/ui/queue?search=walrus")
    expect(page.locator("ul .row")).to_have_count(1)
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("ul .row")).to_have_count(2)


def test_the_gallery_finds_shows_compares_and_deletes(page: Page, server: Server) -> None:
    for seed in (1, 2):
        server.native_picture(prompt="a tiny submarine", seed=seed)
    page.goto(f"{server.url}/ui/gallery")
    page.get_by_placeholder("Search prompts").fill("submarine")
    expect(page.locator("#gallery .tile")).to_have_count(2)
    for box in page.locator(".pick input").all():
        box.check(force=True)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("tr.differs")).to_have_count(1)
    expect(page.locator("tr.differs")).to_contain_text("Seed")
    page.goto(f"{server.url}/ui/gallery?search=submarine")
    page.locator("#gallery .tile").first.click()
    expect(page.locator("#prompt-text")).to_have_text("a tiny submarine")
    page.get_by_role("link", name="Reuse").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a tiny submarine")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("2")
    page.go_back()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="a tiny submarine, seed 1")).to_be_attached()
    page.goto(f"{server.url}/ui/gallery?search=submarine")
    expect(page.locator("#gallery .tile")).to_have_count(1)


def test_pictures_are_chosen_by_range_and_rectangle_marked_deleted_put_back_and_sent_on(
    page: Page, server: Server
) -> None:
    for seed in range(4):
        server.native_picture(prompt="a purple giraffe", seed=seed)
    page.goto(f"{server.url}/ui/gallery?search=giraffe")
    boxes, told = page.locator(".pick input"), page.locator("[data-chosen]")
    expect(boxes).to_have_count(4)
    boxes.nth(0).check(force=True)
    boxes.nth(2).click(force=True, modifiers=["Shift"])
    expect(told).to_have_text("Chosen: 3")
    page.get_by_role("button", name="Favourite", exact=True).click()
    expect(page.locator(".star:visible")).to_have_count(3)
    expect(page.locator("#selection")).to_be_hidden()
    page.evaluate("scrollTo(0, 0)")
    tiles = page.locator("#tiles").bounding_box()
    assert tiles
    page.mouse.move(tiles["x"] + tiles["width"] - 3, tiles["y"] + 3)
    page.mouse.down()
    page.mouse.move(tiles["x"] + 3, tiles["y"] + 40, steps=4)
    expect(page.locator(".lasso")).to_be_visible()
    page.mouse.up()
    expect(told).to_have_text("Chosen: 4")
    page.locator("#selection").get_by_role("button", name="Delete").click()
    expect(page.locator("#gallery .tile")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#gallery .tile")).to_have_count(4)
    shape = page.locator("#gallery .tile img").first.bounding_box()
    assert shape
    assert abs(shape["width"] - shape["height"]) < 1
    file = page.locator("#gallery .tile").first.get_attribute("data-file") or ""
    page.locator("[data-tile-size]").fill("300")
    expect(page.locator("#gallery .tile").first).to_have_css("height", "300px")
    page.locator("#gallery .tile").first.dispatch_event(
        "dragstart", {"dataTransfer": page.evaluate_handle("new DataTransfer()")}
    )
    expect(page.locator(".drop-tray")).to_be_visible()
    page.locator(".drop-tray a", has_text="Image to image").dispatch_event(
        "drop", {"dataTransfer": page.evaluate_handle("new DataTransfer()")}
    )
    expect(page.locator("[data-drop] .drop-shown img")).to_have_count(1)
    page.locator("[data-drop]").first.evaluate(
        """(box, html) => {
            const data = new DataTransfer();
            data.setData("text/html", html);
            box.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        f'<a href="x"><img src="{server.url}/api/v1/jobs/{file.replace("/", "/output/")}?thumb=1&amp;size=320"></a>',
    )
    expect(page.locator("[data-drop] .drop-shown img").first).to_have_attribute("alt", "image_0.png")


def test_a_model_is_loaded_and_unloaded_from_its_page(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/models")
    page.locator("#models .row-main").first.click()
    expect(page.locator("dl.facts").first).to_contain_text("Architecture")
    unload = page.get_by_role("button", name="Unload")
    if unload.count() == 0:
        page.get_by_role("button", name="Load", exact=True).click()
        expect(page.locator(".job-completed")).to_be_visible()
        page.goto(f"{server.url}/ui/models")
        page.locator("#models .row-main").first.click()
    unload.click()
    expect(page.get_by_role("button", name="Load", exact=True)).to_be_visible()


def test_the_system_page_shows_the_machine_and_follows_the_log(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/system")
    expect(page.locator("#now")).to_contain_text("Backend")
    expect(page.locator(".chart")).to_have_count(3)


def test_the_pages_work_without_scripts(browser: Browser, server: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.url}/ui/")
    expect(page.get_by_role("button", name="Random seed")).to_be_hidden()
    page.get_by_label("Prompt", exact=True).fill("no script at all")
    page.locator("#f-width").fill("64")
    page.locator("#f-height").fill("64")
    page.locator("#f-steps").fill("2")
    page.locator("#submit").click()
    page.wait_for_url(re.compile(r"/ui/jobs/"))
    expect(page.locator(".job-completed figure img")).to_be_visible(timeout=20_000)
    for path in ("/ui/queue", "/ui/models", "/ui/gallery"):
        page.goto(server.url + path)
        expect(page.locator("h1")).to_be_visible()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_accessibility_finding(page: Page, server: Server, name: str) -> None:
    if not server.jobs()["completed_count"]:
        server.native_picture()
    page.emulate_media(color_scheme="light")
    page.goto(server.url + PAGES[name])
    assert serious_findings(page) == []
    page.emulate_media(color_scheme="dark")
    assert serious_findings(page) == []


def test_signing_in_is_accessible_and_tells_what_is_wrong(page: Page, start_server: StartServer) -> None:
    server = start_server("--auth", "jwt")
    page.goto(f"{server.url}/ui/gallery")
    assert page.url == f"{server.url}/ui/login?next=/ui/gallery"
    assert serious_findings(page) == []
    page.get_by_label("User name").fill("nobody")
    page.get_by_label("Password").fill("not right at all")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("User name")).to_have_value("nobody")


def test_nothing_is_wider_than_a_phone(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in PAGES.values():
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_a_wide_window_is_used_and_its_text_stays_readable(page: Page, server: Server) -> None:
    server.native_picture(prompt="a wide view")
    page.set_viewport_size({"width": 2560, "height": 1440})
    for path in ("/ui/gallery", "/ui/queue", "/ui/models", "/ui/system", "/ui/wildcards"):
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == 2560
        brand, content = (page.locator(name).bounding_box() for name in (".brand", "main"))
        assert brand
        assert content
        assert (content["width"], brand["x"]) == (2560, 20)
        widest = page.evaluate(
            "Math.max(0, ...[...document.querySelectorAll('main p')].map((line) => line.clientWidth))"
        )
        assert widest < 1300
    page.goto(f"{server.url}/ui/queue")
    now, over = (page.locator(name).bounding_box() for name in ("#queue-now", ".over"))
    assert now
    assert over
    assert over["x"] > now["x"] + now["width"]


def test_the_keyboard_reaches_the_list_of_shortcuts(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/queue")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_theme_is_switched_at_once_and_kept(page: Page, server: Server) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{server.url}/ui/queue")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme: as the system").click()
    page.get_by_role("button", name="Theme: light").click()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(ground) != light
    page.wait_for_load_state("networkidle")
    page.reload()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(ground) != light


def test_a_server_that_is_gone_is_told_as_that_and_nothing_old_is_shown(page: Page, start_server: StartServer) -> None:
    server = start_server()
    page.goto(f"{server.url}/ui/queue")
    page.evaluate("navigator.serviceWorker.ready.then((found) => found.active.state)")
    page.reload()
    page.wait_for_function("navigator.serviceWorker.controller")
    server.stop()
    page.goto(f"{server.url}/ui/queue")
    expect(page.get_by_role("heading", name="sdrest does not answer")).to_be_visible()
    expect(page.get_by_role("link", name="Try again")).to_have_css("display", "inline-flex")
    assert page.locator(".row").count() == 0
