"""Accounts, sessions and API keys in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sdrest.auth.accounts import Account, ApiKey, Session
from sdrest.core.errors import Conflict
from sdrest.core.principal import Permission, Role
from sdrest.storage.sqlite.database import Database
from sdrest.storage.sqlite.statements import statements
from sdrest.storage.sqlite.times import as_text, as_time


@dataclass(frozen=True, slots=True)
class _Statements:
    add_account: str
    account: str
    accounts: str
    set_password: str
    rehash: str
    set_role: str
    remove_account: str
    others: str
    forget_expired: str
    add_session: str
    session: str
    rotate: str
    revoke: str
    revoke_all: str
    add_key: str
    key_named: str
    find_key: str
    keys: str
    remove_key: str
    remove_keys: str
    touch_key: str


_SQL: Final = _Statements(**statements("accounts"))


class SqliteAccountStore:
    """The :class:`sdrest.auth.accounts.AccountStore` of a real server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------------ accounts

    async def add_account(self, account: Account) -> None:
        """See :meth:`AccountStore.add_account`."""

        def change(db: sqlite3.Connection) -> None:
            if _account(db, account.name):
                raise Conflict(f"there is an account {account.name!r} already")
            db.execute(_SQL.add_account, _row_of(account))

        await self._database.write(change)

    async def get_account(self, name: str) -> Account | None:
        """See :meth:`AccountStore.get_account`."""
        return await self._database.read(lambda db: _account(db, name))

    async def accounts(self) -> Sequence[Account]:
        """See :meth:`AccountStore.accounts`."""
        return await self._database.read(lambda db: [_to_account(row) for row in db.execute(_SQL.accounts)])

    async def set_password(self, name: str, password_hash: str, now: datetime) -> bool:
        """See :meth:`AccountStore.set_password`."""
        values = {"name": name, "password_hash": password_hash, "now": as_text(now)}

        def change(db: sqlite3.Connection) -> bool:
            done = db.execute(_SQL.set_password, values).rowcount
            if done:
                _revoke_all(db, name, now)
            return done == 1

        return await self._database.write(change)

    async def rehash(self, name: str, old_hash: str, new_hash: str) -> None:
        """See :meth:`AccountStore.rehash`."""
        values = {"name": name, "old_hash": old_hash, "new_hash": new_hash}
        await self._database.write(lambda db: db.execute(_SQL.rehash, values).rowcount)

    async def set_role(self, name: str, role: Role) -> bool:
        """See :meth:`AccountStore.set_role`."""

        def change(db: sqlite3.Connection) -> bool:
            if role is not Role.ADMIN:
                _refuse_last_admin(db, name)
            return db.execute(_SQL.set_role, {"name": name, "role": role}).rowcount == 1

        return await self._database.write(change)

    async def remove_account(self, name: str, now: datetime) -> bool:
        """See :meth:`AccountStore.remove_account`."""

        def change(db: sqlite3.Connection) -> bool:
            if _others(db, name):
                _refuse_last_admin(db, name)
            done = db.execute(_SQL.remove_account, {"name": name}).rowcount
            if done:
                db.execute(_SQL.remove_keys, {"owner": name})
                _revoke_all(db, name, now)
            return done == 1

        return await self._database.write(change)

    # ------------------------------------------------------------------ sessions

    async def add_session(self, session: Session) -> None:
        """See :meth:`AccountStore.add_session`."""

        def change(db: sqlite3.Connection) -> None:
            db.execute(_SQL.forget_expired, {"now": as_text(session.created_at)})
            db.execute(_SQL.add_session, _row_of(session))

        await self._database.write(change)

    async def get_session(self, session_id: str) -> Session | None:
        """See :meth:`AccountStore.get_session`."""

        def query(db: sqlite3.Connection) -> Session | None:
            row = db.execute(_SQL.session, {"id": session_id}).fetchone()
            return _to_session(row) if row else None

        return await self._database.read(query)

    async def rotate(self, session_id: str, *, old: str, new: str, role: Role, expires_at: datetime) -> bool:
        """See :meth:`AccountStore.rotate`."""
        values = {"id": session_id, "old": old, "new": new, "role": role, "expires_at": as_text(expires_at)}
        return await self._database.write(lambda db: db.execute(_SQL.rotate, values).rowcount == 1)

    async def revoke_session(self, session_id: str, now: datetime) -> None:
        """See :meth:`AccountStore.revoke_session`."""
        values = {"id": session_id, "now": as_text(now)}
        await self._database.write(lambda db: db.execute(_SQL.revoke, values).rowcount)

    # ------------------------------------------------------------------ API keys

    async def add_key(self, key: ApiKey) -> None:
        """See :meth:`AccountStore.add_key`."""

        def change(db: sqlite3.Connection) -> None:
            if db.execute(_SQL.key_named, {"name": key.name}).fetchone():
                raise Conflict(f"there is an API key {key.name!r} already")
            db.execute(_SQL.add_key, {**_row_of(key), "permissions": " ".join(sorted(key.permissions))})

        await self._database.write(change)

    async def find_key(self, *, digest: str = "", key_id: str = "") -> ApiKey | None:
        """See :meth:`AccountStore.find_key`."""

        def query(db: sqlite3.Connection) -> ApiKey | None:
            row = db.execute(_SQL.find_key, {"digest": digest, "id": key_id}).fetchone()
            return _to_key(row) if row else None

        return await self._database.read(query)

    async def keys(self) -> Sequence[ApiKey]:
        """See :meth:`AccountStore.keys`."""
        return await self._database.read(lambda db: [_to_key(row) for row in db.execute(_SQL.keys)])

    async def remove_key(self, key_id: str) -> bool:
        """See :meth:`AccountStore.remove_key`."""
        return await self._database.write(lambda db: db.execute(_SQL.remove_key, {"id": key_id}).rowcount == 1)

    async def touch_key(self, key_id: str, now: datetime) -> None:
        """See :meth:`AccountStore.touch_key`."""
        values = {"id": key_id, "now": as_text(now)}
        await self._database.write(lambda db: db.execute(_SQL.touch_key, values).rowcount)


def _account(db: sqlite3.Connection, name: str) -> Account | None:
    row = db.execute(_SQL.account, {"name": name}).fetchone()
    return _to_account(row) if row else None


def _others(db: sqlite3.Connection, name: str, role: Role | None = None) -> bool:
    return db.execute(_SQL.others, {"name": name, "role": role}).fetchone() is not None


def _refuse_last_admin(db: sqlite3.Connection, name: str) -> None:
    account = _account(db, name)
    if account is None or account.role is not Role.ADMIN:
        return
    if not _others(db, name, Role.ADMIN):
        raise Conflict(f"{name!r} is the last admin; make another account an admin first")


def _revoke_all(db: sqlite3.Connection, principal: str, now: datetime) -> None:
    db.execute(_SQL.revoke_all, {"principal": principal, "now": as_text(now)})


def _row_of(item: Account | Session | ApiKey) -> dict[str, Any]:
    return {name: as_text(value) if isinstance(value, datetime) else value for name, value in asdict(item).items()}


def _to_account(row: sqlite3.Row) -> Account:
    return Account(
        name=row["name"],
        role=Role(row["role"]),
        password_hash=row["password_hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
        password_changed_at=datetime.fromisoformat(row["password_changed_at"]),
    )


def _to_session(row: sqlite3.Row) -> Session:
    return Session(
        id=row["id"],
        principal=row["principal"],
        role=Role(row["role"]),
        method=row["method"],
        api_key_id=row["api_key_id"],
        refresh_id=row["refresh_id"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=datetime.fromisoformat(row["expires_at"]),
        revoked_at=as_time(row["revoked_at"]),
    )


def _to_key(row: sqlite3.Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        owner=row["owner"],
        permissions=frozenset(Permission(name) for name in row["permissions"].split()),
        digest=row["digest"],
        hint=row["hint"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=as_time(row["expires_at"]),
        last_used_at=as_time(row["last_used_at"]),
    )
