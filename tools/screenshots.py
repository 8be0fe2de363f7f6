"""Make the screenshots of `docs/screenshots` from a running server: python tools/screenshots.py http://127.0.0.1:8080 [FOLDER].

Every page at 390, 1280 and 1920 px in light, and Generate, Queue and Gallery at 1280 px in dark, as WebP.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.acceptance.browser import browser_path

WIDTHS = {390: 844, 1280: 860, 1920: 1080}
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
    "models": "/ui/models",
    "system": "/ui/system",
    "login": "/ui/login",  # the form only where authentication is on
}
DARK = ("generate", "queue", "gallery")


def shoot(browser: Browser, url: str, path: str, width: int, scheme: str) -> bytes:
    context = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(url + path)
    page.wait_for_timeout(700)
    data = page.screenshot()
    context.close()
    return data


def main() -> None:
    url = sys.argv[1].rstrip("/")
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(name, path, width, "light") for name, path in PAGES.items() for width in WIDTHS]
    wanted += [(name, PAGES[name], 1280, "dark") for name in DARK]
    pages = {"picture": "#gallery .tile", "model": "#models .row-main"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"])
        for name, selector in pages.items():
            page = browser.new_page()
            page.goto(url + ("/ui/gallery" if name == "picture" else "/ui/models"))
            target = page.locator(selector).first.get_attribute("href")
            page.close()
            if target:
                wanted += [(name, target, width, "light") for width in WIDTHS]
        for name, path, width, scheme in wanted:
            picture = Image.open(io.BytesIO(shoot(browser, url, path, width, scheme)))
            file = folder / f"{name}{'-dark' if scheme == 'dark' else ''}-{width}.webp"
            picture.convert("RGB").save(file, "WEBP", quality=80, method=6)
            print(file, file.stat().st_size)
        browser.close()


if __name__ == "__main__":
    main()
