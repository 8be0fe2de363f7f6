"""Passwords and keys on a real database: what is stored, what verifies, what an unknown name costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from argon2 import PasswordHasher

from sdrest.auth.accounts import checked_account_name
from sdrest.auth.api_keys import PREFIX, ApiKeys, looks_like_key, parse_permissions
from sdrest.auth.directory import Directory
from sdrest.auth.passwords import LocalAccounts, Passwords
from sdrest.core.errors import Conflict, InvalidInput
from sdrest.core.principal import Permission, Role
from sdrest.storage.sql.accounts import SqlAccountStore
from sdrest.storage.sqlite.database import Database

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlAccountStore]:
    database = Database(tmp_path / "db.sqlite3")
    await database.open()
    yield SqlAccountStore(database)
    await database.close()


async def test_a_password_is_stored_as_argon2id_only(store: SqlAccountStore) -> None:
    await Directory(store, Passwords(CHEAP)).add("ann", PASSWORD, Role.USER)
    account = await store.get_account("ann")
    assert account is not None
    assert account.password_hash.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert PASSWORD not in account.password_hash


async def test_a_hash_with_older_parameters_is_renewed_at_login(store: SqlAccountStore) -> None:
    await Directory(store, Passwords(CHEAP)).add("ann", PASSWORD, Role.USER)
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    checker = LocalAccounts(store, Passwords(stronger))
    assert await checker.check("ann", "wrong") is None
    assert await checker.check("ann", PASSWORD) is not None
    account = await store.get_account("ann")
    assert account is not None
    assert "m=16,t=2" in account.password_hash
    assert await checker.check("ann", PASSWORD) is not None


async def test_an_unknown_name_costs_what_a_known_one_does(store: SqlAccountStore) -> None:
    compared: list[str] = []

    class Noted(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
            compared.append(str(hash).rpartition("$")[0].rpartition("$")[0])  # method and cost, without salt and hash
            return super().verify(hash, password)

    passwords = Passwords(Noted(time_cost=1, memory_cost=8, parallelism=1))
    await Directory(store, passwords).add("ann", PASSWORD, Role.USER)
    checker = LocalAccounts(store, passwords)
    for name in ("ann", "nobody"):
        assert await checker.check(name, "wrong password") is None
    known, unknown = compared
    assert known == unknown
    assert "m=8,t=1,p=1" in known


async def test_no_password_opens_an_account_that_does_not_exist() -> None:
    passwords = Passwords(CHEAP)
    for password in ("", "x", "no account has this password", "y" * 5000):
        assert not await passwords.verify(None, password)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025])
async def test_unfit_passwords_are_refused(password: str) -> None:
    with pytest.raises(InvalidInput, match="8 to 1024 characters"):
        await Passwords(CHEAP).hash(password)


@pytest.mark.parametrize("name", ["", "Ann", "a b", "guest:1", "key:ci", "-a", "a" * 65, "ä", "a\n", "../a"])
def test_unfit_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="username"):
        checked_account_name(name)


async def test_a_role_of_guests_cannot_be_given(store: SqlAccountStore) -> None:
    with pytest.raises(InvalidInput, match="viewer, user, admin"):
        await Directory(store, Passwords(CHEAP)).add("ann", PASSWORD, Role.GUEST)


class TestApiKeys:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    @pytest.fixture
    def keys(self, store: SqlAccountStore) -> ApiKeys:
        return ApiKeys(store, owner_role=LocalAccounts(store, Passwords(CHEAP)).role_of, clock=lambda: self.now)

    async def test_only_a_digest_is_kept(self, keys: ApiKeys, store: SqlAccountStore) -> None:
        key, text = await keys.create("ci", permissions=parse_permissions(["generate"]))
        assert looks_like_key(text)
        assert len(text) == len(PREFIX) + 52
        assert text not in repr(await store.keys())
        assert key.hint == text[:8]
        with pytest.raises(Conflict, match="'ci'"):
            await keys.create("ci", permissions=key.permissions)

    async def test_a_key_ends(self, keys: ApiKeys) -> None:
        _, text = await keys.create("ci", permissions=frozenset(), expires_at=self.now + timedelta(hours=1))
        assert await keys.identify(text) is not None
        self.now += timedelta(hours=1)
        assert await keys.identify(text) is None
        with pytest.raises(InvalidInput, match="future"):
            await keys.create("late", permissions=frozenset(), expires_at=self.now)

    async def test_the_time_of_use_is_written_once_a_minute(self, keys: ApiKeys) -> None:
        _, text = await keys.create("ci", permissions=frozenset())
        start = self.now
        for seconds, seen in ((0, 0), (59, 0), (60, 60), (90, 60), (120, 120)):
            self.now = start + timedelta(seconds=seconds)
            await keys.identify(text)
            assert [key.last_used_at for key in await keys.list()] == [start + timedelta(seconds=seen)]

    @pytest.mark.parametrize("text", ["", "sdr_", "sdr_" + "a" * 51, "sdr_" + "A" * 52, "sdr_" + "a" * 53, "é"])
    async def test_what_does_not_look_like_a_key_is_none(self, keys: ApiKeys, text: str) -> None:
        assert await keys.identify(text) is None

    def test_scopes_are_checked_and_looking_is_always_one(self) -> None:
        assert parse_permissions(["Generate "]) == {Permission.VIEW, Permission.GENERATE}
        with pytest.raises(InvalidInput, match="did you mean 'manage_queue'"):
            parse_permissions(["manage_queues"])
