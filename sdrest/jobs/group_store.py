"""What groups of jobs need from durable storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sdrest.core.group import Group
from sdrest.core.job import Job
from sdrest.jobs.quotas import Budget


class GroupStore(Protocol):
    """Durable groups. Which jobs are in one, the jobs say themselves."""

    async def add(
        self,
        group: Group,
        jobs: Sequence[Job],
        *,
        max_pending: int,
        max_pending_of_principal: int | None = None,
        budgets: Sequence[Budget] = (),
    ) -> Group:
        """Store a group with its jobs, in their order: all, or nothing. They are pending, or finished by earlier results.

        With an idempotency key already used by its principal, that group is returned instead, and nothing is stored.

        Raises:
            QueueFull, QuotaReached: not all of them may; as :meth:`sdrest.jobs.store.JobStore.add`.
        """
        ...

    async def get(self, group_id: str) -> Group | None:
        """The group, or None."""
        ...

    async def find(self, principal: str | None, *, limit: int, offset: int = 0) -> Sequence[Group]:
        """The groups of one principal (None: of everybody), newest first."""
        ...

    async def count(self, principal: str | None) -> int:
        """How many :meth:`find` would give without a limit."""
        ...

    async def remove(self, group_id: str) -> bool:
        """Forget a group, not its jobs; False when it is not there."""
        ...
