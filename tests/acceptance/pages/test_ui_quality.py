"""What the pages promise as a whole: little to send, nothing that grows or moves over many jobs, a focus that is seen."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.acceptance.conftest import SMALL, Server, StartServer
from tests.acceptance.pages.test_ui_pages import PAGES

#: Bytes of a page with its styles and scripts as sent, without pictures.
MOST_BYTES = 60_000
#: Whether what has the focus is seen where its middle is; its beginning where it is not.
HIDDEN = """() => {
    const element = document.activeElement;
    if (element === document.body) return "";
    const box = element.getBoundingClientRect();
    const there = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const seen = there && (element.contains(there) || there.contains(element) || there.closest("label")?.contains(element));
    return seen ? "" : element.outerHTML.slice(0, 120);
}"""
SHIFTS = """window.shifts = [];
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shifts.push(entry.value); })
        .observe({ type: "layout-shift", buffered: true });"""


def weight(client: httpx.Client, path: str) -> int:
    """Bytes of a page and all that it names or imports, as sent."""
    page = client.get(path)
    seen: set[str] = set()
    sent, waiting = (
        page.num_bytes_downloaded,
        set(re.findall(r'"(/ui/static/[^"]+\.(?:css|m?js))"', page.text)),
    )
    while waiting - seen:
        address = (waiting - seen).pop()
        seen.add(address)
        reply = client.get(address)
        assert reply.status_code == 200, address
        sent += reply.num_bytes_downloaded
        waiting |= {
            f"{address.rpartition('/')[0]}/{name}"
            for name in re.findall(r'^import .*"\./([^"]+)"', reply.text, re.MULTILINE)
        }
    return sent


def test_a_page_is_light(start_server: StartServer) -> None:
    server = start_server()
    server.native_picture()
    with httpx.Client(base_url=server.url, headers={"Accept-Encoding": "gzip"}) as client:
        found = {name: weight(client, path) for name, path in PAGES.items() if name != "missing"}
    assert {name: size for name, size in found.items() if size > MOST_BYTES} == {}


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (640, 400)])
@pytest.mark.parametrize("name", ["inpaint", "queue", "gallery", "models", "system", "api"])
def test_the_focus_is_seen_wherever_it_goes(page: Page, server: Server, name: str, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(server.url + PAGES[name])
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate(HIDDEN) == ""


def counted(session: CDPSession) -> dict[str, float]:
    """What the page holds after everything that can go has gone."""
    session.send("HeapProfiler.collectGarbage")
    told = session.send("Performance.getMetrics")["metrics"]
    return {item["name"]: item["value"] for item in told}


@pytest.mark.nightly
def test_a_hundred_jobs_leave_nothing_behind_and_move_nothing(page: Page, server: Server) -> None:
    page.add_init_script(SHIFTS)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.goto(f"{server.url}/ui/")

    def make(number: int, first: int) -> None:
        for seed in range(first, first + number):
            body = {**SMALL, "seed": seed, "prompt": f"one of many, {seed}"}
            assert httpx.post(f"{server.url}/api/v1/generate", json=body, timeout=60).status_code == 200
        newest = page.locator(f'#film [title="one of many, {first + number - 1}"] img')
        expect(newest.first).to_be_visible()
        expect(page.locator("#stage .job-completed")).to_be_visible()

    # The strip is full, and what is fetched once is there.
    make(35, 1)
    page.evaluate("window.shifts.length = 0")
    before = counted(session)
    make(100, 100)
    after = counted(session)
    assert sum(page.evaluate("window.shifts")) < 0.01
    assert after["Nodes"] < 1.05 * before["Nodes"]
    assert after["JSEventListeners"] < 1.05 * before["JSEventListeners"]
    assert after["JSHeapUsedSize"] < 1.25 * before["JSHeapUsedSize"]
