"""Model versions on CivitAI, by its public interface (``/api/v1/model-versions/ID``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sdrest.core.errors import InvalidInput, NotFound, SdrestError, Unavailable
from sdrest.net.streaming import Open
from sdrest.work.downloads.sources import CivitaiSource, Found
from sdrest.work.hubs.answers import ask, key_header
from sdrest.work.hubs.civitai import LOGIN_HINT, TYPES, licence_of


async def find_on_civitai(source: CivitaiSource, open_url: Open, *, base_url: str, api_key: str) -> Found:
    """Where the file of a version is, with its hash, type and description.

    Raises:
        NotFound, InvalidInput: there is no such version, or it has no such file.
        Unavailable: the site does not answer.
    """
    base = base_url.rstrip("/")
    headers = key_header(api_key, base, base)

    async def asked(path: str) -> Mapping[str, Any]:
        value, _ = await ask(open_url, base + path, headers, hub="CivitAI", login_hint=LOGIN_HINT)
        if not isinstance(value, dict):
            raise Unavailable("CivitAI's answer is not what its interface promises")
        return value

    if source.version_id:
        version = await asked(f"/api/v1/model-versions/{source.version_id}")
        licence = await _licence(asked, version)
    else:
        model = await asked(f"/api/v1/models/{source.model_id}")
        licence = licence_of(model)
        versions = model.get("modelVersions")
        if not (isinstance(versions, list) and versions and isinstance(versions[0], dict)):
            raise NotFound(f"CivitAI's model {source.model_id} has no versions")
        version = {**versions[0], "model": {"name": model.get("name"), "type": model.get("type")}}
    chosen = _choose(version.get("files"), source.wanted)
    about = version.get("model")
    kind = str(about.get("type", "")).lower() if isinstance(about, dict) else ""
    hashes, url = chosen.get("hashes"), str(chosen["downloadUrl"])
    sha256 = str(hashes.get("SHA256") or "").lower() if isinstance(hashes, dict) else ""
    return Found(
        url=url,
        headers=key_header(api_key, url, base),
        name=str(chosen.get("name") or ""),
        sha256=sha256,
        type=TYPES.get(kind, ""),
        notes={**version, "files": [chosen], **({"licence": licence} if licence else {})},
        login_hint=LOGIN_HINT,
    )


async def _licence(asked: Callable[[str], Awaitable[Mapping[str, Any]]], version: Mapping[str, Any]) -> str:
    """What others may do with the model of a version; the site tells that of models only. Empty where it does not."""
    model_id = str(version.get("modelId", ""))
    if not model_id.isdecimal():
        return ""
    try:
        return licence_of(await asked(f"/api/v1/models/{model_id}"))
    except SdrestError:  # the file is to be had all the same
        return ""


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
