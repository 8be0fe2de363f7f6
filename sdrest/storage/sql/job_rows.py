"""How a job is a row of the table ``jobs``, and a filter a condition on such rows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

import msgspec

from sdrest.core.job import TERMINAL_STATES, Failure, Job, JobState, JobType, Output
from sdrest.jobs.store import JobFilter
from sdrest.storage.sql.times import as_text, as_time


def as_json(value: Any) -> str:
    """``value`` as JSON text."""
    return msgspec.json.encode(value).decode()


def row_of(job: Job) -> dict[str, Any]:
    """The job's columns, by name."""
    return {
        "id": job.id,
        "type": job.type,
        "state": job.state,
        "principal": job.principal,
        "priority": job.priority,
        "parameters": as_json(job.parameters),
        "model_id": job.model_id,
        "model_name": job.model_name,
        "attempt": job.attempt,
        "created_at": as_text(job.created_at),
        "started_at": as_text(job.started_at),
        "finished_at": as_text(job.finished_at),
        "cancel_requested_at": as_text(job.cancel_requested_at),
        "seconds": job.seconds,
        "outputs": as_json(job.outputs),
        "failure": as_json(job.failure) if job.failure else None,
        "warnings": as_json(job.warnings),
        "idempotency_key": job.idempotency_key,
        "webhook_url": job.webhook_url,
        "origin": as_json(job.origin),
        "interruptions": job.interruptions,
        "result_key": job.result_key,
        "reused_from": job.reused_from,
        "lease_id": job.lease_id,
    }


_OUTPUTS: Final = msgspec.json.Decoder(tuple[Output, ...])
_FAILURE: Final = msgspec.json.Decoder(Failure)
_WARNINGS: Final = msgspec.json.Decoder(tuple[str, ...])


def job_of(row: Any) -> Job:
    """The job in a row of the table."""
    return Job(
        id=row["id"],
        type=JobType(row["type"]),
        state=JobState(row["state"]),
        principal=row["principal"],
        priority=row["priority"],
        parameters=json.loads(row["parameters"]),
        model_id=row["model_id"],
        model_name=row["model_name"],
        attempt=row["attempt"],
        created_at=datetime.fromisoformat(row["created_at"]),
        started_at=as_time(row["started_at"]),
        finished_at=as_time(row["finished_at"]),
        cancel_requested_at=as_time(row["cancel_requested_at"]),
        seconds=row["seconds"],
        outputs=outputs_of(row),
        failure=_FAILURE.decode(row["failure"]) if row["failure"] else None,
        warnings=_WARNINGS.decode(row["warnings"]),
        idempotency_key=row["idempotency_key"],
        webhook_url=row["webhook_url"],
        origin=json.loads(row["origin"]),
        interruptions=row["interruptions"],
        result_key=row["result_key"],
        reused_from=row["reused_from"],
        lease_id=row["lease_id"],
    )


def outputs_of(row: Any) -> tuple[Output, ...]:
    """The column ``outputs``."""
    return _OUTPUTS.decode(row["outputs"])


def where_of(wanted: JobFilter, search: str) -> tuple[str, list[Any]]:
    """The condition (``WHERE`` and all, empty for all jobs) and its values; the filter's order and limit are not in it."""
    terms: list[str] = []
    values: list[Any] = []

    def term(sql: str, *items: Any) -> None:
        terms.append(sql)
        values.extend(items)

    if {*wanted.states} == TERMINAL_STATES:
        term("finished_at IS NOT NULL")  # the same, but in one piece: so an index can give them in order
    elif wanted.states:
        term(f"state IN ({', '.join('?' * len(wanted.states))})", *wanted.states)
    if wanted.types:
        term(f"type IN ({', '.join('?' * len(wanted.types))})", *wanted.types)
    if wanted.principal is not None:
        term("principal = ?", wanted.principal)
    if wanted.model_id:
        term("model_id = ?", wanted.model_id)
    if wanted.created_after:
        term("created_at >= ?", as_text(wanted.created_after))
    if wanted.created_before:
        term("created_at < ?", as_text(wanted.created_before))
    if wanted.finished_before:
        term("finished_at < ?", as_text(wanted.finished_before))
    if wanted.with_outputs:
        term("outputs <> '[]'")
    for word in wanted.search.split():
        like = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        term(search, like, like)
    return (f"WHERE {' AND '.join(terms)}" if terms else "", values)
