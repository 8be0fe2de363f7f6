"""Pictures of models on hubs, fetched when they are asked for and kept small on the disk."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from sdrest.core.errors import InvalidInput, NotFound, SdrestError, Unavailable
from sdrest.core.files import atomic_file
from sdrest.net.streaming import Open
from sdrest.outputs.pictures import decode_picture, jpeg_bytes
from sdrest.work.hubs.values import Preview

_SIDE_PX: Final = 320
_MAX_BYTES: Final = 24 * 1024 * 1024
_MAX_PIXELS: Final = 40_000_000
_SECONDS: Final = 20.0
_KEPT_FILES: Final = 2000
_KNOWN: Final = 5000
_AT_ONCE: Final = 6


class Previews:
    """Small copies of pictures, by keys that only a search gives out: nobody else says what is fetched.

    Args:
        open_url: Opens addresses; no key goes along.
        folder: Where the copies are kept.
    """

    def __init__(self, open_url: Open, folder: Path) -> None:
        self._open = open_url
        self._folder = folder
        self._known: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    def key(self, preview: Preview) -> str:
        """The key by which a picture that was found can be had from now on."""
        key = hashlib.sha256(preview.url.encode()).hexdigest()[:32]
        with self._lock:
            self._known[key] = preview.url
            self._known.move_to_end(key)
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return key

    async def jpeg(self, key: str) -> bytes:
        """The small copy.

        Raises:
            NotFound: no search gave out this key, or the picture is gone.
            InvalidInput: its address must not be reached, or it is no picture.
            Unavailable: its host does not answer.
        """
        url = self._known.get(key)
        if url is None:
            raise NotFound("no such picture: search again")
        path = self._folder / f"{key}.jpg"
        try:
            return await asyncio.to_thread(path.read_bytes)
        except OSError:
            pass
        async with self._gate:
            data = await self._fetch(url)
        return await asyncio.to_thread(self._keep, path, data)

    async def _fetch(self, url: str) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(_SECONDS), self._open(url, {"Accept": "image/*"}) as answer:
                if answer.status != 200:
                    raise NotFound(f"the picture's host answered {answer.status}")
                async for chunk in answer.chunks:
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        raise InvalidInput("the picture is too large to be shown", field="preview")
        except TimeoutError:
            raise Unavailable("the picture's host did not answer in time") from None
        return bytes(body)

    def _keep(self, path: Path, data: bytes) -> bytes:
        """The copy, written where it is found again; the oldest ones go when there are many."""
        picture = decode_picture(data, field="preview", max_pixels=_MAX_PIXELS).convert("RGB")
        picture.thumbnail((_SIDE_PX, _SIDE_PX))
        small = jpeg_bytes(*picture.size, picture.tobytes())
        try:
            with atomic_file(path) as stream:
                stream.write(small)
            self._sweep()
        except (OSError, SdrestError):  # it is shown all the same
            pass
        return small

    def _sweep(self) -> None:
        found = [(item.stat().st_mtime_ns, item) for item in self._folder.glob("*.jpg")]
        for _, item in sorted(found)[:-_KEPT_FILES]:
            item.unlink(missing_ok=True)
