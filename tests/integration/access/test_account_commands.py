"""``sdrest user``, ``sdrest token`` and the login flags, beside a running server."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from sdrest.cli.sdrest import main
from tests.commands import Server, sdrest


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands work on the data folder of where they are started, and here they leave the log of the tests alone."""
    monkeypatch.chdir(tmp_path)
    for module in ("accounts", "doctor"):
        monkeypatch.setattr(f"sdrest.cli.{module}.configure_logging", lambda *_, **__: None)


def typed(*arguments: str, said: str = "") -> Result:
    """What a command does in a process of its own it does here, and quicker."""
    return CliRunner().invoke(main, arguments, input=said)


@pytest.mark.slow
def test_accounts_are_kept_beside_a_running_server(tmp_path: Path) -> None:
    added = sdrest("user", "add", "ann", "--role", "admin", "--password-stdin", cwd=tmp_path, said="first password\n")
    assert (added.returncode, added.stdout) == (0, "added ann (admin)\n"), added.stderr
    short = typed("user", "add", "bob", "--password-stdin", said="short\n")
    assert short.exit_code == 1
    assert "8 to 1024 characters" in short.stderr
    assert stat.S_IMODE((tmp_path / "data" / "sdrest.sqlite3").stat().st_mode) == 0o600

    with Server(tmp_path, "--auth", "jwt") as server, httpx.Client(base_url=server.url) as client:

        def login(password: str) -> httpx.Response:
            return client.post("/api/auth/login", json={"username": "ann", "password": password})

        tokens = login("first password").json()
        headers = {"Authorization": f"Bearer {tokens['token']}"}
        assert typed("user", "passwd", "ann", "--password-stdin", said="second password\n").exit_code == 0
        assert client.get("/api/auth/me", headers=headers).status_code == 401
        assert login("first password").status_code == 401
        headers = {"Authorization": f"Bearer {login('second password').json()['token']}"}

        assert typed("token", "rotate-secret").exit_code == 0
        assert client.get("/api/auth/me", headers=headers).status_code == 200
        assert typed("user", "add", "cy", "--password-stdin", said="a password\n").exit_code == 0
        last = typed("user", "remove", "ann")
        assert last.exit_code == 1
        assert "last admin" in last.stderr
        assert typed("user", "role", "cy", "admin").exit_code == 0
        assert typed("user", "remove", "ann").exit_code == 0
        assert client.get("/api/auth/me", headers=headers).status_code == 401
        listed = typed("user", "list")
        assert re.search(r"^cy\s+admin\s", listed.stdout, re.MULTILINE)
        assert "ann" not in listed.stdout
        unknown = typed("user", "role", "cyy", "viewer")
        assert "did you mean 'cy'?" in unknown.stderr


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    key = typed("token", "create", "ci", "--scope", "generate", "--expires-days", "2").stdout.strip()
    assert key.startswith("sdr_")
    with (
        Server(tmp_path, "--auth", "api-key") as server,
        httpx.Client(base_url=server.url, headers={"X-API-Key": key}) as client,
    ):
        assert client.get("/api/auth/me").json()["permissions"] == ["view", "generate"]
        listed = typed("token", "list").stdout
        assert "generate,view" in listed
        assert key not in listed
        assert key not in str((tmp_path / "data" / "sdrest.sqlite3").read_bytes())
        assert typed("token", "revoke", "ci").stdout == "revoked ci\n"
        assert client.get("/api/auth/me").status_code == 401
    assert typed("token", "revoke", "ci").exit_code == 1


def test_the_flags_of_the_older_server_work_and_warn(tmp_path: Path) -> None:
    with Server(tmp_path, "--enable-unix-auth") as server:
        assert "--enable-unix-auth is deprecated; use --auth unix" in server.log
        assert httpx.get(f"{server.url}/api/queue/status").status_code == 401
    both = typed("serve", "--enable-pam-auth", "--auth", "jwt")
    assert both.exit_code == 2
    assert "--enable-pam-auth contradicts --auth jwt" in both.stderr


def test_a_missing_pam_service_is_said_at_start_and_by_doctor(tmp_path: Path) -> None:
    with Server(tmp_path, "--auth", "pam", "--pam-service", "no-such-service") as server:
        assert "PAM" in server.log or "pam.d/no-such-service" in server.log
    doctor = typed("doctor", "--auth", "pam", "--pam-service", "no-such-service")
    assert doctor.exit_code == 1
    assert "PAM" in doctor.stdout
