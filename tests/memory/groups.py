"""Groups in memory: the whole meaning of :class:`sdrest.jobs.group_store.GroupStore` in plain Python."""

from __future__ import annotations

from collections.abc import Sequence

from sdrest.core.group import Group
from sdrest.core.job import Job
from sdrest.jobs.quotas import Budget
from tests.memory.jobs import MemoryJobStore


class MemoryGroupStore:
    """The :class:`sdrest.jobs.group_store.GroupStore` beside the jobs of a :class:`MemoryJobStore`."""

    def __init__(self, jobs: MemoryJobStore) -> None:
        self._jobs = jobs
        self._groups: dict[str, Group] = {}

    async def add(
        self,
        group: Group,
        jobs: Sequence[Job],
        *,
        max_pending: int,
        max_pending_of_principal: int | None = None,
        budgets: Sequence[Budget] = (),
    ) -> Group:
        """See :meth:`GroupStore.add`."""
        for known in self._of(group.principal):
            if group.idempotency_key and known.idempotency_key == group.idempotency_key:
                return known
        self._jobs.add_all(
            jobs, max_pending=max_pending, max_pending_of_principal=max_pending_of_principal, budgets=budgets
        )
        self._groups[group.id] = group
        return group

    async def get(self, group_id: str) -> Group | None:
        """See :meth:`GroupStore.get`."""
        return self._groups.get(group_id)

    async def find(self, principal: str | None, *, limit: int, offset: int = 0) -> Sequence[Group]:
        """See :meth:`GroupStore.find`."""
        return self._of(principal)[offset : offset + limit]

    async def count(self, principal: str | None) -> int:
        """See :meth:`GroupStore.count`."""
        return len(self._of(principal))

    async def remove(self, group_id: str) -> bool:
        """See :meth:`GroupStore.remove`."""
        return self._groups.pop(group_id, None) is not None

    def _of(self, principal: str | None) -> list[Group]:
        return [group for group in reversed(self._groups.values()) if principal in {None, group.principal}]
