"""What downloads need from whoever speaks HTTP for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request, after all redirects.

    ``headers`` are to be asked by their usual names, whatever their case was; ``chunks`` gives the body once, and raises
    ``Unavailable`` when the connection breaks.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    chunks: AsyncIterator[bytes]


#: Opens a URL with headers, of which ``Authorization`` is told only to the URL's own host and port. Raises ``InvalidInput``
#: (field ``source``) for an address that may not be reached, ``Unavailable`` when there is no answer.
Open = Callable[[str, Mapping[str, str]], AbstractAsyncContextManager[Answer]]
