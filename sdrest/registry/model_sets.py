"""Model sets: models with all the files that they need, as catalogues in YAML list them.

A catalogue has ``files`` by id, and ``sets`` by name, which share them: the files a set always needs, and its ``choices`` of
quantisation, best first, with the files of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec
import yaml

from sdrest.core.architecture import Architecture
from sdrest.core.errors import FieldProblem, InvalidInput
from sdrest.registry.folders import BY_KEY, FolderKind, Folders

#: Version of the format that is read here.
FORMAT: Final = 1
MAX_CATALOGUE_BYTES: Final = 4 * 1024 * 1024
#: What a model takes beside its files: working memory of a picture of about a megapixel.
HEADROOM_BYTES: Final = 1_500_000_000
_SHIPPED: Final = Path(__file__).with_name("model_sets.yaml")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
#: The folder for each part that a file can be.
FOLDER_OF_PART: Final[Mapping[str, str]] = {
    "checkpoint": "checkpoints",
    "diffusion_model": "diffusion_models",
    "high_noise_diffusion_model": "diffusion_models",
    "vae": "vae",
    "taesd": "taesd",
    **dict.fromkeys(("clip_l", "clip_g", "t5xxl", "llm", "llm_vision"), "text_encoders"),
    "clip_vision": "clip_vision",
    "controlnet": "controlnet",
    "upscaler": "esrgan",
    "lora": "lora",
}

Unknown = Literal["unknown"]
UNKNOWN: Final[Unknown] = "unknown"


class SetFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: which part it is, and where it comes from. ``size`` in bytes and ``sha256`` are exact or ``unknown``.

    ``about`` is a rounded size, by which a choice is made where the exact one is unknown; ``name`` the file's name here, where the
    source's own says too little.
    """

    part: str
    url: str
    size: int | Unknown
    sha256: str
    name: str = ""
    about: int = 0

    @property
    def file_name(self) -> str:
        """The name that it gets here."""
        return self.name or unquote(urlsplit(self.url).path).rpartition("/")[2]

    @property
    def kind(self) -> FolderKind:
        """The kind of folder that it goes to."""
        return BY_KEY[FOLDER_OF_PART[self.part]]

    def path_in(self, folders: Folders) -> Path:
        """Where it lies once it is here."""
        return folders.primary(self.kind) / self.file_name

    @property
    def known_sha256(self) -> str:
        """The hash; empty where it is unknown."""
        return "" if self.sha256 == UNKNOWN else self.sha256

    @property
    def bytes_about(self) -> int | None:
        """The size, or about what it is; None where nothing is known."""
        return (self.about or None) if self.size == UNKNOWN else self.size


class _SetEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    about: str
    licence: str
    architecture: Architecture | None = None
    files: tuple[str, ...] = ()
    choices: dict[str, tuple[str, ...]] = {}
    defaults: dict[str, int | float] = {}


class _Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    revision: str = ""
    files: dict[str, SetFile]
    sets: dict[str, _SetEntry]


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to get a set: every file that it takes. ``name`` is empty where there is nothing to choose."""

    name: str
    files: tuple[SetFile, ...]

    @property
    def size_bytes(self) -> int | None:
        """Size of all files, partly rounded; None where the size of one is unknown."""
        sizes = [file.bytes_about for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def memory_bytes(self) -> int | None:
        """Least memory: what the files take and :data:`HEADROOM_BYTES`."""
        return None if self.size_bytes is None else self.size_bytes + HEADROOM_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSet:
    """A model with all that it needs. ``choices`` are best first; ``defaults`` what its publishers paint with."""

    name: str
    title: str
    about: str
    licence: str
    architecture: Architecture | None
    choices: tuple[Choice, ...]
    defaults: Mapping[str, int | float]
    #: Where it is listed: ``sdrest`` and the catalogue's revision, or the catalogue's address.
    catalogue: str

    def choose(self, memory_bytes: int, wanted: str = "") -> tuple[Choice, str]:
        """The choice for this memory (or the wanted one), and why.

        Raises:
            InvalidInput: there is no such choice; names ``quantisation``.
        """
        if wanted:
            found = next((choice for choice in self.choices if choice.name == wanted.lower()), None)
            if found is None:
                names = ", ".join(choice.name for choice in self.choices if choice.name) or "none"
                raise InvalidInput(f"{self.name} has no quantisation {wanted!r}; it has: {names}", field="quantisation")
            return found, f"{found.name} was asked for; {_demand(found)}"
        for choice in self.choices:
            if choice.memory_bytes is not None and choice.memory_bytes <= memory_bytes:
                return choice, f"{_demand(choice)}; there are {_gb(memory_bytes)}"
        unknown = [choice for choice in self.choices if choice.memory_bytes is None]
        if unknown:
            return unknown[-1], f"{_demand(unknown[-1])}, so it is not clear whether {_gb(memory_bytes)} suffice"
        last = self.choices[-1]
        return last, f"the smallest there is: {_demand(last)}, and there are only {_gb(memory_bytes)}"


def _demand(choice: Choice) -> str:
    if choice.size_bytes is None or choice.memory_bytes is None:
        return "the size of its files is not known"
    files = f"files of {_gb(choice.size_bytes)} and {_gb(HEADROOM_BYTES)} to work in"
    return f"needs about {_gb(choice.memory_bytes)} of memory ({files})"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


@cache
def shipped_sets() -> tuple[ModelSet, ...]:
    """The sets that come with the package."""
    return read_catalogue(_SHIPPED.read_bytes(), "")


def is_address(catalogue: str) -> bool:
    """Whether a catalogue is named by its address, not by its path."""
    return catalogue.startswith(("https://", "http://"))


def read_catalogue_file(path: str) -> tuple[ModelSet, ...]:
    """The sets of a catalogue in a file.

    Raises:
        InvalidInput: it cannot be read, or is none; names each faulty entry.
    """
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="model_sets") from None
    return read_catalogue(data, path)


def sets_of(catalogues: Iterable[str]) -> tuple[tuple[ModelSet, ...], tuple[str, ...]]:
    """The sets of catalogues in files, which go before the package's own, and what is wrong with those that cannot be read.

    Catalogues at addresses are passed over. Reads files.
    """
    found: dict[str, ModelSet] = {}
    problems: list[str] = []
    for path in catalogues:
        if is_address(path):
            continue
        try:
            for item in read_catalogue_file(path):
                found.setdefault(item.name, item)
        except InvalidInput as error:
            problems.append(error.message)
    for item in shipped_sets():
        found.setdefault(item.name, item)
    return tuple(found.values()), tuple(problems)


def read_catalogue(data: bytes, origin: str) -> tuple[ModelSet, ...]:
    """The sets of a catalogue.

    Args:
        data: The catalogue, as YAML (or JSON, which is YAML).
        origin: Its path or address, to name it by; empty for the package's own.

    Raises:
        InvalidInput: it is none; names each faulty entry.
    """
    where = origin or "the catalogue of model sets"
    try:
        found = msgspec.convert(yaml.safe_load(data), _Catalogue)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"{where} is no catalogue of model sets: {error}", field="model_sets") from None
    if found.version != FORMAT:
        raise InvalidInput(f"{where} has version {found.version}; this sdrest reads {FORMAT}", field="model_sets")
    problems = [FieldProblem(f"model_sets.{field}", f"{where}: {text}") for field, text in _problems(found)]
    if problems:
        raise InvalidInput(problems)
    name = origin or f"sdrest {found.revision}"
    return tuple(_set_of(key, entry, found.files, name) for key, entry in found.sets.items())


def _set_of(name: str, entry: _SetEntry, files: Mapping[str, SetFile], catalogue: str) -> ModelSet:
    shared = [files[item] for item in entry.files]
    choices = [
        Choice(key, (*(files[item] for item in own), *shared)) for key, own in (entry.choices or {"": ()}).items()
    ]
    return ModelSet(
        name=name,
        title=entry.title,
        about=entry.about,
        licence=entry.licence,
        architecture=entry.architecture,
        choices=tuple(choices),
        defaults=entry.defaults,
        catalogue=catalogue,
    )


def _problems(found: _Catalogue) -> Iterator[tuple[str, str]]:
    """What is wrong with the entries: their place in the catalogue, and the reason."""
    for key, file in found.files.items():
        yield from ((f"files.{key}.{field}", text) for field, text in _file_problems(file))
    for name, entry in found.sets.items():
        if not _NAME.fullmatch(name):
            yield f"sets.{name}", "a name is of small letters, digits and . _ -"
        wanted = [*entry.files, *(item for files in entry.choices.values() for item in files)]
        if not wanted:
            yield f"sets.{name}", "names no files"
        for item in wanted:
            if item not in found.files:
                yield f"sets.{name}", f"there is no file {item!r}"


def _file_problems(file: SetFile) -> Iterator[tuple[str, str]]:
    if file.part not in FOLDER_OF_PART:
        yield "part", f"{file.part!r} is none of {', '.join(FOLDER_OF_PART)}"
    elif not file.file_name.lower().endswith(file.kind.extensions):
        yield "name", f"{file.file_name!r} has no ending of a model: {' '.join(file.kind.extensions)}"
    if not file.url.startswith(("https://", "http://")):
        yield "url", "must be an http(s) URL"
    if file.sha256 != UNKNOWN and not _SHA256.fullmatch(file.sha256):
        yield "sha256", "must be 64 small hexadecimal digits, or unknown"
    if file.about < 0 or (file.size != UNKNOWN and file.size <= 0):
        yield "size", "must be a number of bytes, or unknown"
