"""CivitAI, by its public interface: ``GET /api/v1/models``, ``/models/ID`` and ``/model-versions/by-hash/HASH``.

Shapes as its documentation has them (developer.civitai.com/site/reference/models and …/model-versions, and the older REST API
Reference of the project's wiki). With ``query``, pages go on by ``metadata.nextCursor``. ``nsfwLevel`` is a level of
:class:`sdrest.work.hubs.values.Rating`, or several of them OR-ed; older answers have ``nsfw`` as a word or a truth value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from sdrest.core.errors import NotFound
from sdrest.net.streaming import Open
from sdrest.registry.folders import BY_KEY
from sdrest.work.hubs.answers import ask, key_header, mapping, mappings, number, text, texts
from sdrest.work.hubs.families import family_of
from sdrest.work.hubs.values import Found, Hub, HubFile, HubModel, Newer, Preview, Rating, Wanted

LOGIN_HINT: Final = "set civitai_api_key to a key made in the account settings there"
#: Kinds of folder by the site's words for types.
TYPES: Final[Mapping[str, str]] = {
    "checkpoint": "checkpoints",
    "lora": "lora",
    "locon": "lora",
    "dora": "lora",
    "textualinversion": "embeddings",
    "vae": "vae",
    "controlnet": "controlnet",
    "upscaler": "upscaler",
}
#: The site's words by kind of folder.
_ASKED_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "checkpoints": ("Checkpoint",),
    "diffusion_models": ("Checkpoint",),
    "lora": ("LORA", "LoCon", "DoRA"),
    "embeddings": ("TextualInversion",),
    "vae": ("VAE",),
    "controlnet": ("Controlnet",),
    "upscaler": ("Upscaler",),
    "esrgan": ("Upscaler",),
}
_ALL_TYPES: Final = ("Checkpoint", "LORA", "LoCon", "DoRA", "TextualInversion", "VAE", "Controlnet", "Upscaler")
_OLD_RATINGS: Final = {"none": Rating.PG, "soft": Rating.PG13, "mature": Rating.R, "x": Rating.X}
_PREVIEWS: Final = 6


class Civitai:
    """The site, asked through ``open_url``; ``api_key`` is told to its own address only."""

    def __init__(self, open_url: Open, *, base_url: str, api_key: str = "") -> None:
        self._open = open_url
        self._base = base_url.rstrip("/")
        self._api_key = api_key

    async def search(self, wanted: Wanted) -> Found:
        """A page of models. Raises as :func:`sdrest.work.hubs.answers.ask`."""
        query = [("query", wanted.query)] if wanted.query else []
        query += [("types", kind) for kind in (_ASKED_TYPES.get(wanted.type, ()) if wanted.type else _ALL_TYPES)]
        query += [("limit", str(wanted.limit)), ("nsfw", "true" if wanted.rating >= Rating.R else "false")]
        query += [("cursor", wanted.cursor)] if wanted.cursor else [] if wanted.query else [("sort", "Most Downloaded")]
        if wanted.type and wanted.type not in _ASKED_TYPES:
            return Found()
        found = mapping(await self._ask(f"/api/v1/models?{urlencode(query)}"))
        models = filter(None, map(self._model, mappings(found.get("items"))))
        cursor = text(mapping(found.get("metadata")).get("nextCursor"))
        return Found(tuple(models), cursor)

    async def newest(self, *, model_id: str, version_id: str, sha256: str) -> Newer | None:
        """What is newer than a version; None where it is the newest. Without ids the hash tells which version it is.

        Raises:
            NotFound: the site does not know the file.
            InvalidInput, Unavailable: as :func:`sdrest.work.hubs.answers.ask`.
        """
        if not (model_id and version_id):
            if not sha256:
                raise NotFound("neither its page on CivitAI nor its hash is known")
            version = mapping(await self._ask(f"/api/v1/model-versions/by-hash/{sha256}"))
            model_id, version_id = text(version.get("modelId")), text(version.get("id"))
        if not (model_id.isdecimal() and version_id.isdecimal()):
            raise NotFound("CivitAI does not tell which version this is")
        model = self._model(mapping(await self._ask(f"/api/v1/models/{model_id}")))
        if model is None:
            raise NotFound("the model has no version on CivitAI any more")
        if model.version_id == version_id:
            return None
        source = f"civitai:{model.version_id}"
        return Newer(hub=Hub.CIVITAI, version=model.version, page=model.page, source=source, type=model.type)

    async def _ask(self, path: str) -> Any:
        url = self._base + path
        headers = key_header(self._api_key, url, self._base)
        value, _ = await ask(self._open, url, headers, hub=Hub.CIVITAI.label, login_hint=LOGIN_HINT)
        return value

    def _model(self, item: Mapping[str, Any]) -> HubModel | None:
        """A model in its newest version (the first of the list); None without any."""
        versions = mappings(item.get("modelVersions"))
        if not versions:
            return None
        version, kind = versions[0], TYPES.get(text(item.get("type")).lower(), "")
        base = text(version.get("baseModel"))
        base = "" if base.lower() == "other" else base
        is_explicit = item.get("nsfw") is True
        rating = Rating.R if is_explicit else Rating.PG
        return HubModel(
            hub=Hub.CIVITAI,
            id=text(item.get("id")),
            name=text(item.get("name"), 200),
            creator=text(mapping(item.get("creator")).get("username"), 100),
            type=kind,
            base_model=base,
            family=family_of(base),
            version_id=text(version.get("id")),
            version=text(version.get("name"), 100),
            licence=licence_of(item),
            trigger_words=texts(version.get("trainedWords")),
            rating=rating,
            downloads=number(mapping(item.get("stats")).get("downloadCount")),
            page=f"{self._base}/models/{text(item.get('id'))}?modelVersionId={text(version.get('id'))}",
            gated=bool(version.get("availability") == "EarlyAccess"),
            files=tuple(_files(version, kind)),
            previews=tuple(_previews(version, rating))[:_PREVIEWS],
        )


def licence_of(model: Mapping[str, Any]) -> str:
    """What the maker of a model lets others do, in a line; empty where the site does not tell."""
    if "allowCommercialUse" not in model:
        return ""
    uses = [use.strip("{} ") for item in texts(model["allowCommercialUse"]) for use in item.split(",")]
    allowed = [use for use in uses if use and use.lower() != "none"]
    words = [f"commercial use: {', '.join(allowed) if allowed else 'none'}"]
    words += ["credit required"] if model.get("allowNoCredit") is False else []
    words += ["no derivatives"] if model.get("allowDerivatives") is False else []
    words += ["derivatives under the same terms"] if model.get("allowDifferentLicense") is False else []
    return "CivitAI: " + "; ".join(words)


def _files(version: Mapping[str, Any], kind: str) -> Iterator[HubFile]:
    """The version's model file, the main one first; files for training and the like are left out."""
    folder = BY_KEY.get(kind)
    found = [
        item
        for item in mappings(version.get("files"))
        if text(item.get("type")) in {"Model", "Pruned Model", "VAE", ""}
    ]
    for item in sorted(found, key=lambda item: item.get("primary") is not True):
        name = text(item.get("name"), 300)
        metadata = mapping(item.get("metadata"))
        is_main = item.get("primary") is True or len(found) == 1
        source = f"civitai:{text(version.get('id'))}" if is_main else text(item.get("downloadUrl"), 1000)
        yield HubFile(
            name=name,
            source=source,
            type=kind,
            size=round(float(item["sizeKB"]) * 1024) if isinstance(item.get("sizeKB"), int | float) else None,
            sha256=text(mapping(item.get("hashes")).get("SHA256")).lower(),
            readable=folder is not None
            and name.lower().endswith(folder.extensions)
            and text(metadata.get("format")).lower() not in {"diffusers", "core ml", "onnx"},
        )


def _previews(version: Mapping[str, Any], least: Rating) -> Iterator[Preview]:
    """Still pictures; those of an explicit model count as explicit, whatever they show."""
    for item in mappings(version.get("images")):
        url = text(item.get("url"), 1000)
        if url.startswith(("http://", "https://")) and text(item.get("type")) in {"", "image"}:
            yield Preview(url=url, rating=max(least, _rating(item)))


def _rating(image: Mapping[str, Any]) -> Rating:
    level = number(image.get("nsfwLevel"))
    if level:
        return next((rating for rating in reversed(Rating) if level & rating), Rating.XXX)
    old = image.get("nsfw")
    if isinstance(old, bool):
        return Rating.R if old else Rating.PG
    # A picture that nobody has rated yet may show anything.
    return _OLD_RATINGS.get(text(old).lower(), Rating.XXX)
