"""Addresses of outputs that work without credentials until they expire: for clients that fetch a picture they were given."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final

from sdrest.auth.keyring import KeyRing, Secret

_PURPOSE: Final = "output addresses"


class UrlSigner:
    """Signs and checks (job, file, expiry). A signature opens that one file and nothing else."""

    def __init__(self, ring: KeyRing, *, lifetime_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._ring = ring
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock

    def query(self, job_id: str, file: str) -> dict[str, str]:
        """The query parameters ``expires`` (Unix time in seconds) and ``signature`` for an output."""
        expires = str(int(self._clock() + self._lifetime_seconds))
        secret = self._ring.newest()
        return {"expires": expires, "signature": f"{secret.id}.{_signature(secret, job_id, file, expires)}"}

    def is_valid(self, job_id: str, file: str, *, expires: str, signature: str) -> bool:
        """Whether the parameters came from :meth:`query` and have not expired."""
        secret_id, _, value = signature.partition(".")
        secret = self._ring.find(secret_id)
        if secret is None or not (expires.isascii() and expires.isdecimal() and len(expires) <= 12):
            return False
        expected = _signature(secret, job_id, file, expires)
        return hmac.compare_digest(expected.encode(), value.encode()) and int(expires) > self._clock()


def _signature(secret: Secret, job_id: str, file: str, expires: str) -> str:
    message = "\0".join((job_id, file, expires)).encode()
    return base64.urlsafe_b64encode(hmac.digest(secret.key(_PURPOSE), message, hashlib.sha256)).decode().rstrip("=")
