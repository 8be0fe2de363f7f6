"""The Generate page in a real browser, on the real library."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.acceptance.conftest import Server, StartServer
from tests.commands import sdrest


def fill_small(page: Page, prompt: str = "a red apple", *, size: int = 64, steps: int = 2) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.locator("#f-width").fill(str(size))
    page.locator("#f-height").fill(str(size))
    page.locator("#f-steps").fill(str(steps))


def picture(width: int = 64, height: int = 64) -> bytes:
    image = Image.radial_gradient("L").resize((width, height)).convert("RGB")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def wait_for(page: Page, script: str) -> None:
    """Wait until a script is true; the pages forbid the evaluation within the page that the library's own waiting needs."""
    for _ in range(200):
        if page.evaluate(script):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {script}")


def test_a_picture_appears_without_leaving_the_page_and_reaches_the_strip(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    fill_small(page)
    page.get_by_label("Seed", exact=True).fill("11")
    page.locator("#f-batch_count").fill("2")
    page.keyboard.press("Control+Enter")
    done = page.locator("#stage .job-completed")
    expect(done).to_be_visible()
    expect(done.locator("figure img")).to_have_count(2)
    expect(done.locator("[data-seed]")).to_have_text(["11", "12"])
    assert page.url == f"{server.url}/ui/"
    expect(page.locator("#film .film-completed img").first).to_be_visible()


def test_below_a_path_the_pages_and_the_command_work_as_at_the_root(
    page: Page, start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("--base-path", "/tools/sd")
    assert server.url.endswith("/tools/sd")
    page.goto(server.url)
    fill_small(page)
    page.locator("#submit").click()
    expect(page.locator("#stage .job-completed figure img")).to_be_visible()
    wait_for(page, "document.querySelector('#stage figure img').naturalWidth === 64")
    expect(page.locator("#film .film-completed img").first).to_be_visible()  # told by the event stream
    expect(page.locator("[data-tokens]")).not_to_be_empty()
    page.get_by_role("link", name="Gallery").click()
    page.locator("#gallery a[href*='/ui/gallery/']").first.click()
    page.wait_for_url(f"{server.url}/ui/gallery/**")
    page.get_by_role("link", name="Image to image").first.click()
    page.wait_for_url(f"{server.url}/ui/generate/img2img?**")
    made = sdrest("generate", "--url", server.url, "a red apple", "--steps", "2", "-o", "apple.png", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "apple.png").is_file()


def test_mistakes_are_told_beside_their_fields_and_go_when_they_are_mended(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    fill_small(page, "", size=100)
    page.locator("#submit").click()
    expect(page.locator("#f-prompt-error")).to_contain_text("what the picture should show")
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    fill_small(page, size=100)
    page.locator("#submit").click()
    expect(page.locator("#f-width-error")).to_contain_text("multiple of 16")
    expect(page.locator("#f-prompt-error")).to_be_hidden()
    fill_small(page)
    page.locator("#submit").click()
    expect(page.locator("#stage .job-completed")).to_be_visible()
    expect(page.locator("#f-width-error")).to_be_hidden()


def test_what_was_typed_survives_a_reload_and_reset_forgets_it(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    fill_small(page, "a lighthouse", size=96)
    page.reload()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a lighthouse")
    expect(page.locator("#f-width")).to_have_value("96")
    page.get_by_role("link", name="Reset").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("")
    expect(page.locator("#f-width")).to_have_value(page.locator("#f-width").get_attribute("data-default") or "")


def test_progress_is_shown_and_escape_cancels(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    fill_small(page, "a slow one", size=512, steps=200)
    page.locator("#submit").click()
    expect(page.locator("#stage [data-progress-text]")).to_contain_text(re.compile(r"step \d+ of 200"))
    page.locator("h1").first.evaluate("element => document.activeElement.blur()")
    page.keyboard.press("Escape")
    expect(page.locator("#stage .job-cancelled")).to_be_visible()


def test_escape_in_a_field_or_while_text_is_composed_cancels_nothing(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    fill_small(page, "a slow one", size=512, steps=200)
    page.locator("#submit").click()
    expect(page.locator("#stage [data-cancel]")).to_be_enabled()
    page.get_by_label("Prompt", exact=True).focus()
    page.keyboard.press("Escape")
    composing = "new KeyboardEvent('keydown', {key: 'Escape', isComposing: true, bubbles: true, cancelable: true})"
    assert page.evaluate(f"document.querySelector('h1').dispatchEvent({composing})"), "the key was taken"
    expect(page.locator("#stage [data-cancel]")).to_be_enabled()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    expect(page.locator("#stage .job-cancelled")).to_be_visible()


def test_a_dropped_picture_restores_its_parameters(page: Page, server: Server) -> None:
    data = server.native_picture(prompt="a blue fox, naïve style", seed=77, cfg_scale=2.5)
    page.goto(f"{server.url}/ui/")
    page.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "fox.png", {type: "image/png"}));
            const drop = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
            document.getElementById("stage").dispatchEvent(drop);
        }""",
        list(data),
    )
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a blue fox, naïve style")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("77")
    expect(page.locator("#f-cfg_scale")).to_have_value("2.5")


def test_a_picture_is_inpainted_and_then_enlarged(
    page: Page, tmp_path: Path, start_server: StartServer, tiny_models: Callable[[str], Path]
) -> None:
    for folder, name in (("diffusion_models", "ovis"), ("taesd", "tae16"), ("esrgan", "esrgan")):
        source = tiny_models(name)
        target = tmp_path / "models" / folder / source.name
        target.parent.mkdir(parents=True)
        shutil.copy(source, target)
    server = start_server()
    page.goto(f"{server.url}/ui/generate/inpaint?model=ovis")
    page.locator("#f-init_image").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    page.get_by_role("button", name="Invert the mask").click()
    fill_small(page)
    page.locator("#submit").click()
    expect(page.get_by_role("button", name="Accept")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Result", exact=True).click()
    done = page.locator("#stage .job-completed")
    done.locator("figure > a").click()
    page.get_by_role("link", name="Upscale").click()
    page.locator("#submit").click()
    expect(done).to_contain_text("256 × 256", timeout=60_000)


@pytest.mark.parametrize("mode", ["img2img", "controlnet", "edit", "upscale"])
def test_a_tab_asks_for_the_picture_that_it_needs(page: Page, server: Server, mode: str) -> None:
    page.goto(f"{server.url}/ui/generate/{mode}")
    page.locator("#submit").click()
    expect(page.locator(".field-error:visible").first).to_contain_text("choose a picture")


def test_the_page_asks_no_other_server_for_anything(page: Page, server: Server, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/ui/")
    page.wait_for_load_state("load")
    assert asked
    assert all(url.startswith((server.url, "data:", "blob:")) for url in asked)
