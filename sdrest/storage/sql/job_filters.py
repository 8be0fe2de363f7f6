"""How a filter is a condition on rows of the table ``jobs``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sdrest.core.job import TERMINAL_STATES, JobState
from sdrest.jobs.search import SearchField, Term, terms_of
from sdrest.jobs.store import JobFilter
from sdrest.storage.sql.times import as_text

#: A condition and its values.
Condition = tuple[str, tuple[Any, ...]]


def where_of(wanted: JobFilter, search: Mapping[SearchField, str]) -> tuple[str, list[Any]]:
    """The condition (``WHERE`` and all, empty for all jobs) and its values; the filter's order and limit are not in it.

    Args:
        wanted: Which jobs.
        search: How the database looks for a text, by where it looks.
    """
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
        "sequence < ?": wanted.older_than,
        "sequence > ?": wanted.newer_than,
    }
    conditions: list[Condition] = [
        *(
            [(f"id IN ({_marks(wanted.ids)})" if wanted.ids else "1 = 0", tuple(wanted.ids))]
            if wanted.ids is not None
            else []
        ),
        *_states(wanted.states),
        *([(f"type IN ({_marks(wanted.types)})", tuple(wanted.types))] if wanted.types else []),
        *((sql, (value,)) for sql, value in compared.items() if value is not None),
        *([("outputs <> '[]'", ())] if wanted.with_outputs else []),
        *([("binned_at IS NOT NULL", ())] if wanted.in_bin else []),
        *(
            ("sequence IN (SELECT job FROM marks WHERE kind = ? AND name = ?)", (mark.kind, mark.name))
            for mark in wanted.marks
        ),
        *(_found(term, search[term.field]) for term in terms_of(wanted.search)),
    ]
    where = " AND ".join(sql for sql, _ in conditions)
    return (f"WHERE {where}" if where else "", [value for _, values in conditions for value in values])


def _states(states: Collection[JobState]) -> list[Condition]:
    if {*states} == TERMINAL_STATES:
        return [("finished_at IS NOT NULL", ())]  # the same, but in one piece: so an index can give them in order
    return [(f"state IN ({_marks(states)})", tuple(states))] if states else []


def _found(term: Term, condition: str) -> Condition:
    text = f'"seed":{int(term.text)},' if term.field == "seed" else term.text
    like = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    # A comparison with nothing is neither true nor false.
    sql = f"({condition.strip()}) IS {'NOT ' if term.is_excluded else ''}TRUE"
    return sql, (like,) * condition.count("?")


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))
