"""Accounts, sessions and API keys in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from sdrest.auth.accounts import Account, ApiKey, Session
from sdrest.core.errors import Conflict
from sdrest.core.principal import Permission, Role
from sdrest.storage.sqlite.database import Database
from sdrest.storage.sqlite.times import as_text, as_time


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
            db.execute(
                "INSERT INTO accounts VALUES (?, ?, ?, ?, ?)",
                (
                    account.name,
                    account.role,
                    account.password_hash,
                    as_text(account.created_at),
                    as_text(account.password_changed_at),
                ),
            )

        await self._database.write(change)

    async def get_account(self, name: str) -> Account | None:
        """See :meth:`AccountStore.get_account`."""
        return await self._database.read(lambda db: _account(db, name))

    async def accounts(self) -> Sequence[Account]:
        """See :meth:`AccountStore.accounts`."""
        return await self._database.read(
            lambda db: [_to_account(row) for row in db.execute("SELECT * FROM accounts ORDER BY name")]
        )

    async def set_password(self, name: str, password_hash: str, now: datetime) -> bool:
        """See :meth:`AccountStore.set_password`."""

        def change(db: sqlite3.Connection) -> bool:
            done = db.execute(
                "UPDATE accounts SET password_hash = ?, password_changed_at = ? WHERE name = ?",
                (password_hash, as_text(now), name),
            ).rowcount
            if done:
                _revoke_all(db, name, now)
            return done == 1

        return await self._database.write(change)

    async def rehash(self, name: str, old_hash: str, new_hash: str) -> None:
        """See :meth:`AccountStore.rehash`."""
        await self._database.write(
            lambda db: (
                db.execute(
                    "UPDATE accounts SET password_hash = ? WHERE name = ? AND password_hash = ?",
                    (new_hash, name, old_hash),
                ).rowcount
            )
        )

    async def set_role(self, name: str, role: Role) -> bool:
        """See :meth:`AccountStore.set_role`."""

        def change(db: sqlite3.Connection) -> bool:
            if role is not Role.ADMIN:
                _refuse_last_admin(db, name)
            return db.execute("UPDATE accounts SET role = ? WHERE name = ?", (role, name)).rowcount == 1

        return await self._database.write(change)

    async def remove_account(self, name: str, now: datetime) -> bool:
        """See :meth:`AccountStore.remove_account`."""

        def change(db: sqlite3.Connection) -> bool:
            others = db.execute("SELECT 1 FROM accounts WHERE name <> ? LIMIT 1", (name,)).fetchone()
            if others:
                _refuse_last_admin(db, name)
            done = db.execute("DELETE FROM accounts WHERE name = ?", (name,)).rowcount
            if done:
                db.execute("DELETE FROM api_keys WHERE owner = ?", (name,))
                _revoke_all(db, name, now)
            return done == 1

        return await self._database.write(change)

    # ------------------------------------------------------------------ sessions

    async def add_session(self, session: Session) -> None:
        """See :meth:`AccountStore.add_session`."""

        def change(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM sessions WHERE expires_at < ?", (as_text(session.created_at),))
            db.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    session.id,
                    session.principal,
                    session.role,
                    session.method,
                    session.api_key_id,
                    session.refresh_id,
                    as_text(session.created_at),
                    as_text(session.expires_at),
                ),
            )

        await self._database.write(change)

    async def get_session(self, session_id: str) -> Session | None:
        """See :meth:`AccountStore.get_session`."""

        def query(db: sqlite3.Connection) -> Session | None:
            row = db.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
            return _to_session(row) if row else None

        return await self._database.read(query)

    async def rotate(self, session_id: str, *, old: str, new: str, role: Role, expires_at: datetime) -> bool:
        """See :meth:`AccountStore.rotate`."""
        return await self._database.write(
            lambda db: (
                db.execute(
                    "UPDATE sessions SET refresh_id = ?, role = ?, expires_at = ? "
                    "WHERE id = ? AND refresh_id = ? AND refresh_id <> '' AND revoked_at IS NULL",
                    (new, role, as_text(expires_at), session_id, old),
                ).rowcount
                == 1
            )
        )

    async def revoke_session(self, session_id: str, now: datetime) -> None:
        """See :meth:`AccountStore.revoke_session`."""
        await self._database.write(
            lambda db: (
                db.execute(
                    "UPDATE sessions SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (as_text(now), session_id)
                ).rowcount
            )
        )

    # ------------------------------------------------------------------ API keys

    async def add_key(self, key: ApiKey) -> None:
        """See :meth:`AccountStore.add_key`."""

        def change(db: sqlite3.Connection) -> None:
            if db.execute("SELECT 1 FROM api_keys WHERE name = ?", (key.name,)).fetchone():
                raise Conflict(f"there is an API key {key.name!r} already")
            db.execute(
                "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    key.id,
                    key.name,
                    key.owner,
                    " ".join(sorted(key.permissions)),
                    key.digest,
                    key.hint,
                    as_text(key.created_at),
                    as_text(key.expires_at),
                ),
            )

        await self._database.write(change)

    async def find_key(self, *, digest: str = "", key_id: str = "") -> ApiKey | None:
        """See :meth:`AccountStore.find_key`."""

        def query(db: sqlite3.Connection) -> ApiKey | None:
            row = db.execute("SELECT * FROM api_keys WHERE digest = ? OR id = ?", (digest, key_id)).fetchone()
            return _to_key(row) if row else None

        return await self._database.read(query)

    async def keys(self) -> Sequence[ApiKey]:
        """See :meth:`AccountStore.keys`."""
        return await self._database.read(
            lambda db: [_to_key(row) for row in db.execute("SELECT * FROM api_keys ORDER BY created_at, id")]
        )

    async def remove_key(self, key_id: str) -> bool:
        """See :meth:`AccountStore.remove_key`."""
        return await self._database.write(
            lambda db: db.execute("DELETE FROM api_keys WHERE id = ?", (key_id,)).rowcount == 1
        )

    async def touch_key(self, key_id: str, now: datetime) -> None:
        """See :meth:`AccountStore.touch_key`."""
        await self._database.write(
            lambda db: db.execute("UPDATE api_keys SET last_used_at = ? WHERE id = ?", (as_text(now), key_id)).rowcount
        )


def _account(db: sqlite3.Connection, name: str) -> Account | None:
    row = db.execute("SELECT * FROM accounts WHERE name = ?", (name,)).fetchone()
    return _to_account(row) if row else None


def _refuse_last_admin(db: sqlite3.Connection, name: str) -> None:
    account = _account(db, name)
    if account is None or account.role is not Role.ADMIN:
        return
    if not db.execute("SELECT 1 FROM accounts WHERE role = ? AND name <> ?", (Role.ADMIN, name)).fetchone():
        raise Conflict(f"{name!r} is the last admin; make another account an admin first")


def _revoke_all(db: sqlite3.Connection, principal: str, now: datetime) -> None:
    db.execute(
        "UPDATE sessions SET revoked_at = ? WHERE principal = ? AND revoked_at IS NULL", (as_text(now), principal)
    )


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
