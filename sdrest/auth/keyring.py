"""The secrets that tokens and addresses are signed with: a file only its owner can read, with rotation.

The newest secret signs; older ones still verify until they are dropped at a later rotation. From each secret a key is derived for
each purpose (HMAC-SHA-256 as a pseudo-random function, RFC 2104), so that no signature of one kind is good as another.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sdrest.core.errors import InvalidInput
from sdrest.core.files import atomic_file

#: Secrets kept: the one that signs, and those that it replaced.
_KEPT: Final = 3
_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of the ring."""

    id: str
    value: bytes

    def key(self, purpose: str) -> bytes:
        """The key for one purpose (32 bytes)."""
        return hmac.digest(self.value, purpose.encode(), hashlib.sha256)


class KeyRing:
    """The secrets in one file; a rotation by another process is seen at once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._secrets: tuple[Secret, ...] = ()
        self._seen: tuple[int, int, int] | None = None

    def open(self) -> None:
        """Read the file, or make it when there is none.

        Raises:
            InvalidInput: it is damaged, or others than its owner can read it.
        """
        if not self.file.exists():
            self._write((_new_secret(),), must_be_new=True)
        self._current()

    def rotate(self) -> None:
        """Sign with a new secret from now on; what the two before it signed stays good."""
        self.open()
        self._write((_new_secret(), *self._current())[:_KEPT], must_be_new=False)

    def newest(self) -> Secret:
        """The secret that signs."""
        return self._current()[0]

    def find(self, secret_id: str) -> Secret | None:
        """The secret of that id, or None."""
        return next((secret for secret in self._current() if secret.id == secret_id), None)

    def text(self) -> str:
        """All secrets as they are in the file; empty when there is none."""
        return self.file.read_text(encoding="ascii") if self.file.exists() else ""

    def take_over(self, text: str) -> None:
        """Have the secrets of another ring, as its :meth:`text`.

        Raises:
            InvalidInput: it is none.
        """
        self._write(self._parse(text), must_be_new=False)

    def _current(self) -> tuple[Secret, ...]:
        with self._lock:
            try:
                found = self.file.stat()
                version = (found.st_mtime_ns, found.st_ino, found.st_size)
                if version != self._seen:
                    self._secrets = self._read(found)
                    self._seen = version
            except FileNotFoundError:
                raise InvalidInput(
                    f"{self.file} is gone; restart the server to make a new one", field="data_dir"
                ) from None
            return self._secrets

    def _read(self, found: os.stat_result) -> tuple[Secret, ...]:
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise InvalidInput(
                f"{self.file} must be readable by its owner only: chmod 600 {self.file}", field="data_dir"
            )
        try:
            text = self.file.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise InvalidInput(f"cannot read {self.file}: {error}", field="data_dir") from None
        return self._parse(text)

    def _parse(self, text: str) -> tuple[Secret, ...]:
        try:
            items = json.loads(text)["secrets"]
            read = tuple(Secret(str(item["id"]), base64.b64decode(item["value"], validate=True)) for item in items)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"cannot read {self.file}: {error}", field="data_dir") from None
        if not read or any(len(secret.value) < _BYTES for secret in read):
            raise InvalidInput(f"{self.file} holds no usable secret; delete it to get a new one", field="data_dir")
        return read

    def _write(self, ring: tuple[Secret, ...], *, must_be_new: bool) -> None:
        """Put the file in place whole, with mode 0600 from its first moment."""
        text = json.dumps(
            {"secrets": [{"id": item.id, "value": base64.b64encode(item.value).decode()} for item in ring]}, indent=1
        )
        # When another process was first, its secrets are as good.
        with (
            contextlib.suppress(FileExistsError),
            atomic_file(self.file, mode=0o600, overwrite=not must_be_new) as stream,
        ):
            stream.write(text.encode("ascii"))


def _new_secret() -> Secret:
    return Secret(secrets.token_hex(4), secrets.token_bytes(_BYTES))
