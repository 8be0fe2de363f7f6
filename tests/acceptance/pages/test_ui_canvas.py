"""The canvas of the Inpaint tab, on the real library: what is painted is what changes, and nothing is lost."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import CDPSession, Page, expect

from tests.acceptance.browser import serious_findings
from tests.acceptance.conftest import Server
from tests.acceptance.pages.test_ui_generate import fill_small, picture, wait_for

#: Encoding takes as long as it likes.
SLOW_ENCODING = """const toBlob = HTMLCanvasElement.prototype.toBlob;
    HTMLCanvasElement.prototype.toBlob = function (done, ...rest) {
        toBlob.call(this, (blob) => setTimeout(() => done(blob), 300), ...rest);
    };"""
KEPT = "document.querySelector('[data-canvas]').dataset.kept === 'yes'"


def open_canvas(page: Page, server: Server, data: bytes, query: str = "") -> None:
    """The tab with a picture on its canvas."""
    page.goto(f"{server.url}/ui/generate/inpaint{query}")
    page.locator("#f-init_image").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": data})
    expect(page.locator("[data-desk].has-picture [data-base]")).to_be_visible()
    expect(page.get_by_role("button", name="Brush")).to_be_enabled()


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the picture is in the window."""
    box = page.locator("[data-base]").bounding_box()
    assert box is not None
    scale = box["width"] / int(page.locator("[data-base]").get_attribute("width") or 0)
    return box["x"] + x * scale, box["y"] + y * scale


def drag(page: Page, *points: tuple[float, float]) -> None:
    page.mouse.move(*at(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*at(page, *point), steps=3)
    page.mouse.up()


def tool(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def painted(page: Page) -> np.ndarray[Any, Any]:
    """How strong the paint on the canvas is."""
    shape = page.locator("[data-mask]").evaluate("canvas => [canvas.height, canvas.width]")
    text = page.locator("[data-mask]").evaluate(
        """(canvas) => {
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            let text = "";
            for (let at = 3; at < data.length; at += 4) text += String.fromCharCode(data[at]);
            return btoa(text);
        }"""
    )
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(shape)


def send(page: Page) -> None:
    with page.expect_request(lambda request: request.method == "POST" and "/ui/generate/" in request.url):
        page.keyboard.press("Control+Enter")


def file_of(page: Page, field: str) -> bytes:
    """The file in a field of the form."""
    text = page.locator(f"#f-{field}").evaluate(
        """(input) => new Promise((resolve) => {
            const reader = new FileReader();
            reader.onload = () => resolve(reader.result.split(",")[1]);
            reader.readAsDataURL(input.files[0]);
        })"""
    )
    return base64.b64decode(text)


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("only_masked", [False, True])
def test_a_stroke_changes_what_it_covers_and_nothing_else_and_the_result_lands_in_the_canvas(
    page: Page, server: Server, only_masked: bool
) -> None:
    side = 128 if only_masked else 64
    before = picture(side, side)
    open_canvas(page, server, before, "?model=ovis")
    fill_small(page, "a red apple")
    page.locator("#f-inpaint-blur").fill("0")
    page.locator("#f-inpaint-padding").fill("8")
    page.locator("#f-strength").fill("1")
    page.locator("#f-inpaint-only_masked").set_checked(only_masked)
    page.locator("[data-size]").fill("12")
    drag(page, (20, 20), (40, 20))
    assert page.locator("[data-frame]").is_visible() == only_masked
    covered = painted(page) > 0
    assert 200 < covered.sum() < 600
    send(page)
    accept = page.get_by_role("button", name="Accept")
    expect(accept).to_be_visible()
    expect(page.get_by_role("button", name="Brush")).to_be_disabled()
    address = page.locator("[data-result]").get_attribute("src") or ""
    after = httpx.get(server.url + address).content
    changed = (pixels(before) != pixels(after)).any(axis=2)
    assert changed.any()
    assert not (changed & ~covered).any()
    # Discarded, the paint is there to try again; accepted, the result is the picture and the file that is sent next.
    page.get_by_role("button", name="Discard").click()
    assert (painted(page) > 0).any()
    send(page)
    accept.click()
    expect(accept).to_be_hidden()
    wait_for(page, "document.getElementById('f-init_image').files[0]?.name === 'result.png'")
    assert (pixels(file_of(page, "init_image")) != pixels(before)).any()
    assert not painted(page).any()
    tool(page, "Undo")
    wait_for(page, "document.getElementById('f-init_image').files[0]?.name === 'a.png'")
    assert ((painted(page) > 0) == covered).all()
    tool(page, "Redo")
    wait_for(page, "document.getElementById('f-init_image').files[0]?.name === 'result.png'")


def test_every_tool_paints_and_the_last_stroke_is_sent_and_survives_a_reload(page: Page, server: Server) -> None:
    page.add_init_script(SLOW_ENCODING)
    flat = Image.new("RGB", (64, 64), "white")
    flat.paste((200, 0, 0), (40, 40, 60, 60))
    stream = io.BytesIO()
    flat.save(stream, "PNG")
    open_canvas(page, server, stream.getvalue())
    tool(page, "Rectangle")
    drag(page, (4, 4), (12, 14))
    assert painted(page).sum() == 255 * 8 * 10
    page.keyboard.press("l")
    drag(page, (20, 4), (30, 4), (30, 14), (20, 14))
    strong = painted(page)
    assert strong[8, 25] == 255
    page.keyboard.press("w")
    page.mouse.click(*at(page, 50, 50))
    assert painted(page)[40:60, 40:60].min() == 255
    page.keyboard.press("Control+z")
    assert (painted(page) == strong).all()
    page.keyboard.press("Control+Shift+z")
    assert painted(page)[50, 50] == 255
    tool(page, "Eraser")
    page.locator("[data-size]").fill("8")
    drag(page, (50, 50), (50, 51))
    assert painted(page)[50, 50] == 0
    page.keyboard.press("b")
    drag(page, (4, 60), (30, 60))
    wanted = painted(page)
    fill_small(page, "a boat", steps=2)
    page.get_by_label("Prompt", exact=True).blur()
    send(page)
    mask = Image.open(io.BytesIO(file_of(page, "mask_image"))).convert("L")
    assert (np.array(mask) == wanted).all()
    wait_for(page, KEPT)
    page.reload()
    wait_for(page, "document.querySelector('[data-mask]').width === 64")
    assert (painted(page) == wanted).all()
    page.get_by_role("link", name="Reset").click()
    expect(page.get_by_role("button", name="Choose a picture")).to_be_visible()


def test_an_edge_is_dragged_outwards_by_true_pixels_and_back_by_undo(page: Page, server: Server) -> None:
    open_canvas(page, server, picture(512, 512))
    handle = page.get_by_role("button", name="Expand to the right")
    box = handle.bounding_box()
    assert box is not None
    one = (at(page, 512, 0)[0] - at(page, 0, 0)[0]) / 512
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120 * one, y, steps=4)
    expect(page.locator("[data-grown]")).to_have_text("+120 px")
    page.mouse.up()
    # 632 is no multiple of what sizes go by.
    expect(page.locator("#f-width")).to_have_value("640")
    expect(page.locator("#f-height")).to_have_value("512")
    strong = painted(page)
    assert strong.shape == (512, 640)
    assert strong[:, 512:].min() == 255
    assert strong[:, :500].max() == 0
    wait_for(page, "document.getElementById('f-init_image').files[0]?.name === 'extended.png'")
    grown = pixels(file_of(page, "init_image"))
    assert (grown[:, :512] == pixels(picture(512, 512))).all()
    # By the keyboard: what is wanted is shown, and Enter makes it so.
    page.get_by_role("button", name="Expand upwards").focus()
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    expect(page.locator("[data-grown]")).to_have_text("+64 px")
    page.keyboard.press("Enter")
    expect(page.locator("#f-height")).to_have_value("576")
    page.get_by_text("Expand the picture by numbers").click()
    page.get_by_role("spinbutton", name="Left").fill("250")
    page.get_by_role("button", name="Add border").click()
    expect(page.locator("#f-width")).to_have_value("896")
    for width in ("640", "640", "320"):
        tool(page, "Undo")
        expect(page.locator("#f-width")).to_have_value(width)
    wait_for(page, "document.getElementById('f-init_image').files[0]?.name === 'a.png'")
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()


def test_the_canvas_is_drawn_on_by_the_keyboard_alone(page: Page, server: Server) -> None:
    open_canvas(page, server, picture())
    page.get_by_role("application", name="Canvas").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-said]")).to_have_text("Pen down")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    assert not painted(page).any()
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("[data-said]")).to_have_text("Pen up")
    assert painted(page).any()
    page.keyboard.press("Delete")
    assert not painted(page).any()
    page.keyboard.press("1")
    expect(page.locator("[data-scale]")).to_have_text("100 %")
    # In a field the letters are the field's.
    page.get_by_label("Prompt", exact=True).press_sequentially("bi[")
    assert not painted(page).any()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert serious_findings(page) == []


def touch(session: CDPSession, kind: str, *points: tuple[float, float]) -> None:
    places = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(points)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def test_a_finger_paints_two_zoom_and_a_pen_draws_as_hard_as_it_is_pressed(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    open_canvas(page, server, picture())
    page.locator("[data-area]").scroll_into_view_if_needed()
    page.locator("[data-size]").fill("8")
    touch(session, "touchStart", at(page, 10, 10))
    touch(session, "touchMove", at(page, 20, 10))
    touch(session, "touchEnd")
    stroke = painted(page)
    assert stroke[10, 10:20].min() == 255
    # The second finger takes back what the first had begun.
    touch(session, "touchStart", at(page, 20, 40))
    touch(session, "touchMove", at(page, 24, 40))
    first, second = at(page, 24, 40), at(page, 40, 40)
    touch(session, "touchStart", first, second)
    touch(session, "touchMove", first, (second[0] + (second[0] - first[0]), second[1]))
    touch(session, "touchEnd")
    assert (painted(page) == stroke).all()
    shown = "Number.parseInt(document.querySelector('[data-scale]').textContent)"
    zoomed = page.evaluate(shown)
    page.get_by_role("button", name="Fit", exact=True).click()
    assert zoomed == pytest.approx(2 * page.evaluate(shown), rel=0.02)
    page.get_by_role("button", name="Clear the mask").click()
    page.locator("[data-size]").fill("20")
    for y, force in ((20, 0.1), (44, 1.0)):
        for kind, x in (("mousePressed", 20), ("mouseMoved", 40), ("mouseReleased", 40)):
            place = at(page, x, y)
            event = {"type": kind, "x": place[0], "y": place[1], "button": "left", "buttons": 1, "clickCount": 1}
            session.send("Input.dispatchMouseEvent", {**event, "pointerType": "pen", "force": force})
    strong = painted(page) > 127
    assert 0 < strong[:32, 30].sum() < strong[32:, 30].sum() / 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
