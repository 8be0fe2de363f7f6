"""Signing files with the owner's certificate (C2PA, https://c2pa.org): who made them, with what, and that a model did.

Signing is done by ``c2pa-python`` (the extra ``c2pa``). Nothing of the pixels is touched.
"""

from __future__ import annotations

import importlib.util
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import structlog
from PIL import Image

from sdrest import __version__
from sdrest.core.errors import GenerationFailed, InvalidInput
from sdrest.core.names import SigningAlgorithm
from sdrest.outputs.marks import DigitalSource

log = structlog.get_logger(__name__)

#: What can be signed of the files that are made here; WebM cannot.
SIGNED_TYPES: Final = frozenset({"image/png", "image/webp", "image/avif", "image/jpeg", "image/gif", "video/mp4"})
_AGENT: Final = {"name": "sdrest", "version": __version__}


class _CannotSign(Exception):
    """In the words of the signing library."""


@dataclass(frozen=True)
class Signer:
    """Signs files. Any thread may ask.

    Args:
        certificates: PEM file of the chain, the owner's own certificate first.
        key: PEM file of its key (PKCS #8, not encrypted).
        algorithm: That of the key.
        timestamp_url: RFC 3161 server that vouches for the time; empty: none.
    """

    certificates: Path
    key: Path
    algorithm: SigningAlgorithm
    timestamp_url: str = ""

    def check(self) -> None:
        """Sign a picture for trial, without a time stamp, so that what is wrong is said at start.

        Raises:
            InvalidInput: the package is missing, a file cannot be read, or certificate, key and algorithm do not go together.
        """
        if importlib.util.find_spec("c2pa") is None:
            raise InvalidInput("signing needs the package c2pa-python (pip install 'sdrest[c2pa]')", field="c2pa_key")
        for field, path in (("c2pa_certificates", self.certificates), ("c2pa_key", self.key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise InvalidInput(f"cannot read {path}: {error.strerror}", field=field) from None
        stream = io.BytesIO()
        Image.new("RGB", (16, 16)).save(stream, "PNG")
        try:
            self._sign(stream.getvalue(), "image/png", DigitalSource.TRAINED, "")
        except _CannotSign as error:
            raise InvalidInput(
                f"certificate, key and algorithm ({self.algorithm}) cannot sign: {error}", field="c2pa_certificates"
            ) from None

    def signed(self, data: bytes, media_type: str, source: DigitalSource) -> bytes:
        """``data`` with a signed manifest; as it is where files of that type cannot be signed.

        Where the time stamp cannot be had, the file is signed without, and a warning is logged.

        Raises:
            GenerationFailed: it cannot be signed; the certificate may have run out.
        """
        if media_type not in SIGNED_TYPES:
            return data
        try:
            return self._sign(data, media_type, source, self.timestamp_url)
        except _CannotSign as error:
            if not self.timestamp_url:
                raise GenerationFailed(f"the picture cannot be signed: {error}") from error
            log.warning("signed without a time stamp", url=self.timestamp_url, problem=str(error))
        try:
            return self._sign(data, media_type, source, "")
        except _CannotSign as error:
            raise GenerationFailed(f"the picture cannot be signed: {error}") from error

    def _sign(self, data: bytes, media_type: str, source: DigitalSource, timestamp_url: str) -> bytes:
        import c2pa  # noqa: PLC0415 - an extra, and large

        chain, key = self._pem
        info = c2pa.C2paSignerInfo(  # type: ignore[no-untyped-call]
            self.algorithm.encode(), chain, key, timestamp_url.encode() or None
        )
        target = io.BytesIO()
        try:
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(_manifest(source))) as builder:
                builder.sign(signer, media_type, io.BytesIO(data), target)
        except (c2pa.C2paError, OSError, ValueError) as error:
            raise _CannotSign(str(error)) from error
        return target.getvalue()

    @cached_property
    def _pem(self) -> tuple[bytes, bytes]:
        return self.certificates.read_bytes(), self.key.read_bytes()


def _manifest(source: DigitalSource) -> dict[str, Any]:
    """What is signed: the one action that led to the file. No prompt: a manifest goes to everybody."""
    action = {"action": "c2pa.created", "digitalSourceType": source.address, "softwareAgent": _AGENT}
    return {
        "claim_generator_info": [_AGENT],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
