"""What is used in a day, and how much may be, as statements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from sdrest.core.job import Job
from sdrest.core.use import KINDS, Limits, Use
from sdrest.jobs.quota_store import DayUse
from sdrest.jobs.quotas import KEPT_DAYS, Budget, check_budget, counted_for, settled, today
from sdrest.storage.sql.database import ONE_ROW, Connection, Database


@dataclass(frozen=True, slots=True)
class _Statements:
    used: str
    used_by_all: str
    count: str
    give_back: str
    forget_days: str
    limits: str
    limits_of: str
    set_limits: str
    forget_limits: str


class SqlQuotaStore:
    """The :class:`sdrest.jobs.quota_store.QuotaStore` of a real server, on any database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _Statements(**database.statements("quotas"))

    async def limits(self, subjects: Collection[str] | None = None) -> Mapping[str, Limits]:
        """See :meth:`QuotaStore.limits`."""

        def query(db: Connection) -> dict[str, Limits]:
            if subjects is None:
                rows = db.execute(self._sql.limits).fetchall()
            else:
                found = (db.execute(self._sql.limits_of, {"subject": name}).fetchone() for name in subjects)
                rows = [row for row in found if row]
            return {row["subject"]: Limits(**{kind: row[kind] for kind in KINDS}) for row in rows}

        return await self._database.read(query)

    async def set_limits(self, subject: str, limits: Limits) -> None:
        """See :meth:`QuotaStore.set_limits`."""

        def change(db: Connection) -> None:
            if limits == Limits():
                db.execute(self._sql.forget_limits, {"subject": subject})
            else:
                db.execute(self._sql.set_limits, {"subject": subject, **asdict(limits)})

        await self._database.write(change, alone=ONE_ROW)

    async def used(self, day: date, subjects: Collection[str] | None = None) -> Sequence[DayUse]:
        """See :meth:`QuotaStore.used`."""

        def query(db: Connection) -> list[DayUse]:
            values = {"day": day.isoformat()}
            if subjects is None:
                rows = db.execute(self._sql.used_by_all, values).fetchall()
            else:
                found = (
                    db.execute(self._sql.used, {**values, "subject": name}).fetchone() for name in sorted(subjects)
                )
                rows = [row for row in found if row]
            return [DayUse(subject=row["subject"], owner=row["owner"], use=_use_of(row)) for row in rows]

        return await self._database.read(query)

    # ------------------------------------------------------------------ within a transaction of the jobs

    def count(self, db: Connection, jobs: Sequence[Job], budgets: Sequence[Budget]) -> None:
        """Count new jobs of one principal, at the same time, for all whom they count for.

        Raises:
            QuotaReached: they go beyond a budget.
        """
        charged = [job for job in jobs if job.charge is not None]
        if not charged:
            return
        now = charged[0].created_at
        day = today(now).isoformat()
        for subject, owner, use in counted_for(charged):
            for budget in budgets:
                if budget.subject == subject:
                    row = db.execute(self._sql.used, {"day": day, "subject": subject}).fetchone()
                    check_budget(budget, used=_use_of(row) if row else Use(), asked=use, now=now)
            db.execute(self._sql.count, {"day": day, "subject": subject, "owner": owner, **asdict(use)})
        db.execute(self._sql.forget_days, {"day": (today(now) - timedelta(days=KEPT_DAYS)).isoformat()})

    def settle(self, db: Connection, job: Job | None) -> Job | None:
        """Give back what a job did not come to that has just ended; the job."""
        if job is not None and job.is_finished and job.charge is not None:
            less = job.charge.use - settled(job)
            day = today(job.created_at).isoformat()
            for subject, _, _ in counted_for([job]):
                db.execute(self._sql.give_back, {"day": day, "subject": subject, **asdict(less)})
        return job


def _use_of(row: Any) -> Use:
    return Use(**{kind: row[kind] for kind in KINDS})
