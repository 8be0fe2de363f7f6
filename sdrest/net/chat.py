"""Asking a language model, by the chat API that OpenAI's server, and many others, have."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import aiohttp

from sdrest.core.errors import UpstreamFailed
from sdrest.net.fetching import Guard, NotFetched, guarded_session, parse_url, reason_of

#: Of an answer, of which a few sentences are wanted.
_MOST_BYTES: Final = 256 * 1024
#: Characters of the endpoint's own words that are handed on.
_MOST_TOLD: Final = 300


class Chat:
    """One endpoint, with the model to ask there.

    The key goes to this address only: redirects are not followed, and no proxy of the environment is used.

    Args:
        guard: Keeps connections out of networks that nobody has named.
        url: Address of the API (``https://host/v1``); ``/chat/completions`` comes after it.
        model: Name of the model there.
        key: What is sent as Bearer token; empty: nothing is.
        timeout_seconds: Longest time for an answer.
    """

    def __init__(self, guard: Guard, *, url: str, model: str, key: str, timeout_seconds: float) -> None:
        self._guard = guard
        self._url = url.rstrip("/") + "/chat/completions"
        self._model = model
        self._key = key
        self._timeout_seconds = timeout_seconds

    async def ask(self, instruction: str, text: str) -> str:
        """What the model answers to ``text``, told to follow ``instruction``.

        Raises:
            UpstreamFailed: there is no answer, or none that can be used; the message has the endpoint's own words.
        """
        body = {
            "model": self._model,
            "messages": [{"role": "system", "content": instruction}, {"role": "user", "content": text}],
            "stream": False,
        }
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            async with asyncio.timeout(self._timeout_seconds), guarded_session(self._guard) as session:
                url = parse_url(self._url)
                self._guard.check(url)
                async with session.post(url, json=body, headers=headers, allow_redirects=False) as response:
                    return self._content(response.status, await _read(response))
        except TimeoutError:
            message = f"no answer within {self._timeout_seconds:g} s"
        except (NotFetched, aiohttp.ClientError, OSError) as error:
            message = f"cannot be reached: {reason_of(error)}"
        raise UpstreamFailed(self._told(message))

    def _content(self, status: int, data: bytes) -> str:
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if status != 200:
            said = _said(answer) or data.decode(errors="replace")
            raise UpstreamFailed(self._told(f"answered {status}: {said}".rstrip(": ")))
        try:
            content = answer["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            content = None
        if not isinstance(content, str) or not content.strip():
            raise UpstreamFailed(self._told("answered without a text"))
        return content

    def _told(self, message: str) -> str:
        """A sentence for the caller; some endpoints repeat the key that they refuse."""
        shown = message.replace(self._key, "…") if self._key else message
        return f"the prompt-expansion endpoint {' '.join(shown.split())[:_MOST_TOLD]}"


async def _read(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(16 * 1024):
        data += chunk
        if len(data) > _MOST_BYTES:
            raise NotFetched(f"the answer is larger than {_MOST_BYTES} bytes")
    return bytes(data)


def _said(answer: Any) -> str:
    """The words of an error, in the forms that are usual."""
    found = answer.get("error", answer.get("detail", "")) if isinstance(answer, dict) else ""
    if isinstance(found, dict):
        found = found.get("message", "")
    return found if isinstance(found, str) else ""
