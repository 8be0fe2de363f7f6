"""How a job is a row of the table ``jobs``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from sdrest.core.job import Binned, Failure, Job, JobState, JobType, Output
from sdrest.core.use import Charge
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
        "memory_bytes": job.memory_bytes,
        "charge": as_json(job.charge) if job.charge else None,
        "attempt": job.attempt,
        "created_at": as_text(job.created_at),
        "started_at": as_text(job.started_at),
        "finished_at": as_text(job.finished_at),
        "cancel_requested_at": as_text(job.cancel_requested_at),
        "seconds": job.seconds,
        **output_columns(job.outputs),
        "bin": as_json(job.bin),
        "binned_at": binned_at(job),
        "failure": as_json(job.failure) if job.failure else None,
        "warnings": as_json(job.warnings),
        "idempotency_key": job.idempotency_key,
        "webhook_url": job.webhook_url,
        "origin": as_json(job.origin),
        "interruptions": job.interruptions,
        "result_key": job.result_key,
        "reused_from": job.reused_from,
        "lease_id": job.lease_id,
        "group_id": job.group_id,
        "place": job.place,
        "sources": as_json(job.sources),
        "waits_for": as_json(job.waits_for),
        "varied_from": job.varied_from,
    }


_OUTPUTS: Final = msgspec.json.Decoder(tuple[Output, ...])
_BIN: Final = msgspec.json.Decoder(tuple[Binned, ...])
_FAILURE: Final = msgspec.json.Decoder(Failure)
_IDS: Final = msgspec.json.Decoder(tuple[str, ...])
_CHARGE: Final = msgspec.json.Decoder(Charge)
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
        memory_bytes=row["memory_bytes"],
        attempt=row["attempt"],
        created_at=datetime.fromisoformat(row["created_at"]),
        started_at=as_time(row["started_at"]),
        finished_at=as_time(row["finished_at"]),
        cancel_requested_at=as_time(row["cancel_requested_at"]),
        seconds=row["seconds"],
        outputs=outputs_of(row),
        bin=_BIN.decode(row["bin"]),
        failure=_FAILURE.decode(row["failure"]) if row["failure"] else None,
        warnings=_WARNINGS.decode(row["warnings"]),
        idempotency_key=row["idempotency_key"],
        webhook_url=row["webhook_url"],
        origin=json.loads(row["origin"]),
        interruptions=row["interruptions"],
        result_key=row["result_key"],
        reused_from=row["reused_from"],
        lease_id=row["lease_id"],
        group_id=row["group_id"],
        place=row["place"],
        sources=json.loads(row["sources"]),
        waits_for=_IDS.decode(row["waits_for"]),
        varied_from=row["varied_from"],
        charge=_CHARGE.decode(row["charge"]) if row["charge"] else None,
        sequence=row["sequence"],
    )


def output_columns(outputs: Sequence[Output]) -> dict[str, Any]:
    """The columns ``outputs`` and ``largest_bytes``, the size of the largest one."""
    return {"outputs": as_json(outputs), "largest_bytes": max((item.size_bytes for item in outputs), default=0)}


def outputs_of(row: Any) -> tuple[Output, ...]:
    """The column ``outputs``."""
    return _OUTPUTS.decode(row["outputs"])


def binned_at(job: Job) -> str | None:
    """The column ``binned_at``: since when something is in the bin."""
    return as_text(min((item.at for item in job.bin), default=None))
