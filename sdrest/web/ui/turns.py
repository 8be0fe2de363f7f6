"""Moving a waiting job by one place, where only priorities say whose turn it is and equals keep their order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

PRIORITY_BOUND: Final = 100


def moved(waiting: Sequence[tuple[str, int]], job_id: str, places: int) -> dict[str, int]:
    """The fewest new priorities that move a job by so many places; nothing when it is at that end already, or cannot be moved.

    Args:
        waiting: Ids and priorities of the waiting jobs, the oldest first.
        job_id: The job to move.
        places: Negative: towards the front.
    """
    before = dict(waiting)
    if job_id not in before:
        return {}
    age = {name: place for place, name in enumerate(before)}
    order = sorted(before, key=lambda name: -before[name])
    place = order.index(job_id)
    order.insert(max(0, min(len(order) - 1, place + places)), order.pop(place))
    ways = [_lifted(order, age, before), _lowered(order, age, before)]
    possible = [way for way in ways if all(abs(priority) <= PRIORITY_BOUND for priority in way.values())]
    return min(possible, key=len, default={})


def _lifted(order: Sequence[str], age: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Those ahead get higher priorities, from the last place on, where they need them."""
    after = dict(before)
    for ahead, behind in reversed([*itertools.pairwise(order)]):
        after[ahead] = max(after[ahead], after[behind] + (age[ahead] > age[behind]))
    return _changes(before, after)


def _lowered(order: Sequence[str], age: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Those behind get lower priorities, from the first place on, where they need them."""
    after = dict(before)
    for ahead, behind in itertools.pairwise(order):
        after[behind] = min(after[behind], after[ahead] - (age[ahead] > age[behind]))
    return _changes(before, after)


def _changes(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: priority for name, priority in after.items() if priority != before[name]}
