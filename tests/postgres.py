"""A PostgreSQL server of the tests' own: from Debian's package, in a temporary folder, as an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.needs import POSTGRES, require

if TYPE_CHECKING:
    from sdrest.storage.postgres.database import PostgresDatabase

#: Without waiting for the disk: what survives a power cut is the server's own business.
_SETTINGS: Final = ("fsync=off", "full_page_writes=off", "max_connections=200")


class PostgresServer:
    """Listens on a socket in its folder only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._databases = 0

    def start(self) -> None:
        """Make the cluster unless it is there, and start it."""
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        if not self._data.exists():
            self._run("initdb", "-D", self._data, "-U", "sdrest", "--auth=trust", "--no-sync", "--locale=C.UTF-8")
        options = " ".join((f"-k {self._folder} -h ''", *(f"-c {item}" for item in _SETTINGS)))
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        """End it: ``fast`` as an administrator does, ``immediate`` as a crash does."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", how, "stop")

    def new_database(self) -> str:
        """Address of an empty database."""
        self._databases += 1
        name = f"test_{os.getpid()}_{self._databases}"
        self._tell(f"CREATE DATABASE {name}")
        return self._address(name)

    def drop(self, address: str) -> None:
        """Remove a database and its hundreds of files, whoever is still connected."""
        name = address.removeprefix("postgresql://sdrest@/").partition("?")[0]
        self._tell(f"DROP DATABASE {name} WITH (FORCE)")

    def _address(self, name: str) -> str:
        return f"postgresql://sdrest@/{name}?host={self._folder}"

    def _tell(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(POSTGRES / program), *map(str, arguments)]
        more: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user = pwd.getpwnam("postgres")
            more = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", **more)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server; each test makes databases of its own."""
    require("postgres")
    with tempfile.TemporaryDirectory(prefix="sdrest-postgres-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Address of an empty database."""
    address = postgres.new_database()
    yield address
    postgres.drop(address)


def open_database(url: str) -> PostgresDatabase:
    """The database at an address, not opened yet. Imported here: where psycopg is missing, its tests are skipped, not broken."""
    from sdrest.storage.postgres.database import PostgresDatabase

    return PostgresDatabase(url)
