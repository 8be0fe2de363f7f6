"""Signing in and out, users and API keys in a real browser."""

from __future__ import annotations

import httpx
from playwright.sync_api import Page, expect

from tests.acceptance.browser import serious_findings
from tests.acceptance.conftest import SMALL, Server, StartServer
from tests.commands import sdrest
from tests.identity_provider import PROVIDER_WARNINGS, identity_provider

PASSWORD = "a horse in the rain"


def add_account(server: Server, name: str, role: str) -> None:
    """Add an account as the operator does: by the command, while the server runs."""
    added = sdrest("user", "add", name, "--role", role, "--password-stdin", cwd=server.folder, said=PASSWORD)
    assert added.returncode == 0, added.stderr


def sign_in(page: Page, server: Server, name: str, password: str = PASSWORD) -> None:
    page.goto(f"{server.url}/ui/login")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@PROVIDER_WARNINGS
def test_one_signs_in_through_a_provider_on_another_site_and_lands_where_one_wanted_to_go(
    page: Page, start_server: StartServer
) -> None:
    with identity_provider() as provider:
        options = {
            "auth": "oidc",
            "base-path": "/sd",
            "oidc-issuer": provider.issuer,
            "oidc-client-id": "sdrest",
            "oidc-users": "painters",
            "oidc-title": "the company",
        }
        server = start_server(*(item for name, value in options.items() for item in (f"--{name}", value)))
        page.goto(f"{server.url}/ui/queue")
        assert serious_findings(page) == []
        page.get_by_role("link", name="Sign in with the company").click()
        page.wait_for_url(f"{provider.issuer}/**")
        page.get_by_role("button", name="1", exact=True).click()
        # The session's cookie is sent to pages that this server's own pages lead to, and no others.
        page.wait_for_url(f"{server.url}/ui/queue")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"{server.url}/ui/queue")
        page.get_by_role("link", name="Sign in with the company").click()
        page.get_by_role("button", name="3", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("you are in no group that may use this server")
        assert serious_findings(page) == []


def test_an_admin_adds_a_user_and_takes_the_account_away_again(page: Page, start_server: StartServer) -> None:
    server = start_server("--auth", "jwt")
    add_account(server, "ann", "admin")
    sign_in(page, server, "ann")
    page.goto(f"{server.url}/ui/system")
    page.get_by_role("link", name="Users and keys").click()
    assert serious_findings(page) == []
    page.get_by_label("User name").fill("bob")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("password")
    page.get_by_label("User name").fill("bob")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Role of bob").select_option("viewer")
    page.get_by_role("listitem").filter(has_text="bob").get_by_role("button", name="Set").click()
    expect(page.get_by_label("Role of bob")).to_have_value("viewer")
    token = httpx.post(f"{server.url}/api/auth/login", json={"username": "bob", "password": PASSWORD}).json()["token"]
    refused = httpx.post(f"{server.url}/api/v1/generate", json=SMALL, headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 403
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove ann").click()
    expect(page.locator("#notices")).to_contain_text("'ann' is the last admin")
    expect(page.get_by_label("Role of ann")).to_be_visible()
    page.get_by_role("button", name="Remove bob").click()
    expect(page.get_by_label("Role of bob")).to_have_count(0)


def test_limits_are_set_on_their_page_and_shown_on_the_own_account(page: Page, start_server: StartServer) -> None:
    server = start_server("--auth", "jwt")
    add_account(server, "ann", "admin")
    sign_in(page, server, "ann")
    page.goto(f"{server.url}/ui/system/use")
    page.get_by_text("Limits", exact=True).click()
    page.get_by_label("Pictures a day").fill("20")
    assert serious_findings(page) == []
    for width in (320, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    page.get_by_role("button", name="Set the limits of ann").click()
    expect(page.get_by_role("listitem").filter(has_text="ann")).to_contain_text("0 of 20")
    page.get_by_role("link", name="ann", exact=True).click()
    expect(page.get_by_role("region", name="Made today")).to_contain_text("0 of 20")


def test_a_signed_in_users_pages_fit_every_window_and_lead_to_the_own_account(
    page: Page, start_server: StartServer
) -> None:
    server = start_server("--auth", "jwt")
    add_account(server, "annabella-christina", "user")
    sign_in(page, server, "annabella-christina")
    for width in (320, 390, 721, 768, 820, 862, 901, 960, 1041, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    page.get_by_role("link", name="annabella-christina").click()
    expect(page.get_by_role("heading", name="annabella-christina")).to_be_visible()
    assert serious_findings(page) == []


def test_a_key_made_on_the_page_works_until_it_is_revoked(page: Page, start_server: StartServer) -> None:
    server = start_server("--auth", "jwt")
    add_account(server, "ann", "admin")
    sign_in(page, server, "ann")
    page.goto(f"{server.url}/ui/system/accounts")
    page.get_by_label("Name", exact=True).fill("night printer")
    page.get_by_role("button", name="Make", exact=True).click()
    header = {"X-API-Key": str(page.locator("#new-key").text_content()).strip()}
    assert httpx.post(f"{server.url}/api/v1/generate", json=SMALL, headers=header, timeout=60).status_code == 200
    page.goto(f"{server.url}/ui/system/accounts")
    expect(page.get_by_role("listitem").filter(has_text="night printer")).to_contain_text("generate")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke night printer").click()
    expect(page.get_by_text("night printer")).to_have_count(0)
    assert httpx.get(f"{server.url}/api/queue/status", headers=header).status_code == 401


def test_a_guest_is_asked_to_sign_in_and_may_generate_meanwhile(page: Page, start_server: StartServer) -> None:
    server = start_server("--auth", "optional")
    add_account(server, "ann", "user")
    page.goto(f"{server.url}/ui/")
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    page.get_by_role("link", name="Sign in").click()
    sign_in(page, server, "ann")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{server.url}/ui/system/accounts")
    expect(page.get_by_role("heading", name="You may not do that")).to_be_visible()
