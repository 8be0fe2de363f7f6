"""What people and download tools put beside a model: descriptions, notes, trigger words, licences, preview pictures, known hashes.

Sources, in order of trust: ``NAME.json`` (A1111's "edit metadata"), ``NAME.civitai.info`` and ``NAME.metadata.json``
(download tools), then the model's own metadata (safetensors ``modelspec.*`` and kohya ``ss_*`` keys, GGUF
``general.*``).
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sdrest.core.model import Component

_SIZE_LIMIT = 4 * 1024 * 1024
_TEXT_LIMIT = 4000
#: Longest notes, in characters.
NOTES_LIMIT = 10_000
_WORD_LIMIT, _WORDS_LIMIT = 200, 64
PREVIEW_ENDINGS = (".preview.png", ".preview.jpg", ".preview.jpeg", ".preview.webp", ".png", ".jpg", ".jpeg", ".webp")
_JSON_ENDINGS = (".json", ".civitai.info", ".metadata.json")
_TAG = re.compile(r"<[^>]{0,500}>")


@dataclass(frozen=True, slots=True)
class Notes:
    """Human knowledge about one model; empty where nothing is known."""

    title: str | None = None
    description: str | None = None
    trigger_words: tuple[str, ...] = ()
    base_model: str | None = None
    #: What somebody here wrote of it, line breaks kept (``notes``, as A1111 calls it).
    notes: str | None = None
    licence: str | None = None
    sha256: str | None = None
    preview: Path | None = None
    #: Generation parameters (``Defaults`` fields) under ``defaults`` of a JSON file beside the model; values not yet checked.
    defaults: Mapping[str, str | int | float] = field(default_factory=dict)
    #: Names of the files to load the model with, under ``parts`` of a JSON file beside it.
    parts: Mapping[Component, str] = field(default_factory=dict)
    #: ``holding`` of the same file; values not yet checked.
    holding: Mapping[str, bool | int] = field(default_factory=dict)


def sidecar_names(stem: str) -> tuple[str, ...]:
    """Names of all files that may stand beside a model with this stem."""
    return tuple(stem + ending for ending in (*_JSON_ENDINGS, *PREVIEW_ENDINGS))


def notes_file(notes_dir: Path, model_id: str) -> Path:
    """Where what is written of a borrowed model lies: nothing is written beside it."""
    return notes_dir / f"{model_id}.json"


def read_notes(
    model: Path,
    stem: str,
    metadata: Mapping[str, object],
    beside: frozenset[str],
    elsewhere: Path | None = None,
) -> Notes:
    """The notes on ``model``, whose side files are called ``stem`` and an ending.

    ``beside`` are the names present in its folder, so that nothing is looked for in vain; ``elsewhere`` is a file that goes before
    those beside it.
    """
    sidecars = [model.with_name(stem + ending) for ending in _JSON_ENDINGS if stem + ending in beside]
    sidecars = [elsewhere, *sidecars] if elsewhere is not None else sidecars
    found = [_from_json(load_sidecar(sidecar)) for sidecar in sidecars]
    found.append(_from_metadata(metadata))
    previews = [model.with_name(stem + ending) for ending in PREVIEW_ENDINGS if stem + ending in beside]
    if elsewhere is not None and (chosen := elsewhere.with_suffix(PREVIEW_ENDINGS[0])).is_file():
        previews.insert(0, chosen)
    return Notes(
        title=next((n.title for n in found if n.title), None),
        description=next((n.description for n in found if n.description), None),
        trigger_words=next((n.trigger_words for n in found if n.trigger_words), ()),
        base_model=next((n.base_model for n in found if n.base_model), None),
        notes=next((n.notes for n in found if n.notes), None),
        licence=next((n.licence for n in found if n.licence), None),
        sha256=next((n.sha256 for n in found if n.sha256), None),
        preview=next(iter(previews), None),
        defaults=next((n.defaults for n in found if n.defaults), {}),
        parts=next((n.parts for n in found if n.parts), {}),
        holding=next((n.holding for n in found if n.holding), {}),
    )


def sha256_beside(model: Path, stem: str) -> str | None:
    """The hash that a download tool noted beside a model, if any did."""
    noted = (_from_json(load_sidecar(model.with_name(stem + ending))).sha256 for ending in _JSON_ENDINGS)
    return next(filter(None, noted), None)


def load_sidecar(path: Path) -> dict[str, object]:
    """The JSON object in a file beside a model; empty when it is not there, too large or none."""
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            return {}
        data = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _from_json(data: Mapping[str, object]) -> Notes:
    """Notes of an A1111 sidecar, or of a CivitAI one (a model version, its model under ``model``)."""
    inner = data.get("civitai")
    version: Mapping[str, object] = inner if isinstance(inner, dict) else data
    model = version.get("model")
    model_name = model.get("name") if isinstance(model, dict) else None
    words = version.get("trainedWords") or data.get("activation text") or data.get("trigger_words")
    return Notes(
        title=_text(model_name or data.get("model_name") or data.get("name")),
        description=_text(data.get("description") or version.get("description")),
        trigger_words=_words(words),
        base_model=_text(version.get("baseModel") or data.get("base_model") or data.get("sd version")),
        notes=_lines(data.get("notes")),
        licence=_text(data.get("licence") or data.get("license")),
        sha256=_sha256(version, data),
        defaults=_defaults(data.get("defaults")),
        parts=_parts(data.get("parts")),
        holding=_holding(data.get("holding")),
    )


def _defaults(value: object) -> dict[str, str | int | float]:
    if not isinstance(value, dict):
        return {}
    return {str(key): item for key, item in value.items() if isinstance(item, str | int | float)}


def _parts(value: object) -> dict[Component, str]:
    if not isinstance(value, dict):
        return {}
    known = {component.value: component for component in Component}
    return {known[key]: item for key, item in value.items() if key in known and isinstance(item, str) and item.strip()}


def _holding(value: object) -> dict[str, bool | int]:
    return dict(value) if isinstance(value, dict) else {}


def _sha256(version: Mapping[str, object], data: Mapping[str, object]) -> str | None:
    """The hash a download tool noted for the file (only shown until our own is computed)."""
    candidates: list[object] = [data.get("sha256")]
    files = version.get("files")
    if isinstance(files, list) and len(files) == 1 and isinstance(files[0], dict):
        hashes = files[0].get("hashes")
        if isinstance(hashes, dict):
            candidates.append(hashes.get("SHA256"))
    for candidate in candidates:
        if isinstance(candidate, str) and re.fullmatch(r"[0-9A-Fa-f]{64}", candidate):
            return candidate.lower()
    return None


def _from_metadata(metadata: Mapping[str, object]) -> Notes:
    words = metadata.get("modelspec.trigger_phrase") or metadata.get("ss_trigger_words") or _frequent_tags(metadata)
    title = metadata.get("modelspec.title") or metadata.get("ss_output_name") or metadata.get("general.name")
    base = metadata.get("modelspec.architecture") or metadata.get("ss_base_model_version")
    return Notes(
        title=_text(title),
        description=_text(metadata.get("modelspec.description") or metadata.get("general.description")),
        trigger_words=_words(words),
        base_model=_text(base),
        licence=_text(metadata.get("modelspec.license") or metadata.get("general.license")),
    )


def _frequent_tags(metadata: Mapping[str, object]) -> list[str]:
    """Tags that stood on every training picture: kohya counts tags in ``ss_tag_frequency`` by folder."""
    raw = metadata.get("ss_tag_frequency")
    if not isinstance(raw, str) or len(raw) > _SIZE_LIMIT:
        return []
    try:
        folders = msgspec.json.decode(raw, type=dict[str, dict[str, int]])
    except (msgspec.DecodeError, RecursionError):
        return []
    totals: dict[str, int] = {}
    for tags in folders.values():
        for tag, count in tags.items():
            totals[tag.strip()] = totals.get(tag.strip(), 0) + count
    if not totals:
        return []
    most = max(totals.values())
    return [tag for tag, count in totals.items() if count == most and tag][:8]


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    plain = html.unescape(_TAG.sub(" ", value[: _TEXT_LIMIT * 4]))
    return re.sub(r"\s+", " ", plain).strip()[:_TEXT_LIMIT] or None


def _lines(value: object) -> str | None:
    """A text as it was written, but for space around it."""
    return (value.strip()[:NOTES_LIMIT] or None) if isinstance(value, str) else None


def _words(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    cleaned = (item.strip()[:_WORD_LIMIT] for item in items if isinstance(item, str))
    return tuple(dict.fromkeys(word for word in cleaned if word))[:_WORDS_LIMIT]
