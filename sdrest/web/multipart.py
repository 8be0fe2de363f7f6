"""Forms, whatever was sent as one."""

from __future__ import annotations

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDictProxy

from sdrest.core.errors import InvalidInput


async def read_parts(request: web.Request) -> MultiDictProxy[str | bytearray | bytes | web.FileField]:
    """The fields and files of a form; files lie in temporary files.

    Raises:
        InvalidInput: the body is not the form that its content type says.
        web.HTTPRequestEntityTooLarge: it is larger than a body may be.
    """
    try:
        return await request.post()
    except (HttpProcessingError, ValueError, LookupError, AssertionError) as error:
        reason = error.message if isinstance(error, HttpProcessingError) else str(error)
        raise InvalidInput(f"the form cannot be read: {reason or type(error).__name__}") from None
