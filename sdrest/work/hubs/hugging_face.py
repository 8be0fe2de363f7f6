"""Hugging Face, by its public interface: ``GET /api/models`` and ``GET /api/models/OWNER/NAME?blobs=true``.

Shapes as the Hub API's documentation has them (huggingface.co/docs/hub/api, and ``ModelInfo`` of huggingface_hub): a list of
objects with ``id``, ``author``, ``downloads``, ``tags``, ``gated``, ``sha``, and with ``full=true`` also ``siblings`` by
``rfilename``; with ``blobs=true`` each of these has its ``size``, and large ones ``lfs.sha256``.
Pages go on by the ``Link`` header.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from sdrest.core.architecture import Family
from sdrest.core.errors import NotFound, SdrestError
from sdrest.net.streaming import Open
from sdrest.registry.folders import BY_KEY
from sdrest.work.hubs.answers import ask, key_header, mapping, mappings, number, text, texts
from sdrest.work.hubs.families import family_of
from sdrest.work.hubs.values import Found, Hub, HubFile, HubModel, Newer, Preview, Rating, Wanted

LOGIN_HINT: Final = "set hf_token (or HF_TOKEN), and accept the model's terms on its page"
#: Repositories of a page: each is asked for the sizes of its files.
_MOST: Final = 20
_AT_ONCE: Final = 5
_FILES, _PREVIEWS = 24, 4
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
#: Folders of the diffusers layout, whose files are parts that only that layout holds together.
_PARTS: Final = (
    "transformer/",
    "unet/",
    "text_encoder",
    "tokenizer",
    "scheduler/",
    "image_encoder/",
    "safety_checker/",
)
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}\.")
_WEIGHTS: Final = BY_KEY["checkpoints"].extensions
#: The kind of folder by what a file's path holds, the first that fits.
_KINDS: Final = (
    (re.compile(r"(^|[/_.-])(lora|loras)([/_.-]|$)", re.IGNORECASE), "lora"),
    (re.compile(r"control(net|_net)", re.IGNORECASE), "controlnet"),
    (re.compile(r"taesd|(^|/)tae", re.IGNORECASE), "taesd"),
    (re.compile(r"(^|[/_.-])(vae|ae)([/_.-]|$)", re.IGNORECASE), "vae"),
    (re.compile(r"esrgan|upscal", re.IGNORECASE), "esrgan"),
    (re.compile(r"clip_vision|image_encoder", re.IGNORECASE), "clip_vision"),
    (re.compile(r"clip_[lg]|t5|text_encoder|umt5|mmproj", re.IGNORECASE), "text_encoders"),
)
#: Families whose models mostly come without text encoders and autoencoder.
_BARE: Final = frozenset(Family) - {Family.SD1, Family.SD2, Family.SDXL, Family.SVD}
_BASE_TAG: Final = re.compile(r"^base_model:(?:\w+:)?(.+/.+)$")


class HuggingFace:
    """The hub, asked through ``open_url``; ``token`` is told to its own address only."""

    def __init__(self, open_url: Open, *, endpoint: str, token: str = "") -> None:
        self._open = open_url
        self._base = endpoint.rstrip("/")
        self._token = token

    async def search(self, wanted: Wanted) -> Found:
        """A page of repositories with weights, and the sizes of their files. Raises as :func:`sdrest.work.hubs.answers.ask`."""
        query = {"search": wanted.query, "full": "true", "sort": "downloads", "direction": "-1"}
        query["limit"] = str(min(_MOST, wanted.limit))
        if wanted.type == "lora":
            query["filter"] = "lora"
        elif not wanted.type:
            query["filter"] = "text-to-image"
        query |= {"cursor": wanted.cursor} if wanted.cursor else {}
        value, headers = await self._ask(f"/api/models?{urlencode(query)}")
        gate = asyncio.Semaphore(_AT_ONCE)

        async def whole(item: Mapping[str, Any]) -> HubModel | None:
            async with gate:
                try:
                    return self._model(await self._repository(text(item.get("id"))))
                except SdrestError:  # what the list told of it will have to do
                    return self._model(item)

        found = await asyncio.gather(*(whole(item) for item in mappings(value) if _has_weights(item)))
        models = [model for model in found if model is not None and model.rating <= wanted.rating]
        if wanted.type:
            models = [model for model in models if any(_same_kind(file.type, wanted.type) for file in model.files)]
        return Found(tuple(models), _next(headers.get("Link", "")))

    async def about(self, repo_id: str) -> HubModel | None:
        """One repository; None when it holds no weights. Raises as :func:`sdrest.work.hubs.answers.ask`."""
        return self._model(await self._repository(repo_id))

    async def newest(self, *, repo_id: str, file: str, sha256: str) -> Newer | None:
        """What lies now under a file's name, where that is another than ``sha256``; None where it is the same.

        Raises:
            NotFound: there is no such file any more, or its hash is not told.
            InvalidInput, Unavailable: as :func:`sdrest.work.hubs.answers.ask`.
        """
        found = await self._repository(repo_id)
        sibling = next((item for item in mappings(found.get("siblings")) if item.get("rfilename") == file), None)
        now = text(mapping(mapping(sibling).get("lfs")).get("sha256")).lower()
        if not now or not sha256:
            raise NotFound(f"whether {repo_id} has another {file} cannot be told: a hash is not known")
        if now == sha256:
            return None
        version = text(found.get("lastModified"))[:10] or text(found.get("sha"))[:12]
        source = f"{self._base}/{repo_id}/resolve/main/{quote(file)}"
        return Newer(hub=Hub.HUGGING_FACE, version=version, page=f"{self._base}/{repo_id}", source=source)

    async def _repository(self, repo_id: str) -> Mapping[str, Any]:
        value, _ = await self._ask(f"/api/models/{quote(repo_id)}?blobs=true")
        return mapping(value)

    async def _ask(self, path: str) -> tuple[Any, Mapping[str, str]]:
        url = self._base + path
        headers = key_header(self._token, url, self._base)
        return await ask(self._open, url, headers, hub=Hub.HUGGING_FACE.label, login_hint=LOGIN_HINT)

    def _model(self, item: Mapping[str, Any]) -> HubModel | None:
        repo_id, tags, card = text(item.get("id")), texts(item.get("tags"), 500), mapping(item.get("cardData"))
        if not repo_id:
            return None
        bases = [match[1] for tag in tags if (match := _BASE_TAG.match(tag))] or list(texts(card.get("base_model")))
        family = family_of(*bases, repo_id)
        files = tuple(self._files(repo_id, item, family, tags))[:_FILES]
        licence = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
        rating = Rating.R if "not-for-all-audiences" in tags else Rating.PG
        return HubModel(
            hub=Hub.HUGGING_FACE,
            id=repo_id,
            name=repo_id,
            creator=text(item.get("author")) or repo_id.partition("/")[0],
            type=files[0].type if files else "",
            base_model=bases[0] if bases else "",
            family=family,
            version_id=text(item.get("sha")),
            version=text(item.get("lastModified"))[:10],
            licence=text(card.get("license_name")) or text(card.get("license")) or licence,
            trigger_words=texts(card.get("instance_prompt")),
            rating=rating,
            downloads=number(item.get("downloads")),
            page=f"{self._base}/{repo_id}",
            gated=item.get("gated") not in {None, False, ""},
            files=files,
            previews=tuple(self._previews(repo_id, card, rating))[:_PREVIEWS],
        )

    def _files(
        self, repo_id: str, item: Mapping[str, Any], family: Family | None, tags: tuple[str, ...]
    ) -> Iterator[HubFile]:
        """Files that stand for themselves; the shards and parts of other layouts are left out."""
        for sibling in mappings(item.get("siblings")):
            name = text(sibling.get("rfilename"))
            if not name.lower().endswith(_WEIGHTS) or name.startswith(_PARTS) or _SHARD.search(name):
                continue
            size = sibling.get("size", mapping(sibling.get("lfs")).get("size"))
            yield HubFile(
                name=name,
                source=f"{self._base}/{repo_id}/resolve/main/{quote(name)}",
                type=_kind(name, family, tags),
                size=number(size) or None,
                sha256=text(mapping(sibling.get("lfs")).get("sha256")).lower(),
            )

    def _previews(self, repo_id: str, card: Mapping[str, Any], rating: Rating) -> Iterator[Preview]:
        """Pictures that the repository's page shows as the model's work."""
        for widget in mappings(card.get("widget")):
            url = text(mapping(widget.get("output")).get("url"), 1000)
            if not url.lower().endswith(_PICTURES):
                continue
            if not url.startswith(("http://", "https://")):
                url = f"{self._base}/{repo_id}/resolve/main/{quote(url.removeprefix('./'))}"
            yield Preview(url=url, rating=rating)


def _has_weights(item: Mapping[str, Any]) -> bool:
    siblings = mappings(item.get("siblings"))
    return not siblings or any(text(one.get("rfilename")).lower().endswith(_WEIGHTS) for one in siblings)


def _kind(name: str, family: Family | None, tags: tuple[str, ...]) -> str:
    found = next((kind for pattern, kind in _KINDS if pattern.search(name)), "")
    if found:
        return found
    if "lora" in tags:
        return "lora"
    if "controlnet" in tags:
        return "controlnet"
    return "diffusion_models" if family in _BARE or name.lower().endswith(".gguf") else "checkpoints"


def _same_kind(one: str, other: str) -> bool:
    """Whether files of both kinds stand for each other."""
    return one == other or {one, other} <= {"checkpoints", "diffusion_models"} or {one, other} <= {"esrgan", "upscaler"}


def _next(link: str) -> str:
    """The cursor of the next page, out of a ``Link`` header (RFC 8288); nothing else of that address is used."""
    match = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', link)
    return next(iter(parse_qs(urlsplit(match[1]).query).get("cursor", ())), "") if match else ""
