"""Accounts, sessions and API keys as statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sdrest.auth.accounts import Account, ApiKey, Session
from sdrest.core.errors import Conflict
from sdrest.core.principal import Permission, Role
from sdrest.storage.sql.database import Connection, Database
from sdrest.storage.sql.times import as_text, as_time


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
    forget_limits: str
    forget_limits_of_key: str
    touch_key: str


class SqlAccountStore:
    """The :class:`sdrest.auth.accounts.AccountStore` of a real server, on any database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _Statements(**database.statements("accounts"))

    # ------------------------------------------------------------------ accounts

    async def add_account(self, account: Account) -> None:
        """See :meth:`AccountStore.add_account`."""

        def change(db: Connection) -> None:
            if _account(db, self._sql, account.name):
                raise Conflict(f"there is an account {account.name!r} already")
            db.execute(self._sql.add_account, _row_of(account))

        await self._database.write(change)

    async def get_account(self, name: str) -> Account | None:
        """See :meth:`AccountStore.get_account`."""
        return await self._database.read(lambda db: _account(db, self._sql, name))

    async def accounts(self) -> Sequence[Account]:
        """See :meth:`AccountStore.accounts`."""
        return await self._database.read(lambda db: [_to_account(row) for row in db.execute(self._sql.accounts)])

    async def set_password(self, name: str, password_hash: str, now: datetime) -> bool:
        """See :meth:`AccountStore.set_password`."""
        values = {"name": name, "password_hash": password_hash, "now": as_text(now)}

        def change(db: Connection) -> bool:
            done = db.execute(self._sql.set_password, values).rowcount
            if done:
                _revoke_all(db, self._sql, name, now)
            return done == 1

        return await self._database.write(change)

    async def rehash(self, name: str, old_hash: str, new_hash: str) -> None:
        """See :meth:`AccountStore.rehash`."""
        values = {"name": name, "old_hash": old_hash, "new_hash": new_hash}
        await self._database.write(lambda db: db.execute(self._sql.rehash, values).rowcount)

    async def set_role(self, name: str, role: Role) -> bool:
        """See :meth:`AccountStore.set_role`."""

        def change(db: Connection) -> bool:
            if role is not Role.ADMIN:
                _refuse_last_admin(db, self._sql, name)
            return db.execute(self._sql.set_role, {"name": name, "role": role}).rowcount == 1

        return await self._database.write(change)

    async def remove_account(self, name: str, now: datetime) -> bool:
        """See :meth:`AccountStore.remove_account`."""

        def change(db: Connection) -> bool:
            if _others(db, self._sql, name):
                _refuse_last_admin(db, self._sql, name)
            done = db.execute(self._sql.remove_account, {"name": name}).rowcount
            if done:
                db.execute(self._sql.forget_limits, {"name": name})
                db.execute(self._sql.remove_keys, {"owner": name})
                _revoke_all(db, self._sql, name, now)
            return done == 1

        return await self._database.write(change)

    # ------------------------------------------------------------------ sessions

    async def add_session(self, session: Session) -> None:
        """See :meth:`AccountStore.add_session`."""

        def change(db: Connection) -> None:
            db.execute(self._sql.forget_expired, {"now": as_text(session.created_at)})
            db.execute(self._sql.add_session, _row_of(session))

        await self._database.write(change)

    async def get_session(self, session_id: str) -> Session | None:
        """See :meth:`AccountStore.get_session`."""

        def query(db: Connection) -> Session | None:
            row = db.execute(self._sql.session, {"id": session_id}).fetchone()
            return _to_session(row) if row else None

        return await self._database.read(query)

    async def rotate(self, session_id: str, *, old: str, new: str, role: Role, expires_at: datetime) -> bool:
        """See :meth:`AccountStore.rotate`."""
        values = {"id": session_id, "old": old, "new": new, "role": role, "expires_at": as_text(expires_at)}
        return await self._database.write(lambda db: db.execute(self._sql.rotate, values).rowcount == 1)

    async def revoke_session(self, session_id: str, now: datetime) -> None:
        """See :meth:`AccountStore.revoke_session`."""
        values = {"id": session_id, "now": as_text(now)}
        await self._database.write(lambda db: db.execute(self._sql.revoke, values).rowcount)

    # ------------------------------------------------------------------ API keys

    async def add_key(self, key: ApiKey) -> None:
        """See :meth:`AccountStore.add_key`."""

        def change(db: Connection) -> None:
            if db.execute(self._sql.key_named, {"name": key.name}).fetchone():
                raise Conflict(f"there is an API key {key.name!r} already")
            db.execute(self._sql.add_key, {**_row_of(key), "permissions": " ".join(sorted(key.permissions))})

        await self._database.write(change)

    async def find_key(self, *, digest: str = "", key_id: str = "") -> ApiKey | None:
        """See :meth:`AccountStore.find_key`."""

        def query(db: Connection) -> ApiKey | None:
            row = db.execute(self._sql.find_key, {"digest": digest, "id": key_id}).fetchone()
            return _to_key(row) if row else None

        return await self._database.read(query)

    async def keys(self) -> Sequence[ApiKey]:
        """See :meth:`AccountStore.keys`."""
        return await self._database.read(lambda db: [_to_key(row) for row in db.execute(self._sql.keys)])

    async def remove_key(self, key_id: str) -> bool:
        """See :meth:`AccountStore.remove_key`."""

        def change(db: Connection) -> bool:
            db.execute(self._sql.forget_limits_of_key, {"id": key_id})
            return db.execute(self._sql.remove_key, {"id": key_id}).rowcount == 1

        return await self._database.write(change)

    async def touch_key(self, key_id: str, now: datetime) -> None:
        """See :meth:`AccountStore.touch_key`."""
        values = {"id": key_id, "now": as_text(now)}
        await self._database.write(lambda db: db.execute(self._sql.touch_key, values).rowcount)


def _account(db: Connection, sql: _Statements, name: str) -> Account | None:
    row = db.execute(sql.account, {"name": name}).fetchone()
    return _to_account(row) if row else None


def _others(db: Connection, sql: _Statements, name: str, role: Role | None = None) -> bool:
    return db.execute(sql.others, {"name": name, "role": role}).fetchone() is not None


def _refuse_last_admin(db: Connection, sql: _Statements, name: str) -> None:
    account = _account(db, sql, name)
    if account is None or account.role is not Role.ADMIN:
        return
    if not _others(db, sql, name, Role.ADMIN):
        raise Conflict(f"{name!r} is the last admin; make another account an admin first")


def _revoke_all(db: Connection, sql: _Statements, principal: str, now: datetime) -> None:
    db.execute(sql.revoke_all, {"principal": principal, "now": as_text(now)})


def _row_of(item: Account | Session | ApiKey) -> dict[str, Any]:
    return {name: as_text(value) if isinstance(value, datetime) else value for name, value in asdict(item).items()}


def _to_account(row: Any) -> Account:
    return Account(
        name=row["name"],
        role=Role(row["role"]),
        password_hash=row["password_hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
        password_changed_at=datetime.fromisoformat(row["password_changed_at"]),
    )


def _to_session(row: Any) -> Session:
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


def _to_key(row: Any) -> ApiKey:
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
