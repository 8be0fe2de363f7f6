"""The files under ``/ui/static``: read once, compressed once, and cached by browsers for as long as they stay the same."""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sdrest.core.errors import NotFound
from sdrest.core.installed import data_folder

STATIC_PREFIX: Final = "/ui/static"

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
}
#: Lines of scripts and styles that are for those who read them here: comments of their own lines, and what lines are indented by.
_FOR_READERS: Final = re.compile(r"^[ \t]*(?://.*\n|/\*(?:[^*]|\*(?!/))*\*/[ \t]*\n)|^[ \t]+", re.MULTILINE)
#: The files' address changes with what is in them, so what was fetched never goes stale.
_CACHE_CONTROL: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, as it is and compressed."""

    body: bytes
    compressed: bytes
    media_type: str
    tag: str


class StaticFiles:
    """All static files of the pages, under an address that names them as they are together: scripts import each other by relative
    addresses, which so are versioned too.
    """

    def __init__(self) -> None:
        files = (item for item in data_folder("static").iterdir() if item.is_file())
        self._files = {item.name: _read(item.name, item.read_bytes()) for item in files}
        tags = "".join(f"{name} {self._files[name].tag}" for name in sorted(self._files))
        #: Of all of them together.
        self.version = hashlib.sha256(tags.encode()).hexdigest()[:12]

    def url(self, name: str) -> str:
        """Address of a file, with its version."""
        if name not in self._files:
            raise KeyError(name)
        return f"{STATIC_PREFIX}/{self.version}/{name}"

    async def handle(self, request: web.Request) -> web.Response:
        """A static file."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise NotFound("no such file")
        headers = {
            "Cache-Control": _CACHE_CONTROL if request.match_info.get("version") == self.version else "no-cache",
            "Vary": "Accept-Encoding",
            "ETag": f'"{found.tag}"',
        }
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        if found.compressed and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=found.compressed, content_type=found.media_type, headers=headers)
        return web.Response(body=found.body, content_type=found.media_type, headers=headers)


@functools.cache
def static_files() -> StaticFiles:
    """The files, read once in a process."""
    return StaticFiles()


def _read(name: str, body: bytes) -> StaticFile:
    media_type = _MEDIA_TYPES.get(name[name.rfind(".") :], "application/octet-stream")
    if media_type in {"text/css", "text/javascript"}:
        body = _FOR_READERS.sub("", body.decode()).encode()
    compressed = b"" if media_type in {"image/png", "image/webp"} else gzip.compress(body, 9, mtime=0)
    return StaticFile(body, compressed, media_type, hashlib.sha256(body).hexdigest()[:12])
