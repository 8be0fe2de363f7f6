"""Quotas in memory: the whole meaning of :class:`sdrest.jobs.quota_store.QuotaStore` in plain Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from sdrest.core.job import Job
from sdrest.core.use import Limits, Use
from sdrest.jobs.quota_store import DayUse
from sdrest.jobs.quotas import KEPT_DAYS, Budget, check_budget, counted_for, settled, today


class MemoryQuotaStore:
    """The :class:`sdrest.jobs.quota_store.QuotaStore` of a store in memory, which counts its jobs here."""

    def __init__(self) -> None:
        self._limits: dict[str, Limits] = {}
        self._used: dict[tuple[date, str], DayUse] = {}

    async def limits(self, subjects: Collection[str] | None = None) -> Mapping[str, Limits]:
        """See :meth:`QuotaStore.limits`."""
        return {name: limits for name, limits in self._limits.items() if subjects is None or name in subjects}

    async def set_limits(self, subject: str, limits: Limits) -> None:
        """See :meth:`QuotaStore.set_limits`."""
        self._limits.pop(subject, None)
        if limits != Limits():
            self._limits[subject] = limits

    async def used(self, day: date, subjects: Collection[str] | None = None) -> Sequence[DayUse]:
        """See :meth:`QuotaStore.used`."""
        found = [item for (when, _), item in sorted(self._used.items()) if when == day]
        return [item for item in found if subjects is None or item.subject in subjects]

    def count(self, jobs: Sequence[Job], budgets: Sequence[Budget]) -> None:
        """Count new jobs of one principal, at the same time, for all whom they count for; raises as :meth:`JobStore.add`."""
        for subject, _, use in counted_for(jobs):
            for budget in budgets:
                if budget.subject == subject:
                    now = jobs[0].created_at
                    check_budget(budget, used=self._of(today(now), subject), asked=use, now=now)
        for subject, owner, use in counted_for(jobs):
            day = today(jobs[0].created_at)
            self._used[day, subject] = DayUse(subject=subject, owner=owner, use=self._of(day, subject) + use)
            self._used = {key: item for key, item in self._used.items() if key[0] >= day - timedelta(days=KEPT_DAYS)}

    def settle(self, job: Job) -> None:
        """Give back what a job did not come to that has just ended."""
        if job.charge is None:
            return
        for subject, _, use in counted_for([job]):
            key = today(job.created_at), subject
            if (counted := self._used.get(key)) is not None:
                self._used[key] = replace(counted, use=counted.use - (use - settled(job)))

    def _of(self, day: date, subject: str) -> Use:
        found = self._used.get((day, subject))
        return found.use if found else Use()
