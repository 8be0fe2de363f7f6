"""The pages in other languages in a browser: switching, making a picture, and long words on a narrow screen."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.acceptance.conftest import Server

PATHS = (
    "/ui/",
    "/ui/generate/inpaint",
    "/ui/queue",
    "/ui/gallery",
    "/ui/gallery/bin",
    "/ui/models",
    "/ui/models/hubs",
    "/ui/system",
    "/ui/system/workers",
    "/ui/groups/new",
    "/ui/wildcards",
)


def speak(page: Page, name: str) -> None:
    """Choose a language in the frame of the page."""
    page.locator("[data-languages]").click()
    page.get_by_role("button", name=name, exact=True).click()


def test_a_picture_is_made_in_german_and_long_words_fit(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/ui/")
    speak(page, "Deutsch")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.get_by_label("Prompt", exact=True).fill("a red apple")
    page.get_by_role("button", name="Erzeugen").click()
    card = page.locator("#stage .job")
    expect(card.locator(".state")).to_have_text("Fertig")
    expect(card).to_contain_text("Text zu Bild")
    # What a script says comes from the same catalogue.
    page.goto(f"{server.url}/ui/gallery")
    page.locator("#tiles input[name=p]").first.check(force=True)
    expect(page.locator("[data-chosen]")).to_have_text("Ausgewählt: 1")
    page.set_viewport_size({"width": 320, "height": 700})
    for name in ("Deutsch", "Français"):
        speak(page, name)
        for path in PATHS:
            page.goto(server.url + path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, path)
            nav = page.locator(".nav")
            assert nav.evaluate("element => element.scrollWidth <= element.clientWidth"), (name, path)
