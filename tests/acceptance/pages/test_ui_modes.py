"""Videos, ControlNet and reference editing through a real browser, on the real library."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.conftest import Server, StartServer
from tests.integration.pictures.generation_modes import half_mask, picture, place

#: The widths of some models are fixed: seconds alone, a minute or two on a busy machine.
PATIENCE_MS = 170_000


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def fill(page: Page, *, size: int = 32, prompt: str = "a wave") -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    for field, value in (("width", size), ("height", size), ("steps", 1), ("cfg_scale", 1), ("seed", 5)):
        page.locator(f"#f-{field}").fill(str(value))


def drop(page: Page, field: str, data: bytes) -> None:
    """Drop a picture file onto a picture field."""
    page.locator(f'[data-field="{field}"]').evaluate(
        """(box, bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
            box.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        list(data),
    )
    expect(page.locator(f'[data-field="{field}"] img')).to_be_visible()


def generate(page: Page) -> Locator:
    """Press the button, and give the card of the finished job."""
    before = page.locator("#stage article").get_attribute("id") if page.locator("#stage article").count() else ""
    page.locator("#submit").click()
    if before:
        expect(page.locator(f"#stage #{before}")).to_have_count(0)
    done = page.locator("#stage .job-completed")
    expect(done).to_be_visible(timeout=PATIENCE_MS)
    return done


def result(page: Page, done: Locator) -> bytes:
    """The first file of a finished job."""
    source = done.locator("figure img, figure video").first.get_attribute("src") or ""
    reply = page.request.get(source if source.startswith("http") else page.url.split("/ui/")[0] + source)
    assert reply.ok
    return reply.body()


def expect_to_play(video: Locator) -> None:
    """Wait until the browser has decoded a video, and play it."""
    expect(video).to_be_visible()
    video.evaluate("element => element.play()")
    for _ in range(100):
        if video.evaluate("element => element.videoWidth === 32 && element.currentTime > 0"):
            return
        video.page.wait_for_timeout(50)
    raise AssertionError("the video does not play")


def no_wider_than_the_window(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_video_is_made_and_plays_in_its_card_and_in_the_gallery(
    page: Page, tmp_path: Path, start_server: StartServer
) -> None:
    place(tmp_path / "models", "wan", "taehv")
    server = start_server()
    page.goto(f"{server.url}/ui/generate/video?model=wan")
    fill(page)
    page.locator("#f-video_frames").fill("5")
    page.locator("#f-fps").fill("4")
    done = generate(page)
    expect_to_play(done.locator("figure video"))
    assert result(page, done).startswith(b"\x1a\x45\xdf\xa3")

    page.goto(f"{server.url}/ui/gallery")
    expect(page.locator(".tile video")).to_have_count(1)
    expect_to_play(page.locator(".tile video"))
    page.locator(".tile a, a.tile").click()
    expect_to_play(page.locator(".viewer-main video"))
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 860})
        assert no_wider_than_the_window(page)


@pytest.mark.nightly
def test_a_video_follows_pictures(page: Page, tmp_path: Path, start_server: StartServer) -> None:
    place(tmp_path / "models", "wan_vace", "taehv")
    server = start_server()
    page.goto(f"{server.url}/ui/generate/video?model=wan_vace")
    fill(page)
    page.locator("#f-video_frames").fill("5")
    plain = result(page, generate(page))
    drop(page, "init_image", png(picture(32, 32)))
    expect(page.locator("#f-width")).to_have_value("32")
    referred = result(page, generate(page))
    assert referred != plain
    page.get_by_text("All settings").click()
    page.get_by_text("Control frames (VACE models)").click()
    files = [{"name": f"{i}.png", "mimeType": "image/png", "buffer": png(picture(32, 20 + i))} for i in range(5)]
    page.locator("#f-control_frames").set_input_files(files)  # type: ignore[arg-type]
    assert result(page, generate(page)) not in {plain, referred}


@pytest.mark.nightly
def test_a_video_starts_from_a_dropped_picture_and_ends_with_another(
    page: Page, tmp_path: Path, start_server: StartServer
) -> None:
    place(tmp_path / "models", "wan_i2v", "clip_vision", "taehv")
    server = start_server()
    page.goto(f"{server.url}/ui/generate/video?model=wan_i2v")
    drop(page, "init_image", png(picture(64, 32)))
    expect(page.locator("#f-width")).to_have_value("64")
    expect(page.locator("#f-height")).to_have_value("32")
    fill(page)
    page.locator("#f-video_frames").fill("5")
    started = generate(page)
    expect_to_play(started.locator("figure video"))
    first = result(page, started)
    drop(page, "end_image", png(picture(32, 32).rotate(180)))
    assert result(page, generate(page)) != first


def test_a_picture_for_a_model_that_starts_from_text_is_refused_beside_its_field(
    page: Page, tmp_path: Path, start_server: StartServer
) -> None:
    place(tmp_path / "models", "wan", "taehv")
    server = start_server()
    page.goto(f"{server.url}/ui/generate/video?model=wan")
    drop(page, "init_image", png(picture(32, 32)))
    fill(page)
    page.locator("#submit").click()
    expect(page.locator("#f-init_image-error")).to_contain_text("does not take it")


@pytest.mark.nightly
def test_a_control_picture_steers_the_result(page: Page, tmp_path: Path, start_server: StartServer) -> None:
    place(tmp_path / "models", "sd1", "controlnet")
    server = start_server()
    page.goto(f"{server.url}/ui/generate/controlnet?model=sd1")
    drop(page, "control_image", png(picture(64, 64)))
    fill(page, size=64)
    expect(page.locator("#f-control_net_model")).to_have_value("controlnet")
    first = result(page, generate(page))
    assert Image.open(io.BytesIO(first)).size == (64, 64)
    drop(page, "control_image", png(half_mask().convert("RGB")))
    page.get_by_label("Canny").check()
    assert result(page, generate(page)) != first


def test_reference_pictures_change_the_result(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/generate/edit?model=ovis")
    drop(page, "ref_images", png(picture(48, 64)))
    fill(page, size=64, prompt="make it red")
    first = result(page, generate(page))
    files = [{"name": f"{i}.png", "mimeType": "image/png", "buffer": png(picture(64, 32 + i))} for i in range(2)]
    page.locator("#f-ref_images").set_input_files(files)  # type: ignore[arg-type]
    expect(page.locator('[data-field="ref_images"] img')).to_have_count(2)
    assert result(page, generate(page)) != first
