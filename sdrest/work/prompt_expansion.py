"""Making more of a prompt: a language model that the owner has named writes it out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sdrest.core.errors import InvalidInput, UpstreamFailed
from sdrest.core.parameters import MAX_PROMPT_CHARACTERS
from sdrest.net.chat import Chat
from sdrest.net.fetching import Guard
from sdrest.settings import Settings

#: LoRAs are the library's business: a language model would write other names.
_TAG: Final = re.compile(r"<lora:[^<>]*>", re.IGNORECASE)
#: What models that reason put before their answer.
_THOUGHTS: Final = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_FENCE: Final = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)
_QUOTES: Final = ('""', "''", "“”", "„“", "«»")


class PromptExpander:
    """Asks a language model for a fuller text of a prompt."""

    def __init__(self, chat: Chat, instruction: str) -> None:
        self._chat = chat
        self._instruction = instruction

    async def expand(self, prompt: str) -> str:
        """A fuller text; LoRAs of the prompt come after it.

        Raises:
            UpstreamFailed: as :meth:`Chat.ask`, or the answer is no prompt.
            InvalidInput: there are no words to make more of.
        """
        words = " ".join(_TAG.sub(" ", prompt).split())
        if not words:
            raise InvalidInput("there are no words to make more of", field="prompt")
        answer = _only_text(await self._chat.ask(self._instruction, words))
        expanded = " ".join([answer, *_TAG.findall(prompt)])
        if not answer or len(expanded) > MAX_PROMPT_CHARACTERS:
            right = f"1 to {MAX_PROMPT_CHARACTERS} are right"
            raise UpstreamFailed(f"the prompt-expansion endpoint answered with {len(answer)} characters, where {right}")
        return expanded


def _only_text(answer: str) -> str:
    """An answer without what models write around it: thoughts, a fence, quotes, line breaks."""
    text = _THOUGHTS.sub("", answer).strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    if len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1]
    return " ".join(text.split())


def expander_of(settings: Settings) -> PromptExpander | None:
    """Who makes more of prompts by these settings; None: nobody.

    The address is the owner's own choice, so it may lie in a private network; nothing else there is reached by it.

    Raises:
        InvalidInput: the address is none, the model is missing, or the key cannot be read.
    """
    url = settings.prompt_expansion_url
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise InvalidInput("must be an http or https address, as https://host/v1", field="prompt_expansion_url")
    if not settings.prompt_expansion_model:
        raise InvalidInput("name the model that prompt_expansion_url is to use", field="prompt_expansion_model")
    chat = Chat(
        Guard().also_allowing(url, field="prompt_expansion_url"),
        url=url,
        model=settings.prompt_expansion_model,
        key=_key_in(settings.prompt_expansion_key_file),
        timeout_seconds=settings.prompt_expansion_timeout_seconds,
    )
    return PromptExpander(chat, settings.prompt_expansion_instruction)


def _key_in(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput(f"{file} cannot be read: {reason}", field="prompt_expansion_key_file") from None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidInput(f"{file} must hold the key and nothing else", field="prompt_expansion_key_file")
    return key
