"""The pages' languages: which one a reader gets, and the texts of the pages in it.

Texts are English in the templates, scripts and modules, and looked up in ``translations/LOCALE/LC_MESSAGES/pages.po``. The
language goes with the request's context, so that functions far from it need not be handed it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Final, TypeVar

from aiohttp import hdrs, web

from sdrest.core.installed import data_folder
from sdrest.core.names import Language
from sdrest.web.http.keys import SETTINGS

LANGUAGE_COOKIE: Final = "sdrest-language"
#: Languages that a browser may ask for, in one header; the rest is not looked at.
_MOST_WISHES: Final = 50
#: What each language is called by those who speak it.
LANGUAGE_NAMES: Final[Mapping[Language, str]] = {
    Language.ENGLISH: "English",
    Language.GERMAN: "Deutsch",
    Language.SPANISH: "Español",
    Language.FRENCH: "Français",
    Language.JAPANESE: "日本語",
    Language.CHINESE: "简体中文",
}
#: Locales that Babel calls otherwise than HTML does.
_LOCALES: Final[Mapping[Language, str]] = {Language.CHINESE: "zh_Hans"}

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language; ``scripts`` are those that scripts show, by the English ones."""

    translations: NullTranslations
    scripts: Mapping[str, str]


#: Those that were read, each when a reader first wanted it.
TEXTS: Final[dict[Language, Texts]] = {Language.ENGLISH: Texts(NullTranslations(), {})}
_language: ContextVar[Language] = ContextVar("language", default=Language.ENGLISH)


def reader_language() -> Language:
    """The language of the page that is being made."""
    return _language.get()


def locale_of(language: Language) -> str:
    """The locale of a language as Babel names it."""
    return _LOCALES.get(language, language)


def script_texts() -> Mapping[str, str]:
    """The texts that scripts show, by the English ones; empty in English."""
    return TEXTS[_language.get()].scripts


async def speak(language: Language) -> None:
    """Have all texts in this language from now on, in the context of whoever calls."""
    if language not in TEXTS:
        TEXTS[language] = await asyncio.to_thread(read_texts, language)
    _language.set(language)


def catalogue_of(language: Language) -> Path:
    """The file that has the texts of a language; English has none."""
    return data_folder("translations") / locale_of(language) / "LC_MESSAGES" / "pages.po"


def read_texts(language: Language) -> Texts:
    """Read the texts of a language."""
    from babel.messages.mofile import write_mo  # noqa: PLC0415 - the pages of many servers are read in English only
    from babel.messages.pofile import read_po  # noqa: PLC0415 - as above

    with catalogue_of(language).open("rb") as file:
        catalogue = read_po(file)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    scripts = {
        str(message.id): str(message.string)
        for message in catalogue
        if message.id and any(place.startswith("static/") for place, _line in message.locations)
    }
    return Texts(GNUTranslations(compiled), scripts)


def _(text: str, **values: object) -> str:
    """A text in the reader's language; with values, those are put in where it says ``%(name)s``."""
    found = TEXTS[_language.get()].translations.gettext(text)
    return found % values if values else found


def ngettext(one: str, many: str, count: int, **values: object) -> str:
    """A text about ``count`` things in the reader's language; ``%(num)s`` is their number."""
    return TEXTS[_language.get()].translations.ngettext(one, many, count) % {"num": count, **values}


class Labels(Mapping[K, str]):
    """English texts by key, looked up in the reader's language."""

    def __init__(self, english: Mapping[K, str]) -> None:
        self.english: Final = english

    def __getitem__(self, key: K) -> str:
        return _(self.english[key])

    def __iter__(self) -> Iterator[K]:
        return iter(self.english)

    def __len__(self) -> int:
        return len(self.english)


def wanted_language(cookie: str, accept: str, otherwise: Language) -> Language:
    """The language that a reader has chosen, else the best of those that the browser asks for, else ``otherwise``.

    Args:
        cookie: The value of :data:`LANGUAGE_COOKIE`.
        accept: The header ``Accept-Language``: ``de-AT,de;q=0.9,en;q=0.8``.
        otherwise: The server's own.
    """
    if cookie in set(Language):
        return Language(cookie)
    by_tag = {language.partition("-")[0]: language for language in Language}
    best, most = otherwise, 0.0
    for wish in accept.split(",")[:_MOST_WISHES]:
        tag, _semicolon, weight = wish.partition(";")
        language = by_tag.get(tag.strip().lower().partition("-")[0])
        if language is not None and _number(weight) > most:
            best, most = language, _number(weight)
    return best


def _number(weight: str) -> float:
    """How much a language is wanted: 1 where nothing is said, 0 where nothing sensible is."""
    try:
        return float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


@web.middleware
async def in_readers_language(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Have pages and their errors made in the language of whoever asks; everything else stays English."""
    language = Language.ENGLISH
    if request.path.startswith(("/ui", "/docs")):
        accept = request.headers.get(hdrs.ACCEPT_LANGUAGE, "")
        language = wanted_language(request.cookies.get(LANGUAGE_COOKIE, ""), accept, request.app[SETTINGS].language)
    await speak(language)
    return await handler(request)
