"""Every page in every language, and no text on any page that the catalogues do not hold."""

from __future__ import annotations

import re
from gettext import NullTranslations
from html.parser import HTMLParser
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from sdrest.core.model import Component
from sdrest.core.names import SAMPLER_LABELS, SCHEDULER_LABELS, CacheMode, HiresUpscaler, Language
from sdrest.core.parameters import Cache, VideoFormat
from sdrest.core.tensor_types import TensorType
from sdrest.registry.builtin import builtin_words
from sdrest.web.http.keys import MODEL_SETS, MODELS
from sdrest.web.requests.native_modes import MODES
from sdrest.web.ui.fields import choice_label, leaf_fields
from sdrest.web.ui.labels import FIELD_LABELS, field_label
from sdrest.web.ui.languages import LANGUAGE_NAMES, TEXTS, Texts, read_texts
from tests.integration.conftest import SMALL
from tests.tiny.embedded import NAME

Client = TestClient[Any, Any]

PAGES = (
    "/ui/",
    *(f"/ui/generate/{tab}" for tab in ("img2img", "inpaint", "controlnet", "edit", "upscale", "video")),
    "/ui/png-info",
    "/ui/wildcards",
    "/ui/demo-words",
    "/ui/queue",
    "/ui/groups",
    "/ui/groups/new",
    "/ui/gallery",
    "/ui/gallery?search=nothing",
    "/ui/gallery/bin",
    "/ui/models",
    "/ui/models?search=nothing",
    "/ui/models/hubs",
    "/ui/models/hubs/updates",
    "/ui/system",
    "/ui/system/workers",
    "/ui/system/use",
    "/ui/offline",
    "/ui/nowhere",
)
#: Names of the field, of formats and of programs, which are the same in all languages.
TERMS = frozenset(
    {
        *SAMPLER_LABELS.values(),
        *SCHEDULER_LABELS.values(),
        *(choice_label(item) for kind in (CacheMode, HiresUpscaler, VideoFormat) for item in kind),
        *LANGUAGE_NAMES.values(),
        *MODES,
        *(word for words in builtin_words().values() for word in words),
        *("sdrest", "API", "LoRA", "VAE", "CSV", "PNG", "HTML", "ZIP", "WebP", "AVIF", "JPEG", "SHA-256", "CPU", "px"),
        *(str(item) for item in (*TensorType, *Component)),
        *(NAME, f"checkpoints/{NAME}.gguf", "gguf", "MIT", "demo", "demo.gguf", "sdrest-demo", str(SMALL["prompt"])),
        *("CivitAI", "Hugging Face", "diffusion model", "other", "Not Found"),
        # The library's own names of what hardly anybody sets.
        *(field_label(name) for name, _item, _hint in leaf_fields(Cache, "cache.") if name not in FIELD_LABELS),
    }
)
#: Version, sizes in pixels, times for machines, and examples of what to write.
EXAMPLES = re.compile(
    r"sdrest \d|\d+ (× \d+ )?px$|\d{4}-\d\d-\d\d|comfyui:|prompt,seed|a (cat|dog)|\"(width|height|steps)\":|GET "
)


class ReadTexts(HTMLParser):
    """The texts of a page that people read, attributes included."""

    ATTRIBUTES = ("alt", "aria-label", "aria-roledescription", "placeholder", "title", "hx-confirm")
    #: Nothing to read, or what is written for programs.
    QUIET = frozenset({"script", "style", "code", "pre", "kbd"})
    VOID = frozenset({"meta", "link", "input", "img", "br"})

    def __init__(self, page: str, quiet: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.found: list[str] = []
        self._quiet = self.QUIET | quiet
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.found += [values[name] for name in self.ATTRIBUTES if name in values]
        if values.get("name") == "description":
            self.found.append(values["content"])
        if tag not in self.VOID:
            self._inside.append("code" if "mono" in values.get("class", "").split() else tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._quiet & {*self._inside}:
            self.found.append(data.strip())


class Marked(NullTranslations):
    """A language whose texts are the English ones in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid2}⟧"


async def _addresses(client: Client) -> list[str]:
    """All pages, those of a job, its picture and a model among them."""
    job = (await (await client.post("/api/v1/generate", json=SMALL)).json())["job_id"]
    models = (await (await client.get("/api/models")).json())["models"]
    model = next(item["id"] for item in models if item["name"] == NAME)
    own = (f"/ui/jobs/{job}", f"/ui/gallery/{job}/image_0.png", f"/ui/models/{model}", f"/ui/models/{model}/compare")
    return [*PAGES, *own, f"/ui/compare?p={job}/image_0.png&p={job}/image_0.png"]


def _bare(text: str) -> str:
    """What of a text is in no brackets."""
    while (rest := re.sub(r"⟦[^⟦⟧]*⟧", "", text)) != text:
        text = rest
    return text


async def _data(client: Client) -> str:
    """What the pages show as it stands in catalogues of models and in models themselves."""
    sets, _problems = await client.app[MODEL_SETS].all(fetch=False)
    told = [
        text
        for item in sets
        for text in (item.title, item.about, item.licence, *(choice.name for choice in item.choices))
    ]
    for model in client.app[MODELS].catalogue.models:
        told.append(model.architecture.label if model.architecture else "")
    return "\n".join(told)


async def test_no_page_has_a_text_that_is_not_translated(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses, data = await _addresses(client), await _data(client)
    monkeypatch.setitem(TEXTS, Language.GERMAN, Texts(Marked(), {}))
    bare: dict[str, str] = {}
    for address in addresses:
        page = await (await client.get(address, headers={"Accept-Language": "de"})).text()
        # What this machine is called is nobody's to translate.
        found = ReadTexts(_bare(page), frozenset({"dd", "li"} if address == "/ui/system" else ())).found
        parts = [part.strip(" :,.()") for text in found for part in re.split(r"·|; |, |\n", text)]
        for part in parts:
            if re.search(r"[A-Za-z]{2}", part) and part not in TERMS and part not in data and not EXAMPLES.search(part):
                bare.setdefault(part, address)
    assert not bare, "\n".join(f"{address}: {text!r}" for text, address in bare.items())


@pytest.mark.slow
@pytest.mark.parametrize("language", [language for language in Language if language is not Language.ENGLISH])
async def test_every_page_is_there_in_every_language(client: Client, language: Language) -> None:
    queue = read_texts(language).translations.gettext("Queue")
    for address in await _addresses(client):
        reply = await client.get(address, headers={"Accept-Language": language})
        page = await reply.text()
        assert reply.status == (404 if address == "/ui/nowhere" else 200), address
        assert f'<html lang="{language}"' in page
        assert queue in page or address == "/ui/offline"
