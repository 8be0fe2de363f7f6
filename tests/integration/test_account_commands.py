"""``sdrest user``, ``sdrest token`` and the login flags, as an administrator types them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import httpx

from tests.integration.test_command_line import sdrest
from tests.integration.test_serve_command import Server


def with_input(text: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "sdrest", *arguments]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, cwd=cwd, env=environment, check=False
    )


def test_accounts_are_kept_beside_a_running_server(tmp_path: Path) -> None:
    added = with_input("first password\n", "user", "add", "ann", "--role", "admin", "--password-stdin", cwd=tmp_path)
    assert (added.returncode, added.stdout) == (0, "added ann (admin)\n"), added.stderr
    short = with_input("short\n", "user", "add", "bob", "--password-stdin", cwd=tmp_path)
    assert short.returncode == 1
    assert "8 to 1024 characters" in short.stderr
    assert stat.S_IMODE((tmp_path / "data" / "sdrest.sqlite3").stat().st_mode) == 0o600

    server = Server(tmp_path, "--auth", "jwt")
    try:
        with httpx.Client(base_url=server.url) as client:

            def login(password: str) -> httpx.Response:
                return client.post("/api/auth/login", json={"username": "ann", "password": password})

            tokens = login("first password").json()
            headers = {"Authorization": f"Bearer {tokens['token']}"}
            assert (
                with_input("second password\n", "user", "passwd", "ann", "--password-stdin", cwd=tmp_path).returncode
                == 0
            )
            assert client.get("/api/auth/me", headers=headers).status_code == 401
            assert login("first password").status_code == 401
            headers = {"Authorization": f"Bearer {login('second password').json()['token']}"}

            assert sdrest("token", "rotate-secret", cwd=tmp_path).returncode == 0
            assert client.get("/api/auth/me", headers=headers).status_code == 200
            assert with_input("a password\n", "user", "add", "cy", "--password-stdin", cwd=tmp_path).returncode == 0
            last = sdrest("user", "remove", "ann", cwd=tmp_path)
            assert last.returncode == 1
            assert "last admin" in last.stderr
            assert sdrest("user", "role", "cy", "admin", cwd=tmp_path).returncode == 0
            assert sdrest("user", "remove", "ann", cwd=tmp_path).returncode == 0
            assert client.get("/api/auth/me", headers=headers).status_code == 401
        listed = sdrest("user", "list", cwd=tmp_path)
        assert re.search(r"^cy\s+admin\s", listed.stdout, re.MULTILINE)
        assert "ann" not in listed.stdout
        unknown = sdrest("user", "role", "cyy", "viewer", cwd=tmp_path)
        assert "did you mean 'cy'?" in unknown.stderr
    finally:
        server.stop()


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    key = sdrest("token", "create", "ci", "--scope", "generate", "--expires-days", "2", cwd=tmp_path).stdout.strip()
    assert key.startswith("sdr_")
    server = Server(tmp_path, "--auth", "api-key")
    try:
        with httpx.Client(base_url=server.url, headers={"X-API-Key": key}) as client:
            assert client.get("/api/auth/me").json()["permissions"] == ["view", "generate"]
            listed = sdrest("token", "list", cwd=tmp_path).stdout
            assert "generate,view" in listed
            assert key not in listed
            assert key not in str((tmp_path / "data" / "sdrest.sqlite3").read_bytes())
            assert sdrest("token", "revoke", "ci", cwd=tmp_path).stdout == "revoked ci\n"
            assert client.get("/api/auth/me").status_code == 401
    finally:
        server.stop()
    assert sdrest("token", "revoke", "ci", cwd=tmp_path).returncode == 1


def test_the_flags_of_the_older_server_work_and_warn(tmp_path: Path) -> None:
    server = Server(tmp_path, "--enable-unix-auth")
    try:
        assert any("--enable-unix-auth is deprecated; use --auth unix" in line for line in server.log)
        assert httpx.get(f"{server.url}/api/queue/status").status_code == 401
    finally:
        server.stop()
    both = sdrest("serve", "--enable-pam-auth", "--auth", "jwt", cwd=tmp_path)
    assert both.returncode == 2
    assert "--enable-pam-auth contradicts --auth jwt" in both.stderr


def test_a_missing_pam_service_is_said_at_start_and_by_doctor(tmp_path: Path) -> None:
    server = Server(tmp_path, "--auth", "pam", "--pam-service", "no-such-service")
    server.stop()
    assert any("PAM" in line or "pam.d/no-such-service" in line for line in server.log)
    doctor = sdrest("doctor", "--auth", "pam", "--pam-service", "no-such-service", cwd=tmp_path)
    assert doctor.returncode == 1
    assert "PAM" in doctor.stdout
