"""What models are downloaded from: plain addresses, files on Hugging Face, versions on CivitAI."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from sdrest.core.errors import InvalidInput

_HUB_PAGE: Final = re.compile(r"^/([^/]+/[^/]+)/(?:resolve|blob)/([^/]+)/(.+)$")
_HUB_TEXT: Final = re.compile(r"^hf:([^/@\s]+/[^/@\s]+)/([^@]+?)(?:@(\S+))?$")
_MAX_CHARACTERS: Final = 4000
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class AddressSource:
    """A file at a URL."""

    url: str


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a repository on Hugging Face."""

    repo_id: str
    filename: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class CivitaiSource:
    """A version of a model on CivitAI; without ``version_id`` the newest of ``model_id``.

    ``wanted`` are the ``type``, ``format``, ``size`` and ``fp`` that a download address of the site names a file by.
    """

    version_id: str = ""
    model_id: str = ""
    wanted: Mapping[str, str] = field(default_factory=dict)


Source = AddressSource | HubSource | CivitaiSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a source's file really is, and what its host tells about it; empty where it tells nothing."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    sha256: str = ""
    #: The kind of folder that the host takes it for.
    type: str = ""
    #: What is to be kept beside the model as ``NAME.civitai.info``.
    notes: Mapping[str, Any] | None = None
    #: What is to be kept in ``NAME.metadata.json``, beside the defaults of a model set.
    metadata: Mapping[str, Any] = field(default_factory=dict)
    #: Where the file lies on its host, to ask for a newer one: see :mod:`sdrest.registry.origins`.
    origin: Mapping[str, str] = field(default_factory=dict)
    #: What to do when the host wants to know who asks.
    login_hint: str = ""


def parse_source(text: str, *, hub_url: str, civitai_url: str) -> Source:
    """The source that a text means: ``hf:owner/repo/path@revision``, ``civitai:VERSION``, or a URL.

    Addresses of pages and files on the two hubs are taken for what they show.

    Raises:
        InvalidInput: it means none; names the field ``source``.
    """
    text = text.strip()
    if len(text) > _MAX_CHARACTERS:
        raise InvalidInput(f"longer than {_MAX_CHARACTERS} characters", field="source")
    if text.startswith("hf:"):
        match = _HUB_TEXT.match(text)
        if match is None:
            raise InvalidInput("must be written hf:owner/repository/path/to/file@revision", field="source")
        return HubSource(match[1], match[2], match[3] or "main")
    if text.startswith("civitai:"):
        version = text.removeprefix("civitai:").strip()
        if not (version.isascii() and version.isdecimal()):
            raise InvalidInput("must be written civitai:VERSION, with the number of a model version", field="source")
        return CivitaiSource(version_id=version)
    try:
        parts = urlsplit(text)
        host = parts.netloc.lower().removeprefix("www.")
    except ValueError as error:
        raise InvalidInput(f"not a URL: {error}", field="source") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidInput(
            "must be an http(s) URL, hf:owner/repository/file@revision, or civitai:VERSION", field="source"
        )
    if host in {urlsplit(hub_url).netloc.lower(), "huggingface.co", "hf.co"} and (page := _HUB_PAGE.match(parts.path)):
        return HubSource(page[1], unquote(page[3]), unquote(page[2]))
    if host in {urlsplit(civitai_url).netloc.lower().removeprefix("www."), "civitai.com"}:
        found = _civitai_page(parts.path, {name: values[-1] for name, values in parse_qs(parts.query).items()})
        if found is not None:
            return found
    return AddressSource(text)


def _civitai_page(path: str, query: Mapping[str, str]) -> CivitaiSource | None:
    """The version that an address of the site shows or downloads."""
    wanted = {name: query[name].lower() for name in ("type", "format", "size", "fp") if name in query}
    if match := re.match(r"^/api/download/models/(\d+)$", path):
        return CivitaiSource(version_id=match[1], wanted=wanted)
    if match := re.match(r"^/models/(\d+)(?:/|$)", path):
        version = query.get("modelVersionId", "")
        return CivitaiSource(version_id=version if version.isdecimal() else "", model_id=match[1])
    return None


def checked_sha256(text: str) -> str:
    """A hash as it is compared; empty stays empty.

    Raises:
        InvalidInput: it is no SHA-256; names the field ``sha256``.
    """
    digits = text.strip().lower()
    if digits and not _SHA256.fullmatch(digits):
        raise InvalidInput("must be 64 hexadecimal digits", field="sha256")
    return digits


def part_key(parameters: Mapping[str, Any]) -> str:
    """The name under which a download's unfinished file is kept: the same for a job and its repetition."""
    text = "\0".join(str(parameters.get(name, "")) for name in ("source", "type", "path"))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:24]
