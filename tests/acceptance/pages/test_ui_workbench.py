"""The workbench: one form for all tabs, a strip of all jobs, a stage that follows them, and nothing that gets lost on the way."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.acceptance.conftest import Server
from tests.acceptance.pages.test_ui_generate import fill_small, picture, wait_for

#: Lasts until it is cancelled.
ENDLESS = {"size": 512, "steps": 900}


def drop(page: Page, data: bytes, name: str, media_type: str) -> None:
    """Drop a picture beside the picture fields."""
    page.evaluate(
        """([bytes, name, type]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type}));
            const drop = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
            document.getElementById("stage").dispatchEvent(drop);
        }""",
        [list(data), name, media_type],
    )


def test_prompt_model_and_size_are_the_same_in_all_tabs(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    page.locator("#f-model").select_option("ovis")
    fill_small(page, "a lighthouse", size=96, steps=3)
    page.get_by_role("link", name="Image to image").first.click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a lighthouse")
    expect(page.locator("#f-model")).to_have_value("ovis")
    expect(page.locator("#f-width")).to_have_value("96")
    expect(page.locator("#f-steps")).to_have_value("3")
    page.get_by_label("Prompt", exact=True).fill("a windmill")
    page.get_by_role("link", name="Text to image").first.click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a windmill")


def test_an_error_goes_as_soon_as_its_field_is_mended(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/generate/img2img")
    page.locator("#f-width").fill("100")
    page.locator("#submit").click()
    expect(page.locator("#f-init_image-error")).to_contain_text("choose a picture")
    page.locator("#f-init_image").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    expect(page.locator("#f-init_image-error")).to_be_hidden()


def test_a_restored_picture_leaves_nothing_of_what_was_typed_and_can_be_undone(page: Page, server: Server) -> None:
    from sdrest.core.names import PictureFormat
    from sdrest.outputs.encoding import Encoding
    from sdrest.outputs.pictures import reencoded

    data = reencoded(server.native_picture(prompt="a blue fox", seed=77), Encoding(PictureFormat.JPEG, 90))
    page.goto(f"{server.url}/ui/")
    fill_small(page, "a red apple")
    page.get_by_label("Negative prompt", exact=True).fill("ugly")
    drop(page, data, "fox.jpg", "image/jpeg")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a blue fox")
    expect(page.get_by_label("Negative prompt", exact=True)).to_have_value("")
    notice = page.locator("#notices .notice")
    expect(notice).to_contain_text("restored")
    notice.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a red apple")
    expect(page.get_by_label("Negative prompt", exact=True)).to_have_value("ugly")


def test_parameters_pasted_as_the_prompt_fill_the_form(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    page.get_by_label("Prompt", exact=True).evaluate(
        """(area) => {
            const data = new DataTransfer();
            data.setData("text/plain", "a green door\\nNegative prompt: fog\\nSteps: 5, Sampler: Euler, Seed: 9, Size: 64x96");
            area.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
        }"""
    )
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a green door")
    expect(page.get_by_label("Negative prompt", exact=True)).to_have_value("fog")
    expect(page.locator("#f-height")).to_have_value("96")


def test_every_job_is_in_the_strip_and_the_stage_follows_the_running_one(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    fill_small(page, "a long one", **ENDLESS)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#film .film-running")).to_have_count(1)
    fill_small(page, "a short one")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#film .film-pending")).to_have_count(1)
    expect(page.locator("#stage .job-running")).to_contain_text("a long one")
    page.locator("#film .film-pending").click()
    expect(page.locator("#stage .job-pending")).to_contain_text("a short one")
    page.locator("#film .film-running").click()
    page.locator("#stage [data-cancel]").click()
    expect(page.locator("#stage .job-completed")).to_contain_text("a short one")
    expect(page.locator('#film [aria-current="true"]')).to_have_accessible_name("Done: a short one")


def test_a_setting_is_found_among_all(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    page.get_by_text("All settings").click()
    page.get_by_placeholder("Find a setting").fill("tile overlap")
    expect(page.get_by_label("Tile overlap")).to_be_visible()
    expect(page.get_by_label("Sampler", exact=True)).to_be_hidden()
    page.get_by_placeholder("Find a setting").fill("")
    expect(page.get_by_label("Sampler", exact=True)).to_be_visible()


def test_what_is_typed_into_the_queues_search_stays_while_jobs_come_and_go(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/queue")
    search = page.get_by_placeholder("Search prompts")
    search.press_sequentially("ap")
    server.native_picture(prompt="an apple in the queue", seed=404)
    expect(page.locator("#queue-finished")).to_contain_text("an apple in the queue")
    expect(search).to_have_value("ap")
    expect(search).to_be_focused()


def test_back_leads_to_the_same_place_of_the_gallery(page: Page, server: Server) -> None:
    body = {"prompt": "a far place", "width": 64, "height": 64, "steps": 1, "seed": 3}
    for _ in range(100):
        assert httpx.post(f"{server.url}/api/v1/generate", json=body, timeout=60).status_code == 200
    page.goto(f"{server.url}/ui/gallery?search=far+place")
    tiles = page.locator("#tiles .tile")
    expect(tiles).to_have_count(48)
    page.locator(".more").scroll_into_view_if_needed()
    expect(tiles).to_have_count(96)
    tiles.nth(90).scroll_into_view_if_needed()
    top = page.evaluate("scrollY")
    assert top > 0
    tiles.nth(90).click()
    expect(page.locator("#prompt-text")).to_be_visible()
    page.go_back()
    expect(tiles.nth(90)).to_be_visible()
    wait_for(page, f"Math.abs(scrollY - {top}) < 5")


@pytest.mark.parametrize("path", ["", "generate/inpaint", "gallery", "queue", "models", "system"])
def test_no_page_is_wider_than_any_window(page: Page, server: Server, path: str) -> None:
    page.goto(f"{server.url}/ui/{path}")
    for width in (320, 390, 640, 721, 768, 820, 862, 901, 1024, 1280, 1920, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (640, 400)])
def test_what_has_the_focus_is_never_hidden(page: Page, server: Server, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{server.url}/ui/")
    hidden = """() => {
        const element = document.activeElement;
        if (element === document.body) return "";
        const box = element.getBoundingClientRect();
        const there = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
        const seen = there && (element.contains(there) || there.contains(element) || there.closest("label")?.contains(element));
        return seen ? "" : element.outerHTML.slice(0, 120);
    }"""
    for _ in range(60):
        page.keyboard.press("Tab")
        assert page.evaluate(hidden) == ""


def test_nothing_moves_while_a_job_is_made(page: Page, server: Server) -> None:
    page.add_init_script(
        """window.shifts = [];
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shifts.push(entry.value); })
            .observe({ type: "layout-shift", buffered: true });"""
    )
    page.goto(f"{server.url}/ui/")
    # Nor while the page is made: what works only with scripts is there from the first moment.
    expect(page.locator("#submit")).to_be_enabled()
    assert sum(page.evaluate("window.shifts")) < 0.002
    fill_small(page, "a still life", size=256, steps=4)
    page.evaluate("window.shifts.length = 0")
    for seed in (21, 22):
        page.get_by_label("Seed", exact=True).fill(str(seed))
        page.keyboard.press("Control+Enter")
        expect(page.locator("#stage .job-completed [data-seed]")).to_have_text(str(seed))
    expect(page.locator('#film [aria-current="true"] img')).to_be_visible()
    assert sum(page.evaluate("window.shifts")) < 0.02


def test_words_that_the_built_in_model_does_not_know_are_marked_and_replaced(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/?model=demo")
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a sunflwer on a (plaid:1.2) background <lora:grey:1>")
    expect(page.locator("[data-marks] mark")).to_have_text(["sunflwer", "plaid"])
    page.locator("[data-unknown]").get_by_role("button", name="sunflower").click()
    expect(prompt).to_have_value("a sunflower on a (plaid:1.2) background <lora:grey:1>")
    expect(page.locator("[data-marks] mark")).to_have_text(["plaid"])
    page.get_by_role("button", name="A prompt by chance").click()
    expect(page.locator("[data-unknown]")).to_be_hidden()
    assert prompt.input_value()
    page.locator("#f-model").select_option("embedded")
    prompt.fill("sunflwer")
    expect(page.locator("[data-unknown]")).to_be_hidden()
    expect(page.get_by_role("button", name="A prompt by chance")).to_be_hidden()


def test_a_running_job_shows_in_title_icon_and_pill_of_every_page_and_its_end_is_told(
    page: Page, server: Server
) -> None:
    page.add_init_script(
        """window.told = [];
        window.Notification = function (text, options) { window.told.push([text, options.body]); };
        window.Notification.permission = "granted";"""
    )
    page.goto(f"{server.url}/ui/gallery")
    icon = page.locator("link[rel=icon]").get_attribute("href") or ""
    body = {"prompt": "a long one", "width": 128, "height": 128, "steps": 1000}
    job = httpx.post(f"{server.url}/api/generate/text2img", json=body).json()["job_id"]
    expect(page).to_have_title(re.compile(r"^\d+ % · "))
    expect(page.locator("[data-pill]")).to_have_attribute("href", f"/ui/jobs/{job}")
    expect(page.locator("[data-pill]")).to_be_visible()
    assert (page.locator("link[rel=icon]").get_attribute("href") or "").startswith("data:image/png")
    page.evaluate(
        """Object.defineProperty(document, "hidden", {value: true});
        document.dispatchEvent(new Event("visibilitychange"));"""
    )
    httpx.post(f"{server.url}/ui/jobs/{job}/cancel")
    expect(page).to_have_title("Gallery · sdrest")
    expect(page.locator("[data-pill]")).to_be_hidden()
    assert (page.locator("link[rel=icon]").get_attribute("href") or "").endswith(icon)
    assert page.evaluate("window.told") == [["Text to image: cancelled", ""]]


def test_a_picture_is_zoomed_moved_compared_with_what_it_was_made_from_and_deleted(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/generate/img2img?model=ovis")
    page.locator("#f-init_image").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    expect(page.locator("#f-width")).to_have_value("64")
    page.get_by_label("Prompt", exact=True).fill("a close look")
    page.locator("#f-steps").fill("2")
    page.keyboard.press("Control+Enter")
    viewer, shown = page.locator("#stage [data-zoomed]"), page.locator("[data-zoom-shown]")
    expect(page.locator("#stage .job-completed")).to_contain_text("a close look")
    expect(shown).to_contain_text("%")
    page.get_by_title("One to one (1)").click()
    expect(shown).to_have_text("100 %")
    page.get_by_title("Fit (0)").click()
    expect(shown).to_have_text(re.compile(r"[2-9]\d\d %"))
    box = viewer.bounding_box()
    assert box is not None
    address = page.url
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -600)
    expect(viewer).to_have_class(re.compile("is-zoomed"))
    before = viewer.locator("img").first.evaluate("image => image.style.transform")
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + 40, steps=3)
    page.mouse.up()
    assert viewer.locator("img").first.evaluate("image => image.style.transform") != before
    assert page.url == address
    origin = viewer.locator("[data-before]")
    expect(origin).to_be_hidden()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.down("Space")
    expect(origin).to_be_visible()
    page.keyboard.up("Space")
    expect(origin).to_be_hidden()
    page.locator("[data-before-slider]").fill("40")
    expect(origin).to_be_visible()
    assert origin.evaluate("image => image.naturalWidth") == 64
    job = page.locator("#stage [data-job]").get_attribute("data-job")
    for wish, number in (("Delete", 0), ("Undo", 1), ("Delete", 0)):
        page.locator("#stage").get_by_role("button", name=wish).click()
        expect(page.locator(f'[data-film="{job}"]')).to_have_count(number)
        expect(page.locator(f'#stage [data-job="{job}"]')).to_have_count(number)


def test_a_network_that_is_cut_without_a_word_is_told_and_so_is_what_is_being_sent(page: Page, server: Server) -> None:
    page.clock.install()
    with page.expect_response("**/ui/events"):
        page.goto(f"{server.url}/ui/")
    lost = page.locator("[data-live]")
    expect(lost).to_be_hidden()
    # From here on nothing gets through, though the stream is still open.
    page.route("**/ui/events", lambda route: route.abort())
    page.clock.fast_forward("00:41")
    expect(lost).to_be_visible()
    page.unroute("**/ui/events")
    expect(lost).to_be_hidden()
    sending: list[Route] = []
    page.route("**/ui/generate/txt2img", lambda route: sending.append(route))  # noqa: PLW0108 - the library cannot mark a built-in
    fill_small(page, "a slow network")
    page.locator("#submit").click()
    expect(page.locator("#submit")).to_have_class(re.compile("is-sending"))
    expect(page.locator("#submit")).to_be_disabled()
    sending[0].continue_()
    expect(page.locator("#submit")).not_to_have_class(re.compile("is-sending"))
    expect(page.locator("#submit")).to_be_enabled()


def test_words_are_weighed_by_keys_and_prompts_are_drawn_when_asked(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a red apple, large")
    prompt.evaluate("area => area.setSelectionRange(3, 3)")
    for keys, text in (
        ("Control+ArrowUp", "a (red:1.1) apple, large"),
        ("Control+ArrowUp", "a (red:1.2) apple, large"),
        ("Control+ArrowDown", "a (red:1.1) apple, large"),
        ("Control+ArrowDown", "a red apple, large"),
        ("Control+ArrowDown", "a (red:0.9) apple, large"),
    ):
        prompt.press(keys)
        expect(prompt).to_have_value(text)
    prompt.evaluate("area => area.setSelectionRange(12, 17)")
    prompt.press("Control+ArrowUp")
    expect(prompt).to_have_value("a (red:0.9) (apple:1.1), large")
    fill_small(page, "a {red|red} apple")
    page.get_by_label("Draw {a|b}").check()
    page.locator("#submit").click()
    expect(page.locator("#stage")).to_contain_text("a red apple")
    httpx.put(f"{server.url}/api/wildcards/moods/calm", json={"text": "still"}).raise_for_status()
    prompt.fill("")
    prompt.press_sequentially("a __mo")
    expect(page.get_by_role("option", name="moods/calm Wildcard")).to_have_attribute("aria-selected", "true")
    prompt.press("Tab")
    expect(prompt).to_have_value("a __moods/calm__")
    expect(page.locator("#completions")).to_be_hidden()
    prompt.press_sequentially(", __mo")
    expect(page.locator("#completions")).to_be_visible()
    prompt.press("Escape")
    expect(page.locator("#completions")).to_be_hidden()
    httpx.delete(f"{server.url}/api/wildcards/moods/calm").raise_for_status()
    prompt.fill("half a thought")
    for keys, text in (("Alt+ArrowUp", "a {red|red} apple"), ("Alt+ArrowDown", "half a thought")):
        prompt.press(keys)
        expect(prompt).to_have_value(text)
