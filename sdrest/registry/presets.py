"""Presets and prompt templates: small text files in the model folders, applied by name and saved from the UI.

Files of the styles that A1111 keeps (``styles.csv``) are prompt templates too.

A preset is a JSON or YAML object of generation parameters, with ``description`` beside them if wanted. A prompt
template is a text in which ``{prompt}`` stands for the request's own prompt (without it, the prompt goes before the
text, with a comma), or a JSON object with such texts as ``prompt`` and ``negative_prompt``; a JSON file may also hold several
texts, as a list or by name.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from sdrest.core.errors import (
    Conflict,
    InsufficientStorage,
    InvalidInput,
    ModelNotFound,
    ModelUnusable,
    SdrestError,
    did_you_mean,
)
from sdrest.core.files import atomic_file
from sdrest.core.model import Model, ModelType
from sdrest.registry.catalogue import Catalogue
from sdrest.registry.folders import Folders

_SIZE_LIMIT = 1024 * 1024
_NAME = re.compile(r"^[\w][\w .()+-]{0,99}$")
_PLACE = "{prompt}"
_DEPTH_LIMIT = 8
_PROMPTS = frozenset({"prompt", "negative_prompt"})
_TEMPLATE_KEYS = _PROMPTS | {"name", "description"}


@dataclass(frozen=True, slots=True)
class Preset:
    """Generation parameters under a name; which ones exist is not known here."""

    name: str
    parameters: Mapping[str, object]
    description: str = ""

    def under(self, request: Mapping[str, object]) -> dict[str, object]:
        """The preset's parameters with ``request``'s over them, also within objects."""
        return _over(self.parameters, request)


@dataclass(frozen=True, slots=True)
class Template:
    """Texts around a prompt; either may be empty."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""

    def around(self, prompt: str) -> str:
        """``prompt`` put into the template's text."""
        return _put(self.prompt, prompt)

    def around_negative(self, negative_prompt: str) -> str:
        """``negative_prompt`` put into the template's negative text."""
        return _put(self.negative_prompt, negative_prompt)


def read_preset(path: Path) -> Preset:
    """The preset in a file. Raises :class:`ModelUnusable` with the reason when it is none."""
    data = _parse(path)
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ModelUnusable(f"{path.name}: a preset is an object of parameters")
    description = data.pop("description", "")
    data.pop("name", None)
    if not _is_plain(data, 0):
        raise ModelUnusable(f"{path.name}: values must be texts, numbers, true, false, null, lists or objects")
    return Preset(path.stem, data, description if isinstance(description, str) else "")


def read_templates(path: Path, *, negative: bool = False) -> tuple[Template, ...]:
    """The prompt templates in a file; ``negative``: plain texts are meant for the negative prompt.

    A ``.txt`` and a JSON text are one template called after the file, and so is an object of ``prompt`` and
    ``negative_prompt``. A JSON list of texts, or an object of texts by name, holds several: ``file/1`` or ``file/name``.
    A CSV file holds A1111's styles, under their own names.
    Raises :class:`ModelUnusable` with the reason when it is none of these.
    """
    if path.suffix.lower() == ".csv":
        return _styles(path)
    value = _text(path) if path.suffix.lower() == ".txt" else _parse(path)
    named: dict[str, object] = {}
    if isinstance(value, str):
        named = {path.stem: value}
    elif isinstance(value, list):
        named = {f"{path.stem}/{number}": text for number, text in enumerate(value, 1)}
    elif isinstance(value, dict) and value.keys() & _PROMPTS and value.keys() <= _TEMPLATE_KEYS:
        texts = {key: value.get(key) or "" for key in _PROMPTS}
        if any(texts.values()) and all(isinstance(text, str) for text in texts.values()):
            return (Template(path.stem, **{key: text.strip() for key, text in texts.items()}),)
    elif isinstance(value, dict):
        named = {f"{path.stem}/{key}": text for key, text in value.items()}
    found = {name: text.strip() for name, text in named.items() if isinstance(text, str)}
    if not found or len(found) != len(named):
        raise ModelUnusable(
            f"{path.name}: a prompt template is a text, an object with prompt and negative_prompt, a list of texts, "
            "or an object of texts by name"
        )
    return tuple(Template(name, **{"negative_prompt" if negative else "prompt": text}) for name, text in found.items())


def _styles(path: Path) -> tuple[Template, ...]:
    """A1111's ``styles.csv``; rows without a text are its headings."""
    try:
        rows = list(csv.DictReader(io.StringIO(_text(path), newline="")))
    except csv.Error as error:
        raise ModelUnusable(f"{path.name}: {error}") from error
    found = [
        Template(name, (row.get("prompt") or row.get("text") or "").strip(), (row.get("negative_prompt") or "").strip())
        for row in rows
        if (name := (row.get("name") or "").strip())
    ]
    found = [template for template in found if template.prompt or template.negative_prompt]
    if not found:
        raise ModelUnusable(f"{path.name}: a file of styles has the columns name, prompt and negative_prompt")
    return tuple(found)


def save_preset(
    folders: Folders, name: str, parameters: Mapping[str, object], description: str = "", *, overwrite: bool = False
) -> Path:
    """Write a preset as JSON. Raises :class:`InvalidInput` for a name or values that cannot be, :class:`Conflict` if
    it exists.
    """
    if not _is_plain(dict(parameters), 0):
        raise InvalidInput("values must be texts, numbers, true, false, null, lists or objects", field="parameters")
    data = {**({"description": description} if description else {}), **parameters}
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return _save(folders, ModelType.PRESETS, f"{checked_name(name)}.json", text, overwrite=overwrite)


def save_template(
    folders: Folders, name: str, prompt: str = "", negative_prompt: str = "", *, overwrite: bool = False
) -> Path:
    """Write a prompt template: a text among the prompts, or among the negative ones, or both as JSON among the prompts.

    Raises as :func:`save_preset`.
    """
    prompt, negative_prompt = prompt.strip(), negative_prompt.strip()
    if not (prompt or negative_prompt) or len(prompt) + len(negative_prompt) > _SIZE_LIMIT:
        raise InvalidInput("a template needs a text of at most one megabyte", field="prompt")
    kind = ModelType.PROMPTS if prompt else ModelType.NEG_PROMPTS
    if not (prompt and negative_prompt):
        text = (prompt or negative_prompt) + "\n"
        return _save(folders, kind, f"{checked_name(name)}.txt", text, overwrite=overwrite)
    text = json.dumps({"prompt": prompt, "negative_prompt": negative_prompt}, indent=2, ensure_ascii=False) + "\n"
    return _save(folders, kind, f"{checked_name(name)}.json", text, overwrite=overwrite)


def _over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        lower, upper = below[key], above[key]
        if isinstance(lower, Mapping) and isinstance(upper, Mapping):
            merged[key] = _over(lower, upper)
    return merged


def _put(text: str, prompt: str) -> str:
    if not text:
        return prompt
    if _PLACE in text:
        return text.replace(_PLACE, prompt)
    return f"{prompt}, {text}" if prompt else text


def checked_name(name: str) -> str:
    """The name of a preset or template without needless blanks.

    Raises:
        InvalidInput: it cannot be one.
    """
    stripped = name.strip()
    if not _NAME.match(stripped) or stripped.endswith("."):
        raise InvalidInput("a name has 1 to 100 letters, digits, spaces and . _ - + ( )", field="name")
    return stripped


def _save(folders: Folders, kind: ModelType, file_name: str, text: str, *, overwrite: bool) -> Path:
    folder_kind = folders.for_type(kind)
    folder = folders.primary(folder_kind)
    path = folder / file_name
    others = [path.with_suffix(ending) for ending in folder_kind.extensions if ending != path.suffix]
    taken = [other for other in others if other.exists()]
    if taken and not overwrite:
        raise Conflict(f"{path.stem} exists already")
    try:
        with atomic_file(path, overwrite=overwrite) as stream:
            stream.write(text.encode())
        for other in taken:
            other.unlink(missing_ok=True)
    except FileExistsError:
        raise Conflict(f"{path.stem} exists already") from None
    except OSError as error:
        raise InsufficientStorage(f"{folder} cannot be written to ({error.strerror})") from error
    return path


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise ModelUnusable(f"{path.name}: larger than one megabyte")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelUnusable(f"{path.name}: not UTF-8 text") from error
    except OSError as error:
        raise ModelUnusable(f"{path.name}: cannot be read ({error.strerror})") from error


def _parse(path: Path) -> object:
    text = _text(path)
    try:
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ModelUnusable(f"{path.name}: {str(error).splitlines()[0]}") from error


def _is_plain(value: object, depth: int) -> bool:
    """Whether a value can go through JSON."""
    if depth > _DEPTH_LIMIT:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item, depth + 1) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item, depth + 1) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


#: Most names that an error tells.
_NAMED: Final = 30


def find_preset(catalogue: Catalogue, name: str) -> Preset:
    """The preset that ``name`` means. Reads its file.

    Raises:
        InvalidInput: there is none (field ``preset``); tells those that exist.
        ModelUnusable: its file cannot be read.
    """
    try:
        return read_preset(catalogue.resolve(name, ModelType.PRESETS).path)
    except ModelNotFound:
        known = (item.name for item in catalogue.of_type(ModelType.PRESETS))
        raise InvalidInput(_unknown("preset", name, known), field="preset") from None


def find_template(catalogue: Catalogue, name: str, *, negative: bool = False) -> Template:
    """The prompt template that ``name`` means: a file's name, or ``file/name`` within a file of several. Reads files.

    Args:
        catalogue: All models.
        name: As a request has it.
        negative: Look among the negative prompts.

    Raises:
        InvalidInput: there is none (field ``prompt_template`` or ``negative_prompt_template``); tells those that exist.
        ModelUnusable: its file cannot be read.
    """
    kind = ModelType.NEG_PROMPTS if negative else ModelType.PROMPTS
    for file_name in (name, name.rpartition("/")[0]):
        model = catalogue.find(file_name, kind) if file_name else None
        if model is not None:
            held = {template.name: template for template in _read(model)}
            if len(held) == 1 and file_name == name:
                return next(iter(held.values()))
            inner = f"{model.name}/{name.rpartition('/')[2]}"
            if inner in held:
                return held[inner]
    for template in templates(catalogue, kind):  # styles have names of their own
        if template.name == name:
            return template
    field = "negative_prompt_template" if negative else "prompt_template"
    known = (template.name for template in templates(catalogue, kind))
    raise InvalidInput(_unknown("prompt template", name, known), field=field)


def templates(catalogue: Catalogue, wanted: ModelType) -> Iterator[Template]:
    """All templates in the files of ``wanted`` types; files that cannot be read are left out."""
    for model in catalogue.of_type(wanted):
        with contextlib.suppress(SdrestError):
            yield from _read(model)


def contents_of(model: Model) -> dict[str, object]:
    """What a preset or a template file holds, by name. Raises :class:`ModelUnusable` when it cannot be read."""
    if model.type is ModelType.PRESETS:
        preset = read_preset(model.path)
        return {**preset.parameters, **({"description": preset.description} if preset.description else {})}
    found: dict[str, object] = {}
    for template in _read(model):
        if template.prompt:
            found[template.name] = template.prompt
        if template.negative_prompt:
            found[f"{template.name} (negative)"] = template.negative_prompt
    return found


def _read(model: Model) -> tuple[Template, ...]:
    return read_templates(model.path, negative=model.type is ModelType.NEG_PROMPTS)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if not names:
        return f"there is no {what} here"
    listed = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
    return f"no {what} is named {name!r}{did_you_mean(name, names)}; there are: {listed}"
