"""How a filter is a question to the table ``jobs``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sdrest.core.job import TERMINAL_STATES, JobState
from sdrest.jobs.listing import JobFilter, JobOrder, Place
from sdrest.jobs.search import SearchField, Term, terms_of
from sdrest.storage.sql.times import as_text

#: A condition and its values.
Condition = tuple[str, tuple[Any, ...]]

#: What is in the index of all triples of letters, by where a text is looked for.
_INDEXED: Final[Mapping[SearchField, str]] = {"text": "{prompt model}", "model": "model", "lora": "loras"}
_LETTERS_OF_INDEX: Final = 3


@dataclass(frozen=True, slots=True)
class Search:
    """How a database looks for texts.

    Args:
        conditions: The condition that a text is there, by where it is looked for.
        keys: What the orders go by, but for that of submission.
        index: The jobs beside their entries in the index of all triples of letters, where that is a table; empty where conditions
            find their index by themselves.
    """

    conditions: Mapping[SearchField, str]
    keys: Mapping[JobOrder, str]
    index: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The jobs that a filter wants, as parts of a statement; the filter's limit and offset are not in it."""

    tables: str
    #: ``WHERE`` and all; empty for all jobs.
    where: str
    values: Sequence[Any]
    order: str


def selection(wanted: JobFilter, search: Search) -> Selection:
    """The jobs that a filter wants."""
    terms = terms_of(wanted.search)
    indexed = [term for term in terms if search.index and _is_indexed(term)]
    # By the index, its numbers are those of the jobs, and come in order.
    number = "job_index.rowid" if indexed else "sequence"
    key = search.keys.get(wanted.order, "").strip()
    conditions = [
        *_plain(wanted, number),
        *(_beyond(wanted, wanted.beyond, key, number) if key and wanted.beyond else ()),
        *([("job_index MATCH ?", (" AND ".join(map(_match, indexed)),))] if indexed else []),
        *(_found(term, search.conditions[term.field]) for term in terms if term not in indexed),
    ]
    where = " AND ".join(sql for sql, _ in conditions)
    return Selection(
        search.index if indexed else "jobs",
        f"WHERE {where}" if where else "",
        [value for _, values in conditions for value in values],
        (f"{key} {'ASC' if _rises(wanted) else 'DESC'}, " if key else "")
        + f"{number} {'DESC' if wanted.newest_first else 'ASC'}",
    )


def _rises(wanted: JobFilter) -> bool:
    """Whether small keys come first: of names in their order, of numbers when it is turned round."""
    return (wanted.order is JobOrder.MODEL) == wanted.newest_first


def _beyond(wanted: JobFilter, place: Place, key: str, number: str) -> list[Condition]:
    """What comes after a place; the first half lets an index begin there."""
    mark, after = ">" if _rises(wanted) else "<", "<" if wanted.newest_first else ">"
    value = "lower(?)" if wanted.order is JobOrder.MODEL else "?"
    return [
        (f"{key} {mark}= {value}", (place.key,)),
        (f"({key} {mark} {value} OR {number} {after} ?)", (place.key, place.sequence)),
    ]


def _plain(wanted: JobFilter, number: str) -> list[Condition]:
    """All but what is searched for."""
    compared = {
        "principal = ?": wanted.principal,
        "model_id = ?": wanted.model_id or None,
        "group_id = ? AND group_id <> ''": wanted.group_id or None,
        "sequence IN (SELECT job FROM descent WHERE source = ?)": wanted.descended_from or None,
        "created_at >= ?": as_text(wanted.created_after),
        "created_at < ?": as_text(wanted.created_before),
        "finished_at < ?": as_text(wanted.finished_before),
        "finished_at >= ?": as_text(wanted.finished_after),
        "binned_at < ?": as_text(wanted.binned_before),
        f"{number} < ?": wanted.older_than,
        f"{number} > ?": wanted.newer_than,
    }
    return [
        *(
            [(f"id IN ({_marks(wanted.ids)})" if wanted.ids else "1 = 0", tuple(wanted.ids))]
            if wanted.ids is not None
            else []
        ),
        *_states(wanted.states),
        *([(f"type IN ({_marks(wanted.types)})", tuple(wanted.types))] if wanted.types else []),
        *((sql, (value,)) for sql, value in compared.items() if value is not None),
        *([("outputs <> '[]'", ())] if wanted.with_outputs else []),
        *([("(outputs <> '[]' OR binned_at IS NULL)", ())] if wanted.kept else []),
        *([("binned_at IS NOT NULL", ())] if wanted.in_bin else []),
        *(
            ("sequence IN (SELECT job FROM marks WHERE kind = ? AND name = ?)", (mark.kind, mark.name))
            for mark in wanted.marks
        ),
    ]


def _states(states: Collection[JobState]) -> list[Condition]:
    if {*states} == TERMINAL_STATES:
        return [("finished_at IS NOT NULL", ())]  # the same, but in one piece: so an index can give them in order
    return [(f"state IN ({_marks(states)})", tuple(states))] if states else []


def _is_indexed(term: Term) -> bool:
    """Whether an index of triples of letters tells where a term is."""
    return term.field in _INDEXED and len(term.text) >= _LETTERS_OF_INDEX and not term.is_excluded


def _match(term: Term) -> str:
    """A term as the index takes it."""
    text = term.text.replace('"', '""')
    return f'{_INDEXED[term.field]} : "{text}"'


def _found(term: Term, condition: str) -> Condition:
    text = f'"seed":{int(term.text)},' if term.field == "seed" else term.text
    like = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return f"{'NOT ' if term.is_excluded else ''}({condition.strip()})", (like,) * condition.count("?")


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))
