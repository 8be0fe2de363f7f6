"""Model versions on CivitAI, by its public interface (``/api/v1/model-versions/ID``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sdrest.core.errors import InvalidInput, NotFound, Unavailable
from sdrest.net.streaming import Open
from sdrest.work.downloads.sources import CivitaiSource, Found

_MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
_LOGIN_HINT: Final = "set civitai_api_key to a key made in the account settings there"
#: Kinds of folder by the site's words for types.
_TYPES: Final = {
    "checkpoint": "checkpoints",
    "lora": "lora",
    "locon": "lora",
    "dora": "lora",
    "textualinversion": "embeddings",
    "vae": "vae",
    "controlnet": "controlnet",
    "upscaler": "upscaler",
}


async def find_on_civitai(source: CivitaiSource, open_url: Open, *, base_url: str, api_key: str) -> Found:
    """Where the file of a version is, with its hash, type and description.

    Raises:
        NotFound, InvalidInput: there is no such version, or it has no such file.
        Unavailable: the site does not answer.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    base = base_url.rstrip("/")
    if source.version_id:
        version = await _ask(open_url, f"{base}/api/v1/model-versions/{source.version_id}", headers)
    else:
        model = await _ask(open_url, f"{base}/api/v1/models/{source.model_id}", headers)
        versions = model.get("modelVersions")
        if not (isinstance(versions, list) and versions and isinstance(versions[0], dict)):
            raise NotFound(f"CivitAI's model {source.model_id} has no versions")
        version = {**versions[0], "model": {"name": model.get("name"), "type": model.get("type")}}
    chosen = _choose(version.get("files"), source.wanted)
    about = version.get("model")
    kind = str(about.get("type", "")).lower() if isinstance(about, dict) else ""
    hashes = chosen.get("hashes")
    sha256 = str(hashes.get("SHA256") or "").lower() if isinstance(hashes, dict) else ""
    return Found(
        url=str(chosen["downloadUrl"]),
        headers=headers,
        name=str(chosen.get("name") or ""),
        sha256=sha256,
        type=_TYPES.get(kind, ""),
        notes={**version, "files": [chosen]},
        login_hint=_LOGIN_HINT,
    )


def _choose(files: object, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    """The file that was asked for; the version's main one when nothing was said.

    Raises:
        InvalidInput: there is none; says what there is.
    """
    known = (
        [file for file in files if isinstance(file, dict) and file.get("downloadUrl")]
        if isinstance(files, list)
        else []
    )
    fitting = [file for file in known if _fits(file, wanted)]
    if not fitting:
        names = ", ".join(str(file.get("name")) for file in known) or "none"
        raise InvalidInput(f"this version has no such file; it has: {names}", field="source")
    return max(fitting, key=lambda file: (file.get("primary") is True, file.get("type") == "Model"))


def _fits(file: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    metadata = file.get("metadata")
    facts = {**metadata, "type": file.get("type")} if isinstance(metadata, dict) else {"type": file.get("type")}
    return all(str(facts.get(name, value)).lower() == value for name, value in wanted.items())


async def _ask(open_url: Open, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    async with open_url(url, {**headers, "Accept": "application/json"}) as answer:
        if answer.status == 404:
            raise NotFound("CivitAI has no such model version")
        if answer.status in {401, 403}:
            raise InvalidInput(f"CivitAI wants to know who asks: {_LOGIN_HINT}", field="source")
        if answer.status != 200:
            raise Unavailable(f"CivitAI answered {answer.status}")
        body = bytearray()
        async for chunk in answer.chunks:
            body += chunk
            if len(body) > _MAX_REPLY_BYTES:
                raise Unavailable("CivitAI's answer is too long")
    try:
        found = msgspec.json.decode(bytes(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unavailable("CivitAI's answer is not what its interface promises")
    return found
