"""Logging in with accounts of the system: the real shadow database, a real PAM stack, a real UNIX socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sdrest.auth.pam import PamPasswords, why_unavailable
from sdrest.auth.system_accounts import SystemAccounts
from sdrest.auth.unix import ShadowDatabase, UnixPasswords
from sdrest.cli.listening import Listening, listen, listen_locally
from sdrest.cli.serve import serving
from sdrest.core.errors import Unavailable
from sdrest.core.principal import Role
from sdrest.settings import Settings
from tests.integration.access.system_accounts import PASSWORD, pam_service, system_account
from tests.integration.conftest import ClientFactory, SettingsFactory
from tests.needs import needs

UNIX_RULES = ("auth required pam_unix.so", "account required pam_unix.so")


@pytest.fixture
def account() -> Iterator[str]:
    with system_account() as name:
        yield name


@needs("accounts")
class TestShadow:
    @pytest.mark.parametrize("method", ["", "SHA512", "SHA256", "YESCRYPT"])
    def test_a_password_of_any_common_method_is_checked(self, method: str) -> None:
        database = ShadowDatabase()
        with system_account(method=method) as name:
            assert database.verify(name, PASSWORD)
            assert not database.verify(name, PASSWORD + "x")
            assert not database.verify(name, "")
            assert not database.verify(name, PASSWORD + "\0")

    @pytest.mark.parametrize(
        "command", [["usermod", "-L"], ["chage", "-E", "1"], ["chage", "-d", "0"], ["passwd", "-q", "-d"]]
    )
    def test_locked_expired_and_empty_accounts_are_refused(self, account: str, command: list[str]) -> None:
        subprocess.run([*command, account], check=True)
        database = ShadowDatabase()
        assert not database.verify(account, PASSWORD)
        assert not database.verify(account, "")

    def test_an_unknown_account_costs_what_a_known_one_does(
        self, account: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = ShadowDatabase()
        crypt = database._crypt
        settings: list[list[bytes]] = []

        def counted(secret: bytes, setting: bytes) -> Any:
            settings.append(setting.split(b"$")[1:3])  # method and cost
            return crypt(secret, setting)

        monkeypatch.setattr(database, "_crypt", counted)
        for name in (account, "nobody-of-that-name"):
            assert not database.verify(name, "wrong")
        known, unknown = settings
        assert known == unknown

    async def test_groups_and_lists_decide_who_may_log_in_and_as_what(self, account: str) -> None:
        async def role(**rule: Any) -> Role | None:
            identity = await UnixPasswords(SystemAccounts(**rule)).check(account, PASSWORD)
            return identity.role if identity else None

        assert await role() is Role.USER
        assert await role(admin_users=[account]) is Role.ADMIN
        assert await role(admin_group="nogroup") is Role.ADMIN
        assert await role(allowed_group="nogroup") is Role.USER
        assert await role(allowed_group="root") is None
        assert await role(allowed_group="no such group") is None

    async def test_a_login_over_http(self, account: str, client_factory: ClientFactory) -> None:
        client = await client_factory(auth="unix", admin_users=account)
        wrong = await client.post("/api/auth/login", json={"username": account, "password": "wrong"})
        assert wrong.status == 401
        tokens = await (await client.post("/api/auth/login", json={"username": account, "password": PASSWORD})).json()
        me = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {tokens['token']}"})
        assert await me.json() == {
            "username": account,
            "role": "admin",
            "permissions": ["view", "generate", "manage_models", "manage_queue", "work", "admin"],
            "auth_method": "unix",
        }


@needs("accounts", "pam")
class TestPam:
    async def test_the_password_is_checked_by_the_pam_stack(self, account: str) -> None:
        with pam_service(*UNIX_RULES) as service:
            assert why_unavailable(service) is None
            checker = PamPasswords(SystemAccounts(), service=service, timeout_seconds=20)
            identity = await checker.check(account, PASSWORD)
            assert identity is not None
            assert (identity.name, identity.role, identity.method) == (account, Role.USER, "pam")
            for name, password in ((account, "wrong"), (account, ""), ("nobody-of-that-name", PASSWORD), ("", "x")):
                assert await checker.check(name, password) is None

    async def test_the_account_phase_counts_as_well(self, account: str) -> None:
        with pam_service("auth required pam_permit.so", "account required pam_deny.so") as service:
            checker = PamPasswords(SystemAccounts(), service=service, timeout_seconds=20)
            assert await checker.check(account, "anything") is None
        with pam_service("auth required pam_permit.so", "account required pam_permit.so") as service:
            checker = PamPasswords(SystemAccounts(), service=service, timeout_seconds=20)
            assert await checker.check(account, "anything") is not None

    async def test_a_module_that_hangs_is_left_behind(self, account: str) -> None:
        with pam_service("auth required pam_exec.so quiet /bin/sleep 3", "account required pam_permit.so") as service:
            checker = PamPasswords(SystemAccounts(), service=service, timeout_seconds=0.3)
            with pytest.raises(Unavailable, match=r"within 0\.3 seconds"):
                await checker.check(account, PASSWORD)

    def test_a_missing_service_is_named(self) -> None:
        assert "/etc/pam.d/no-such-service" in (why_unavailable("no-such-service") or "")

    async def test_a_login_over_http(self, account: str, client_factory: ClientFactory) -> None:
        with pam_service(*UNIX_RULES) as service:
            client = await client_factory(auth="pam", pam_service=service)
            body = {"username": account, "password": PASSWORD}
            reply = await client.post("/api/v1/auth/login", json=body)
            assert reply.status == 200
            tokens = await reply.json()
            assert tokens["user"] == {"username": account, "role": "user"}
            headers = {"Authorization": f"Bearer {tokens['token']}"}
            assert (await client.get("/api/queue/status", headers=headers)).status == 200
            assert (await client.get("/api/users", headers=headers)).status == 403
            refreshed = await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
            assert refreshed.status == 200

    async def test_a_pam_module_that_is_missing_is_no_wrong_password(
        self, account: str, client_factory: ClientFactory
    ) -> None:
        with pam_service("auth required pam_no_such_module.so") as service:
            client = await client_factory(auth="pam", pam_service=service)
            for _ in range(8):
                reply = await client.post("/api/auth/login", json={"username": account, "password": PASSWORD})
                assert reply.status == 503


class TestUnixSocket:
    async def test_the_kernel_says_who_calls(self, settings_factory: SettingsFactory, tmp_path: Path) -> None:
        path = tmp_path / "s.sock"
        settings = settings_factory(auth="unix", socket=path)
        with contextlib.closing(listen(settings.host, 0)) as listening:
            await self._check(settings, listening, path)
        assert not path.exists()

    async def _check(self, settings: Settings, listening: Listening, path: Path) -> None:
        async with serving(settings, listening) as server:
            assert oct(path.stat().st_mode)[-3:] == "660"
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
                me = await (await session.get("http://localhost/api/auth/me")).json()
                assert me["auth_method"] == "unix"
                assert me["role"] == ("admin" if os.geteuid() == 0 else "user")
            async with aiohttp.ClientSession() as session:
                assert (await session.get(f"{server.url}api/auth/me")).status == 401

    @needs("accounts", "curl")
    async def test_another_user_is_not_admin(self, account: str, settings_factory: SettingsFactory) -> None:
        folder = Path("/tmp") / account  # pytest's own folders are closed to other users
        folder.mkdir(mode=0o755)
        path = folder / "s.sock"
        settings = settings_factory(auth="unix", socket=path)
        listening = listen(settings.host, 0)
        try:
            async with serving(settings, listening):
                path.chmod(0o666)
                command = ["curl", "-sS", "--unix-socket", str(path), "http://localhost/api/auth/me"]
                done = await asyncio.to_thread(subprocess.run, command, user=account, capture_output=True, cwd="/")
                me = json.loads(done.stdout)
                assert (me["username"], me["role"]) == (account, "user")
        finally:
            listening.close()
            folder.rmdir()

    def test_a_socket_left_behind_is_replaced_and_a_live_one_is_not(self, tmp_path: Path) -> None:
        path = tmp_path / "s.sock"
        listen_locally(path).close()
        with listen_locally(path), pytest.raises(OSError, match="in use"):
            listen_locally(path)

    def test_a_file_in_the_way_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "s.sock"
        path.write_text("mine")
        with pytest.raises(OSError, match="in use"):
            listen_locally(path)
        assert path.read_text() == "mine"
