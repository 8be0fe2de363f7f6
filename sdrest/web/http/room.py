"""What all requests together may hold in memory: bytes of bodies that are being worked on, and pixels of decoded pictures."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from sdrest.core.errors import TooManyRequests


class Room:
    """An amount of something that there is once for all. Used from the event loop only."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def try_take(self, amount: int) -> bool:
        """Take ``amount`` if it is there now."""
        if self._waiting or self.taken + amount > self.capacity:
            return False
        self.taken += amount
        return True

    async def take(self, amount: int) -> None:
        """Take ``amount``, at most the capacity, as soon as it is there; who comes first goes first."""
        assert amount <= self.capacity
        if self.try_take(amount):
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.give_back(amount)
            else:
                self._waiting.remove((amount, mine))
                self.give_back(0)
            raise

    def give_back(self, amount: int) -> None:
        """Let those who wait have ``amount``."""
        self.taken -= amount
        while self._waiting and self.taken + self._waiting[0][0] <= self.capacity:
            wanted, future = self._waiting.popleft()
            if not future.cancelled():
                self.taken += wanted
                future.set_result(None)


@dataclass(frozen=True, slots=True)
class Rooms:
    """The server's rooms."""

    body_bytes: Room
    pixels: Room


class Held:
    """What one request has taken; given back when it ends, or as soon as its job is stored."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._bytes = 0
        self._pixels = 0
        self._pictures: list[Image.Image] = []

    @property
    def body_bytes(self) -> int:
        """What the request has sent so far, as far as it was counted."""
        return self._bytes

    @property
    def most_pixels(self) -> int:
        """The most that one request can hold."""
        return self._rooms.pixels.capacity

    def take_bytes(self, number: int) -> None:
        """Take ``number`` more bytes.

        Raises:
            TooManyRequests: the server works on as many bodies as it may.
        """
        if not self._rooms.body_bytes.try_take(number):
            raise TooManyRequests("the server is busy with other large requests; try again", retry_after_seconds=5)
        self._bytes += number

    async def take_pixels(self, number: int) -> None:
        """Wait for room for ``number`` pixels. Once in a request: two halves of two requests could wait for each other."""
        assert not self._pixels, "a request reads all of its pictures at once"
        await self._rooms.pixels.take(number)
        self._pixels = number

    def keep(self, pictures: list[Image.Image]) -> None:
        """Let ``pictures`` go too when the request is done with them."""
        self._pictures.extend(pictures)

    def done_with_pictures(self) -> None:
        """Free the memory of the pictures, whoever still names them, and give their room back."""
        for picture in self._pictures:
            picture.close()
        self._pictures.clear()
        self.give_back()

    def give_back(self) -> None:
        """Give everything back."""
        taken_bytes, self._bytes = self._bytes, 0
        taken_pixels, self._pixels = self._pixels, 0
        self._rooms.body_bytes.give_back(taken_bytes)
        self._rooms.pixels.give_back(taken_pixels)


class AtOnce:
    """How many of something each caller may have open at the same time."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._open: dict[str, int] = {}

    @contextlib.contextmanager
    def one(self, caller: str = "") -> Iterator[None]:
        """Open one, for as long as the block lasts.

        Raises:
            TooManyRequests: ``caller`` has as many open as one may.
        """
        number = self._open.get(caller, 0)
        if number >= self._most:
            raise TooManyRequests(f"{number} {self._what} are open, as many as there may be at the same time")
        self._open[caller] = number + 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]
