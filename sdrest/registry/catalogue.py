"""The list of registered models, in memory: search, sort, page, and resolving the many names by which clients call a
model.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from sdrest.core.architecture import Architecture
from sdrest.core.errors import InvalidInput, ModelNotFound
from sdrest.core.model import Model, ModelType

_A1111_TITLE = re.compile(r"^(?P<name>.+?)\s*\[(?P<hash>[0-9a-fA-F]{6,64})\]$")
_HASH = re.compile(r"^[0-9a-fA-F]{8,64}$")
_SUGGESTIONS = 3
_SHORTLIST = 200


class SortKey(StrEnum):
    """What a list can be sorted by."""

    NAME = "name"
    SIZE = "size"
    DATE = "date"
    TYPE = "type"


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. ``page`` counts from 1; ``limit`` 0 lists everything."""

    type: ModelType | None = None
    search: str = ""
    architecture: Architecture | None = None
    sort_by: SortKey = SortKey.NAME
    descending: bool = False
    page: int = 1
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; ``total`` counts all matches."""

    models: tuple[Model, ...]
    total: int
    page: int
    limit: int

    @property
    def total_pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // self.limit)) if self.limit else 1


@dataclass(frozen=True, slots=True)
class Statistics:
    """Totals over all models; sizes in bytes."""

    total: int
    total_size: int
    by_type: Mapping[str, int]
    size_by_type: Mapping[str, int]
    by_architecture: Mapping[str, int]
    unusable: int


class Catalogue:
    """An unchanging list of models; a refresh makes a new one."""

    def __init__(self, models: Iterable[Model] = (), aliases: Mapping[str, str] | None = None) -> None:
        self.models: tuple[Model, ...] = tuple(models)
        self._aliases = {alias.casefold(): name for alias, name in (aliases or {}).items()}
        self._by_id = {model.id: model for model in self.models}

    def __len__(self) -> int:
        return len(self.models)

    def get(self, model_id: str) -> Model | None:
        """The model with this id, or None."""
        return self._by_id.get(model_id)

    def of_type(self, wanted: ModelType) -> tuple[Model, ...]:
        """All models of a type; several types may be OR-ed."""
        return tuple(model for model in self.models if model.type & wanted)

    def search(self, query: Query) -> Page:
        """The models that match, sorted and cut to one page."""
        words = query.search.casefold().split()
        found = [
            model
            for model, text in zip(self.models, self._search_texts, strict=True)
            if (query.type is None or model.type & query.type)
            and (query.architecture is None or model.architecture is query.architecture)
            and all(word in text for word in words)
        ]
        found.sort(key=_SORT_KEYS[query.sort_by], reverse=query.descending)
        if not query.limit:
            return Page(tuple(found), len(found), 1, 0)
        start = (max(1, query.page) - 1) * query.limit
        return Page(tuple(found[start : start + query.limit]), len(found), max(1, query.page), query.limit)

    def statistics(self) -> Statistics:
        """Counts and sizes."""
        types, sizes, architectures = Counter[str](), Counter[str](), Counter[str]()
        for model in self.models:
            types[model.type.slug] += 1
            sizes[model.type.slug] += model.size
            if model.architecture is not None:
                architectures[model.architecture.value] += 1
        return Statistics(
            total=len(self.models),
            total_size=sum(sizes.values()),
            by_type=dict(types),
            size_by_type=dict(sizes),
            by_architecture=dict(architectures),
            unusable=sum(not model.usable for model in self.models),
        )

    def resolve(self, name: str, wanted: ModelType | None = None) -> Model:
        """The one model that ``name`` means, among those of ``wanted`` types.

        Understood, in this order: id; path; path relative to the models directory or to its type's folder; file name;
        name without extension; title; ``name [hash]`` as A1111 writes it; SHA-256 or short hash (8 digits or more); a
        configured alias; all of them again with case ignored. Raises :class:`ModelNotFound` with near misses, or
        :class:`InvalidInput` when the name means several models.
        """
        asked = name.strip()
        if not asked:
            raise ModelNotFound("no model was named")
        for key in self._spellings(asked):
            found = self._lookup(key, wanted)
            if len(found) == 1:
                return found[0]
            if found:
                paths = ", ".join(sorted(model.relative_path for model in found)[:5])
                raise InvalidInput(f"{name!r} means several models ({paths}); use the path or the id", field="model")
        suggestions = self.suggest(asked, wanted)
        hint = f"; did you mean {' or '.join(map(repr, suggestions))}?" if suggestions else ""
        kind = wanted.slug.replace("|", " or ") if wanted else "model"
        raise ModelNotFound(f"no {kind} is named {name!r}{hint}", name=name, suggestions=list(suggestions))

    def find(self, name: str, wanted: ModelType | None = None) -> Model | None:
        """As :meth:`resolve`, but None when there is no such model or no single one."""
        try:
            return self.resolve(name, wanted)
        except (ModelNotFound, InvalidInput):
            return None

    def suggest(self, name: str, wanted: ModelType | None = None) -> tuple[str, ...]:
        """Names of usable models most like ``name``, nearest first. Names that share no three letters are not compared at all."""
        asked = name.casefold()
        pieces = _trigrams(asked)
        pool: dict[str, str] = {}
        shared: Counter[str] = Counter()
        for model in self.models:
            if not model.usable or (wanted is not None and not model.type & wanted):
                continue
            key = model.name.casefold()
            common = len(pieces & _trigrams(key))
            if common:
                pool.setdefault(key, model.name)
                shared[key] = common
        shortlist = [key for key, _ in shared.most_common(_SHORTLIST)]
        return tuple(pool[key] for key in difflib.get_close_matches(asked, shortlist, n=_SUGGESTIONS, cutoff=0.5))

    def with_hashes(self, model_id: str, sha256: str, short_hashes: Mapping[str, str]) -> Catalogue:
        """A catalogue that knows a model's hashes; nothing else of it changes."""
        model = self._by_id.get(model_id)
        if model is None:
            return self
        known = replace(model, sha256=sha256, short_hashes=dict(short_hashes))
        changed = Catalogue(known if other is model else other for other in self.models)
        changed._aliases = self._aliases
        changed.__dict__.update({name: self.__dict__[name] for name in _INDEXES if name in self.__dict__})
        return changed

    def prepare(self) -> Catalogue:
        """Build all indexes now (they are built on first use otherwise); returns itself."""
        _ = self._search_texts, self._tables, self._folded_tables
        return self

    def _spellings(self, asked: str) -> list[str]:
        spellings = [asked, asked.replace("\\", "/")]
        title = _A1111_TITLE.match(asked)
        if title:
            spellings += [title["name"], title["hash"]]
        alias = self._aliases.get(asked.casefold())
        if alias is not None:
            spellings.append(alias)
        return list(dict.fromkeys(spellings))

    def _lookup(self, key: str, wanted: ModelType | None) -> list[Model]:
        """Models called ``key`` in the first manner of naming that gives any."""
        manners = [(table, key) for table in self._tables]
        manners += [(table, key.casefold()) for table in self._folded_tables]
        for table, spelling in manners:
            found = (self.models[index] for index in table.get(spelling, ()))
            allowed = [model for model in found if wanted is None or model.type & wanted]
            if allowed:
                return allowed
        if not _HASH.match(key):
            return []
        digits = key.lower()
        return [m for m in self.models if (wanted is None or m.type & wanted) and _has_hash(m, digits)]

    @cached_property
    def _search_texts(self) -> list[str]:
        return [_search_text(model) for model in self.models]

    @cached_property
    def _tables(self) -> tuple[_Table, ...]:
        return tuple(_index(self.models, names) for names in (_ids, _paths, _file_names, _stems, _titles))

    @cached_property
    def _folded_tables(self) -> tuple[_Table, ...]:
        return tuple(_fold(table) for table in self._tables)


_Table = dict[str, list[int]]
"""Positions in the list of models, by name."""
_INDEXES = ("_search_texts", "_tables", "_folded_tables")


def _ids(model: Model) -> tuple[str, ...]:
    return (model.id,)


def _paths(model: Model) -> tuple[str, ...]:
    inner = model.relative_path.partition("/")[2]
    names = [str(model.path), model.relative_path, inner]
    return tuple(names + [_without_extension(name) for name in names[1:]] + [str(path) for path in model.copies])


def _file_names(model: Model) -> tuple[str, ...]:
    return tuple(path.name for path in (model.path, *model.copies))


def _stems(model: Model) -> tuple[str, ...]:
    return (model.name, *(path.stem for path in model.copies))


def _titles(model: Model) -> tuple[str, ...]:
    return (model.title,) if model.title else ()


def _index(models: Iterable[Model], names: Callable[[Model], tuple[str, ...]]) -> _Table:
    table: _Table = {}
    for index, model in enumerate(models):
        for name in set(names(model)):
            table.setdefault(name, []).append(index)
    return table


def _fold(table: _Table) -> _Table:
    folded: _Table = {}
    for name, indexes in table.items():
        merged = folded.setdefault(name.casefold(), [])
        merged += [index for index in indexes if index not in merged]
    return folded


def _without_extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return stem if dot and "/" not in extension else name


def _has_hash(model: Model, wanted: str) -> bool:
    full = (model.sha256 or "").startswith(wanted)
    return full or any(value.lower() == wanted for value in model.short_hashes.values())


def _search_text(model: Model) -> str:
    architecture = (model.architecture.value, model.architecture.label) if model.architecture else ()
    parts = (model.name, model.relative_path, model.title, model.description, model.base_model, model.variant)
    return "\n".join(filter(None, (*parts, *architecture, *model.trigger_words))).casefold()


def _trigrams(text: str) -> set[str]:
    padded = f"  {text} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


_SORT_KEYS: dict[SortKey, Callable[[Model], Any]] = {
    SortKey.NAME: lambda model: (model.name.casefold(), model.relative_path),
    SortKey.SIZE: lambda model: (model.size, model.relative_path),
    SortKey.DATE: lambda model: (model.mtime_ns, model.relative_path),
    SortKey.TYPE: lambda model: (model.type.slug, model.name.casefold(), model.relative_path),
}
